//! The health of a server, from the state of its process and what it says on its socket. Pure.

use std::time::Duration;

use super::{
    control_socket::{ControlError, Link, Overview},
    process::{Phase, ProcessStatus},
};
use crate::backend::{BackendHealth, BackendState};

/// After this long without an answer a process that runs counts as down.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// The process says what should be, the management socket what is: `None` when OpenVPN did not answer on it. `process` is `None`
/// for a server that the operator runs.
pub(super) fn health_of(process: Option<&ProcessStatus>, overview: Option<&Overview>, link: &Link) -> BackendHealth {
    let away = match link {
        Link::Away(reason) => reason.clone(),
        Link::Held => ControlError::NoGreeting.to_string(),
        Link::Up { .. } => "does not answer on its management socket".to_owned(),
    };
    let Some(process) = process else {
        return match overview {
            Some(overview) => seen(overview),
            None => BackendHealth::bare(BackendState::Down, away),
        };
    };
    match process.phase {
        Phase::Stopped => BackendHealth::bare(BackendState::Stopped, "this node does not serve"),
        Phase::Stopping => BackendHealth::bare(BackendState::Stopped, "stopping: this node must not serve"),
        Phase::Starting => BackendHealth::bare(BackendState::Starting, "starting"),
        Phase::Failed => BackendHealth::bare(BackendState::Down, process.last_failure.clone()),
        Phase::Running { pid, since } => match overview {
            Some(overview) if overview.pid == pid => seen(overview),
            Some(overview) => BackendHealth::bare(
                BackendState::Down,
                format!(
                    "the management socket belongs to process {}, not to {pid}",
                    overview.pid
                ),
            ),
            None if since.elapsed() < STARTS_WITHIN => BackendHealth {
                pid: Some(pid),
                ..BackendHealth::bare(BackendState::Starting, away)
            },
            None => BackendHealth {
                pid: Some(pid),
                ..BackendHealth::bare(BackendState::Down, away)
            },
        },
    }
}

fn seen(overview: &Overview) -> BackendHealth {
    let (state, detail) = if overview.serving {
        (BackendState::Up, "")
    } else {
        (BackendState::Starting, "does not accept clients yet")
    };
    BackendHealth {
        pid: Some(overview.pid),
        version: overview.version.clone(),
        since: Some(overview.since),
        sessions: overview.sessions,
        bytes_in: overview.bytes_in,
        bytes_out: overview.bytes_out,
        ..BackendHealth::bare(state, detail)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use tokio::time::Instant;

    use super::*;

    fn overview(pid: u32, serving: bool) -> Overview {
        Overview {
            pid,
            version: Some("2.6.14".to_owned()),
            serving,
            since: DateTime::<Utc>::UNIX_EPOCH,
            sessions: 3,
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

    #[test]
    fn a_connected_socket_that_does_not_answer_is_said_so() {
        let health = health_of(None, None, &Link::Up { pid: 7 });
        assert_eq!(health.detail, "does not answer on its management socket");
    }
}
