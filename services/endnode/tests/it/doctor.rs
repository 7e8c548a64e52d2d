//! `doctor` of a node whose agent runs. Each test breaks one thing, and sees that this check fails and no other.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::ports;

use crate::{agent::Agent, bus::fleet, fake_management::FakeManagement, parts::User};

/// The ids, in the order of the checks. Operators and programs rely on them.
const IDS: [&str; 21] = [
    "configuration",
    "privileges",
    "identity",
    "names",
    "time-service",
    "management",
    "clock",
    "standing",
    "bus",
    "certificate",
    "disk",
    "openvpn",
    "tunnel-device",
    "server-conf",
    "ports",
    "forwarding",
    "firewall",
    "allow-list",
    "agent",
    "log",
    "login",
];

/// The findings that ended so.
fn ended<'a>(report: &'a Value, outcome: &str) -> Vec<&'a Value> {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["outcome"] == outcome).collect()
}

fn ids<'a>(findings: &[&'a Value]) -> Vec<&'a str> {
    findings.iter().map(|check| check["id"].as_str().unwrap()).collect()
}

/// These checks fail and no others, and with them the command. Each tells what was found and why. Gives the first.
#[track_caller]
fn fail_alone<'a>((code, report): &'a (Option<i32>, Value), expected: &[&str]) -> &'a Value {
    let failed = ended(report, "failed");
    assert_eq!(ids(&failed), expected, "{report:#}");
    assert_eq!(*code, Some(1));
    for member in ["found", "why", "mend"] {
        let said = failed[0][member].as_str().unwrap_or_default();
        assert!(!said.is_empty(), "{member}: {:#}", failed[0]);
    }
    failed[0]
}

fn text<'a>(finding: &'a Value, member: &str) -> &'a str {
    finding[member].as_str().unwrap_or_default()
}

