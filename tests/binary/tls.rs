//! TLS in the program: certificates from files, which are read again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tungstenite::protocol::Message;

use crate::admin::metrics;
use crate::{PATIENCE, Program, assert_fails, run, townhall};

const LISTEN: [&str; 2] = ["--listen", "https://127.0.0.1:0"];

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

    /// Writes a new certificate for `localhost`, and its key.
    pub fn write_certificate(&self) -> CertificateDer<'static> {
        self.write_certificate_for("localhost")
    }

    pub fn write_certificate_for(&self, host: &str) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([host.to_owned()]).unwrap();
        fs::write(self.path("cert.pem"), cert.pem()).unwrap();
        fs::write(self.path("key.pem"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    /// Accepts a connection, as a server with the certificate that was written.
    pub fn accept_tls(&self, listener: &TcpListener) -> StreamOwned<ServerConnection, TcpStream> {
        let certificate = CertificateDer::from_pem_file(self.path("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
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
pub fn wait_for_line(log: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut lines = log.lines().map(Result::unwrap);
    lines.find(|line| line.contains(text)).expect("the line is logged")
}

type Member = tungstenite::WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// The number of texts that each sender sends at a time.
const BURST: u32 = 20;

/// Each member sends some numbered texts, and all of them must receive all texts, in the same order.
fn talk(members: &mut [Member], round: u32) {
    let text = |sender: usize, number| format!("{round} {sender} {number} {}", "x".repeat(2_000));
    for (sender, member) in members.iter_mut().enumerate() {
        for number in 0..BURST {
            member.write(Message::text(text(sender, number))).unwrap();
        }
        member.flush().unwrap();
    }
    let count = members.len() * BURST as usize;
    let mut texts = members.iter_mut().map(|member| {
        (0..count).map(|_| member.read().unwrap().into_text().unwrap().to_string()).collect()
    });
    let first: Vec<String> = texts.next().unwrap();
    assert!(texts.all(|other: Vec<String>| other == first), "in round {round}");
    for sender in 0..members.len() {
        let prefix = format!("{round} {sender} ");
        let its: Vec<_> = first.iter().filter(|text| text.starts_with(&prefix)).collect();
        let sent: Vec<_> = (0..BURST).map(|number| text(sender, number)).collect();
        assert!(its.into_iter().eq(&sent), "in round {round}");
    }
}

/// The value of a metric.
fn metric(admin: &str, name: &str) -> String {
    let body = metrics(admin);
    let lines = body.lines().filter_map(|line| line.strip_prefix(name));
    lines.filter_map(|rest| rest.strip_prefix(' ')).next().expect(name).to_owned()
}

#[test]
fn certificates_are_replaced_while_members_talk() {
    let folder = Folder::new("reload");
    let mut current = folder.write_certificate();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let mut command = townhall(&[&LISTEN[..], &["--admin-listen", "127.0.0.1:0"]].concat());
    command.args(["--tls-cert", &cert, "--tls-key", &key]);
    let (mut program, address) = Program::start_with(command);
    let admin = program.admin_address();
    let mut log = BufReader::new(program.child.stderr.take().unwrap());
    let mut members: Vec<_> = (0..4).map(|_| connect(&address, &current)).collect();
    let (stop, stopped) = channel::<()>();
    let talking = thread::spawn(move || {
        let mut round = 0;
        while stopped.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
            talk(&mut members, round);
            round += 1;
        }
        assert!(round > 0);
        members
    });

    for _ in 0..3 {
        current = folder.write_certificate();
        program.signal("HUP");
        wait_for_line(&mut log, "the certificates were loaded again");
        connect(&address, &current);
    }
    for broken in ["broken", ""] {
        fs::write(&key, broken).unwrap();
        program.signal("HUP");
        let line = wait_for_line(&mut log, "the certificates stay as they were");
        assert!(line.contains(&format!("cannot use the key in {key}")), "{line}");
        connect(&address, &current);
    }

    drop(stop);
    let mut members = talking.join().expect("nobody misses anything");
    talk(&mut members, u32::MAX);
    let reloads = |result| {
        let name = format!("townhall_tls_certificate_reloads_total{{result=\"{result}\"}}");
        metric(&admin, &name)
    };
    assert_eq!([reloads("used"), reloads("failed")], ["3", "2"]);
}

/// A certificate for `localhost` that is valid until the end of a year, and its key.
fn certificate_until(year: i32) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

#[test]
fn an_expired_certificate_is_used_with_a_warning() {
    let folder = Folder::new("expired");
    let (certificate, key) = certificate_until(2000);
    fs::write(folder.path("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.path("key.pem"), key.serialize_pem()).unwrap();
    let mut command = townhall(&LISTEN);
    command.args(["--tls-cert", &folder.path("cert.pem"), "--tls-key", &folder.path("key.pem")]);
    let (mut program, _) = Program::start_with(command);
    let mut log = BufReader::new(program.child.stderr.take().unwrap());
    let line = wait_for_line(&mut log, "has expired, so clients will not accept it");
    assert!(line.contains("WARN") && line.contains("cert.pem"), "{line}");
}

#[test]
fn tls_without_usable_certificates_is_one_clear_line() {
    let folder = Folder::new("flags");
    folder.write_certificate();
    let write = |name: &str, content: &str| {
        fs::write(folder.path(name), content).unwrap();
        folder.path(name)
    };
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let pem = fs::read_to_string(&cert).unwrap();
    let key_pem = fs::read_to_string(&key).unwrap();
    let missing = folder.path("missing.pem");
    let directory = folder.path("");
    let empty = write("empty.pem", "");
    let broken = write("broken.pem", &pem[..pem.len() / 2]);
    let nonsense =
        write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let broken_key = write("broken-key.pem", &key_pem[..key_pem.len() / 2]);
    let encrypted =
        write("encrypted.pem", &key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    let old = "BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n";
    let encrypted_too = write("encrypted-too.pem", &key_pem.replace("BEGIN PRIVATE KEY-----", old));
    let other = write("other.pem", &certificate_until(4000).1.serialize_pem());
    let not_used =
        |what: &str, path: &str, why: &str| format!("cannot use {what} in {path}: {why}");
    let bad_certificate = |path: &str, why: &str| {
        (
            vec!["--tls-cert".to_owned(), path.to_owned(), "--tls-key".to_owned(), key.clone()],
            not_used("the certificate", path, why),
        )
    };
    let bad_key = |path: &str, why: &str| {
        (
            vec!["--tls-cert".to_owned(), cert.clone(), "--tls-key".to_owned(), path.to_owned()],
            not_used("the key", path, why),
        )
    };
    let authorities = |path: &str, why: &str| {
        let (flags, _) = bad_key(&key, "");
        let ca = ["--tls-client-ca".to_owned(), path.to_owned()];
        ([&flags[..], &ca].concat(), not_used("the authorities", path, why))
    };
    for (flags, reason) in [
        bad_certificate(&missing, "No such file"),
        bad_certificate(&directory, "Is a directory"),
        bad_certificate(&empty, "there is none in it"),
        bad_certificate(&key, "there is none in it"),
        bad_certificate(&broken, "the end of a section is missing"),
        bad_certificate(&nonsense, "it is malformed"),
        bad_key(&missing, "No such file"),
        bad_key(&directory, "Is a directory"),
        bad_key(&empty, "there is none in it"),
        bad_key(&cert, "there is none in it"),
        bad_key(&broken_key, "the end of a section is missing"),
        bad_key(&encrypted, "it is encrypted"),
        bad_key(&encrypted_too, "it is encrypted"),
        authorities(&missing, "No such file"),
        authorities(&empty, "there is none in it"),
        authorities(&nonsense, ""),
    ] {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        assert_fails(&[&LISTEN[..], &flags].concat(), 1, &format!("townhall: {reason}"));
    }
    let flags = ["--tls-cert", &cert, "--tls-key", &other];
    let line =
        not_used("the certificate", &cert, &format!("the key in {other} is that of another"));
    assert_fails(&[&LISTEN[..], &flags].concat(), 1, &format!("townhall: {line}"));
}

#[test]
fn tls_needs_pairs_of_certificates_and_keys() {
    for (flags, reason) in [
        (&[][..], "error: --tls-cert is empty"),
        (&["--tls-cert", "cert.pem"], "error: each --tls-cert needs its --tls-key"),
    ] {
        assert_fails(&[&LISTEN[..], flags].concat(), 2, reason);
    }
    let line = "error: with --tls-cert, an address of --listen must begin with https://";
    assert_fails(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"], 2, line);
}

#[test]
fn a_check_reads_the_files() {
    let folder = Folder::new("check");
    folder.write_certificate();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let check = |flags: &[&str]| {
        let output = run(&[&["check"], &LISTEN[..], flags].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let good = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &cert];
    assert_eq!(check(&good), (Some(0), String::new()));
    let missing = folder.path("missing.pem");
    let bad = ["--tls-cert", &missing, "--tls-key", &key, "--tls-client-ca", &key];
    let bad = [&good[..4], &bad, &["--max-rooms", "0"]].concat();
    let (status, lines) = check(&bad);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!((status, lines.len()), (Some(1), 3), "{lines:?}");
    for (line, begin) in lines.iter().zip([
        "--max-rooms is 0".to_owned(),
        format!("cannot use the certificate in {missing}: No such file"),
        format!("cannot use the authorities in {key}: there is none in it"),
    ]) {
        assert!(line.starts_with(&format!("townhall: {begin}")), "{line}");
    }
}

#[test]
fn health_is_asked_over_tls_if_there_is_nothing_else() {
    let folder = Folder::new("health");
    folder.write_certificate();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let ask = |address: &str| {
        let listen = format!("https://{address}");
        let output = run(&[&["health", "--listen", &listen], &tls[..]].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let stopping = ["--host", "chat.example", "--shutdown-delay", "15min"];
    let (program, address) =
        Program::start_with(townhall(&[&LISTEN[..], &tls, &stopping].concat()));
    assert_eq!(ask(&address), (Some(0), String::new()));
    program.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    let (status, line) = loop {
        assert!(Instant::now() < deadline);
        match ask(&address) {
            (Some(0), _) => {}
            other => break other,
        }
    };
    assert_eq!(status, Some(1));
    assert!(line.ends_with("it answered \"HTTP/1.1 503 \"\n"), "{line}");

    let ca = ["--tls-client-ca", &cert];
    let (_program, address) = Program::start_with(townhall(&[&LISTEN[..], &tls, &ca].concat()));
    let (status, line) = ask(&address);
    assert_eq!(status, Some(1));
    let begin = format!("townhall: cannot ask the server on {address}: ");
    assert!(line.starts_with(&begin) && line.contains("CertificateRequired"), "{line}");
}
