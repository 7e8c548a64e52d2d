//! Measures how long it takes until an operation that ends access has ended it, at each node.
//!
//! The clock runs from before the request is sent, or from the moment at which the user's time is over. For the allow-list it stops when the list has no name any more that the operation ends.
//! The promise holds at a node while it [can be reached](super::reach) from beginning to end. Elsewhere nothing is judged.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use vpnmanager_testbed::stack::Stack;

use super::reach::Reach;
use crate::bench::{Latencies, Summary};

/// What takes longer than this is not measured to its end.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);
/// When this program itself did not run for so long, the machine was too busy to say anything.
const STALL: Duration = Duration::from_millis(300);

/// How long it took at one node.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// The operation and the user.
    pub(super) what: String,
    pub(super) node: u8,
    pub(super) took: Duration,
    /// The longest that it may take.
    pub(super) promised: Duration,
    /// The longest time in which this program did not run meanwhile.
    pub(super) stalled: Duration,
}

impl Ending {
    /// The broken promise in words.
    pub(super) fn violation(&self) -> Option<String> {
        let Self { what, node, took, .. } = self;
        (self.is_late() && self.stalled < STALL).then(|| {
            format!(
                "{what} took {} ms at node-{node}, which could be reached all the time",
                took.as_millis()
            )
        })
    }

    fn is_late(&self) -> bool {
        self.took > self.promised
    }
}

/// What was measured in a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Endings {
    /// Allow-lists.
    pub(super) lists: Latencies,
    /// Sessions.
    pub(super) sessions: Latencies,
    /// Times at which nothing was promised, because the node could not be reached all the time.
    pub(super) excused: usize,
    /// Times that were longer than promised while this program did not run either.
    pub(super) stalled: usize,
    pub(super) violations: Vec<String>,
}

impl Endings {
    pub(super) fn add(&mut self, others: Self) {
        self.lists.add(&others.lists);
        self.sessions.add(&others.sessions);
        self.excused += others.excused;
        self.stalled += others.stalled;
        self.violations.extend(others.violations);
    }

    /// The figures of allow-lists and of sessions.
    pub(super) fn summaries(&self) -> [Summary; 2] {
        [self.lists.summary(), self.sessions.summary()]
    }

    pub(super) fn note_list(&mut self, ending: &Ending) {
        self.lists.record(ending.took);
        self.note(ending);
    }

    pub(super) fn note_session(&mut self, ending: &Ending) {
        self.sessions.record(ending.took);
        self.note(ending);
    }

    fn note(&mut self, ending: &Ending) {
        match ending.violation() {
            Some(violation) => self.violations.push(violation),
            None => self.stalled += usize::from(ending.is_late()),
        }
    }
}

/// The allow-lists of all nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    folders: Vec<(u8, PathBuf)>,
    pub(super) reach: Reach,
    /// Where a node can be reached, access must have ended after this time.
    pub(super) promised: Duration,
    /// Names that an operation has ended for good. Where nothing was promised for it, they may still be on a list, and a later operation on
    /// a user of the same name is not judged by them.
    ended: Arc<Mutex<HashSet<PathBuf>>>,
}

/// The names of one user on the allow-lists before an operation that ends their access.
#[derive(Debug)]
pub(super) struct Begun {
    began: Instant,
    management: usize,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    node: u8,
    files: Vec<PathBuf>,
    /// `None`: it could not be reached at the beginning.
    since: Option<Instant>,
    /// Whether the clock of the node was right at the beginning.
    is_on_time: bool,
}

impl Begun {
    /// The same for an operation that ends access at this time, by the clock of each node: the time runs from then, and nothing is promised
    /// where the clock is off.
    pub(super) fn due(mut self, at: Option<DateTime<Utc>>) -> Self {
        let Some(at) = at else { return self };
        self.began += (at - Utc::now()).to_std().unwrap_or_default();
        for waiting in &mut self.waiting {
            waiting.since = waiting.since.filter(|_| waiting.is_on_time);
        }
        self
    }

    /// The same for an operation that ends access by these names alone.
    pub(super) fn only(mut self, names: &BTreeSet<&str>) -> Self {
        let is_meant = |file: &PathBuf| {
            let name = file.file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| names.contains(name))
        };
        for waiting in &mut self.waiting {
            waiting.files.retain(is_meant);
        }
        self.waiting.retain(|waiting| !waiting.files.is_empty());
        self
    }

    /// All of them.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.waiting.iter().flat_map(|waiting| waiting.files.clone()).collect()
    }
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) judged: Vec<Ending>,
    pub(super) excused: usize,
}

impl Lists {
    pub(super) fn of(stack: &Stack, reach: Reach, promised: Duration) -> Self {
        Self {
            folders: stack.nodes().map(|node| (node.number(), node.allow_dir())).collect(),
            reach,
            promised,
            ended: Arc::default(),
        }
    }

