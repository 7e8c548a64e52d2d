//! Own values of a user for what nodes hold users to: reach, routes and speed. They come before those of its group. For nodes alone the user is in
//! a group that stands for its own group with these values; everybody else sees it in its own group.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use vpnmanager_entities::{group, user};
use vpnmanager_nats::{
    groups::{GroupName, Reach, Speed},
    network::Prefix,
    own_rules::OwnRules,
};

use super::own_limits::{Held, held};

/// How the names of groups that stand for own values begin.
const PREFIX: &str = "own-";
/// Bytes of the hash that are in the name, which writes each as two digits.
const HASH_BYTES: usize = 10;

/// A group in which nodes know users of another group who have own rules. Users of one group with the same own rules share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnGroup {
    /// Its name.
    pub name: GroupName,
    /// The group that holds where there is no own value.
    pub base: GroupName,
    /// The own values, [sorted](OwnRules::sorted); there are some.
    pub rules: OwnRules,
}

impl OwnGroup {
    /// That of users of this group with these own rules; `None`: there are none, and nodes know such users in the group itself.
    pub fn of(base: &GroupName, rules: &OwnRules) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let rules = rules.clone().sorted();
        Some(Self {
            name: name_of(base, &rules),
            base: base.clone(),
            rules,
        })
    }
}

fn name_of(base: &GroupName, rules: &OwnRules) -> GroupName {
    let mut hashed = base.as_str().as_bytes().to_vec();
    hashed.push(0);
    // The order of its fields is that of the type.
    hashed.extend(serde_json::to_vec(rules).expect("own rules are JSON"));
    let hash = digest::digest(&digest::SHA256, &hashed);
    let (short, _) = hash.as_ref().split_at(HASH_BYTES);
    let name = format!("{PREFIX}{}", HEXLOWER.encode(short));
    name.parse().expect("the name of a group")
}

/// Whether a name has the form of those of groups that stand for own values: no other group may have such a one.
pub fn stands_for_own_rules(name: &GroupName) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let hash = name.as_str().strip_prefix(PREFIX);
    hash.is_some_and(|hash| hash.len() == 2 * HASH_BYTES && hash.bytes().all(is_digit))
}

/// The own rules of a user.
pub fn own_rules_of(user: &user::Model) -> OwnRules {
    user.own_rules.clone().unwrap_or_default()
}

/// What to change of own rules: a field that is `None` keeps its value, and `Some(None)` takes it away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnRulesChange {
    /// What the user may reach.
    pub reach: Option<Option<Vec<Reach>>>,
    /// What the user sends into the tunnel besides the routes of the pool.
    pub routes: Option<Option<Vec<Prefix>>>,
    /// The speed of each of its devices towards the node.
    pub up: Option<Option<Speed>>,
    /// The speed from the node.
    pub down: Option<Option<Speed>>,
}

impl OwnRulesChange {
    /// Every own value is taken away.
    pub const NONE_LEFT: Self = Self {
        reach: Some(None),
        routes: Some(None),
        up: Some(None),
        down: Some(None),
    };

    /// These own rules after the change.
    #[must_use]
    pub fn applied_to(&self, before: OwnRules) -> OwnRules {
        OwnRules {
            reach: self.reach.clone().unwrap_or(before.reach),
            routes: self.routes.clone().unwrap_or(before.routes),
            up: self.up.unwrap_or(before.up),
            down: self.down.unwrap_or(before.down),
        }
    }

    /// The lists that it says and that are others than these, as they are said.
    pub fn other_lists(&self, before: &OwnRules) -> OwnRules {
        let after = self.applied_to(before.clone()).sorted();
        let said = self.applied_to(OwnRules::default());
        OwnRules {
            reach: said.reach.filter(|_| after.reach != before.reach),
            routes: said.routes.filter(|_| after.routes != before.routes),
            ..OwnRules::default()
        }
    }
}

/// What nodes hold a user to, and who says so; `None`: neither the user nor the group says anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRules {
    /// What the user may reach.
    pub reach: Option<Held<Vec<Reach>>>,
    /// What the user sends into the tunnel besides the routes of the pool.
    pub routes: Option<Held<Vec<Prefix>>>,
    /// The speed of each of its devices towards the node.
    pub up: Option<Held<Speed>>,
    /// The speed from the node.
    pub down: Option<Held<Speed>>,
}

