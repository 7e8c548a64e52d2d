//! Members of groups on a node whose agent does not run OpenVPN. It can hold nobody to rules: it lets in whose group has none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::definitions::Definitions;
use crate::some_of::some_of;

/// Who is in which group other than `default`, and whether its members are let in. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Unheld {
    definitions: Definitions,
    members: Arc<Mutex<HashMap<CommonName, GroupName>>>,
}

/// The group of a credential from now on; `None`: `default`.
pub(super) type Joined = (CommonName, Option<GroupName>);

impl Unheld {
    /// By what these definitions say of the groups; nobody is in another one than `default` yet.
    pub fn new(definitions: Definitions) -> Self {
        Self {
            definitions,
            members: Arc::default(),
        }
    }

    /// What management tells of groups.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Takes over what the journal holds.
    pub fn load(&self, members: Vec<(CommonName, GroupName)>) {
        *self.members() = members.into_iter().collect();
    }

    /// Why members of this group are not let in here, and what to do; `None`: they are. A group of which nothing is known may have rules; that
    /// goes for `default` only where management told of none at all, as one of an older release does.
    pub fn refusal(&self, group: &GroupName) -> Option<String> {
        let told = self.definitions.current();
        let found = told
            .iter()
            .flat_map(|told| &told.groups)
            .find(|known| known.name == *group);
        match found {
            Some(known) if known.rules.is_empty() => None,
            Some(_) => Some(format!(
                "the group {group} has rules (what its members may reach, routes or speed), and the agent can hold nobody to them here, because it \
                 does not run OpenVPN: set OPENVPN_MODE to managed, or have users of this group on the nodes of another pool"
            )),
            None if group.is_default() => None,
            None => Some(format!(
                "this node knows nothing of the group {group} yet: management tells it in the next handshake, if it is of a release that has groups"
            )),
        }
    }

    /// The same of members of this group; `None`: of `default`.
    pub(super) fn refusal_of(&self, group: Option<&GroupName>) -> Option<String> {
        match group {
            Some(group) => self.refusal(group),
            None => self.refusal(&GroupName::default()),
        }
    }

    /// Which groups with members here are not let in, and what to do; `None`: all are let in, or [`Self::fault`] says it.
    pub(super) fn lack(&self) -> Option<String> {
        match self.refusal_of(None) {
            Some(_) => None,
            None => self.not_let_in(None),
        }
    }

    /// The same where `default` is not let in, so that a new user would be refused here.
    pub(super) fn fault(&self) -> Option<String> {
        self.refusal_of(None)?;
        self.not_let_in(Some(format!("{} (everybody in no other group)", GroupName::DEFAULT)))
    }

    /// Says it of this one first.
    fn not_let_in(&self, first: Option<String>) -> Option<String> {
        let members = self.members();
        let mut here: BTreeMap<&GroupName, usize> = BTreeMap::new();
        for group in members.values() {
            *here.entry(group).or_default() += 1;
        }
        let others = here.into_iter().filter(|(group, _)| self.refusal(group).is_some());
        let others = others.map(|(group, credentials)| format!("{group} (credentials: {credentials})"));
        let all: Vec<String> = first.into_iter().chain(others).collect();
        if all.is_empty() {
            return None;
        }
        Some(format!(
            "members of groups that have rules, or that this node does not know, are not let in here, because the agent does not run OpenVPN: \
             {}. Set OPENVPN_MODE to managed, or have such users on the nodes of another pool",
            some_of(&all)
        ))
    }

    /// Takes those out who are not let in because of their group.
    pub(super) fn refuse(&self, names: &mut BTreeSet<CommonName>) {
        let members = self.members();
        let lets_in_others = self.refusal_of(None).is_none();
        if members.is_empty() && lets_in_others {
            return;
        }
        let told = self.definitions.current();
        let without_rules = told
            .iter()
            .flat_map(|told| &told.groups)
            .filter(|known| known.rules.is_empty());
        let let_in: BTreeSet<&GroupName> = without_rules.map(|known| &known.name).collect();
        names.retain(|name| match members.get(name) {
            Some(group) => let_in.contains(group),
            None => lets_in_others,
        });
    }

    pub(super) fn change(&self, joined: Vec<Joined>) {
        let mut members = self.members();
        for (name, group) in joined {
            match group {
                Some(group) => _ = members.insert(name, group),
                None => _ = members.remove(&name),
            }
        }
    }

