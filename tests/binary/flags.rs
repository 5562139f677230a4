//! What flags and their environment variables may be.

use tungstenite::protocol::Message;

use crate::{Program, connect, hear, run, say, status_of, townhall};

/// The exit status, and what is written to standard error, with flags that should be refused. An
/// address that no machine has ends the program where they are not.
fn refusal(flags: &[&str]) -> (Option<i32>, String) {
    let output = run(&[flags, &["--listen", "192.0.2.1:0"]].concat());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_time_of_zero_is_off_or_an_error() {
    for flag in ["ping-interval", "pong-timeout", "write-timeout", "throttle-timeout"] {
        let (_program, address) = Program::start(&[&format!("--{flag}-seconds"), "0"]);
        let mut client = connect(&address, "/");
        say(&mut client, "hello");
        assert_eq!(hear(&mut client), "hello", "{flag}");
    }
    for flag in ["handshake-timeout", "close-timeout"] {
        let (status, stderr) = refusal(&[&format!("--{flag}-seconds"), "0"]);
        let line = format!(
            "error: invalid value '0' for '--{flag}-seconds <SECONDS>': it must be at least 1\n"
        );
        assert!(status == Some(2) && stderr.starts_with(&line), "{stderr}");
    }
}

#[test]
fn without_a_drain_timeout_it_ends_as_soon_as_the_close_frames_are_sent() {
    let (mut program, address) = Program::start(&["--drain-timeout-seconds", "0"]);
    let mut client = connect(&address, "/");
    program.signal("TERM");
    // The client answers nothing before the program has ended.
    assert_eq!(program.wait().0, Some(0));
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1001);
}

#[test]
fn a_limit_of_nothing_is_an_error() {
    let least = [
        ("truncate", "1"),
        ("max-head-bytes", "200"),
        ("max-headers", "5"),
        ("max-message-bytes", "1"),
        ("max-fragments", "1"),
        ("max-connections", "1"),
        ("max-connections-per-address", "1"),
        ("max-new-connections-per-second", "1"),
        ("max-messages-per-second", "1"),
        ("max-bytes-per-second", "1"),
        ("max-rooms", "1"),
        ("max-rooms-per-address", "1"),
        ("max-room-name-bytes", "1"),
    ];
    for (flag, least) in least {
        let (status, stderr) = refusal(&[&format!("--{flag}"), "0"]);
        assert_eq!(status, Some(2), "{flag}: {stderr}");
        assert!(stderr.starts_with("error: invalid value '0' for '--"), "{stderr}");
        assert!(stderr.contains(&format!(": it must be at least {least}\n")), "{stderr}");
        // The least that is allowed serves somebody.
        let (_program, address) = Program::start(&[&format!("--{flag}"), least]);
        let mut client = connect(&address, "/");
        say(&mut client, "a");
        assert_eq!(hear(&mut client), "a", "{flag}");
    }
}

/// Every flag of the help that takes a number.
fn numbers() -> Vec<String> {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let usages = help.lines().filter_map(|line| line.trim().split_once(' '));
    let is_number = |kind: &str| ["<N>", "<BYTES>", "<SECONDS>", "<BITS>"].contains(&kind);
    let numbers = usages.filter(|(flag, kind)| flag.starts_with("--") && is_number(kind));
    numbers.map(|(flag, _)| flag.to_owned()).collect()
}

/// Whether the program would start with these flags, but for an address that it does not have.
fn is_accepted(flags: &[&str]) -> bool {
    let (status, stderr) = refusal(flags);
    if stderr.starts_with("townhall: cannot listen on 192.0.2.1:0: ") {
        return true;
    }
    assert!([Some(1), Some(2)].contains(&status), "{flags:?}: {stderr}");
    let reasons = ["must be at", "must be a whole number from "];
    let first = stderr.lines().next().unwrap();
    assert!(reasons.iter().any(|reason| first.contains(reason)), "{flags:?}: {stderr}");
    false
}

