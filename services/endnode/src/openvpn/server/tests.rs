use std::fs;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    allow_list::AllowList,
    backend::Serving,
    listening::ListenerNumber,
    openvpn::{
        control_socket::{ControlTask, Controlled},
        lint::Expected,
        tunnel::Tunnel,
    },
};

/// One behind a socket at which nobody listens, and the task that tries to connect to it.
fn unreachable_at(dir: &tempfile::TempDir, process: Option<watch::Receiver<ProcessStatus>>) -> (Server, ControlTask) {
    let (task, control) = ControlTask::new(Controlled {
        socket: dir.path().join("no.sock"),
        allow_list: AllowList::open(dir.path().join("allow")).expect("a list"),
        number: ListenerNumber::FIRST,
        serving: watch::Sender::new(Serving::Yes).subscribe(),
        logins: watch::Sender::default(),
    });
    let tunnel = Tunnel {
        device: "vpn-udp1194".parse().expect("a name"),
        network: "10.8.0.0/16".parse().expect("a network"),
        network6: None,
        is_split: true,
    };
    let run_by = match process {
        Some(process) => RunBy::Agent(Managed {
            tunnel: Some(ManagedTunnel::new(tunnel, process.clone())),
            process,
            room: Room {
                capacity: 100,
                places: 100,
            },
            listeners: 1,
        }),
        None => RunBy::Operator(None),
    };
    let server = Server {
        listener: "udp:1194".parse().expect("a listener"),
        control,
        run_by,
        siege: Siege::default(),
    };
    (server, task)
}

#[test]
fn three_findings_are_named_and_the_others_are_counted() {
    let findings = |count: usize| -> Vec<Finding> {
        let message = |number: usize| format!("add `{number}`");
        let finding = |message: String| Finding {
            severity: Severity::Warning,
            message,
        };
        (1..=count).map(message).map(finding).collect()
    };
    let said = |count| named(&findings(count)).collect::<Vec<_>>().join("; ");

    assert_eq!(said(0), "");
    assert_eq!(said(3), "warning: add `1`; warning: add `2`; warning: add `3`");
    assert!(
        said(5).ends_with("warning: add `3`; 2 more findings, which the log of the agent names"),
        "{}",
        said(5)
    );
}

#[test]
fn of_an_operators_file_that_changed_the_places_are_not_those_of_the_openvpn_that_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    fs::write(at("server.conf"), "max-clients 50\n").expect("written");
    let expected = Expected::in_folder(dir.path());
    let told = watch::Sender::new(None).subscribe();
    let (mut server, _task) = unreachable_at(&dir, None);
    server.run_by = RunBy::Operator(Some(LintedConf::new(at("server.conf"), expected, told)));
    let places = |since| {
        let overview = Overview {
            since,
            ..Overview::default()
        };
        server.places(None, server.is_outdated(None, Some(&overview)))
    };

    assert_eq!(places(Utc::now()), Some(50));
    assert_eq!(places(DateTime::UNIX_EPOCH), None);
}

/// How long it takes to say that the sessions of somebody could not be ended.
async fn waits(server: &Server) -> Duration {
    let names: [CommonName; 1] = ["alice.x".parse().expect("a name")];
    let began = Instant::now();
    let cut = server.disconnect(&names, Parting::Halt).await.expect("asked");
    assert_eq!(cut, CutSessions::pending());
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_waited_for_only_where_it_has_just_started() {
    let dir = tempfile::tempdir().expect("a folder");
    let running = Phase::Running {
        pid: 7,
        since: Instant::now(),
    };
    let (status, process) = watch::channel(ProcessStatus::default());
    let (server, task) = unreachable_at(&dir, Some(process));
    let stop = CancellationToken::new();
    let look = async {
        assert!(waits(&server).await >= ATTACHES_WITHIN, "nobody has looked for it");
        status.send_modify(|status| status.phase = running);
        assert!(waits(&server).await >= ATTACHES_WITHIN, "it has just started");
        sleep(JUST_STARTED).await;
        assert_eq!(waits(&server).await, Duration::ZERO, "it hangs");
        status.send_modify(|status| status.phase = Phase::Stopping);
        assert_eq!(waits(&server).await, Duration::ZERO, "it ends");
        status.send_modify(|status| {
            status.phase = Phase::Failed;
            status.looked = true;
            status.other_runs = true;
        });
        assert_eq!(waits(&server).await, Duration::ZERO, "another one runs there");
        stop.cancel();
    };
    tokio::join!(task.run(stop.clone()), look);
}

#[tokio::test(start_paused = true)]
async fn an_operators_server_that_is_away_is_waited_for_until_the_first_try_to_connect() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, task) = unreachable_at(&dir, None);
    assert!(server.has_just_started());
    let stop = CancellationToken::new();
    let look = async {
        sleep(ATTACHES_WITHIN).await;
        assert!(!server.has_just_started());
        assert_eq!(waits(&server).await, Duration::ZERO);
        stop.cancel();
    };
    tokio::join!(task.run(stop.clone()), look);
}
