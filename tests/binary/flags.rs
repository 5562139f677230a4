//! The values of flags and environment variables.

use std::io::{Read, Write};
use std::net::TcpStream;

use tungstenite::protocol::Message;

use crate::{PATIENCE, Program, connect, receive, run, send, status_of, townhall};

/// The exit status and standard error with flags that should be refused. If they are accepted, the program
/// fails because of an address that no machine has.
fn refusal(flags: &[&str]) -> (Option<i32>, String) {
    let output = run(&[flags, &["--listen", "192.0.2.1:0"]].concat());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_timeout_of_zero_is_off_or_an_error() {
    for flag in ["ping-interval", "pong-timeout", "write-timeout", "throttle-timeout"] {
        for off in ["0", "0s", "off"] {
            let (_program, address) = Program::start(&[&format!("--{flag}"), off]);
            let mut client = connect(&address, "/");
            send(&mut client, "hello");
            assert_eq!(receive(&mut client), "hello", "{flag} {off}");
        }
    }
    for flag in ["handshake-timeout", "keep-alive-timeout", "close-timeout"] {
        let (status, stderr) = refusal(&[&format!("--{flag}"), "0"]);
        let line = format!("error: --{flag} must be longer than zero\n");
        assert!(status == Some(2) && stderr.starts_with(&line), "{stderr}");
    }
}

#[test]
fn a_duration_and_a_size_have_units() {
    let durations = ["--handshake-timeout", "90s", "--close-timeout", "500ms"];
    let sizes = ["--max-message-size", "1KiB", "--socket-unsent-size", "off"];
    let flags = [&durations[..], &sizes, &["--ping-interval", "2min"]].concat();
    let (_program, address) = Program::start(&flags);
    let mut client = connect(&address, "/");
    send(&mut client, &"x".repeat(1024));
    assert_eq!(receive(&mut client).len(), 1024);
    send(&mut client, &"x".repeat(1025));
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1009);
    let (status, stderr) = refusal(&["--ping-interval", "30"]);
    let line = "error: invalid value '30' for '--ping-interval <DURATION>': \
        it must be a duration with its unit, such as 500ms, 30s or 2min\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
}

#[test]
fn a_connection_without_requests_ends_after_the_keep_alive_timeout() {
    let (_program, address) = Program::start(&["--keep-alive-timeout", "200ms"]);
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    let mut answer = String::new();
    // This ends when the server ends the connection.
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn without_a_shutdown_timeout_it_ends_as_soon_as_the_close_frames_are_sent() {
    let (mut program, address) = Program::start(&["--shutdown-timeout", "0"]);
    let mut client = connect(&address, "/");
    program.signal("TERM");
    // The client does not answer before the program has ended.
    assert_eq!(program.wait().0, Some(0));
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1001);
}

#[test]
fn a_limit_of_zero_is_an_error() {
    let least = [
        ("truncate", "1"),
        ("max-head-size", "200"),
        ("max-headers", "5"),
        ("max-message-size", "1"),
        ("max-fragments", "1"),
        ("max-connections", "1"),
        ("max-connections-per-address", "1"),
        ("max-new-connections-per-second", "1"),
        ("max-messages-per-second", "1"),
        ("max-bytes-per-second", "1"),
        ("max-rooms", "1"),
        ("max-rooms-per-address", "1"),
        ("max-room-name-length", "1"),
    ];
    for (flag, least) in least {
        let (status, stderr) = refusal(&[&format!("--{flag}"), "0"]);
        assert_eq!(status, Some(2), "{flag}: {stderr}");
        let line = match flag {
            "truncate" => {
                format!("invalid value '0' for '--{flag} <N>': it must be at least {least}")
            }
            _ => format!("--{flag} is 0, but must be at least {least}"),
        };
        assert!(stderr.starts_with(&format!("error: {line}\n")), "{stderr}");
        // The smallest allowed value serves a client.
        let (_program, address) = Program::start(&[&format!("--{flag}"), least]);
        let mut client = connect(&address, "/");
        send(&mut client, "a");
        assert_eq!(receive(&mut client), "a", "{flag}");
    }
}

/// Every flag in the help that takes a number, a size or a duration, with its value name.
fn numbers() -> Vec<(String, String)> {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let usages = help.lines().filter_map(|line| line.trim().split_once(' '));
    let kinds = ["<N>", "<SIZE>", "<DURATION>", "<BITS>", "<LEVEL>"];
    usages
        .filter(|(flag, kind)| flag.starts_with("--") && kinds.contains(kind))
        .filter(|(flag, _)| *flag != "--log-level")
        .map(|(flag, kind)| (flag.to_owned(), kind.to_owned()))
        .collect()
}

