//! The certificates of the server and of its clients.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use townhall::{CertificateFiles, Server, TlsFailure};

use super::handshakes::failures;
use super::{Certificate, client_config, connect, connect_with, join, tls_config};
use crate::support::{Running, chat};

/// An authority for the certificates of clients.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A client's certificate that is valid until the end of a year, and its key.
    fn issue(&self, year: i32) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }
}

#[test]
fn clients_need_a_valid_certificate_of_the_authority() {
    let certificate = Certificate::new("localhost");
    let authority = Authority::new();
    let mut config = tls_config(&[&certificate]);
    let file = certificate.folder.join("authority.pem");
    fs::write(&file, authority.certificate.pem()).unwrap();
    config.tls.client_ca = Some(file);
    let server = Running::start(config, chat);
    let mut failed = 0;
    for versions in [&[&TLS12], &[&TLS13]] {
        let presents = |(chain, key)| {
            let config = client_config(&certificate, versions).with_client_auth_cert(chain, key);
            connect_with(&server, Arc::new(config.unwrap()), "localhost")
        };
        let mut client = join(presents(authority.issue(4000)), "/");
        client.send("hello".into()).unwrap();
        assert_eq!(client.read().unwrap(), "hello".into());
        for stream in [
            connect(&server, &certificate, "localhost", versions),
            presents(Authority::new().issue(4000)),
            presents(authority.issue(2000)),
        ] {
            assert!(tungstenite::client("wss://localhost/", stream).is_err());
            failed += 1;
            assert_eq!(failures(&server, failed), [(TlsFailure::ClientCertificate, failed)]);
        }
    }
}

#[test]
fn a_client_gets_the_first_certificate_for_the_name_that_it_asks_for() {
    let first = Certificate::for_names(["one.example", "a.b.two.example", "127.0.0.1"]);
    let wildcard = Certificate::new("*.two.example");
    let late = Certificate::new("www.two.example");
    let server = Running::start(tls_config(&[&first, &wildcard, &late]), chat);
    for (certificate, name) in [
        (&first, "one.example"),
        (&wildcard, "www.two.example"),
        (&wildcard, "WWW.Two.Example"),
        // A wildcard is one label (RFC 6125, section 6.4.3).
        (&first, "a.b.two.example"),
        // A client does not ask for an address by name (RFC 6066, section 3).
        (&first, "127.0.0.1"),
    ] {
        let stream = connect(&server, certificate, name, &[&TLS13]);
        tungstenite::client(format!("wss://{name}/"), stream).unwrap();
    }
    let mut other = connect(&server, &first, "other.example", &[&TLS13]);
    let error = other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap_err().to_string();
    assert!(error.contains("other.example") && error.contains("one.example"), "{error}");
}

#[test]
fn a_server_needs_usable_certificates() {
    let one = Certificate::new("one.example");
    let missing = one.folder.join("missing.pem");
    let mut config = tls_config(&[&one]);
    assert!(config.tls.faults().is_empty());
    config.tls.certificates.push(CertificateFiles::new(&missing, one.folder.join("key.pem")));
    config.tls.client_ca = Some(one.folder.join("key.pem"));
    let faults: Vec<_> = config.tls.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2);
    assert!(faults[0].contains("missing.pem") && faults[1].contains("key.pem"), "{faults:?}");
    assert_eq!(Server::bind(config).unwrap_err().to_string(), faults[0]);
}
