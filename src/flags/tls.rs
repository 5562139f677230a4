//! Certificates for TLS.

use std::path::PathBuf;

use clap::Args;
use townhall::{CertificateFiles, Config};

/// Certificates for TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsFlags {
    /// A PEM file with a certificate for addresses that begin with https://, followed by those of
    /// intermediate authorities. Each needs its --tls-key, in the same order. A client gets the first
    /// certificate that is valid for the name it asks for. The files are read again on SIGHUP, and within
    /// a minute when they change. May be repeated
    #[arg(long, value_name = "FILE", env = "TOWNHALL_TLS_CERT", value_delimiter = ',')]
    tls_cert: Vec<PathBuf>,

    /// A PEM file with the private key of a --tls-cert. May be repeated
    #[arg(long, value_name = "FILE", env = "TOWNHALL_TLS_KEY", value_delimiter = ',')]
    tls_key: Vec<PathBuf>,

    /// Require that clients present a certificate that an authority in this PEM file has issued
    #[arg(long, value_name = "FILE", env = "TOWNHALL_TLS_CLIENT_CA", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// Checks that there is a key for each certificate, and an address for them; without one, a server that
    /// was meant to speak TLS would not. `name` returns the name under which the user set a flag.
    ///
    /// # Errors
    /// There are more of one than of the other, or no address has TLS.
    pub fn check(&self, listens: bool, name: impl Fn(&str) -> String) -> Result<(), String> {
        let certificates = self.tls_cert.len();
        let keys = self.tls_key.len();
        let cert = name("tls_cert");
        if certificates != keys {
            let key = name("tls_key");
            return Err(format!(
                "each {cert} needs its {key}, but there are {certificates} and {keys}"
            ));
        }
        if certificates > 0 && !listens {
            let listen = name("listen");
            return Err(format!("with {cert}, an address of {listen} must begin with https://"));
        }
        Ok(())
    }

    /// Applies the flags to a configuration.
    pub fn set(&self, config: &mut Config) {
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        config.tls.certificates =
            pairs.map(|(chain, key)| CertificateFiles::new(chain, key)).collect();
        config.tls.client_ca.clone_from(&self.tls_client_ca);
    }
}