/// Whether the program accepts this flag, and fails only because of its address.
fn is_accepted(flag: &str, value: &str) -> bool {
    let (status, stderr) = refusal(&[flag, value]);
    if stderr.starts_with("townhall: cannot listen on 192.0.2.1:0: ") {
        return true;
    }
    assert_eq!(status, Some(2), "{flag} {value}: {stderr}");
    let reason = stderr.lines().next().unwrap();
    assert!(reason.contains(" must be ") && reason.contains(flag), "{flag} {value}: {stderr}");
    false
}

#[test]
fn the_least_and_the_largest_value_of_every_flag_is_served_or_refused_with_a_reason() {
    let flags = numbers();
    assert!(flags.len() >= 30, "{flags:?}");
    for (flag, kind) in &flags {
        let values = match kind.as_str() {
            "<DURATION>" => &["0", "1s", "18446744073709551615s"][..],
            _ => &["0", "1", "2147483647", "4294967295", "18446744073709551615"],
        };
        for value in values.iter().filter(|value| is_accepted(flag, value)) {
            let (_program, address) = Program::start(&[flag, value]);
            let mut client = connect(&address, "/");
            send(&mut client, "a");
            assert_eq!(receive(&mut client), "a", "{flag} {value}");
        }
    }
}

#[test]
fn the_largest_numbers_break_nothing() {
    let largest: Vec<_> = "truncate max-headers max-connections max-rooms max-rooms-per-address \
        max-room-name-length \
        deflate-threshold max-backlog-size max-total-backlog-size max-incomplete-size"
        .split_whitespace()
        .flat_map(|flag| [format!("--{flag}"), u64::MAX.to_string()])
        .collect();
    let durations =
        "handshake-timeout keep-alive-timeout ping-interval pong-timeout write-timeout \
        throttle-timeout close-timeout"
            .split_whitespace()
            .flat_map(|flag| [format!("--{flag}"), format!("{}s", u64::MAX)]);
    let large = "max-fragments max-connections-per-address max-new-connections-per-second \
        max-messages-per-second max-bytes-per-second min-frame-bytes-per-second"
        .split_whitespace()
        .flat_map(|flag| [format!("--{flag}"), u32::MAX.to_string()]);
    let message = ["--max-message-size", "1073741824"].map(String::from);
    let all: Vec<_> = largest.into_iter().chain(durations).chain(large).chain(message).collect();
    let flags: Vec<_> = all.iter().map(String::as_str).collect();
    let (mut program, address) = Program::start(&flags);
    let mut client = connect(&address, "/");
    send(&mut client, "hello");
    assert_eq!(receive(&mut client), "hello");
    program.signal("TERM");
    while client.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}

