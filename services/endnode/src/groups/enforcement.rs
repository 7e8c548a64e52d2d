//! Whether the machine's firewall holds members to their rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use vpnmanager_nats::groups::GroupName;

/// Whether it does, for all who go by it. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Enforcement {
    state: watch::Sender<Enforced>,
    owners: Arc<Mutex<Owners>>,
    /// The newest change of the blocks that whoever said it knew of.
    said: watch::Sender<u64>,
}

/// Whether it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Enforced {
    /// Nobody has said yet.
    #[default]
    Pending,
    /// This run of the agent has loaded their rules, or found them loaded.
    Held,
    /// The last try to load them failed. The firewall has those of before, as far as that is known.
    Broken,
    /// The last try to load them failed, and those of before are not there any more.
    Gone,
}

/// Whose each block may be in the rules that the kernel has. From a block that is nobody's nothing passes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Owners {
    /// This run of the agent has loaded rules. One before it may have loaded any.
    is_known: bool,
    /// More than one of a block while rules are being loaded, and after a try that failed.
    of: BTreeMap<u32, BTreeSet<GroupName>>,
}

impl Enforcement {
    /// Rules are about to be loaded by which these blocks are these groups'. The kernel may have them from now on.
    pub(super) fn loading(&self, blocks: &BTreeMap<u32, GroupName>) {
        let mut owners = self.owners();
        for (block, group) in blocks {
            owners.of.entry(*block).or_default().insert(group.clone());
        }
    }

    /// The kernel has them, and no others.
    pub(super) fn loaded(&self, blocks: &BTreeMap<u32, GroupName>) {
        let of = blocks.iter();
        let of = of.map(|(block, group)| (*block, BTreeSet::from([group.clone()])));
        let loaded = Owners {
            is_known: true,
            of: of.collect(),
        };
        let is_news = {
            let mut owners = self.owners();
            let is_news = *owners != loaded;
            *owners = loaded;
            is_news
        };
        if is_news {
            // It may be held who was not before.
            self.state.send_modify(|_state| {});
        }
    }

    /// Says whether it holds them, by whoever tried to load them and knew of the changes of blocks up to this one.
    pub(super) fn set(&self, enforced: Enforced, change: u64) {
        self.state
            .send_if_modified(|known| std::mem::replace(known, enforced) != enforced);
        self.note_said(change);
    }

    pub(super) fn is_held(&self) -> bool {
        *self.state.borrow() == Enforced::Held
    }

    /// Whether it holds members of this group whose addresses are in this block.
    pub(super) fn holds(&self, block: u32, group: &GroupName) -> bool {
        let owners = self.owners();
        let may_be_others = owners
            .of
            .get(&block)
            .is_some_and(|owners| owners.iter().any(|owner| owner != group));
        owners.is_known && !may_be_others && self.is_held()
    }

    /// Waits until it is said by somebody who knows of this change. Who does not say it in this time is not waited for again.
    pub(super) async fn said(&self, change: u64, within: Duration) {
        let mut said = self.said.subscribe();
        let known = said.wait_for(|said| *said >= change);
        let is_said = timeout(within, known).await.is_ok();
        if !is_said {
            self.note_said(change);
        }
    }

    /// Whether it holds, now and as it changes. Also whom it holds may have changed.
    pub(super) fn watch(&self) -> watch::Receiver<Enforced> {
        self.state.subscribe()
    }

    fn note_said(&self, change: u64) {
        self.said.send_if_modified(|said| {
            let is_news = *said < change;
            *said = change.max(*said);
            is_news
        });
    }

    /// A panic while it is open leaves at worst a block whose members are not let in until rules are loaded again.
    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(1);

    fn group(name: &str) -> GroupName {
        name.parse().expect("a name")
    }

    /// One block, which is this group's.
    fn block(of: &str) -> BTreeMap<u32, GroupName> {
        BTreeMap::from([(0, group(of))])
    }

    /// Timers are not more exact than this.
    fn is_about(elapsed: Duration, expected: Duration) -> bool {
        (expected..expected + Duration::from_millis(5)).contains(&elapsed)
    }

    #[test]
    fn nobody_is_held_in_a_block_that_the_kernel_may_have_as_another_groups() {
        let enforcement = Enforcement::default();
        let held = || ["admins", "temps"].map(|name| enforcement.holds(0, &group(name)));
        enforcement.set(Enforced::Held, 1);
        assert_eq!(held(), [false, false], "an earlier run may have loaded any");

        enforcement.loading(&block("admins"));
        enforcement.loaded(&block("admins"));
        assert_eq!(held(), [true, false]);
        assert!(enforcement.holds(1, &group("temps")), "from there nothing passes");
        enforcement.loading(&block("temps"));
        assert_eq!(held(), [false, false], "it may have either");
        enforcement.loaded(&block("temps"));
        assert_eq!(held(), [false, true]);
        enforcement.set(Enforced::Broken, 2);
        assert_eq!(held(), [false, false]);
    }

    #[test]
    fn who_follows_it_hears_that_a_block_is_loaded_as_another_groups() {
        let enforcement = Enforcement::default();
        enforcement.loaded(&block("admins"));
        enforcement.set(Enforced::Held, 1);
        let mut watched = enforcement.watch();
        for (loaded, is_news) in [("admins", false), ("temps", true), ("temps", false)] {
            enforcement.loading(&block(loaded));
            enforcement.loaded(&block(loaded));
            enforcement.set(Enforced::Held, 1);
            assert_eq!(watched.has_changed().expect("open"), is_news, "{loaded}");
            watched.mark_unchanged();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_told_waits_once_for_each_change() {
        let enforcement = Enforcement::default();
        for change in [1, 2] {
            let began = Instant::now();
            enforcement.said(change, WITHIN).await;
            assert!(is_about(began.elapsed(), WITHIN) && !enforcement.is_held());
            enforcement.said(change, WITHIN).await;
            assert!(is_about(began.elapsed(), WITHIN), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_goes_on_at_once() {
        let enforcement = Enforcement::default();
        enforcement.set(Enforced::Held, 1);
        let teller = enforcement.clone();
        let tells = async {
            // Somebody who does not know of the change yet.
            teller.set(Enforced::Held, 1);
            tokio::time::sleep(WITHIN / 2).await;
            teller.set(Enforced::Broken, 2);
        };
        let began = Instant::now();

        tokio::join!(enforcement.said(2, WITHIN), tells);

        assert!(is_about(began.elapsed(), WITHIN / 2) && !enforcement.is_held());
    }
}
