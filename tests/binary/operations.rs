//! `townhall check` and `townhall health`.

use std::net::TcpListener;
use std::process::Output;
use std::time::Instant;

use super::{PATIENCE, Program, run, townhall};

/// The exit status, standard output and standard error.
fn parts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_check_prints_what_holds_and_the_memory_that_it_allows() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let mut command = townhall(&["check", "--max-connections", "500", "--listen", &taken]);
    command.env("TOWNHALL_PING_INTERVAL", " 2min\r");
    let (status, stdout, stderr) = parts(command.output().unwrap());
    assert_eq!((status, &*stderr), (Some(0), ""));
    let value = |name: &str| {
        let words = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut words = words.filter(|words| words.first() == Some(&name));
        words.next().expect(&stdout)[1..].join(" ")
    };
    assert_eq!(value("--max-connections"), "500");
    assert_eq!(value("--ping-interval"), "2min");
    assert_eq!(value("--max-backlog-size"), "32MiB", "its default depends on another flag");
    assert_eq!(value("--origin"), "not set");
    // 1 GiB of backlogs, 256 MiB of incomplete input, 64 MiB of windows, and the rest.
    assert_eq!(value("messages"), "that members have not received 1024 MiB");
    let total: usize = value("total").strip_suffix(" MiB").unwrap().parse().unwrap();
    assert!((1_344..1_500).contains(&total), "{stdout}");
    let less = parts(run(&["check", "--deflate", "off", "--max-connections", "500"])).1;
    assert_ne!(less.lines().last(), stdout.lines().last(), "compressors take memory");
}

#[test]
fn a_check_prints_one_line_for_each_fault() {
    let mut command = townhall(&["check", "--room", "lobby", "--deflate", "maybe"]);
    command.env("TOWNHALL_PING_INTERVAL", "30");
    let (status, stdout, stderr) = parts(command.output().unwrap());
    assert_eq!((status, &*stdout), (Some(1), ""));
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    for start in
        ["'lobby' for '--room", "'maybe' for '--deflate", "'30' for 'TOWNHALL_PING_INTERVAL'"]
    {
        let line = format!("townhall: invalid value {start}");
        assert!(lines.iter().any(|found| found.starts_with(&line)), "{start}: {stderr}");
    }
    let flags = ["check", "--max-rooms", "0", "--max-backlog-size", "1", "--listen", "no.invalid"];
    let flags =
        [&flags[..], &["--admin-listen", "127.0.0.1:0", "--admin-key-file", "/nowhere"]].concat();
    let (status, _, stderr) = parts(run(&flags));
    assert_eq!(status, Some(1));
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{stderr}");
    assert_eq!(lines[0], "townhall: --max-rooms is 0, but must be at least 1");
    assert!(lines[1].starts_with("townhall: --max-backlog-size is 1, but must be"), "{stderr}");
    assert!(lines[2].starts_with("townhall: cannot resolve the host no.invalid: "), "{stderr}");
    assert!(lines[3].contains("/nowhere"), "{stderr}");
    let (_, _, stderr) = parts(run(&["check", "--admin-key-file", "/dev/null"]));
    let line = "townhall: the following required arguments were not provided: --admin-listen";
    assert!(stderr.starts_with(line), "{stderr}");
    let (status, _, stderr) = parts(run(&["check", "--no-such-flag"]));
    let line = "townhall: unexpected argument '--no-such-flag' found\n";
    assert_eq!((status, &*stderr), (Some(1), line));
}

#[test]
fn a_command_comes_before_its_flags() {
    let (status, help, _) = parts(run(&["check", "--help"]));
    assert!(status == Some(0) && help.contains("Usage: townhall check [OPTIONS]"), "{help}");
    let (status, version, _) = parts(run(&["check", "--version"]));
    assert_eq!((status, version), (Some(0), format!("townhall {}\n", env!("CARGO_PKG_VERSION"))));
    let (status, _, stderr) = parts(run(&["--mode", "echo", "check"]));
    let line = "error: the subcommand 'check' cannot be used with '--mode <MODE>'\n";
    assert!(status == Some(2) && stderr.starts_with(line), "{stderr}");
    let (status, _, stderr) = parts(run(&["heal"]));
    assert!(status == Some(2) && stderr.contains("'health'"), "{stderr}");
}

#[test]
fn health_is_the_exit_status() {
    let flags = ["--shutdown-delay", "15min", "--host", "chat.example"];
    let (program, address) = Program::start(&flags);
    let ask = |address: &str| parts(run(&["health", "--listen", address]));
    assert_eq!(ask(&address), (Some(0), String::new(), String::new()));
    program.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    let stopping = loop {
        assert!(Instant::now() < deadline);
        match ask(&address) {
            (Some(0), ..) => {}
            other => break other,
        }
    };
    let line = format!(
        "townhall: the server on {address} does not serve: it answered \"HTTP/1.1 503 \"\n"
    );
    assert_eq!(stopping, (Some(1), String::new(), line));
    drop(program);
    let (status, _, stderr) = ask(&address);
    assert_eq!(status, Some(1));
    assert!(
        stderr.starts_with(&format!("townhall: cannot ask the server on {address}: ")),
        "{stderr}"
    );
}

#[test]
fn health_is_asked_for_with_the_header_that_the_listener_expects() {
    let (mut program, plain) = Program::start(&["--listen", "proxy+http://127.0.0.1:0"]);
    let address = program.text_between("townhall is listening on proxy+http://", "/\n");
    for (listen, status) in [
        (format!("proxy+http://{address}"), Some(0)),
        (format!("http://{address}"), Some(1)),
        (format!("proxy+http://{plain}"), Some(1)),
    ] {
        assert_eq!(run(&["health", "--listen", &listen]).status.code(), status, "{listen}");
    }
}