/// The exit status and standard error with variables that should be refused.
fn refusal_of_variables(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = townhall(&["--listen", "192.0.2.1:0"]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_empty_variable_is_unset() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let rest = help.split("[env: TOWNHALL_").skip(1);
    let variables: Vec<_> = rest.map(|rest| rest.split_once('=').unwrap().0).collect();
    assert!(variables.len() > 30, "{variables:?}");
    for empty in ["", " "] {
        let mut command = townhall(&["--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().map(|name| (format!("TOWNHALL_{name}"), empty)));
        let (_program, address) = Program::start_with(command);
        let mut client = connect(&address, "/");
        send(&mut client, "hello");
        assert_eq!(receive(&mut client), "hello");
    }
    let mut command = townhall(&["--help"]);
    command.env("TOWNHALL_MAX_ROOMS", "");
    let help = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(help.contains("[env: TOWNHALL_MAX_ROOMS=]"), "{help}");
}

#[test]
fn yes_and_no_have_their_usual_spellings() {
    for (spellings, reflects) in [
        (["1", "true", "yes", "on", "Y", "TRUE"], false),
        (["0", "false", "no", "off", "N", "False"], true),
    ] {
        for spelling in spellings {
            let mut command = townhall(&["--listen", "127.0.0.1:0"]);
            command.env("TOWNHALL_NO_REFLECT", spelling);
            let (_program, address) = Program::start_with(command);
            let mut a = connect(&address, "/");
            let mut b = connect(&address, "/");
            send(&mut a, "from a");
            assert_eq!(receive(&mut b), "from a");
            send(&mut b, "from b");
            let received = if reflects { "from a" } else { "from b" };
            assert_eq!(receive(&mut a), received, "{spelling}");
        }
    }
    let deflate = ["1", "true", "yes", "on", "Y", "t", "0", "False", "no", "off", "N", "f"];
    let deflate = deflate.map(|spelling| ("DEFLATE", spelling));
    for (variable, value) in
        deflate.into_iter().chain([("MODE", "Echo"), ("LOG_LEVEL", "DEBUG"), ("SLOW", "DROP")])
    {
        let mut command = townhall(&["--listen", "127.0.0.1:0"]);
        command.env(format!("TOWNHALL_{variable}"), value);
        Program::start_with(command);
    }
}

#[test]
fn white_space_around_the_value_of_a_variable_is_ignored() {
    let mut command = townhall(&["--listen", "127.0.0.1:0"]);
    command.envs([("TOWNHALL_MODE", " Echo"), ("TOWNHALL_MAX_ROOMS", "5\r")]);
    command.envs([("TOWNHALL_DEFLATE_LEVEL", "9\t"), ("TOWNHALL_SHUTDOWN_CODE", " 1012 \n")]);
    let (_program, address) = Program::start_with(command);
    let mut one = connect(&address, "/");
    let mut other = connect(&address, "/");
    send(&mut one, "from one");
    assert_eq!(receive(&mut one), "from one");
    send(&mut other, "from the other");
    assert_eq!(receive(&mut other), "from the other");
    let cases = [
        ("MAX_ROOMS", "0\r", "error: TOWNHALL_MAX_ROOMS is 0, but must be at least 1\n"),
        ("MODE", " loud", "error: invalid value 'loud' for 'TOWNHALL_MODE'\n"),
        ("NO_REFLECT", "so so ", "error: invalid value 'so so' for 'TOWNHALL_NO_REFLECT': "),
    ];
    for (variable, value, line) in cases {
        let (_, stderr) = refusal_of_variables(&[(&format!("TOWNHALL_{variable}"), value)]);
        assert!(stderr.starts_with(line), "{stderr}");
    }
    let (_, stderr) =
        refusal_of_variables(&[("TOWNHALL_NO_REFLECT", "1"), ("TOWNHALL_MODE", "echo\r")]);
    assert!(stderr.contains("with TOWNHALL_NO_REFLECT and TOWNHALL_MODE echo"), "{stderr}");
    // The command line still takes precedence.
    let mut command = townhall(&["--listen", "127.0.0.1:0", "--mode", "broadcast"]);
    command.env("TOWNHALL_MODE", "echo\r");
    let (_program, address) = Program::start_with(command);
    let mut one = connect(&address, "/");
    let mut other = connect(&address, "/");
    send(&mut one, "for all");
    assert_eq!(receive(&mut other), "for all");
}

#[test]
fn an_error_names_the_variable_that_the_value_came_from() {
    let cases = [
        ("MAX_ROOMS", "0", "TOWNHALL_MAX_ROOMS is 0, but must be at least 1\n"),
        ("MAX_HEADERS", "x", "invalid value 'x' for 'TOWNHALL_MAX_HEADERS': it must be a whole"),
        ("PING_INTERVAL", "30", "invalid value '30' for 'TOWNHALL_PING_INTERVAL': it must be a d"),
        ("NO_REFLECT", "perhaps", "invalid value 'perhaps' for 'TOWNHALL_NO_REFLECT': "),
        ("MODE", "loud", "invalid value 'loud' for 'TOWNHALL_MODE'\n"),
        (
            "TRUSTED_PROXY",
            "::1, a b",
            "invalid value '::1, a b' for 'TOWNHALL_TRUSTED_PROXY': \"a b\": ",
        ),
        (
            "MAX_BACKLOG_SIZE",
            "1KiB",
            "TOWNHALL_MAX_BACKLOG_SIZE is 1024, but must be at least --max-message-size, which",
        ),
    ];
    for (variable, value, line) in cases {
        let (status, stderr) = refusal_of_variables(&[(&format!("TOWNHALL_{variable}"), value)]);
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.starts_with(&format!("error: {line}")), "{stderr}");
    }
    let (status, stderr) =
        refusal_of_variables(&[("TOWNHALL_NO_REFLECT", "1"), ("TOWNHALL_MODE", "echo")]);
    let line =
        "error: with TOWNHALL_NO_REFLECT and TOWNHALL_MODE echo, nobody would receive anything\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
    // The command line is read first, and its errors name the flag.
    let mut command = townhall(&["--max-rooms", "x"]);
    let output = command.env("TOWNHALL_MAX_ROOMS", "-1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: invalid value 'x' for '--max-rooms <N>': "), "{stderr}");
}

#[test]
fn a_list_may_have_blanks_and_a_comma_at_its_end() {
    let mut command = townhall(&[]);
    command.env("TOWNHALL_LISTEN", "127.0.0.1:0, [::1]:0,");
    command.env("TOWNHALL_TRUSTED_PROXY", "10.0.0.0/8, ::1,");
    command.env("TOWNHALL_SUBPROTOCOL", " chat, ");
    let (mut program, first) = Program::start_with(command);
    let second = program.address();
    assert!(first.starts_with("127.0.0.1:") && second.starts_with("[::1]:"), "{first} {second}");
}

#[test]
fn localhost_and_a_port_alone_listen_on_both_families() {
    let places = [
        ("localhost:0", ["127.0.0.1:", "[::1]:"]),
        (":0", ["0.0.0.0:", "[::]:"]),
        ("0", ["0.0.0.0:", "[::]:"]),
    ];
    for (listen, begins) in places {
        let (mut program, first) = Program::start_with(townhall(&["--listen", listen]));
        for (address, begin) in [first, program.address()].iter().zip(begins) {
            assert!(address.starts_with(begin), "{listen}: {address}");
            connect(&address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]"), "/");
        }
    }
}

#[test]
fn an_empty_list_is_refused_because_a_missing_variable_would_open_every_room() {
    for flag in ["room", "host", "origin", "trusted-proxy", "subprotocol", "listen"] {
        for empty in ["", " ", ","] {
            let output = run(&[&format!("--{flag}={empty}"), "--listen", "192.0.2.1:0"]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            let line = format!("error: invalid value '{empty}' for '--{flag} <");
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(stderr.starts_with(&line), "{stderr}");
            assert!(stderr.contains(": the list is empty; omit the flag to "), "{stderr}");
        }
    }
}

#[test]
fn a_value_other_than_yes_or_no_is_refused() {
    let (status, stderr) = refusal_of_variables(&[("TOWNHALL_NO_REFLECT", "maybe")]);
    let line = "error: invalid value 'maybe' for 'TOWNHALL_NO_REFLECT': it must be yes or no\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
}

#[test]
fn the_log_explains_what_the_origin_null_allows() {
    let (mut program, address) = Program::start(&[]);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: null\r\n\r\n";
    assert!(status_of(&address, request).contains("403"));
    program.signal("TERM");
    let (_, log) = program.wait();
    let end = "; pages from files and sandboxed frames of any site have this origin; \
        --origin null allows all of them\n";
    assert!(log.contains(end), "{log}");
}

#[test]
fn the_help_explains_surprising_effects() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let exempt = "Trusted proxies (by default, loopback addresses) are exempt: the limit applies to \
        the addresses that they forward in X-Forwarded-For";
    assert_eq!(help.matches(exempt).count(), 3, "{help}");
    for sentence in [
        "The origin null allows files, and sandboxed frames of any site",
        "to keep trusting loopback addresses, add 127.0.0.0/8 and ::1",
        "at most half of --shutdown-timeout",
        "the first one that the client offers is used",
    ] {
        assert!(help.contains(sentence), "{sentence}: {help}");
    }
}

#[test]
fn an_invalid_value_is_refused_with_the_expected_form() {
    for (flag, kind) in numbers() {
        let (wanted, wrong) = match kind.as_str() {
            "<DURATION>" => ("it must be a duration with its unit", ["30", "1.5", "1MB"]),
            "<SIZE>" => ("it must be a size", ["30s", "1.5", "1XB"]),
            _ => ("it must be a whole number", ["30s", "1.5", "1MB"]),
        };
        for value in wrong.into_iter().chain(["1_000", "abc", "-1"]) {
            let (status, stderr) = refusal(&[&flag, value]);
            assert_eq!(status, Some(2), "{stderr}");
            let line = format!("error: invalid value '{value}' for '{flag} {kind}': {wanted}");
            assert!(stderr.starts_with(&line), "{stderr}");
        }
        let (status, stderr) = refusal(&[&flag, "99999999999999999999"]);
        assert!(status == Some(2) && stderr.contains(": it must be a"), "{stderr}");
    }
}
