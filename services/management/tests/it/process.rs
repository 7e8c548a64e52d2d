//! The binary as operators run it: exit codes, messages, start and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use vpnmanager_testbed::{nats::Nats, ports, wait};

use crate::{
    database::fresh_database,
    stack::{ADMIN_KEY, start_nats},
};

fn binary(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"));
    command
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

pub(crate) async fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let output = binary(folder.path()).args(arguments).envs(env.iter().copied()).output();
    tokio::time::timeout(wait::SOON, output)
        .await
        .expect("ends by itself")
        .expect("runs")
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test]
async fn commands_print_their_answer_and_mistakes_end_with_2() {
    let spec = run(&["openapi"], &[]).await;
    assert_eq!(
        (spec.status.code(), text(&spec.stdout)),
        (Some(0), vpnmanager_management::api::spec().json().as_str())
    );
    let yaml = run(&["openapi", "--yaml"], &[]).await;
    assert_eq!(text(&yaml.stdout), vpnmanager_management::api::spec().yaml());
    let sample = run(&["config-sample"], &[]).await;
    assert_eq!(sample.status.code(), Some(0));
    // The key is another one each time.
    let keyless = |sample: &str| {
        let mut sample: serde_json::Value = serde_json::from_str(sample).expect("JSON");
        sample["api_key"].take();
        sample
    };
    assert_eq!(
        keyless(text(&sample.stdout)),
        keyless(&vpnmanager_management::config::SERVICE.sample())
    );

    let wrong: [(&[&str], &str); 3] = [
        (&[], "API_KEY"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["bus-init", "--monitor", "x"], "--monitor"),
    ];
    for (arguments, named) in wrong {
        let output = run(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(named), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn the_databases_password_is_not_told_when_its_url_is_of_no_use() {
    for (command, url, code, named) in [
        ("migrate", "postgres://u:hush@127.0.0.1:1/d", 1, "PostgreSQL"),
        ("migrate", "postgres://u:hush@127.0.0.1:port/d", 2, "its port"),
        ("migrate", "postgres://u:hush@h/d?sslmode=maybe", 2, "its sslmode"),
        ("serve", "postgres://u:hush@127.0.0.1:port/d", 2, "its port"),
        ("serve", "mysql://u:hush@h/d", 2, "PostgreSQL"),
    ] {
        let output = run(&[command], &[("API_KEY", ADMIN_KEY), ("DATABASE_URL", url)]).await;
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command} {url}: {said}");
        assert!(
            said.contains(named) && !said.contains("hush"),
            "{command} {url}: {said}"
        );
    }
}

#[tokio::test]
async fn migrate_may_be_repeated() {
    let url = fresh_database().await;
    for _ in 0..2 {
        let output = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

/// The running binary and its bus.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    _nats: Nats,
    _folder: TempDir,
}

/// Starts the service and waits until it logs its address.
async fn start() -> Running {
    start_as(binary).await
}

/// The same for a process that may have this many files open at once, with these settings.
pub(crate) async fn start_with_files(limit: u32, settings: &[(&str, &str)]) -> Running {
    start_as(|folder| {
        let mut shell = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_vpnmanager-management");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, program]).current_dir(folder);
        shell
            .env_clear()
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        shell
    })
    .await
}

async fn start_as(program: impl FnOnce(&Path) -> Command) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let (nats, bus_dir) = start_nats().await;
    let mut child = program(folder.path())
        .args(["-server-id", "management-7", "--listen", "127.0.0.1:0"])
        .env("API_KEY", ADMIN_KEY)
        .env("DATABASE_URL", fresh_database().await)
        .env("NATS_URL", nats.tls_url())
        .env("BUS_DIR", bus_dir)
        .env("PKI_DIR", folder.path().join("pki"))
        .env("SHUTDOWN_TIMEOUT", "3s")
        .env("LOG_FORMAT", "json")
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let ready = async {
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await.expect("readable") {
            let entry: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if entry["message"] == "Management is ready" {
                let listen = entry["http.listen"].as_str().expect("addresses");
                return listen.trim_matches(['[', ']']).parse().expect("one address");
            }
            seen.push_str(&line);
        }
        panic!("ended: {seen}")
    };
    let address = tokio::time::timeout(wait::SOON, ready).await.expect("ready in time");
    // Keep reading, so that the process does not block on a full pipe.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own reader, which ends with its process"
    )]
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Running {
        child,
        address,
        _nats: nats,
        _folder: folder,
    }
}

