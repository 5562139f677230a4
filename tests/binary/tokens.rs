//! Access with tokens.

use std::fs;
use std::io::{BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::Message;

use super::admin;
use super::publish::{post, post_whole};
use super::tls::{Folder, wait_for_line};
use super::{Client, PATIENCE, Program, assert_fails, receive, run, send};

pub const SECRET: &str = "a secret of this test, which is long enough";

/// A folder with an HMAC secret, and the flag for it.
pub fn secret(name: &str) -> (Folder, [String; 2]) {
    let folder = Folder::new(name);
    fs::write(folder.path("secret"), format!("{SECRET}\n")).unwrap();
    let flag = ["--auth-key-file".to_owned(), folder.path("secret")];
    (folder, flag)
}

/// A server with an HMAC secret and these flags.
pub fn start(name: &str, flags: &[&str]) -> (Folder, Program, String) {
    let (folder, flag) = secret(name);
    let flags = [&[&*flag[0], &*flag[1]], flags].concat();
    let (program, address) = Program::start(&flags);
    (folder, program, address)
}

/// The token that `townhall token` makes.
pub fn made(key_file: &str, flags: &[&str]) -> String {
    let output = run(&[&["token", "--key-file", key_file], flags].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A token of the secret for this room.
fn token(folder: &Folder, room: &str) -> String {
    made(&folder.path("secret"), &["--sub", "42", "--join", room])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token with any header and claims, signed with HMAC.
pub fn signed(secret: &str, header: &str, claims: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_client_with_history_is_told_before_its_token_ends() {
    let (folder, _program, address) = start("notice", &["--history-messages", "10"]);
    let token = made(&folder.path("secret"), &["--join", "/lobby", "--ttl", "3s"]);
    let offer = format!("townhall.v1, bearer.{token}");
    let mut client = join(&address, "/lobby", &[("Sec-WebSocket-Protocol", &offer)]).unwrap();
    assert!(receive(&mut client).starts_with("\0{\"position\":"));
    // A token counts for up to five seconds longer, and the client is told in the middle of its time.
    let notice = receive(&mut client);
    let seconds = notice.strip_prefix("\0{\"expires\":").unwrap().strip_suffix('}').unwrap();
    assert!((1..=4).contains(&seconds.parse::<u64>().unwrap()), "{seconds}");
    match client.read().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 4401),
        message => panic!("{message:?} instead of a close"),
    }
}

/// The client, or the status and the text of the response.
pub fn join(
    address: &str,
    target: &str,
    fields: &[(&'static str, &str)],
) -> Result<Client, String> {
    let mut request = format!("ws://{address}{target}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(request, stream).map(|(client, _)| client).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)) => {
            let challenge = response.headers().get("WWW-Authenticate");
            let challenge = challenge.map_or("", |value| value.to_str().unwrap());
            format!("{} {challenge}", response.status().as_u16())
        }
        error => panic!("{error}"),
    })
}

pub fn join_with(address: &str, target: &str, token: &str) -> Result<Client, String> {
    join(address, target, &[("Authorization", &format!("Bearer {token}"))])
}

/// The code and the reason of the close frame that comes next.
pub fn closed(client: &mut Client) -> (u16, String) {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => {
                return (frame.code.into(), frame.reason.to_string());
            }
            // Reads with a timeout are interrupted when a stopped machine continues.
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            other => panic!("{other:?} instead of a close"),
        }
    }
}

#[test]
fn a_token_of_any_key_opens_the_rooms_that_it_names() {
    let (folder, flag) = secret("kinds");
    let pairs = [("ed", &PKCS_ED25519), ("ec", &PKCS_ECDSA_P256_SHA256)];
    for (name, algorithm) in pairs {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        fs::write(folder.path(name), pair.serialize_pem()).unwrap();
        fs::write(folder.path(&format!("{name}.pub")), pair.public_key_pem()).unwrap();
    }
    let files = ["ed.pub", "ec.pub"].map(|name| folder.path(name)).join(",");
    let (_program, address) = Program::start(&[&flag[0], &flag[1], "--auth-key-file", &files]);
    for key in ["secret", "ed", "ec"] {
        let token = made(&folder.path(key), &["--join", "/game/*,/caf%c3%a9"]);
        for room in ["/game/7", "/game/", "/caf%C3%A9", "/x/../game/8"] {
            assert!(join_with(&address, room, &token).is_ok(), "{key} {room}");
        }
        for room in ["/game", "/", "/game/../admin", "/game%2f7", "/GAME/7"] {
            let refused = join_with(&address, room, &token).unwrap_err();
            assert!(refused.starts_with("403 Bearer "), "{key} {room}: {refused}");
            assert!(refused.contains("error=\"insufficient_scope\""), "{refused}");
        }
    }
}

#[test]
fn nothing_is_open_without_a_token_but_what_the_flags_name() {
    let flags = ["--public-join", "/open/*,/hall", "--public-publish", "/open/*"];
    let (folder, _program, address) = start("public", &flags);
    assert_eq!(join(&address, "/lobby", &[]).unwrap_err(), "401 Bearer realm=\"townhall\"");
    assert_eq!(join(&address, "/open", &[]).unwrap_err(), "401 Bearer realm=\"townhall\"");
    assert_eq!(super::status(&address, "/health"), "200");
    let mut client = join(&address, "/open/a", &[]).unwrap();
    send(&mut client, "hello");
    assert_eq!(receive(&mut client), "hello");
    let mut listener = join(&address, "/hall", &[]).unwrap();
    let publishing = made(&folder.path("secret"), &["--publish", "/hall"]);
    let mut speaker = join_with(&address, "/hall", &publishing).unwrap();
    send(&mut speaker, "hello");
    assert_eq!(receive(&mut listener), "hello");
    send(&mut listener, "I too");
    let reason = "you may not publish in this room".to_owned();
    assert_eq!(closed(&mut listener), (1008, reason));
    // A wrong token is an error even where none is needed.
    assert!(join_with(&address, "/open/a", "x").unwrap_err().starts_with("401 "));
}

#[test]
fn a_token_comes_in_a_field_a_subprotocol_a_cookie_or_the_query() {
    let flags = ["--auth-cookie", "session", "--auth-query", "token", "--subprotocol", "chat"];
    let (folder, _program, address) = start("sources", &flags);
    let token = token(&folder, "/a");
    let (bearer, cookie) = (format!("Bearer {token}"), format!("a=b; session={token}"));
    let offered = format!("bearer.{token}, chat");
    let query = format!("/a?token={token}");
    assert!(join(&address, "/a", &[("Authorization", &bearer)]).is_ok());
    assert!(join(&address, "/a", &[("Cookie", &cookie)]).is_ok());
    assert!(join(&address, &query, &[]).is_ok());
    let all = [("Authorization", &*bearer), ("Cookie", &cookie)];
    assert!(join(&address, &query, &all).is_ok(), "they are the same token");
    let subprotocol = [("Sec-WebSocket-Protocol", &*offered)];
    let mut client = join(&address, "/a", &subprotocol).unwrap();
    assert!(client.close(None).is_ok());
    let two = join(&address, &query, &[("Cookie", "session=other")]).unwrap_err();
    assert!(two.starts_with("400 Bearer ") && two.contains("two different tokens"), "{two}");

    let (_folder, _program, address) = start("no-sources", &[]);
    assert!(join(&address, &query, &[("Cookie", &cookie)]).unwrap_err().starts_with("401 "));
}

/// The head of the answer to an upgrade that offers these subprotocols.
fn answer(address: &str, room: &str, offered: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET {room} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {offered}\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn the_answer_names_townhall_v1_and_never_the_token() {
    let (folder, _program, address) = start("echo", &[]);
    let token = token(&folder, "/a");
    for offered in [
        format!("bearer.{token}, townhall.v1"),
        format!("townhall.v1, bearer.{token}"),
        format!("bearer.{token}"),
    ] {
        for room in ["/a", "/b"] {
            let head = answer(&address, room, &offered);
            assert!(!head.contains(&token), "{head}");
            let names_it = head.contains("\r\nSec-WebSocket-Protocol: townhall.v1\r\n");
            assert_eq!(names_it, offered.contains("townhall.v1"), "{head}");
            let is_accepted = head.starts_with("HTTP/1.1 101 ");
            assert_eq!(is_accepted, names_it || room == "/a", "{offered}: {head}");
        }
    }
}

#[test]
fn a_page_learns_the_reason_from_the_close_frame() {
    let (folder, _program, address) = start("v1", &[]);
    let token = token(&folder, "/a");
    let mut listener = join_with(&address, "/a", &token).unwrap();
    for (room, offered, code, reason) in [
        ("/a", "townhall.v1".to_owned(), 4401, "a token is needed"),
        ("/a", "townhall.v1, bearer.x.y".to_owned(), 4401, "the token is not a JSON Web Token"),
        ("/a", format!("townhall.v1, bearer.{token}, bearer.x"), 4400, "the request has two"),
        ("/b", format!("townhall.v1, bearer.{token}"), 4403, "the token does not allow joining"),
    ] {
        let mut client = join(&address, room, &[("Sec-WebSocket-Protocol", &offered)]).unwrap();
        send(&mut client, "let me in");
        let (closed_with, text) = closed(&mut client);
        assert_eq!(closed_with, code, "{text}");
        assert!(text.starts_with(reason), "{text}");
    }
    // What they sent reached nobody.
    let publishing = made(&folder.path("secret"), &["--join", "/a", "--publish", "/a"]);
    let mut speaker = join_with(&address, "/a", &publishing).unwrap();
    send(&mut speaker, "hello");
    assert_eq!(receive(&mut listener), "hello");
}

#[test]
fn a_connection_ends_with_its_token() {
    let (folder, _program, address) = start("expiry", &[]);
    let token = made(&folder.path("secret"), &["--join", "/a", "--ttl", "2s"]);
    let begin = Instant::now();
    let mut clients = [(); 4].map(|()| join_with(&address, "/a", &token).unwrap());
    let ends = clients.each_mut().map(|client| {
        assert_eq!(closed(client), (4401, "the token has ended".to_owned()));
        begin.elapsed().as_millis()
    });
    // It counts for up to five seconds longer. The time in a token has whole seconds.
    assert!(ends.iter().all(|end| (1_000..12_000).contains(end)), "{ends:?}");
    let old = format!(r#"{{"exp":{},"townhall":{{"join":["/a"]}}}}"#, now() - 7);
    let ended = signed(SECRET, r#"{"alg":"HS256"}"#, &old);
    let refused = join_with(&address, "/a", &ended).unwrap_err();
    assert!(refused.contains("the token has ended"), "{refused}");
}

#[test]
fn a_bad_token_is_refused_with_its_reason() {
    let folder = Folder::new("bad");
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let pem = pair.public_key_pem();
    fs::write(folder.path("ed.pub"), &pem).unwrap();
    fs::write(folder.path("secret"), SECRET).unwrap();
    let files = [folder.path("ed.pub"), folder.path("secret")].join(",");
    let rules = ["--auth-audience", "us", "--auth-issuer", "them"];
    let flags = [&["--auth-key-file", &*files], &rules[..]].concat();
    let (_program, address) = Program::start(&flags);
    let exp = now() + 60;
    let rest = r#""townhall":{"join":["/*"]}"#;
    let good = format!(r#"{{"exp":{exp},"aud":["x","us"],"iss":"them",{rest}}}"#);
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        signed(SECRET, hs256, &good.replace(from, to))
    };
    assert!(join_with(&address, "/a", &signed(SECRET, hs256, &good)).is_ok());
    let kid = r#"{"alg":"HS256","kid":"../../etc/passwd","jku":"http://127.0.0.1/"}"#;
    assert!(join_with(&address, "/a", &signed(SECRET, kid, &good)).is_ok());

    let malformed = "not a JSON Web Token";
    let none = signed(SECRET, r#"{"alg":"none"}"#, &good);
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    let cut = signed(SECRET, hs256, &good);
    let exp = exp.to_string();
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(502));
    for (bad, reason) in [
        (none, malformed),
        (unsigned, malformed),
        (signed(SECRET, r#"{"alg":"HS512"}"#, &good), "algorithm"),
        (signed(SECRET, r#"{"alg":"EdDSA"}"#, &good), "signature"),
        (signed(&pem, hs256, &good), "signature"),
        (signed(pem.trim_end(), hs256, &good), "signature"),
        (signed(SECRET, "not JSON", &good), malformed),
        (signed(SECRET, r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, &good), malformed),
        (signed(SECRET, hs256, "not JSON"), malformed),
        (cut[..cut.len() - 3].to_owned(), "signature"),
        (cut.replace('.', ""), malformed),
        (format!("{cut}.x"), malformed),
        (claims(&exp, &(now() - 60).to_string()), "the token has ended"),
        (claims(&exp, "\"soon\""), malformed),
        (claims(&exp, "-1"), "no valid exp"),
        (claims("\"exp\"", "\"expires\""), "no valid exp"),
        (claims("\"exp\"", &format!("\"nbf\":{},\"exp\"", now() + 60)), "not valid yet"),
        (claims("\"us\"", "\"someone\""), "another audience"),
        (claims("\"aud\"", "\"audience\""), "names no audience"),
        (claims("\"them\"", "\"someone\""), "another issuer"),
        (claims("\"iss\"", "\"issuer\""), "names no issuer"),
        (claims("/*", "/user/../*"), "invalid pattern"),
        (claims("/*", "/user/%2e%2e/*"), "invalid pattern"),
        (claims("[\"/*\"]", "\"/*\""), malformed),
        (claims("/*", &"/a".repeat(3 << 10)), "longer than 4096 bytes"),
        (claims("\"join\"", "\"info\":[1],\"join\""), "info of the token is not an object"),
        (claims("\"join\"", &format!("\"info\":{large},\"join\"")), "larger than 512 bytes"),
    ] {
        let refused = join_with(&address, "/a", &bad).unwrap_err();
        assert!(refused.starts_with("401 Bearer ") && refused.contains(reason), "{bad}: {refused}");
        assert!(refused.contains("error=\"invalid_token\""), "{refused}");
    }
    let escaping = claims("/*", "/user/42%2f..%2f..%2f*");
    assert!(join_with(&address, "/user/43", &escaping).unwrap_err().starts_with("403 "));
}

#[test]
fn keys_are_read_again_on_sighup_and_broken_ones_are_not_used() {
    let (folder, mut program, address) = start("reload", &[]);
    let mut log = BufReader::new(program.child.stderr.take().unwrap());
    let old = token(&folder, "/a");
    let mut client = join_with(&address, "/a", &old).unwrap();
    fs::write(folder.path("secret"), "too short").unwrap();
    program.signal("HUP");
    let line = wait_for_line(&mut log, "stay in use");
    assert!(line.contains("cannot use the key in ") && line.contains("32 bytes"), "{line}");
    assert!(join_with(&address, "/a", &old).is_ok());
    fs::write(folder.path("secret"), SECRET.to_uppercase()).unwrap();
    program.signal("HUP");
    wait_for_line(&mut log, "read the keys for tokens again: 1");
    assert!(join_with(&address, "/a", &old).unwrap_err().contains("signature"));
    assert!(join_with(&address, "/a", &token(&folder, "/a")).is_ok());
    client.send(Message::Ping("there?".into())).unwrap();
    assert!(client.read().unwrap().is_pong(), "open connections are not affected");
}

#[test]
fn revoked_tokens_lose_their_connections_and_are_refused() {
    let (folder, flag) = secret("revoke");
    let (_program, address, admin) = admin::start(&[&flag[0], &flag[1]]);
    let make = |sub: &str, jti: &str| {
        let flags = ["--sub", sub, "--jti", jti, "--join", "/a"];
        made(&folder.path("secret"), &flags)
    };
    let tokens = [make("42", "a"), make("42", "b"), make("43", "c")];
    let mut clients = tokens.each_ref().map(|token| join_with(&address, "/a", token).unwrap());
    let revoke = |query: &str| {
        let (head, body) = admin::ask(&admin, "POST", &format!("/revoke?{query}"), "");
        format!("{} {body}", &head[9..12])
    };
    let day = r#""refused_seconds":86400}"#;
    assert_eq!(revoke("jti=a"), format!("200 {{\"closed\":1,{day}\n"));
    let close = (4403, "the token was revoked".to_owned());
    assert_eq!(closed(&mut clients[0]), close);
    assert!(join_with(&address, "/a", &tokens[0]).unwrap_err().contains("revoked"));
    assert!(join_with(&address, "/a", &tokens[1]).is_ok());
    let closed_by = revoke("sub=42&for=30min");
    assert!(closed_by.starts_with("200 {\"closed\":1,\"refused_seconds\":3"), "{closed_by}");
    assert_eq!(closed(&mut clients[1]), close);
    let refused = join_with(&address, "/a", &tokens[1]).unwrap_err();
    assert!(refused.starts_with("403 ") && refused.contains("invalid_token"), "{refused}");
    assert!(join_with(&address, "/a", &tokens[2]).is_ok());
    assert_eq!(revoke("sub=nobody"), format!("200 {{\"closed\":0,{day}\n"));
    assert!(revoke("").starts_with("400 there must be one parameter sub or jti"));
    let (head, _) = admin::ask(&admin, "GET", "/revoke?sub=42", "");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: POST, OPTIONS\r\n"));

    let (_program, _, admin) = admin::start(&[]);
    let (head, body) = admin::ask(&admin, "POST", "/revoke?sub=42", "");
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("--auth-key-file"), "{body}");
}

#[test]
fn a_request_that_publishes_needs_a_token_or_the_key() {
    let (folder, flag) = secret("post");
    fs::write(folder.path("publish-key"), "the-key-of-the-back-end").unwrap();
    let key = folder.path("publish-key");
    let own = ["--public-publish", "/open", "--auth-cookie", "session"];
    let flags = [&[&*flag[0], &*flag[1], "--publish-key-file", &key], &own[..]].concat();
    let (_program, address) = Program::start(&flags);
    let mut member = join_with(&address, "/a", &token(&folder, "/a")).unwrap();
    let may = made(&flag[1], &["--publish", "/a"]);
    let may_not = made(&flag[1], &["--join", "/a", "--publish", "/b"]);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for (path, fields, status, reason) in [
        ("/a", String::new(), 401, "a token is needed"),
        ("/a", bearer("x"), 401, "not a JSON Web Token"),
        ("/a", bearer(&may_not), 403, "does not allow publishing"),
        ("/b/../a", bearer(&may_not), 403, "does not allow publishing"),
        ("/b", bearer(&may_not), 200, "{\"members\":0}"),
        ("/open", String::new(), 200, "{\"members\":0}"),
        ("/a", bearer(&may), 200, "{\"members\":1}"),
        ("/a", format!("Cookie: session={may}\r\n"), 200, "{\"members\":1}"),
        ("/a", bearer("the-key-of-the-back-end"), 200, "{\"members\":1}"),
    ] {
        let (answered, body) = post(&address, path, &fields, "hello");
        assert!(answered == status && body.contains(reason), "{path} {fields}: {answered} {body}");
    }
    let (head, _) = post_whole(&address, "/a", &bearer("x"), b"hello");
    assert!(head.contains("\r\nWWW-Authenticate: Bearer realm=\"townhall\", error="), "{head}");
    for _ in 0..3 {
        assert_eq!(receive(&mut member), "hello");
    }
    let last = bearer(&may);
    assert_eq!(post(&address, "/a", &last, "the end").0, 200);
    assert_eq!(receive(&mut member), "the end");
}

#[test]
fn a_token_is_never_in_a_log_line() {
    let flags = ["--log-level", "trace", "--auth-query", "token", "--auth-cookie", "session"];
    let (folder, mut program, address) = start("log", &flags);
    let good = token(&folder, "/a");
    let bad = signed("another secret, which is long enough too", r#"{"alg":"HS256"}"#, "{}");
    for token in [&good, &bad, "confidential", "confidential.b.c"] {
        for (target, name, value) in [
            ("/a", "Authorization", format!("Bearer {token}")),
            ("/a", "Cookie", format!("session={token}")),
            ("/a", "Sec-WebSocket-Protocol", format!("bearer.{token}")),
            ("/a", "Sec-WebSocket-Protocol", format!("chat, bearer.{token}")),
            ("/a", "Sec-WebSocket-Protocol", format!("bearer.{token}, chat, bearer.x")),
            (&format!("/a?token={token}"), "Origin", "http://elsewhere.example".to_owned()),
            (&format!("/a?token={token}"), "X-Nothing", String::new()),
        ] {
            let fields = if name == "Sec-WebSocket-Protocol" {
                answer(&address, target, &value);
                continue;
            } else {
                [(name, &*value)]
            };
            drop(join(&address, target, &fields));
        }
        assert_ne!(super::status(&address, &format!("/a?token={token}")), "101");
        post(&address, "/a", &format!("Authorization: Bearer {token}\r\n"), "hello");
    }
    program.signal("TERM");
    let (_, log) = program.wait();
    assert!(log.contains("refused with 401: the signature of the token is not valid"), "{log}");
    assert!(log.contains("\"chat\""), "other subprotocols are shown: {log}");
    for part in good.split('.').chain(bad.split('.')).chain(["confidential"]) {
        assert!(!log.contains(part), "{part}: {log}");
    }
}

#[test]
fn a_token_is_explained() {
    let (folder, flag) = secret("explain");
    let flags = ["--sub", "42", "--join", "/game/*", "--publish", "/game/7", "--audience", "us"];
    let info = r#"{"name":"Ann"}"#;
    let token = made(&flag[1], &[&flags[..], &["--info", info]].concat());
    let check = |flags: &[&str]| {
        let flags = [&["token", "--check", &token, "--key-file"], flags].concat();
        let output = run(&flags);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, text) = check(&[&flag[1], "--audience", "us"]);
    assert_eq!(status, Some(0), "{text}");
    for line in [
        "algorithm: HS256\n",
        "  \"sub\": \"42\"",
        "    \"info\": {\n      \"name\": \"Ann\"\n    }",
        "\nmay join: /game/*\nmay publish in: /game/7\nvalid for ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (status, text) = check(&[&flag[1], "--audience", "them"]);
    assert_eq!(status, Some(1));
    assert!(text.ends_with("\nnot valid: the token is for another audience\n"), "{text}");

    fs::write(folder.path("other"), SECRET.to_uppercase()).unwrap();
    let (status, text) = check(&[&folder.path("other")]);
    assert!(status == Some(1) && text.contains("\"sub\": \"42\""), "{text}");
    assert!(text.ends_with("not valid: the signature of the token is not valid\n"), "{text}");
    assert_fails(&["token", "--sub", "42"], 2, "error: the following required arguments");
    let large = format!(r#"{{"exp":9e9,"townhall":{{"info":{{"a":"{}"}}}}}}"#, "x".repeat(505));
    let large = signed(SECRET, r#"{"alg":"HS256"}"#, &large);
    let output = run(&["token", "--check", &large, "--key-file", &flag[1]]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.ends_with("larger than 512 bytes\n"), "{text}");
    for (info, reason) in [("{", "it is not JSON"), ("7", "the info of the token is not an object")]
    {
        let flags = ["token", "--key-file", &flag[1], "--info", info];
        assert_fails(&flags, 1, &format!("townhall: --info: {reason}\n"));
    }
    let both = ["token", "--key-file", &flag[1], "--check", "x", "--sub", "42"];
    assert_fails(&both, 2, "error: the argument '--check <TOKEN>' cannot be used with '--sub");
}

#[test]
fn a_key_that_cannot_be_used_is_one_line() {
    let folder = Folder::new("keys");
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let pem = pair.public_key_pem();
    let of_another_kind = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for (name, content, reason) in [
        ("short", "a secret\n".to_owned(), "neither a public key in PEM, nor an HMAC secret"),
        ("private", pair.serialize_pem(), "it holds a private key"),
        ("two", pem.repeat(2), "it has more than one PEM block"),
        ("p384", of_another_kind.public_key_pem(), "it is not an Ed25519, P-256 or RSA key"),
        ("cut", pem.replace("MCow", "MCo"), "it is not an Ed25519, P-256 or RSA key"),
        ("cert", pem.replace("PUBLIC KEY", "CERTIFICATE"), "it is not an Ed25519, P-256"),
        ("ssh", format!("ssh-ed25519 {}", "A".repeat(68)), "in another form than PEM"),
        ("long", "a".repeat(70_000), "it is longer than 64 KiB"),
    ] {
        let file = folder.path(name);
        fs::write(&file, content).unwrap();
        let line = format!("townhall: cannot use the key in {file}: ");
        for task in [&["check"][..], &[]] {
            let output =
                run(&[task, &["--listen", "127.0.0.1:0", "--auth-key-file", &file]].concat());
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.starts_with(&line) && stderr.contains(reason), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    fs::write(folder.path("ed.pub"), &pem).unwrap();
    let flags = ["token", "--key-file", &folder.path("ed.pub"), "--sub", "42"];
    assert_fails(&flags, 1, "townhall: cannot use the key in ");
    let without_key = ["--listen", "127.0.0.1:0", "--public-join", "/a"];
    assert_fails(&without_key, 2, "error: the following required arguments");
}
