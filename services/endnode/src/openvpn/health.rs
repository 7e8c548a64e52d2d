//! The health of a server, from the state of its process and what it says on its socket. Pure.

use std::time::Duration;

use chrono::Utc;

use super::{
    control_socket::{ControlError, Link, Overview},
    process::{Phase, ProcessStatus},
};
use crate::backend::{BackendHealth, BackendState};

/// After this long a process that runs and does not answer, or accepts no clients, counts as down.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// The process says what should be, the management socket what is: `None` when OpenVPN did not answer on it. `process` is `None`
/// for a server that the operator runs.
pub(super) fn health_of(process: Option<&ProcessStatus>, overview: Option<&Overview>, link: &Link) -> BackendHealth {
    let away = match link {
        Link::Untried => "not connected yet".to_owned(),
        Link::Away(reason) => reason.clone(),
        Link::Held => ControlError::NoGreeting.to_string(),
        Link::Up { .. } => "does not answer on its management socket".to_owned(),
    };
    let Some(process) = process else {
        return match overview {
            Some(overview) => seen(overview, in_its_state(overview)),
            None => BackendHealth::bare(BackendState::Down, away),
        };
    };
    match process.phase {
        Phase::Stopped => BackendHealth::bare(BackendState::Stopped, "this node does not serve"),
        Phase::Stopping => BackendHealth::bare(BackendState::Stopped, "stopping: this node must not serve"),
        Phase::Starting => again(process, BackendHealth::bare(BackendState::Starting, "starting")),
        Phase::Failed => BackendHealth::bare(BackendState::Down, process.last_failure.clone()),
        Phase::Running { pid, since } => match overview {
            Some(overview) if overview.pid == pid => again(process, seen(overview, since.elapsed())),
            Some(overview) => BackendHealth::bare(
                BackendState::Down,
                format!(
                    "the management socket belongs to process {}, not to {pid}",
                    overview.pid
                ),
            ),
            None if since.elapsed() < STARTS_WITHIN => {
                let starting = BackendHealth {
                    pid: Some(pid),
                    ..BackendHealth::bare(BackendState::Starting, away)
                };
                again(process, starting)
            }
            None => BackendHealth {
                pid: Some(pid),
                ..BackendHealth::bare(BackendState::Down, away)
            },
        },
    }
}

/// What is said of a server that is tried again is why it failed, until it serves: otherwise people would be told something else at each try.
fn again(process: &ProcessStatus, health: BackendHealth) -> BackendHealth {
    let is_tried_again = health.state == BackendState::Starting && process.is_failing;
    match is_tried_again {
        true => BackendHealth {
            detail: process.last_failure.clone(),
            ..health
        },
        false => health,
    }
}

/// How long a server has been in the state that it told, by the clock of this machine.
fn in_its_state(overview: &Overview) -> Duration {
    (Utc::now() - overview.since).to_std().unwrap_or_default()
}