/// What holds for a user with these own rules in this group.
pub fn rules_within(own: OwnRules, group: &group::Model) -> EffectiveRules {
    let of_group = group.rules.clone();
    let routes = Some(of_group.routes).filter(|routes| !routes.is_empty());
    EffectiveRules {
        reach: held(own.reach, of_group.reach),
        routes: held(own.routes, routes),
        up: held(own.up, of_group.up),
        down: held(own.down, of_group.down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GroupName {
        text.parse().expect("a name")
    }

    fn speed(kilobits: u32) -> Speed {
        kilobits.try_into().expect("a speed")
    }

    fn slow() -> OwnRules {
        OwnRules {
            down: Some(speed(1_000)),
            ..OwnRules::default()
        }
    }

    fn named(base: &str, rules: &OwnRules) -> GroupName {
        OwnGroup::of(&name(base), rules).expect("a group").name
    }

    #[test]
    fn users_of_one_group_with_the_same_own_rules_share_a_group_and_no_others() {
        let own = OwnGroup::of(&name("sales"), &slow()).expect("a group");
        assert_eq!((&own.base, &own.rules), (&name("sales"), &slow()));
        assert!(stands_for_own_rules(&own.name), "{}", own.name);
        assert_eq!(named("sales", &slow()), own.name);
        let slower = OwnRules {
            down: Some(speed(999)),
            ..OwnRules::default()
        };
        let nothing = OwnRules {
            reach: Some(Vec::new()),
            ..slow()
        };
        for other in [
            named("default", &slow()),
            named("sales", &slower),
            named("sales", &nothing),
        ] {
            assert!(stands_for_own_rules(&other), "{other}");
            assert_ne!(other, own.name);
        }
        assert_eq!(OwnGroup::of(&name("sales"), &OwnRules::default()), None);
    }

    #[test]
    fn the_order_of_a_list_makes_no_other_group() {
        let prefixes = ["10.20.0.0/16", "10.30.0.0/16"].map(|prefix| prefix.parse().expect("a prefix"));
        let with = |routes: Vec<Prefix>| OwnRules {
            routes: Some(routes),
            ..slow()
        };
        let [first, second] = prefixes;
        let (one, other) = (with(vec![first, second]), with(vec![second, first]));
        let own = OwnGroup::of(&name("sales"), &other).expect("a group");
        assert_eq!((&own.name, &own.rules), (&named("sales", &one), &one));
    }

    /// Rows of an earlier release have it.
    #[test]
    fn the_name_stays_what_it_was() {
        let json = serde_json::to_string(&slow()).expect("json");
        assert_eq!(json, r#"{"down":1000}"#);
        assert_eq!(named("default", &slow()).as_str(), "own-704f2e22ea6ecd51be5c");
    }

    #[test]
    fn only_names_of_that_form_stand_for_own_rules() {
        assert!(stands_for_own_rules(&name("own-0123456789abcdef0123")));
        for other in [
            "default",
            "own",
            "own-",
            "own-sales",
            "own-0123456789abcdef012",
            "own-0123456789abcdef01234",
            "own-0123456789abcdefghij",
            "x-own-0123456789abcdef0123",
        ] {
            assert!(!stands_for_own_rules(&name(other)), "{other}");
        }
    }

    #[test]
    fn a_change_keeps_sets_and_takes_away() {
        let before = OwnRules {
            reach: Some(vec![Reach::default()]),
            up: Some(speed(64)),
            ..slow()
        };
        assert_eq!(OwnRulesChange::default().applied_to(before.clone()), before);
        let change = OwnRulesChange {
            reach: Some(None),
            routes: Some(Some(Vec::new())),
            up: Some(Some(speed(128))),
            down: None,
        };
        let expected = OwnRules {
            reach: None,
            routes: Some(Vec::new()),
            up: Some(speed(128)),
            ..slow()
        };
        assert_eq!(change.applied_to(before.clone()), expected);
        assert!(OwnRulesChange::NONE_LEFT.applied_to(before).is_empty());
    }

    #[test]
    fn only_lists_that_are_said_and_are_others_are_to_be_checked() {
        let route = |text: &str| text.parse::<Prefix>().expect("a prefix");
        let routes = vec![route("10.20.0.0/16"), route("10.30.0.0/16")];
        let before = OwnRules {
            reach: Some(vec![Reach::default()]),
            routes: Some(routes.clone()),
            ..slow()
        };
        let faster = OwnRulesChange {
            down: Some(Some(speed(2_000))),
            ..OwnRulesChange::default()
        };
        let the_same = OwnRulesChange {
            reach: Some(before.reach.clone()),
            routes: Some(Some(routes.iter().rev().copied().collect())),
            ..faster.clone()
        };
        for change in [faster, the_same, OwnRulesChange::NONE_LEFT] {
            assert!(change.other_lists(&before).is_empty(), "{change:?}");
        }
        let other = OwnRulesChange {
            reach: Some(Some(Vec::new())),
            routes: Some(Some(vec![route("10.40.0.0/16"), route("10.20.0.0/16")])),
            ..OwnRulesChange::default()
        };
        let said = OwnRules {
            reach: other.reach.clone().flatten(),
            routes: other.routes.clone().flatten(),
            ..OwnRules::default()
        };
        assert_eq!(other.other_lists(&before), said);
    }
}
