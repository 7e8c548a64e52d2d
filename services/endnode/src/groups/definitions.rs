//! What management last told of the groups of the fleet, and what of it the firewall holds.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use vpnmanager_nats::{
    groups::{Group, GroupName, GroupRules, Groups},
    ids::Revision,
};

use crate::{
    journal::{Journal, JournalError},
    listening::ListenerNumber,
};

/// What management told, and what became of it. Cheap to clone; all clones are the same. Nothing was told at first.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    told: watch::Sender<Option<Arc<Groups>>>,
    applied: watch::Sender<Option<Revision>>,
    /// Whether the firewall holds everybody to rules of `default`, on each listener.
    holds_default: watch::Sender<Vec<bool>>,
    /// Groups that management did not tell of when it was asked.
    untold: Arc<Mutex<BTreeSet<GroupName>>>,
}

impl Definitions {
    /// Management said this. It takes effect also when the journal does not take it.
    ///
    /// # Errors
    /// The next run of the agent begins with what was journaled before. Management says it again with each handshake.
    pub async fn tell(&self, journal: &Journal, groups: Groups) -> Result<(), JournalError> {
        self.learn(groups.clone());
        let journaled = journal.read(|records| records.groups()).await?;
        if journaled.as_ref() == Some(&groups) {
            return Ok(());
        }
        journal.write(move |records| records.set_groups(&groups)).await
    }

    /// The same in memory alone. What is known already wakes nobody.
    pub fn learn(&self, groups: Groups) {
        self.told.send_if_modified(|told| {
            let is_news = told.as_deref() != Some(&groups);
            if is_news {
                *told = Some(Arc::new(groups));
                self.untold().clear();
            }
            is_news
        });
    }

    /// What was told last; `None`: nothing, as by management of an older release.
    pub fn current(&self) -> Option<Arc<Groups>> {
        self.told.borrow().clone()
    }

    /// The same, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Groups>>> {
        self.told.subscribe()
    }

    /// Notes the revision of the groups whose rules the firewall has, by whoever loads them. True when that is news.
    pub fn note_applied(&self, revision: Option<Revision>) -> bool {
        self.applied
            .send_if_modified(|known| std::mem::replace(known, revision) != revision)
    }

    /// That revision; `None` before the first, and where the agent does not run OpenVPN.
    pub fn applied(&self) -> Option<Revision> {
        *self.applied.borrow()
    }

    /// Notes of each listener whether the firewall holds users of `default` to rules of theirs in the tunnel that its OpenVPN has if it starts now, by
    /// whoever loads them. A listener that is left out has no such rules.
    pub fn note_default(&self, are_held: &[bool]) {
        self.holds_default.send_if_modified(|known| {
            let is_news = known.as_slice() != are_held;
            if is_news {
                *known = are_held.to_vec();
            }
            is_news
        });
    }

    /// Whether the OpenVPN of this listener may start: its users of `default` are held to rules, if there are some for them.
    pub fn is_default_held(&self, number: ListenerNumber) -> bool {
        let is_held = self.holds_default.borrow().get(number.0) == Some(&true);
        is_held || self.current().is_none_or(|told| !judges_default(&told.groups))
    }

    /// Returns when that is so.
    pub async fn default_held(&self, number: ListenerNumber) {
        let (mut told, mut holds) = (self.told.subscribe(), self.holds_default.subscribe());
        while !self.is_default_held(number) {
            // The senders are held here.
            tokio::select! {
                _changed = told.changed() => {}
                _changed = holds.changed() => {}
            }
        }
    }

    /// The revision of [`Self::applied`], now and as it changes.
    pub fn watch_applied(&self) -> watch::Receiver<Option<Revision>> {
        self.applied.subscribe()
    }

    /// The names of the groups that were told last.
    pub fn known(&self) -> BTreeSet<GroupName> {
        self.current().map(|told| names(&told)).unwrap_or_default()
    }

    /// The same once the firewall has their rules; `None` before.
    pub fn in_effect(&self) -> Option<BTreeSet<GroupName>> {
        let told = self.current()?;
        (self.applied() == Some(told.revision)).then(|| names(&told))
    }

    /// Has management asked for groups that it has not told of, and waits until it has, and until what it told is applied: a member who came
    /// before would log in without the routes of her group. Waits `within` at most, and once for a group that management does not know.
    pub async fn learn_of(&self, groups: BTreeSet<GroupName>, ask: impl FnOnce(), within: Duration) {
        let lacks = || lacks(self.current().as_ref(), &groups);
        if !lacks() || groups.is_subset(&self.untold()) {
            return;
        }
        ask();
        if timeout(within, self.applied_with(&groups)).await.is_err() && lacks() {
            self.untold().extend(groups);
        }
    }

    /// The senders are held here, so neither wait ends without what it waits for.
    async fn applied_with(&self, groups: &BTreeSet<GroupName>) {
        _ = self.watch().wait_for(|told| !lacks(told.as_ref(), groups)).await;
        let told = self.current().map(|told| told.revision);
        // `None`: nothing is ever applied here.
        let is_applied = |applied: &Option<Revision>| applied.is_none() || *applied == told;
        _ = self.applied.subscribe().wait_for(is_applied).await;
    }

    fn untold(&self) -> MutexGuard<'_, BTreeSet<GroupName>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the firewall has something to hold users of `default` to.