    fn members(&self) -> MutexGuard<'_, HashMap<CommonName, GroupName>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{
        bounded::TEXT,
        groups::{Group, GroupRules, Groups, MOST_GROUPS, Speed},
        ids::Revision,
    };

    use super::*;

    fn group(name: &str) -> GroupName {
        name.parse().expect("a name")
    }

    fn names(names: &[&str]) -> BTreeSet<CommonName> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    /// Of these groups the named ones have rules.
    fn told(groups: &[&str], with_rules: &[&str]) -> Groups {
        let slow = GroupRules {
            up: Some(Speed::try_from(64).expect("a speed")),
            ..GroupRules::default()
        };
        let of = |name: &&str| Group {
            name: group(name),
            rules: if with_rules.contains(name) {
                slow.clone()
            } else {
                GroupRules::default()
            },
            metered: false,
        };
        Groups {
            revision: Revision(1),
            groups: groups.iter().map(of).collect(),
        }
    }

    #[test]
    fn members_of_groups_with_rules_and_of_unknown_ones_are_not_let_in() {
        let definitions = Definitions::default();
        let unheld = Unheld::new(definitions.clone());
        unheld.load(vec![
            ("sam.x".parse().expect("a name"), group("sales")),
            ("eve.x".parse().expect("a name"), group("engineering")),
        ]);
        let all = names(&["alice.x", "eve.x", "sam.x"]);
        let let_in = || {
            let mut names = all.clone();
            unheld.refuse(&mut names);
            names
        };

        assert_eq!(let_in(), names(&["alice.x"]), "nothing was told");
        let groups = ["default", "engineering", "sales"];
        for (with_rules, expected) in [
            (&[][..], &["alice.x", "eve.x", "sam.x"][..]),
            (&["sales"], &["alice.x", "eve.x"]),
            (&["default"], &["eve.x", "sam.x"]),
            (&["default", "sales"], &["eve.x"]),
        ] {
            definitions.learn(told(&groups, with_rules));
            assert_eq!(let_in(), names(expected), "{with_rules:?}");
        }
        definitions.learn(told(&["default", "sales"], &[]));
        assert_eq!(let_in(), names(&["alice.x", "sam.x"]), "engineering is unknown");

        unheld.change(vec![("eve.x".parse().expect("a name"), None)]);
        assert_eq!(let_in(), all);
    }

    #[test]
    fn the_reason_says_what_to_do() {
        let definitions = Definitions::default();
        let unheld = Unheld::new(definitions.clone());
        assert_eq!(unheld.refusal(&GroupName::default()), None);
        let unknown = unheld.refusal(&group("sales")).expect("a reason");
        assert!(unknown.contains("knows nothing of the group sales"), "{unknown}");

        definitions.learn(told(&["sales"], &["sales"]));
        let unfit = unheld.refusal(&group("sales")).expect("a reason");
        assert!(unfit.contains("set OPENVPN_MODE to managed"), "{unfit}");
        assert_eq!(unheld.refusal(&GroupName::default()), None, "it is not told of");
    }

    #[test]
    fn who_is_not_let_in_is_told_by_groups_and_degrades_a_node_where_the_group_default_is_among_them() {
        let definitions = Definitions::default();
        let unheld = Unheld::new(definitions.clone());
        assert_eq!((unheld.lack(), unheld.fault()), (None, None));
        let member = |name: &str, of: &str| (name.parse::<CommonName>().expect("a name"), group(of));
        unheld.load(vec![
            member("sam.x", "sales"),
            member("sue.x", "sales"),
            member("tom.x", "temps"),
            member("eve.x", "engineering"),
        ]);
        let groups = ["default", "engineering", "sales"];
        definitions.learn(told(&groups, &["sales"]));
        let lack = unheld.lack().expect("a lack");
        assert!(
            lack.contains(": sales (credentials: 2), temps (credentials: 1). Set"),
            "{lack}"
        );
        assert_eq!(unheld.fault(), None);

        definitions.learn(told(&groups, &["default", "engineering", "sales"]));
        assert_eq!(unheld.lack(), None, "it is said once");
        let fault = unheld.fault().expect("a fault");
        let named = ": default (everybody in no other group), engineering (credentials: 1), sales (credentials: 2) and 1 more. Set";
        assert!(fault.contains(named), "{fault}");

        unheld.load(Vec::new());
        assert!(unheld.fault().is_some(), "a new user would be refused");
        definitions.learn(told(&groups, &["engineering"]));
        assert_eq!((unheld.lack(), unheld.fault()), (None, None), "none of them is here");
    }

    #[test]
    fn what_is_told_fits_however_many_groups_there_are() {
        let unheld = Unheld::new(Definitions::default());
        let long = |number: usize| group(&format!("{}{number:02}", "a".repeat(GroupName::MAX_LENGTH - 2)));
        let members = (0..MOST_GROUPS).map(|number| {
            (
                format!("user{number}.x").parse::<CommonName>().expect("a name"),
                long(number),
            )
        });
        unheld.load(members.collect());
        let lack = unheld.lack().expect("a lack");
        assert!(lack.contains(" and 61 more. Set"), "{lack}");
        assert!(lack.chars().count() <= TEXT, "{} characters", lack.chars().count());
    }
}