/// What a server says that had so long to become ready.
fn seen(overview: &Overview, had: Duration) -> BackendHealth {
    let (state, detail) = if overview.serving {
        (BackendState::Up, "")
    } else if had < STARTS_WITHIN {
        (BackendState::Starting, "does not accept clients yet")
    } else {
        (BackendState::Down, "runs and does not accept clients: see its log")
    };
    BackendHealth {
        pid: Some(overview.pid),
        version: overview.version.clone(),
        since: Some(overview.since),
        oldest_since: Some(overview.since),
        sessions: overview.sessions,
        bytes_in: overview.bytes_in,
        bytes_out: overview.bytes_out,
        ..BackendHealth::bare(state, detail)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tokio::time::Instant;

    use super::*;

    fn overview(pid: u32, serving: bool) -> Overview {
        Overview {
            pid,
            version: Some("2.6.14".to_owned()),
            serving,
            since: DateTime::<Utc>::UNIX_EPOCH,
            sessions: 3,
            snapshot: None,
            bytes_in: 10,
            bytes_out: 20,
        }
    }

    fn process(phase: Phase) -> ProcessStatus {
        ProcessStatus {
            phase,
            last_failure: "it died".to_owned(),
            ..ProcessStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_says_what_should_be_and_the_socket_what_is() {
        let away = Link::Away("refused".to_owned());
        let running = |since| Some(process(Phase::Running { pid: 7, since }));
        let young = Instant::now();
        tokio::time::advance(STARTS_WITHIN).await;
        let (old, now) = (young, Instant::now());
        let cases = [
            (None, Some(overview(7, true)), BackendState::Up, ""),
            (None, None, BackendState::Down, "refused"),
            (
                Some(process(Phase::Stopped)),
                None,
                BackendState::Stopped,
                "this node does not serve",
            ),
            (
                Some(process(Phase::Stopping)),
                Some(overview(7, true)),
                BackendState::Stopped,
                "stopping: this node must not serve",
            ),
            (Some(process(Phase::Starting)), None, BackendState::Starting, "starting"),
            (Some(process(Phase::Failed)), None, BackendState::Down, "it died"),
            (running(now), Some(overview(7, true)), BackendState::Up, ""),
            (
                running(now),
                Some(overview(7, false)),
                BackendState::Starting,
                "does not accept clients yet",
            ),
            (
                running(now),
                Some(overview(8, true)),
                BackendState::Down,
                "the management socket belongs to process 8, not to 7",
            ),
            (
                running(old),
                Some(overview(7, false)),
                BackendState::Down,
                "runs and does not accept clients: see its log",
            ),
            (running(old), Some(overview(7, true)), BackendState::Up, ""),
            (
                None,
                Some(overview(7, false)),
                BackendState::Down,
                "runs and does not accept clients: see its log",
            ),
            (
                None,
                Some(Overview {
                    since: Utc::now(),
                    ..overview(7, false)
                }),
                BackendState::Starting,
                "does not accept clients yet",
            ),
            (running(now), None, BackendState::Starting, "refused"),
            (running(old), None, BackendState::Down, "refused"),
        ];
        for (process, overview, state, detail) in cases {
            let health = health_of(process.as_ref(), overview.as_ref(), &away);
            assert_eq!(
                (health.state, health.detail.as_str()),
                (state, detail),
                "{process:?} {overview:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_is_tried_again_is_said_to_lack_the_same_at_each_moment_until_it_serves() {
        let since = Instant::now();
        let running = Phase::Running { pid: 7, since };
        for (phase, overview, state, detail) in [
            (Phase::Failed, None, BackendState::Down, "it died"),
            (Phase::Starting, None, BackendState::Starting, "it died"),
            (running, None, BackendState::Starting, "it died"),
            (running, Some(overview(7, false)), BackendState::Starting, "it died"),
            (running, Some(overview(7, true)), BackendState::Up, ""),
        ] {
            let process = ProcessStatus {
                restarts: 1,
                is_failing: true,
                ..process(phase)
            };
            let health = health_of(Some(&process), overview.as_ref(), &Link::Untried);
            assert_eq!((health.state, health.detail.as_str()), (state, detail), "{phase:?}");
        }
    }

    #[tokio::test]
    async fn a_start_that_was_wanted_is_not_told_as_a_failure_of_before() {
        let since = Instant::now();
        for (phase, detail) in [
            (Phase::Starting, "starting"),
            (Phase::Running { pid: 7, since }, "not connected yet"),
        ] {
            let process = ProcessStatus {
                restarts: 1,
                ..process(phase)
            };
            let health = health_of(Some(&process), None, &Link::Untried);
            assert_eq!(
                (health.state, health.detail.as_str()),
                (BackendState::Starting, detail),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn a_connected_socket_that_does_not_answer_is_said_so() {
        let health = health_of(None, None, &Link::Up { pid: 7 });
        assert_eq!(health.detail, "does not answer on its management socket");
    }
}
