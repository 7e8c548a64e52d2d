//! What a user has of the rules of a group as own values. Nodes are told of it as a group of its own, so it is on the wire in the form of
//! [`GroupRules`] only; management stores it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    bounded::at_most,
    groups::{GroupRules, Reach, Speed, reach_at_most},
    network::Prefix,
};

/// The own rules of a user; of what is `None` that of its group holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::FromJsonQueryResult))]
pub struct OwnRules {
    /// What the user may reach of what the network of the pool and the routes lead to. One entry that says nothing is all of it.
    #[serde(default, deserialize_with = "reach_at_most", skip_serializing_if = "Option::is_none")]
    pub reach: Option<Vec<Reach>>,
    /// What the user sends into the tunnel besides the routes of the pool.
    #[serde(
        default,
        deserialize_with = "routes_at_most",
        skip_serializing_if = "Option::is_none"
    )]
    pub routes: Option<Vec<Prefix>>,
    /// The speed of each of its devices towards the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Speed>,
    /// The speed from the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Speed>,
}

impl OwnRules {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same rules with their lists in one order: no list means anything else in another one.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        for entry in self.reach.iter_mut().flatten() {
            entry.ports.sort_unstable();
        }
        if let Some(reach) = &mut self.reach {
            reach.sort_unstable();
        }
        if let Some(routes) = &mut self.routes {
            routes.sort_unstable();
        }
        self
    }

    /// What holds for a user who has them, in a group that says this. Each value comes first by itself.
    #[must_use]
    pub fn over(self, of_group: GroupRules) -> GroupRules {
        GroupRules {
            reach: self.reach.or(of_group.reach),
            routes: self.routes.unwrap_or(of_group.routes),
            up: self.up.or(of_group.up),
            down: self.down.or(of_group.down),
        }
    }
}

fn routes_at_most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Prefix>>, D::Error> {
    at_most::<Prefix, { GroupRules::MOST_ROUTES }, D>(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn own(text: Value) -> OwnRules {
        serde_json::from_value(text).expect("own rules")
    }

    fn rules(text: Value) -> GroupRules {
        serde_json::from_value(text).expect("rules")
    }

    #[test]
    fn each_own_value_comes_before_that_of_the_group_by_itself() {
        let of_group =
            json!({ "reach": [{ "to": "10.20.0.0/16" }], "routes": ["10.30.0.0/16"], "up": 1_000, "down": 2_000 });
        for (own_rules, expected) in [
            (json!({}), of_group.clone()),
            (
                json!({ "down": 64 }),
                json!({ "reach": [{ "to": "10.20.0.0/16" }], "routes": ["10.30.0.0/16"], "up": 1_000, "down": 64 }),
            ),
            (
                json!({ "reach": [], "routes": [] }),
                json!({ "reach": [], "up": 1_000, "down": 2_000 }),
            ),
            (
                json!({ "reach": [{}], "routes": ["10.40.0.0/16"], "up": 10_000_000 }),
                json!({ "reach": [{}], "routes": ["10.40.0.0/16"], "up": 10_000_000, "down": 2_000 }),
            ),
        ] {
            let holds = own(own_rules.clone()).over(rules(of_group.clone()));
            assert_eq!(holds, rules(expected), "{own_rules}");
        }
        let free = own(json!({ "up": 64 })).over(GroupRules::default());
        assert_eq!(free, rules(json!({ "up": 64 })));
    }

    #[test]
    fn sorted_rules_are_the_same_in_whichever_order_they_were_said() {
        let said = json!({
            "reach": [
                { "to": "10.30.0.0/16" },
                { "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["8000-8100", "443"] },
                {},
            ],
            "routes": ["10.30.0.0/16", "10.20.0.0/16"],
            "down": 64,
        });
        let sorted = json!({
            "reach": [
                {},
                { "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443", "8000-8100"] },
                { "to": "10.30.0.0/16" },
            ],
            "routes": ["10.20.0.0/16", "10.30.0.0/16"],
            "down": 64,
        });
        assert_eq!(own(said).sorted(), own(sorted.clone()));
        assert_eq!(own(sorted.clone()).sorted(), own(sorted));
        assert!(OwnRules::default().sorted().is_empty());
    }

    #[test]
    fn they_say_only_what_they_hold_and_refuse_what_rules_of_groups_refuse() {
        assert_eq!(serde_json::to_value(OwnRules::default()).expect("json"), json!({}));
        assert!(own(json!({})).is_empty());
        let text = json!({ "reach": [], "routes": [], "up": 64, "down": 128 });
        let rules = own(text.clone());
        assert!(!rules.is_empty());
        assert_eq!(serde_json::to_value(&rules).expect("json"), text);
        for (odd, why) in [
            (json!({ "reach": [{ "ports": ["443"] }] }), "need the protocol"),
            (json!({ "reach": vec![json!({}); 33] }), "at most 32"),
            (json!({ "routes": vec!["10.0.0.0/8"; 33] }), "at most 32"),
            (json!({ "up": 63 }), "64 to 10000000"),
        ] {
            let refused = serde_json::from_value::<OwnRules>(odd).expect_err(why).to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
