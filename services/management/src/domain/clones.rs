//! Decides which of two agents with the same identity is the clone: the younger one, if the elder keeps sending after the younger appeared.
//!
//! A restarted agent is a new run as well. So a new run is accepted at once, and refused only after the elder run has sent two messages
//! since. A message may be read late, for example by a replica that was paused. So the time when it was sent counts: the sender's clock,
//! corrected by the smallest delay of its messages. A refused run is accepted when all other runs have gone silent.

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_nats::ids::AgentInstance;

/// A run that sent nothing for this long has ended.
pub const SILENT: TimeDelta = TimeDelta::seconds(30);

/// One run of a node's agent. All times are by management's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub instance: AgentInstance,
    /// When its first message was received.
    pub first_heard: DateTime<Utc>,
    /// When its last message was received.
    pub last_heard: DateTime<Utc>,
    /// When it sent its last message.
    pub last_sent: DateTime<Utc>,
    /// When it sent the message before that.
    pub previous_sent: DateTime<Utc>,
    /// Management's clock minus the agent's clock.
    pub offset: TimeDelta,
    /// Whether it is refused as a clone.
    pub refused: bool,
}

/// One message of a run.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// The run that sent it.
    pub instance: AgentInstance,
    /// When it was sent, by the sender's clock.
    pub at: DateTime<Utc>,
    /// When it was received, by management's clock.
    pub heard: DateTime<Utc>,
}

/// The run that sent this message, as it is after the message. `runs` are all known runs of its node.
pub fn hear(runs: &[Run], spoken: Spoken) -> Run {
    let known = runs.iter().find(|run| run.instance == spoken.instance);
    let mut run = match known {
        Some(known) => follow(known, spoken),
        None => first(spoken),
    };
    let mut others = runs
        .iter()
        .filter(|other| other.instance != spoken.instance && !other.refused && is_alive(other, spoken.heard));
    run.refused = if run.refused {
        others.next().is_some()
    } else {
        others.any(|elder| elder.first_heard < run.first_heard && elder.previous_sent > run.first_heard)
    };
    run
}

/// Whether a clone of the node is active at `now`.
pub fn is_cloned(runs: &[Run], now: DateTime<Utc>) -> bool {
    runs.iter().any(|run| run.refused && is_alive(run, now))
}

fn is_alive(run: &Run, now: DateTime<Utc>) -> bool {
    now - run.last_heard < SILENT
}

fn first(spoken: Spoken) -> Run {
    Run {
        instance: spoken.instance,
        first_heard: spoken.heard,
        last_heard: spoken.heard,
        last_sent: spoken.heard,
        previous_sent: spoken.heard,
        offset: spoken.heard - spoken.at,
        refused: false,
    }
}

fn follow(known: &Run, spoken: Spoken) -> Run {
    let offset = known.offset.min(spoken.heard - spoken.at);
    // No message was on its way for longer. Times that are far apart, each possible by itself, lead to where no database follows.
    let earliest = spoken.heard - TimeDelta::days(1);
    Run {
        last_heard: known.last_heard.max(spoken.heard),
        // An offset that was recorded before times were bounded may lead nowhere.
        last_sent: spoken
            .at
            .checked_add_signed(offset)
            .unwrap_or(spoken.heard)
            .max(earliest),
        previous_sent: known.last_sent,
        offset,
        ..known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What management knows of one node.
    struct Known {
        runs: Vec<Run>,
        start: DateTime<Utc>,
    }

    impl Known {
        fn new() -> Self {
            Self {
                runs: Vec::new(),
                start: Utc::now(),
            }
        }

        /// A message that was sent and received so many seconds after the start. True if its sender is refused.
        fn hears(&mut self, instance: AgentInstance, sent: i64, heard: i64) -> bool {
            self.hears_skewed(instance, sent, heard, 0)
        }

        fn hears_skewed(&mut self, instance: AgentInstance, sent: i64, heard: i64, skew: i64) -> bool {
            let spoken = Spoken {
                instance,
                at: self.start + TimeDelta::seconds(sent + skew),
                heard: self.start + TimeDelta::seconds(heard),
            };
            let run = hear(&self.runs, spoken);
            self.runs.retain(|known| known.instance != instance);
            let refused = run.refused;
            self.runs.push(run);
            refused
        }
    }

    #[test]
    fn a_restarted_agent_is_accepted_at_once_however_often() {
        let mut known = Known::new();
        for restart in 0..5 {
            let (run, at) = (AgentInstance::new(), 7 * restart);
            assert!(!known.hears(run, at, at));
            assert!(!known.hears(run, at + 5, at + 5));
        }
    }

    #[test]
    fn the_younger_of_two_that_speak_on_is_the_clone_whatever_the_clocks_say() {
        for skew in [0, 3600, -3600] {
            let (mut known, elder, clone) = (Known::new(), AgentInstance::new(), AgentInstance::new());
            assert!(!known.hears_skewed(elder, 0, 0, skew));
            let mut refused = Vec::new();
            for at in [3, 8, 13, 18, 23] {
                refused.push(known.hears(clone, at, at));
                assert!(
                    !known.hears_skewed(elder, at + 2, at + 2, skew),
                    "the elder is never refused"
                );
            }
            assert_eq!(refused, [false, false, true, true, true], "skew {skew}");
            assert!(is_cloned(&known.runs, known.start + TimeDelta::seconds(25)));
            assert!(!is_cloned(&known.runs, known.start + TimeDelta::seconds(99)));
        }
    }

    /// PostgreSQL holds times from 4713 BC on.
    #[test]
    fn times_that_are_far_apart_lead_to_no_time_long_ago() {
        let (now, instance) = (Utc::now(), AgentInstance::new());
        let at = |year: i32| {
            chrono::NaiveDate::from_ymd_opt(year, 1, 1)
                .expect("a date")
                .and_time(chrono::NaiveTime::MIN)
                .and_utc()
        };
        let mut runs = Vec::new();
        for year in [9999, 1970, 9999, 1970] {
            let run = hear(
                &runs,
                Spoken {
                    instance,
                    at: at(year),
                    heard: now,
                },
            );
            assert!(now - run.last_sent <= TimeDelta::days(1), "{run:?}");
            runs = vec![run];
        }
    }

    #[test]
    fn words_of_a_dead_run_that_are_read_late_make_no_clone() {
        let (mut known, dead, run) = (Known::new(), AgentInstance::new(), AgentInstance::new());
        known.hears(dead, 0, 0);
        known.hears(run, 20, 20);
        for sent in [5, 10, 15] {
            known.hears(dead, sent, 40);
        }
        assert!(!known.hears(run, 41, 41));
    }

    #[test]
    fn a_clone_takes_over_when_the_elder_is_silent_and_a_restart_of_the_elder_is_no_clone() {
        let (mut known, elder, clone) = (Known::new(), AgentInstance::new(), AgentInstance::new());
        for at in [0, 5, 10, 15] {
            known.hears(elder, at, at);
            known.hears(clone, at + 1, at + 1);
        }
        assert!(known.hears(clone, 17, 17));
        let restarted = AgentInstance::new();
        for at in [20, 25, 30, 35, 40, 45, 50] {
            assert!(!known.hears(restarted, at, at), "at {at}");
            assert!(known.hears(clone, at + 1, at + 1), "at {at}");
        }
        assert!(known.hears(clone, 70, 70));
        assert!(!known.hears(clone, 81, 81));
    }
}
