//! Why a TLS handshake failed.

use std::io::{self, ErrorKind};

use crate::server::tls_counts::TlsFailure;

/// The reason of a failure in the handshake.
pub(super) fn failure(error: &io::Error) -> TlsFailure {
    use rustls::{Error as Tls, PeerIncompatible as Incompatible};
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<Tls>());
    match cause {
        None if error.kind() == ErrorKind::InvalidData => TlsFailure::Malformed,
        // The socket's own error.
        None => TlsFailure::Ended,
        Some(Tls::AlertReceived(_)) => TlsFailure::Alert,
        Some(Tls::NoCertificatesPresented | Tls::InvalidCertificate(_)) => {
            TlsFailure::ClientCertificate
        }
        Some(Tls::NoApplicationProtocol) => TlsFailure::ApplicationProtocol,
        Some(Tls::PeerIncompatible(
            Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled
            | Incompatible::SupportedVersionsExtensionRequired
            // Clients without TLS 1.2 do not send it, which is noticed first.
            | Incompatible::SignatureAlgorithmsExtensionRequired,
        )) => TlsFailure::Version,
        Some(Tls::PeerIncompatible(_)) => TlsFailure::Algorithms,
        Some(
            Tls::InappropriateMessage { .. }
            | Tls::InappropriateHandshakeMessage { .. }
            | Tls::InvalidMessage(_)
            | Tls::DecryptError
            | Tls::PeerMisbehaved(_)
            | Tls::PeerSentOversizedRecord,
        ) => TlsFailure::Malformed,
        Some(_) => TlsFailure::Other,
    }
}
