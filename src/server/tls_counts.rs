//! Counts of TLS handshakes and certificates.

use std::collections::BTreeMap;
use std::fmt;

/// Counts of TLS handshakes and of certificates that were read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsCounts {
    /// Complete handshakes with a new session.
    pub full: u64,
    /// Complete handshakes that resumed an earlier session (RFC 8446, section 2.2).
    pub resumed: u64,
    /// Handshakes that failed, by reason. A connection on which nothing arrives is not counted.
    pub failed: BTreeMap<TlsFailure, u64>,
    /// How often the certificates were read again.
    pub reloads: u64,
    /// How often the certificates could not be used when they were read again, and stayed as they were.
    pub failed_reloads: u64,
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The peer does not speak TLS.
    Plaintext,
    /// The peer supports neither TLS 1.2 nor TLS 1.3.
    Version,
    /// The peer supports no cipher, key exchange or signature that the server supports.
    Algorithms,
    /// The peer offers application protocols, but not `http/1.1` (ALPN, RFC 7301).
    ApplicationProtocol,
    /// The peer presented no certificate, or an invalid one, and
    /// [`TlsConfig::client_ca`](crate::TlsConfig::client_ca) requires one.
    ClientCertificate,
    /// The peer ended the handshake with an alert (RFC 8446, section 6.2), such as one about the server's
    /// certificate.
    Alert,
    /// The peer broke the protocol.
    Malformed,
    /// The handshake took longer than [`Timeouts::handshake`](crate::Timeouts::handshake).
    Timeout,
    /// The connection ended or failed.
    Ended,
    /// The memory that the server holds for all clients reached its limit
    /// ([`MemoryLimits::max_incomplete_bytes`](crate::MemoryLimits::max_incomplete_bytes)).
    Overload,
    /// Any other reason.
    Other,
}

impl TlsFailure {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Plaintext,
        Self::Version,
        Self::Algorithms,
        Self::ApplicationProtocol,
        Self::ClientCertificate,
        Self::Alert,
        Self::Malformed,
        Self::Timeout,
        Self::Ended,
        Self::Overload,
        Self::Other,
    ];
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::Version => "version",
            Self::Algorithms => "algorithms",
            Self::ApplicationProtocol => "application protocol",
            Self::ClientCertificate => "client certificate",
            Self::Alert => "alert",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Ended => "ended",
            Self::Overload => "overload",
            Self::Other => "other",
        })
    }
}
