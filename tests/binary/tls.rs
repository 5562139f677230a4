//! TLS in the program: certificates from files, which are read again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ChildStderr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::protocol::Message;

use crate::{PATIENCE, Program, run, townhall};

/// A folder for a certificate and its key, which is removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("townhall-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a new certificate and its key.
    pub fn write_certificate(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path("cert.pem"), cert.pem()).unwrap();
        fs::write(self.path("key.pem"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Joins a room over TLS, with a server that must have this certificate.
pub fn connect(
    address: &str,
    certificate: &CertificateDer<'static>,
) -> tungstenite::WebSocket<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client("wss://localhost/", StreamOwned::new(connection, stream)).unwrap().0
}

/// Reads log lines up to one that contains `text`.
fn wait_for_line(log: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut lines = log.lines().map(Result::unwrap);
    lines.find(|line| line.contains(text)).expect("the line is logged")
}

#[test]
fn certificates_are_read_again_on_sighup_unless_they_are_broken() {
    let folder = Folder::new("reload");
    let first = folder.write_certificate();
    let mut command = townhall(&["--listen", "https://127.0.0.1:0"]);
    command.args(["--tls-cert", &folder.path("cert.pem"), "--tls-key", &folder.path("key.pem")]);
    let (mut program, address) = Program::start_with(command);
    let mut log = BufReader::new(program.child.stderr.take().unwrap());
    let mut member = connect(&address, &first);

    let second = folder.write_certificate();
    program.signal("HUP");
    wait_for_line(&mut log, "the certificates were loaded again");
    connect(&address, &second);

    fs::write(folder.path("key.pem"), "broken").unwrap();
    program.signal("HUP");
    let line = wait_for_line(&mut log, "the certificates stay as they were");
    assert!(line.contains("key.pem"), "{line}");
    connect(&address, &second);

    member.send(Message::text("still here")).unwrap();
    assert_eq!(member.read().unwrap(), Message::text("still here"));
}

#[test]
fn tls_without_usable_certificates_is_one_clear_line() {
    let folder = Folder::new("flags");
    folder.write_certificate();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let listen = ["--listen", "https://127.0.0.1:0"];
    let missing = folder.path("missing.pem");
    assert!(!Path::new(&missing).exists());
    for (flags, status, reason) in [
        (&[][..], 2, "--tls-cert is empty"),
        (&["--tls-cert", &cert][..], 2, "each --tls-cert needs its --tls-key"),
        (&["--tls-cert", &missing, "--tls-key", &key][..], 1, "missing.pem"),
        (&["--tls-cert", &cert, "--tls-key", &cert][..], 1, "cert.pem"),
    ] {
        let output = run(&[&listen[..], flags].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
}
