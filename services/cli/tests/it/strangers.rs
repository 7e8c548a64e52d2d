//! An older management, a newer one, and what is none.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::program::Program;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Answers each request with what `answer` says of its first line, until the test ends: its URL.
fn serve(answer: fn(&str) -> (&'static str, String)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A caller that went away is no failure of the test.
            let _gone = answer_one(stream, answer);
        }
    });
    url
}

fn answer_one(mut stream: TcpStream, answer: fn(&str) -> (&'static str, String)) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = answer(&request);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

fn newer(request: &str) -> (&'static str, String) {
    let session = r#"{"id": "s1", "username": "al\u001b[2Jice", "server_id": "node-1", "end": "dreamt", "colour": {"of": "later"}, "bytes_in": 5}"#;
    match request.contains("/api/sessions") {
        true => (
            "200 OK",
            format!(r#"{{"items": [{session}], "missing": [], "mood": "good"}}"#),
        ),
        false => (
            "200 OK",
            r#"{"server_id": "node-1", "state": "meditating", "health": {"sessions": 3}}"#.to_owned(),
        ),
    }
}

#[test]
fn what_a_newer_management_adds_is_shown_and_no_reason_to_fail() {
    let vpnmanager = Program::at(&serve(newer), KEY);
    let table = vpnmanager.done(&["sessions", "list"]);
    assert!(table.contains("al?[2Jice") && !table.contains('\u{1b}'), "{table}");
    let node = vpnmanager.done(&["nodes", "show", "node-1"]);
    assert!(node.contains("meditating"), "{node}");
    assert_eq!(vpnmanager.json(&["sessions", "list"])[0]["colour"]["of"], "later");
}

fn older(request: &str) -> (&'static str, String) {
    let problem =
        r#"{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is nothing at this path"}"#;
    match request.contains(" /health ") {
        true => (
            "200 OK",
            r#"{"status": "ok", "problems": [], "version": "0.1.0", "server_id": "m"}"#.to_owned(),
        ),
        false => ("404 Not Found", problem.to_owned()),
    }
}

#[test]
fn an_older_management_that_does_not_know_a_command_is_named_with_its_version() {
    let told = Program::at(&serve(older), KEY).fails(1, &["groups", "list"]);
    assert!(told.contains("is 0.1.0 and does not know"), "{told}");
}

fn changed(request: &str) -> (&'static str, String) {
    let verification = r#"{"sound": false, "entries": 10, "unchained": 0, "unproven": 0, "left_out": 1,
        "findings": [{"fault": "changed", "entry": 42, "detail": "the entry says something else"}]}"#;
    match request.contains("/api/audit/verify ") {
        true => ("200 OK", verification.to_owned()),
        false => ("404 Not Found", String::new()),
    }
}

#[test]
fn a_trail_that_was_changed_is_a_failure_that_says_what_is_wrong() {
    let ran = Program::at(&serve(changed), KEY).run(&["audit", "verify"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("42") && ran.out.contains("changed"), "{ran:?}");
    assert!(
        ran.err
            .contains("findings: 2, the first: the entry says something else"),
        "{ran:?}"
    );
}

fn imported(_request: &str) -> (&'static str, String) {
    let report =
        r#"{"created": 0, "failed": 1, "failures": [{"line": 2, "username": "x", "error": {"detail": "no"}}]}"#;
    ("200 OK", report.to_owned())
}

#[test]
fn rows_that_were_not_done_are_a_failure_in_every_form_of_output() {
    let program = Program::at(&serve(imported), KEY);
    let file = program.home().join("users.csv");
    std::fs::write(&file, "username\nx\n").expect("written");
    let file = file.to_str().expect("text");
    for form in ["table", "json", "yaml"] {
        let ran = program.run(&["users", "import", file, "-o", form]);
        assert_eq!(ran.code, 1, "{form}: {ran:?}");
        assert!(ran.err.contains("1 rows were not done"), "{form}: {ran:?}");
    }
}

fn making(_request: &str) -> (&'static str, String) {
    (
        "500 Internal Server Error",
        r#"{"detail": "a key was made"}"#.to_owned(),
    )
}

#[test]
fn no_secret_is_made_that_could_not_be_written() {
    let program = Program::at(&serve(making), KEY);
    let no_folder = program.home().join("gone/key");
    let no_folder = no_folder.to_str().expect("text");
    for args in [
        &["api-keys", "create", "ci", "--role", "viewer"][..],
        &["api-keys", "rotate", "1", "--grace", "0s", "--yes"],
        &["webhooks", "create", "https://example.org"],
        &["webhooks", "rotate-secret", "1", "--yes"],
    ] {
        let told = program.fails(2, &[args, &["--file", no_folder]].concat());
        assert!(told.contains("cannot write"), "{args:?}: {told}");
    }
}

fn users(_request: &str) -> (&'static str, String) {
    ("200 OK", r#"{"items": [{"username": "alice"}]}"#.to_owned())
}

#[test]
fn looking_again_ends_when_nobody_reads_any_more() {
    let program = Program::at(&serve(users), KEY);
    for args in [
        &["users", "list"][..],
        &["audit", "list"],
        &["devices", "list", "alice"],
        &["pools", "show", "default"],
    ] {
        let code = program.closed_after_a_line(&[args, &["--watch=10ms"]].concat());
        assert_eq!(code, Some(0), "{args:?}");
    }
}

#[test]
fn an_answer_that_nobody_reads_is_no_failure() {
    let program = Program::at(&serve(users), KEY);
    for args in [&["users", "list"][..], &["context", "list"], &["completion", "bash"]] {
        assert_eq!(program.unread(args), (Some(0), String::new()), "{args:?}");
    }
}

fn elsewhere(_request: &str) -> (&'static str, String) {
    (
        "308 Permanent Redirect\r\nlocation: https://vpn.example.org/api/users",
        String::new(),
    )
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let told = Program::at(&serve(elsewhere), KEY).fails(1, &["users", "list"]);
    assert!(told.contains("sends on to https://vpn.example.org/api/users"), "{told}");
}

fn proxy(_request: &str) -> (&'static str, String) {
    ("502 Bad Gateway", "<html>no</html>".to_owned())
}

fn somebody(_request: &str) -> (&'static str, String) {
    ("200 OK", "<html>hello</html>".to_owned())
}

#[test]
fn what_stays_on_the_machine_goes_through_no_proxy() {
    let (management, proxy) = (serve(users), serve(proxy));
    let variables = [
        ("MANAGEMENT_URL", management.as_str()),
        ("API_KEY", KEY),
        ("HTTP_PROXY", proxy.as_str()),
    ];
    let program = Program::with(&variables);
    assert_eq!(program.done(&["users", "list", "-o", "name"]), "alice\n");
}

#[test]
fn what_is_no_management_is_told() {
    let told = Program::at(&serve(proxy), KEY).fails(6, &["users", "list"]);
    assert!(told.contains("502"), "{told}");
    let told = Program::at(&serve(somebody), KEY).fails(1, &["users", "list"]);
    assert!(told.contains("is this its URL"), "{told}");
}

fn behind_a_proxy(request: &str) -> (&'static str, String) {
    let version = env!("CARGO_PKG_VERSION");
    // A proxy is told the whole URL.
    match request.split(' ').nth(1).unwrap_or_default() {
        "http://management.invalid:8080/health" => (
            "200 OK",
            format!(r#"{{"status": "ok", "problems": [], "version": "{version}", "server_id": "m"}}"#),
        ),
        path if path.starts_with("http://management.invalid:8080/api/") => (
            "200 OK",
            r#"{"items": [{"server_id": "n1", "state": "healthy"}]}"#.to_owned(),
        ),
        _ => ("502 Bad Gateway", "<html>".to_owned()),
    }
}

#[test]
fn a_management_that_only_a_proxy_reaches_is_well_for_the_doctor() {
    let proxy = serve(behind_a_proxy);
    let variables = [
        ("MANAGEMENT_URL", "http://management.invalid:8080"),
        ("API_KEY", KEY),
        ("http_proxy", proxy.as_str()),
    ];
    let report = Program::with(&variables).json(&["doctor"]);
    assert_eq!(report["outcome"], "ok", "{report:#}");
    let checks = report["checks"].as_array().expect("checks");
    let reach = checks.iter().find(|check| check["id"] == "reach").expect("reach");
    assert_eq!(reach["found"], "management.invalid:8080 is reached through a proxy");
}