    /// These names were ended for good.
    pub(super) fn end(&self, names: impl IntoIterator<Item = PathBuf>) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.extend(names);
    }

    /// Whether this node lets the user in.
    pub(super) fn holds(&self, username: &str, node: u8) -> bool {
        let begun = self.begin(username, 0);
        begun.waiting.iter().any(|waiting| waiting.node == node)
    }

    /// To be called right before the request is sent to this management.
    pub(super) fn begin(&self, username: &str, management: usize) -> Begun {
        let prefix = format!("{username}.");
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let names = |folder: &PathBuf| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let named = entries.filter(|entry| {
                let name = entry.file_name();
                let suffix = name.to_str().and_then(|name| name.strip_prefix(&prefix));
                suffix.is_some_and(|suffix| !suffix.contains('.'))
            });
            named
                .map(|entry| entry.path())
                .filter(|name| !ended.contains(name))
                .collect()
        };
        let waiting = self.folders.iter().map(|(node, folder)| Waiting {
            node: *node,
            files: names(folder),
            since: self.reach.since(management, *node),
            is_on_time: self.reach.is_on_time(*node),
        });
        Begun {
            waiting: waiting.filter(|waiting| !waiting.files.is_empty()).collect(),
            management,
            began: Instant::now(),
        }
    }

    /// Waits until none of the names is on a list that can be reached.
    pub(super) async fn watch(&self, begun: Begun, what: &str) -> Ended {
        let Begun {
            began,
            management,
            mut waiting,
        } = begun;
        let mut ended = Ended::default();
        let (mut looked, mut stalled) = (Instant::now(), Duration::ZERO);
        loop {
            let took = began.elapsed();
            waiting.retain_mut(|waiting| {
                waiting.files.retain(|file| file.exists());
                let is_reached = waiting.since.is_some() && self.reach.since(management, waiting.node) == waiting.since;
                if !is_reached {
                    ended.excused += 1;
                    return false;
                }
                let is_over = waiting.files.is_empty() || took >= PATIENCE;
                if is_over {
                    ended.judged.push(Ending {
                        what: what.to_owned(),
                        node: waiting.node,
                        took,
                        promised: self.promised,
                        stalled,
                    });
                }
                !is_over
            });
            if waiting.is_empty() {
                return ended;
            }
            tokio::time::sleep(LOOK).await;
            stalled = stalled.max(looked.elapsed());
            looked = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vpnmanager_testbed::scratch::{Medium, Scratch};

    use super::*;

    #[test]
    fn an_operation_is_not_judged_by_names_that_an_earlier_one_ended() {
        let scratch = Scratch::guarded(Medium::Memory).expect("a folder");
        let folder = scratch.sub("allow", 0o700).expect("a folder");
        let put = |name: &str| {
            let path = folder.join(name);
            fs::write(&path, "").expect("written");
            path
        };
        let lists = Lists {
            folders: vec![(2, folder.clone())],
            reach: Reach::new(1, 2),
            promised: Duration::from_secs(1),
            ended: Arc::default(),
        };
        let old = put("alice.old");
        put("bob.one");
        assert_eq!(lists.begin("alice", 0).names(), std::slice::from_ref(&old));
        lists.end([old]);
        assert_eq!(lists.begin("alice", 0).names(), [] as [PathBuf; 0]);
        let new = put("alice.new");
        assert_eq!(lists.begin("alice", 0).names(), [new]);
    }

    #[test]
    fn the_end_of_a_device_is_judged_by_its_names_alone() {
        let scratch = Scratch::guarded(Medium::Memory).expect("a folder");
        let folder = scratch.sub("allow", 0o700).expect("a folder");
        for name in ["alice.one", "alice.two"] {
            fs::write(folder.join(name), "").expect("written");
        }
        let lists = Lists {
            folders: vec![(2, folder.clone())],
            reach: Reach::new(1, 2),
            promised: Duration::from_secs(1),
            ended: Arc::default(),
        };
        let begun = lists
            .begin("alice", 0)
            .only(&BTreeSet::from(["alice.two", "alice.three"]));
        assert_eq!(begun.names(), [folder.join("alice.two")]);
        assert!(lists.begin("alice", 0).only(&BTreeSet::new()).waiting.is_empty());
    }

    #[test]
    fn where_the_clock_is_off_nothing_is_promised_for_what_it_ends() {
        let scratch = Scratch::guarded(Medium::Memory).expect("a folder");
        let folder = scratch.sub("allow", 0o700).expect("a folder");
        fs::write(folder.join("alice.one"), "").expect("written");
        let reach = Reach::new(1, 2);
        let lists = Lists {
            folders: vec![(2, folder)],
            reach: reach.clone(),
            promised: Duration::from_secs(1),
            ended: Arc::default(),
        };
        reach.answer_all();
        let soon = Some(Utc::now() + chrono::TimeDelta::seconds(5));
        let begun = lists.begin("alice", 0).due(soon);
        assert!(begun.waiting[0].since.is_some());
        assert!(begun.began > Instant::now());
        reach.set_on_time(2, false);
        assert!(lists.begin("alice", 0).due(soon).waiting[0].since.is_none());
        assert!(lists.begin("alice", 0).due(None).waiting[0].since.is_some());
    }

    fn ending(took: u64, stalled: u64) -> Ending {
        Ending {
            what: "suspend alice".to_owned(),
            node: 2,
            took: Duration::from_millis(took),
            promised: Duration::from_secs(1),
            stalled: Duration::from_millis(stalled),
        }
    }

    #[test]
    fn what_takes_longer_than_promised_is_a_violation_unless_this_program_stood_still() {
        let mut endings = Endings::default();
        for (took, stalled) in [(40, 10), (1000, 10), (1500, 900)] {
            endings.note_list(&ending(took, stalled));
        }
        assert_eq!(endings.violations, Vec::<String>::new());
        assert_eq!(endings.stalled, 1);
        endings.note_session(&ending(1001, 20));
        assert_eq!(
            endings.violations,
            ["suspend alice took 1001 ms at node-2, which could be reached all the time"]
        );
        let [lists, sessions] = endings.summaries();
        assert_eq!((lists.count, sessions.count), (3, 1));
    }
}