#[test]
fn the_least_and_the_largest_number_of_every_flag_is_served_or_refused_with_a_reason() {
    let flags = numbers();
    assert!(flags.len() >= 30, "{flags:?}");
    for flag in &flags {
        let values = ["0", "1", "2147483647", "4294967295", "18446744073709551615"];
        for value in values.into_iter().filter(|value| is_accepted(&[flag, value])) {
            let (_program, address) = Program::start(&[flag, value]);
            let mut client = connect(&address, "/");
            say(&mut client, "a");
            assert_eq!(hear(&mut client), "a", "{flag} {value}");
        }
    }
}

#[test]
fn the_largest_numbers_break_nothing() {
    let largest: Vec<_> = "truncate max-headers max-connections max-rooms max-rooms-per-address \
        max-room-name-bytes \
        deflate-threshold-bytes max-backlog-bytes max-total-backlog-bytes max-incomplete-bytes \
        handshake-timeout-seconds ping-interval-seconds pong-timeout-seconds write-timeout-seconds \
        throttle-timeout-seconds close-timeout-seconds drain-timeout-seconds drain-spread-seconds"
        .split_whitespace()
        .flat_map(|flag| [format!("--{flag}"), u64::MAX.to_string()])
        .collect();
    let large = "max-fragments max-connections-per-address max-new-connections-per-second \
        max-messages-per-second max-bytes-per-second min-frame-bytes-per-second"
        .split_whitespace()
        .flat_map(|flag| [format!("--{flag}"), u32::MAX.to_string()]);
    let message = ["--max-message-bytes", "1073741824"].map(String::from);
    let all: Vec<_> = largest.into_iter().chain(large).chain(message).collect();
    let flags: Vec<_> = all.iter().map(String::as_str).collect();
    let (mut program, address) = Program::start(&flags);
    let mut client = connect(&address, "/");
    say(&mut client, "hello");
    assert_eq!(hear(&mut client), "hello");
    program.signal("TERM");
    while client.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}