pub(crate) fn judges_default(groups: &[Group]) -> bool {
    let is_judged = |rules: &GroupRules| rules.reach.is_some() || rules.up.is_some() || rules.down.is_some();
    let mut defaults = groups.iter().filter(|group| group.name.is_default());
    defaults.any(|group| is_judged(&group.rules))
}

fn names(told: &Groups) -> BTreeSet<GroupName> {
    told.groups.iter().map(|group| group.name.clone()).collect()
}

/// Whether management has not told of one of these.
fn lacks(told: Option<&Arc<Groups>>, groups: &BTreeSet<GroupName>) -> bool {
    let is_told = |group: &GroupName| {
        let mut known = told.into_iter().flat_map(|told| &told.groups);
        known.any(|known| known.name == *group)
    };
    !groups.iter().all(is_told)
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::groups::Speed;

    use super::*;

    const FIRST: ListenerNumber = ListenerNumber::FIRST;

    fn groups(revision: i64) -> Groups {
        Groups {
            revision: Revision(revision),
            groups: vec![Group {
                name: "sales".parse().expect("a name"),
                rules: GroupRules::default(),
                metered: false,
            }],
        }
    }

    #[test]
    fn what_is_known_wakes_nobody() {
        let definitions = Definitions::default();
        assert_eq!(definitions.current(), None);
        let mut watched = definitions.watch();
        for (told, is_news) in [(1, true), (1, false), (2, true)] {
            definitions.learn(groups(told));
            assert_eq!(watched.has_changed().expect("open"), is_news, "{told}");
            assert_eq!(watched.borrow_and_update().as_deref(), Some(&groups(told)));
        }
        assert!(definitions.note_applied(Some(Revision(2))));
        assert!(!definitions.note_applied(Some(Revision(2))));
        assert_eq!(definitions.applied(), Some(Revision(2)));
        assert_eq!(definitions.in_effect(), Some(definitions.known()));
        definitions.learn(groups(3));
        assert_eq!(definitions.in_effect(), None, "the firewall has those of before");
    }

    #[tokio::test]
    async fn where_default_has_rules_an_openvpn_waits_until_they_are_held() {
        let definitions = Definitions::default();
        assert!(definitions.is_default_held(FIRST), "nothing was told");
        definitions.learn(groups(1));
        assert!(definitions.is_default_held(FIRST));
        let slow = |name: &str, revision| {
            let mut slow = groups(revision);
            slow.groups[0].name = name.parse().expect("a name");
            slow.groups[0].rules.down = Some(Speed::try_from(1000).expect("a speed"));
            slow
        };
        definitions.learn(slow("sales", 2));
        assert!(definitions.is_default_held(FIRST), "they are rules of others");
        definitions.default_held(FIRST).await;

        definitions.learn(slow("default", 3));
        assert!(!definitions.is_default_held(FIRST));
        let tells = async { definitions.note_default(&[true]) };
        tokio::join!(definitions.default_held(FIRST), tells);
        definitions.note_default(&[]);
        assert!(!definitions.is_default_held(FIRST));
        let frees = async { definitions.learn(groups(4)) };
        tokio::join!(definitions.default_held(FIRST), frees);
    }

    #[tokio::test]
    async fn rules_of_default_are_held_on_each_listener_by_itself() {
        let definitions = Definitions::default();
        let mut limited = groups(1);
        limited.groups[0].name = GroupName::default();
        limited.groups[0].rules.down = Some(Speed::try_from(1000).expect("a speed"));
        definitions.learn(limited);
        for (are_held, expected) in [
            (&[true, false][..], [true, false, false]),
            (&[false, true], [false, true, false]),
            (&[true], [true, false, false]),
            (&[], [false, false, false]),
        ] {
            definitions.note_default(are_held);
            let found = [0, 1, 2].map(|number| definitions.is_default_held(ListenerNumber(number)));
            assert_eq!(found, expected, "{are_held:?}");
        }
        let tells = async { definitions.note_default(&[false, true]) };
        tokio::join!(definitions.default_held(ListenerNumber(1)), tells);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_comes_later_is_waited_for_and_one_that_never_comes_once() {
        const WITHIN: Duration = Duration::from_secs(2);
        let definitions = Definitions::default();
        definitions.learn(groups(1));
        definitions.note_applied(Some(Revision(1)));
        let of = |name: &str| BTreeSet::from([name.parse::<GroupName>().expect("a name")]);
        let began = tokio::time::Instant::now();
        definitions
            .learn_of(of("sales"), || panic!("it is known"), WITHIN)
            .await;
        definitions
            .learn_of(BTreeSet::new(), || panic!("there is none"), WITHIN)
            .await;
        assert_eq!(began.elapsed(), Duration::ZERO);

        definitions.learn_of(of("staff"), || {}, WITHIN).await;
        assert!(began.elapsed() >= WITHIN);
        definitions
            .learn_of(of("staff"), || panic!("it was asked for"), WITHIN)
            .await;

        let (teller, applier) = (definitions.clone(), definitions.clone());
        let tell = || {
            let mut told = groups(2);
            told.groups[0].name = "staff".parse().expect("a name");
            teller.learn(told);
        };
        definitions.learn(groups(3));
        let began = tokio::time::Instant::now();
        let apply = async {
            tokio::time::sleep(WITHIN / 2).await;
            applier.note_applied(Some(Revision(2)));
        };
        tokio::join!(definitions.learn_of(of("staff"), tell, WITHIN), apply);
        let waited = began.elapsed();
        assert!(waited >= WITHIN / 2 && waited < WITHIN, "{waited:?}");
    }
}