#[tokio::test]
async fn of_a_node_that_is_well_no_check_fails_and_what_it_has_not_is_skipped() {
    let (_management, agent) = fleet().await;
    let (code, report) = agent.examine(&[], &[]).await;
    assert_eq!(ids(&ended(&report, "failed")), [""; 0], "{report:#}");
    assert_eq!(code, Some(0));
    let all: Vec<&Value> = report["checks"].as_array().unwrap().iter().collect();
    assert_eq!(ids(&all), [&IDS[..], &["tunnel"]].concat());
    let skipped = ids(&ended(&report, "skipped"));
    for id in ["management", "openvpn", "server-conf", "ports", "login", "tunnel"] {
        assert!(skipped.contains(&id), "{report:#}");
    }
    let login = all.iter().find(|check| check["id"] == "login").unwrap();
    assert!(text(login, "mend").contains("doctor --profile"), "{login:#}");
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_nothing_else_is_looked_at() {
    let (_management, agent) = fleet().await;
    let examined = agent.examine(&[("HEARTBEAT_INTERVAL", "1h")], &[]).await;
    let failed = fail_alone(&examined, &["configuration"]);
    assert!(text(failed, "found").contains("HEARTBEAT_INTERVAL"), "{failed:#}");
    let skipped = ids(&ended(&examined.1, "skipped"));
    assert!(
        skipped.contains(&"identity") && skipped.contains(&"agent"),
        "{skipped:?}"
    );
}

#[tokio::test]
async fn a_node_that_has_not_enrolled_is_told_and_nothing_is_made() {
    let (_management, agent) = fleet().await;
    let empty = tempfile::tempdir().unwrap();
    let examined = agent.examine(&[("STATE_DIR", path(empty.path()))], &[]).await;
    let failed = fail_alone(&examined, &["identity"]);
    assert!(text(failed, "found").contains("has not enrolled"), "{failed:#}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_state_and_the_agent_of_another_node_are_told() {
    let (_management, agent) = fleet().await;
    let examined = agent.examine(&[("SERVER_ID", "n2")], &[]).await;
    let failed = fail_alone(&examined, &["identity", "agent"]);
    assert!(text(failed, "why").contains("belongs to the node n1"), "{failed:#}");
}

#[tokio::test]
async fn keys_of_another_enrolment_are_told() {
    let (_management, agent) = fleet().await;
    let copy = StateCopy::of(&agent);
    fs::write(copy.dir.join("node.nk"), nkeys::KeyPair::new_user().seed().unwrap()).unwrap();
    let examined = agent.examine(&[("STATE_DIR", path(&copy.dir))], &[]).await;
    let failed = fail_alone(&examined, &["identity"]);
    assert!(text(failed, "found").contains("do not belong together"), "{failed:#}");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told() {
    let (_management, agent) = fleet().await;
    let examined = agent.examine(&[("PUBLIC_HOST", "no-such-node.invalid")], &[]).await;
    fail_alone(&examined, &["names"]);
}

#[tokio::test]
async fn a_management_that_is_away_is_told() {
    let (_management, agent) = fleet().await;
    let url = format!("http://127.0.0.1:{}", ports::free().unwrap());
    let examined = agent.examine(&[("MANAGEMENT_URL", &url)], &[]).await;
    assert_eq!(
        text(fail_alone(&examined, &["management"]), "why"),
        "Connection refused"
    );
}

#[tokio::test]
async fn a_management_that_does_not_know_the_node_is_told() {
    let (_management, agent) = fleet().await;
    let url = stranger(Utc::now());
    let examined = agent.examine(&[("MANAGEMENT_URL", &url)], &[]).await;
    fail_alone(&examined, &["standing"]);
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let (_management, agent) = fleet().await;
    let url = stranger(Utc::now() - TimeDelta::hours(1));
    let examined = agent.examine(&[("MANAGEMENT_URL", &url)], &[]).await;
    let failed = fail_alone(&examined, &["clock", "standing"]);
    assert!(
        text(failed, "found").contains("ahead of that of management"),
        "{failed:#}"
    );
    assert_eq!(
        text(failed, "mend"),
        "timedatectl set-ntp true || apt-get install chrony"
    );
}

#[tokio::test]
async fn a_bus_that_is_away_is_told() {
    let (management, agent) = fleet().await;
    let bus = management.bus.lock().unwrap().take().unwrap();
    bus.stop().await;
    let examined = agent.examine(&[], &[]).await;
    let failed = fail_alone(&examined, &["bus"]);
    assert!(
        text(failed, "why").to_lowercase().contains("connection refused"),
        "{failed:#}"
    );
}

#[tokio::test]
async fn a_bus_of_another_fleet_is_told() {
    let (_management, agent) = fleet().await;
    let other = FakeManagement::start().await;
    let copy = StateCopy::of(&agent);
    let ca = other.files.ca_pem().unwrap();
    fs::write(copy.dir.join("bus-ca.pem"), &ca).unwrap();
    copy.change(|identity| {
        identity["bus_urls"] = json!([other.tls_url]);
        identity["bus_ca"] = json!(ca);
    });
    let examined = agent.examine(&[("STATE_DIR", path(&copy.dir))], &[]).await;
    let failed = fail_alone(&examined, &["bus"]);
    assert!(text(failed, "found").contains("refuses the credential"), "{failed:#}");
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_told() {
    let (_management, agent) = fleet().await;
    let copy = StateCopy::of(&agent);
    let key = fs::read_to_string(copy.dir.join("openvpn/node.key")).unwrap();
    let key = rcgen::KeyPair::from_pem(&key).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let ended = params.self_signed(&key).unwrap().pem();
    copy.change(|identity| identity["certificate"] = json!(ended));
    let examined = agent.examine(&[("STATE_DIR", path(&copy.dir))], &[]).await;
    let failed = fail_alone(&examined, &["certificate"]);
    assert!(text(failed, "found").contains("ended at 2020-01-01"), "{failed:#}");
}

#[tokio::test]
async fn a_disk_with_less_than_its_reserve_is_told() {
    let (_management, agent) = fleet().await;
    let examined = agent.examine(&[("DISK_RESERVE", "1000TiB")], &[]).await;
    let failed = fail_alone(&examined, &["disk"]);
    assert!(text(failed, "found").contains("MiB are free"), "{failed:#}");
}

#[tokio::test]
async fn somebody_whom_the_journal_does_not_let_in_is_told_and_so_is_an_agent_that_does_not_run() {
    let (_management, mut agent) = fleet().await;
    agent.kill().await;
    fail_alone(&agent.examine(&[], &[]).await, &["agent"]);
    let mallory = User::new("mallory").credential.to_string();
    fs::write(agent.dir.join("allow").join(&mallory), "").unwrap();
    let examined = agent.examine(&[], &[]).await;
    let failed = fail_alone(&examined, &["allow-list", "agent"]);
    assert!(text(failed, "found").contains(&mallory), "{failed:#}");
}

#[tokio::test]
async fn a_profile_that_is_none_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped a_profile_that_is_none_is_told: only root may log in with one");
        return;
    }
    let (_management, agent) = fleet().await;
    let file = agent.dir.join("api.ovpn");
    fs::write(&file, "client\n").unwrap();
    let examined = agent.examine(&[], &["--profile", path(&file)]).await;
    let failed = fail_alone(&examined, &["login"]);
    assert!(text(failed, "why").contains("names no server"), "{failed:#}");
}

#[tokio::test]
async fn a_clock_that_nothing_keeps_and_errors_in_the_log_are_warnings() {
    let (_management, agent) = fleet().await;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("timedatectl");
    fs::write(&program, "#!/bin/sh\necho no\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (_, report) = agent.examine(&[("PATH", path(folder.path()))], &[]).await;
    assert!(ids(&ended(&report, "warning")).contains(&"time-service"), "{report:#}");

    let file = folder.path().join("endnode.log");
    let line = format!(
        "{} ERROR endnode: The journal cannot be written\n",
        Utc::now().to_rfc3339()
    );
    fs::write(&file, line).unwrap();
    let (code, report) = agent.examine(&[("LOG_FILE", path(&file))], &[]).await;
    let warnings = ended(&report, "warning");
    let log = warnings.iter().find(|check| check["id"] == "log");
    let log = log.unwrap_or_else(|| panic!("{report:#}"));
    assert!(text(log, "why").contains("The journal cannot be written"), "{log:#}");
    assert_eq!(code, Some(0));
}

/// The state of an agent once more, for changing it.
struct StateCopy {
    dir: PathBuf,
    _folder: tempfile::TempDir,
}

impl StateCopy {
    fn of(agent: &Agent) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("state");
        let copied = Command::new("cp").arg("-a").arg(&agent.dir).arg(&dir).status();
        assert!(copied.unwrap().success());
        Self { dir, _folder: folder }
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let file = self.dir.join("identity.json");
        let mut identity: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut identity);
        fs::write(&file, identity.to_string()).unwrap();
    }
}

/// A server that is well, shows this time, and knows nothing of nodes. It ends with the process.
fn stranger(at: DateTime<Utc>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let date = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever leaves early gets no answer.
            _ = answer(client, &date);
        }
    });
    url
}

fn answer(mut client: TcpStream, date: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let status = match request.starts_with("GET /health") {
        true => "200 OK",
        false => "404 Not Found",
    };
    let head = format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    client.write_all(head.as_bytes())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
