//! What systemd is told of this process (sd_notify(3)): that it is ready, that it lives, that it stops, and in a line how it is. Where the
//! unit has another type than `notify`, and where there is no systemd, nobody listens, and nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_log_limit::LogLimit;

/// Characters of a status: it is one line of `systemctl status`.
const LONGEST_STATUS: usize = 300;
/// The shortest time between two signs of life.
const SHORTEST: Duration = Duration::from_millis(10);

static UNHEARD: LogLimit = LogLimit::new("systemd was not told how this process is");

/// It does its work: the unit counts as started, and units that come after it may start.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// How it is, for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(&line(text))]);
}

/// It was asked to stop and finishes what is in hand.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("Finishing what is in progress"),
    ]);
}

/// Shows until `end`, where the unit has `WatchdogSec=`, that the runtime turns: a task that nobody runs any more says nothing, and systemd
/// then kills the process and starts it again. For a worker, which goes on while the tasks stop.
pub async fn show_life(end: CancellationToken) -> anyhow::Result<()> {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        end.cancelled().await;
        return Ok(());
    };
    // Half of it, as sd_watchdog_enabled(3) says.
    let mut turns = tokio::time::interval((patience / 2).max(SHORTEST));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return Ok(()),
            _turn = turns.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states)
        && let Some(times) = UNHEARD.admit()
    {
        warn!(error = %error, times, "systemd was not told how this process is");
    }
}

/// As one line: in a message each line is an assignment of its own.
fn line(text: &str) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    text.trim().chars().map(plain).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_short() {
        assert_eq!(line("error: a\nMAINPID=1\r\n"), "error: a MAINPID=1");
        assert_eq!(line(&"x".repeat(1000)).len(), LONGEST_STATUS);
    }

    #[tokio::test]
    async fn without_a_watchdog_it_waits_for_the_end() {
        let end = CancellationToken::new();
        end.cancel();
        show_life(end).await.unwrap();
    }
}