/// The exit status, and what is written to standard error, with variables that should be refused.
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
        say(&mut client, "hello");
        assert_eq!(hear(&mut client), "hello");
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
            let (mut a, mut b) = (connect(&address, "/"), connect(&address, "/"));
            say(&mut a, "from a");
            assert_eq!(hear(&mut b), "from a");
            say(&mut b, "from b");
            let heard = if reflects { "from a" } else { "from b" };
            assert_eq!(hear(&mut a), heard, "{spelling}");
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
fn white_space_around_the_value_of_a_variable_does_not_count() {
    let mut command = townhall(&["--listen", "127.0.0.1:0"]);
    command.envs([("TOWNHALL_MODE", " Echo"), ("TOWNHALL_MAX_ROOMS", "5\r")]);
    command.envs([("TOWNHALL_DEFLATE_LEVEL", "9\t"), ("TOWNHALL_DRAIN_CODE", " 1012 \n")]);
    let (_program, address) = Program::start_with(command);
    let (mut one, mut other) = (connect(&address, "/"), connect(&address, "/"));
    say(&mut one, "from one");
    assert_eq!(hear(&mut one), "from one");
    say(&mut other, "from the other");
    assert_eq!(hear(&mut other), "from the other");
    let cases = [
        ("MAX_ROOMS", "0\r", "error: invalid value '0' for 'TOWNHALL_MAX_ROOMS': it must be at"),
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
    // What is given on the command line counts all the same.
    let mut command = townhall(&["--listen", "127.0.0.1:0", "--mode", "broadcast"]);
    command.env("TOWNHALL_MODE", "echo\r");
    let (_program, address) = Program::start_with(command);
    let (mut one, mut other) = (connect(&address, "/"), connect(&address, "/"));
    say(&mut one, "for all");
    assert_eq!(hear(&mut other), "for all");
}

#[test]
fn an_error_names_the_variable_where_the_value_came_from_one() {
    let cases = [
        ("MAX_ROOMS", "0", "invalid value '0' for 'TOWNHALL_MAX_ROOMS': it must be at least 1"),
        ("NO_REFLECT", "perhaps", "invalid value 'perhaps' for 'TOWNHALL_NO_REFLECT': "),
        ("MODE", "loud", "invalid value 'loud' for 'TOWNHALL_MODE'\n"),
        (
            "TRUSTED_PROXY",
            "::1, a b",
            "invalid value '::1, a b' for 'TOWNHALL_TRUSTED_PROXY': \"a b\": ",
        ),
        (
            "DEFLATE_LEVEL",
            "10",
            "invalid value '10' for 'TOWNHALL_DEFLATE_LEVEL': it must be a whole number from 1 to 9",
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
        "error: with TOWNHALL_NO_REFLECT and TOWNHALL_MODE echo nobody would hear anything\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
    // The command line is read first, and its errors are its own.
    let mut command = townhall(&["--max-rooms", "0"]);
    let output = command.env("TOWNHALL_MAX_ROOMS", "-1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: invalid value '0' for '--max-rooms <N>': "), "{stderr}");
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
fn localhost_and_a_port_alone_are_both_families() {
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
fn an_empty_list_is_refused_since_a_missing_variable_would_open_every_room() {
    for flag in ["room", "host", "origin", "trusted-proxy", "subprotocol", "listen"] {
        for empty in ["", " ", ","] {
            let output = run(&[&format!("--{flag}={empty}"), "--listen", "192.0.2.1:0"]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            let line = format!("error: invalid value '{empty}' for '--{flag} <");
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(stderr.starts_with(&line), "{stderr}");
            assert!(stderr.contains(": an empty list; leave the flag out to "), "{stderr}");
        }
    }
}

#[test]
fn what_is_neither_yes_nor_no_is_refused() {
    let (status, stderr) = refusal_of_variables(&[("TOWNHALL_NO_REFLECT", "maybe")]);
    let line = "error: invalid value 'maybe' for 'TOWNHALL_NO_REFLECT': it must be yes or no\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
}

#[test]
fn the_log_says_whom_the_origin_null_would_let_in() {
    let (mut program, address) = Program::start(&[]);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: null\r\n\r\n";
    assert!(status_of(&address, request).contains("403"));
    program.signal("TERM");
    let (_, log) = program.wait();
    let end = "; pages from files and sandboxed frames of any site have this origin; \
        --origin null lets all of them in\n";
    assert!(log.contains(end), "{log}");
}

#[test]
fn the_help_says_what_a_flag_does_that_nobody_would_guess() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let bound = "Trusted proxies, which loopback addresses are by default, are bound only by the \
        addresses that they forward in X-Forwarded-For";
    assert_eq!(help.matches(bound).count(), 3, "{help}");
    for sentence in [
        "Files and sandboxed frames of any site have the origin null",
        "instead of loopback; name 127.0.0.0/8 and ::1 too if they still are",
        "More than half of --drain-timeout-seconds is cut to half",
    ] {
        assert!(help.contains(sentence), "{sentence}: {help}");
    }
}

#[test]
fn what_is_no_whole_number_is_refused_with_what_is_wanted() {
    for flag in numbers() {
        let wanted = match flag.as_str() {
            flag if flag.ends_with("-seconds") => {
                ": it must be a whole number of seconds, such as 30\n"
            }
            _ => ": it must be a whole number",
        };
        for value in ["30s", "1.5", "1MB", "1_000", "abc", "-1"] {
            let (status, stderr) = refusal(&[&flag, value]);
            assert_eq!(status, Some(2), "{stderr}");
            let line = format!("error: invalid value '{value}' for '{flag} <");
            assert!(stderr.starts_with(&line) && stderr.contains(wanted), "{stderr}");
        }
        let (status, stderr) = refusal(&[&flag, "99999999999999999999"]);
        assert!(status == Some(2) && stderr.contains(": it must be a"), "{stderr}");
    }
}