#[tokio::test]
async fn the_service_answers_and_stops_cleanly_though_a_caller_dawdles() {
    let mut running = start().await;
    let health = reqwest::get(format!("http://{}/health", running.address))
        .await
        .expect("answered");
    assert_eq!(health.status(), 200);
    let body: serde_json::Value = health.json().await.expect("JSON");
    assert_eq!(body["server_id"], "management-7");
    // Half a request keeps its connection busy until the grace period ends.
    let mut dawdler = TcpStream::connect(running.address).await.expect("connected");
    dawdler
        .write_all(b"GET /health HTTP/1.1\r\nhost: ")
        .await
        .expect("sent");

    let pid = running.child.id().expect("running");
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    let asked = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    let status = tokio::time::timeout(wait::SOON, running.child.wait())
        .await
        .expect("stops")
        .expect("waited for");

    assert_eq!(status.code(), Some(0));
    assert!(
        asked.elapsed() < wait::under_load(Duration::from_secs(4)),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn secrets_given_as_flags_are_named_once_and_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = binary(folder.path())
        .args([
            "--api-key",
            ADMIN_KEY,
            "-db-password",
            "hush",
            "--listen",
            "127.0.0.1:0",
        ])
        // Nobody answers there, so the service waits after its warning.
        .args(["--db-host", "127.0.0.1", "--db-port", "1"])
        .env("PKI_DIR", folder.path().join("pki"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let warned = async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            assert!(!line.contains("hush") && !line.contains(ADMIN_KEY), "{line}");
            if line.contains("Secrets given as flags") {
                return line;
            }
        }
        panic!("ended without a warning")
    };
    let line = tokio::time::timeout(wait::SOON, warned).await.expect("warned in time");
    for named in ["--api-key", "API_KEY_FILE", "--db-password", "DB_PASSWORD_FILE"] {
        assert!(line.contains(named), "{line}");
    }
    child.kill().await.expect("killed");
}

#[tokio::test]
async fn a_database_that_cannot_be_verified_is_said_to_be_so_and_taken_when_the_operator_insists() {
    // 0.0.0.0 leads to this machine and is no loopback address, so it stands for another one. The server has no TLS.
    let url = fresh_database().await;
    let elsewhere = url.replace("127.0.0.1", "0.0.0.0");
    let (bare, _) = elsewhere.split_once('?').expect("a query");
    let refused = run(&["migrate"], &[("DATABASE_URL", bare)]).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for words in ["verified by default", "DB_SSLMODE", "DB_SSLROOTCERT"] {
        assert!(said.contains(words), "{said}");
    }
    let insisted = run(&["migrate"], &[("DATABASE_URL", &elsewhere)]).await;
    assert_eq!(insisted.status.code(), Some(0), "{}", text(&insisted.stderr));
}

/// Starts the service on that database, and waits for nothing.
pub(crate) async fn start_waiting(database: &str) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let (nats, bus_dir) = start_nats().await;
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free().expect("a port")));
    let child = binary(folder.path())
        .args(["--listen", &address.to_string()])
        .env("API_KEY", ADMIN_KEY)
        .env("DATABASE_URL", database)
        .env("NATS_URL", nats.tls_url())
        .env("BUS_DIR", bus_dir)
        .env("PKI_DIR", folder.path().join("pki"))
        .spawn()
        .expect("starts");
    Running {
        child,
        address,
        _nats: nats,
        _folder: folder,
    }
}
