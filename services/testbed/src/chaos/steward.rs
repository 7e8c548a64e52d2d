//! Changes the groups of a run, one change after the other, and notes what was answered.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use fastrand::Rng;
use sea_orm::{DatabaseConnection, FromQueryResult};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::stack::Stack;

use super::{
    answered::Answered,
    group::{Group, HELD},
    inventory,
    model::Answer,
    request::{PATIENCE, Requests},
    work::Worked,
};

const NEXT_PORT: u16 = 20_000;
/// No user has more devices, so these limits end nobody's session and refuse no device.
const LEAST: u8 = 4;
const MOST: u8 = 16;

/// What a group says, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wording {
    pub(super) devices: Option<i16>,
    pub(super) sessions: Option<i16>,
    pub(super) session_excess: String,
    /// As nodes are told them.
    pub(super) rules: Value,
}

impl Wording {
    /// That of a new group.
    fn new() -> Self {
        Self {
            devices: None,
            sessions: None,
            session_excess: "oldest_ends".to_owned(),
            rules: json!({}),
        }
    }

    /// The body of a request that says all of it.
    fn body(&self) -> Value {
        let mut body = json!({
            "devices": self.devices, "sessions": self.sessions, "session_excess": self.session_excess,
        });
        // The groups without rules are never asked to have some.
        if let Some(rules) = self.rules.as_object().filter(|rules| !rules.is_empty()) {
            body["reach"] = rules.get("reach").cloned().unwrap_or_default();
            body["routes"] = rules.get("routes").cloned().unwrap_or_else(|| json!([]));
            body["speed"] = match (rules.get("up"), rules.get("down")) {
                (None, None) => Value::Null,
                (up, down) => json!({ "up": up, "down": down }),
            };
        }
        body
    }
}

/// What was answered of the groups.
#[derive(Debug, Default)]
pub(super) struct Wordings(BTreeMap<Group, Answered<Wording>>);

impl Wordings {
    fn of(groups: &[Group]) -> Self {
        let first = |group: &Group| (*group, Answered::new(Wording::new()));
        Self(groups.iter().map(first).collect())
    }

    pub(super) fn note(&mut self, group: Group, wording: Wording, answer: &Answer) {
        if let Some(answered) = self.0.get_mut(&group) {
            answered.note(wording, answer);
        }
    }

    /// What is stored otherwise than it was answered: one sentence for each.
    pub(super) async fn broken(&self, db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
        let stored = "SELECT name, devices, sessions, session_excess, rules FROM groups";
        Ok(self.otherwise(&inventory::rows(db, stored).await?))
    }

    pub(super) fn otherwise(&self, stored: &[Stored]) -> Vec<String> {
        let told = self.0.iter().filter_map(|(group, answered)| {
            let name = group.name();
            let found = stored.iter().find(|stored| stored.name == name).map(Stored::wording);
            answered.otherwise(&format!("the group {name}"), found)
        });
        told.collect()
    }
}

/// A group in PostgreSQL.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) devices: Option<i16>,
    pub(super) sessions: Option<i16>,
    pub(super) session_excess: String,
    pub(super) rules: Value,
}

impl Stored {
    fn wording(&self) -> Wording {
        Wording {
            devices: self.devices,
            sessions: self.sessions,
            session_excess: self.session_excess.clone(),
            rules: self.rules.clone(),
        }
    }
}

/// Who changes the groups.
#[derive(Debug)]
pub(super) struct Steward {
    requests: Requests,
    groups: Vec<Group>,
    rng: Rng,
    wordings: Wordings,
    /// How many ports and passing groups there have been.
    number: u16,
}

impl Steward {
    /// Makes the groups of a run.
    pub(super) async fn install(stack: &Stack) -> anyhow::Result<()> {
        let api = stack.api();
        for group in Group::of(stack) {
            let name = group.name();
            let body = match group {
                Group::Default => continue,
                Group::Staff => json!({ "name": name }),
                Group::Sales | Group::Visitors => json!({ "name": name, "pool": HELD }),
            };
            let made = api.create_group(&body).await?.expect(201);
            made.with_context(|| format!("the group {name} cannot be made"))?;
        }
        Ok(())
    }

    pub(super) fn new(stack: &Stack, requests: Requests, rng: Rng) -> Self {
        let groups = Group::of(stack);
        Self {
            requests,
            wordings: Wordings::of(&groups),
            groups,
            rng,
            number: 0,
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> (Worked, Wordings) {
        let mut worked = Worked::default();
        while !stop.is_cancelled() {
            self.number += 1;
            match self.rng.u8(0..10) {
                0 => self.remove_default(&mut worked).await,
                1 => self.pass(&mut worked).await,
                _ => self.change(&mut worked).await,
            }
            let pause = Duration::from_millis(self.rng.u64(200..1500));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        (worked, self.wordings)
    }

    async fn change(&mut self, worked: &mut Worked) {
        let Some(group) = self.rng.choice(&self.groups).copied() else {
            return;
        };
        let (wording, api) = (self.draw(group), self.requests.choose_api(&mut self.rng));
        let (body, what) = (wording.body(), format!("change of the group {}", group.name()));
        let asked = api.change_group(group.name(), &body);
        let (answer, _) = self.requests.ask(worked, ("change of a group", &what), asked).await;
        if let Some(answer) = answer {
            self.wordings.note(group, wording, &answer);
        }
    }

    /// What a group should say next.
    fn draw(&mut self, group: Group) -> Wording {
        let excess = ["oldest_ends", "newest_ends"];
        Wording {
            devices: self.limit(),
            sessions: self.limit(),
            session_excess: self.rng.choice(excess).unwrap_or_default().to_owned(),
            rules: if group.has_rules() { self.rules() } else { json!({}) },
        }
    }

    fn limit(&mut self) -> Option<i16> {
        self.rng.bool().then(|| i16::from(self.rng.u8(LEAST..=MOST)))
    }

    /// Each time with another port, so that it is known which rules a node has.
    fn rules(&mut self) -> Value {
        let port = NEXT_PORT + self.number;
        let mut rules = json!({ "reach": [{ "protocol": "tcp", "ports": [port.to_string()] }] });
        if self.rng.bool() {
            rules["reach"] = json!([{ "to": "10.99.7.0/24", "protocol": "udp", "ports": [port.to_string()] }, { "protocol": "icmp" }]);
        }
        if self.rng.bool() {
            rules["routes"] = json!([format!("10.98.{}.0/24", self.rng.u8(..))]);
        }
        if self.rng.bool() {
            rules["up"] = json!(self.rng.u32(1_000..50_000));
            rules["down"] = json!(self.rng.u32(1_000..50_000));
        }
        rules
    }

    /// A group that nobody is ever in comes and goes.
    async fn pass(&mut self, worked: &mut Worked) {
        let api = self.requests.choose_api(&mut self.rng);
        let name = format!("passing-{}", self.number);
        let body = json!({ "name": name });
        let what = format!("new group {name}");
        let asked = api.create_group(&body);
        let (made, _) = self.requests.ask(worked, ("new group", &what), asked).await;
        if made != Some(Answer::Done) {
            return;
        }
        let what = format!("end of the group {name}");
        let asked = api.delete_group(&name);
        self.requests.ask(worked, ("end of a group", &what), asked).await;
    }

    /// The group of everybody cannot be removed.
    async fn remove_default(&mut self, worked: &mut Worked) {
        let api = self.requests.choose_api(&mut self.rng);
        let asked = tokio::time::timeout(PATIENCE, api.delete_group(Group::Default.name())).await;
        let Ok(Ok(answered)) = asked else { return };
        let is_refused = matches!(answered.status, 409 | 500..600);
        let how = if is_refused { "refused" } else { "answered" };
        *worked.counts.entry(("end of the group default", how)).or_default() += 1;
        if !is_refused {
            let wrong = format!("the end of the group default was answered {}", answered.text);
            worked.violations.push(wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, devices: Option<i16>) -> Stored {
        let Wording {
            sessions,
            session_excess,
            rules,
            ..
        } = Wording::new();
        Stored {
            name: name.to_owned(),
            devices,
            sessions,
            session_excess,
            rules,
        }
    }

    #[test]
    fn a_group_that_is_not_as_it_was_answered_is_told() {
        let mut wordings = Wordings::of(&[Group::Staff]);
        let with = |devices| Wording {
            devices: Some(devices),
            ..Wording::new()
        };
        assert_eq!(wordings.otherwise(&[stored("staff", None)]), Vec::<String>::new());
        assert_eq!(wordings.otherwise(&[]).len(), 1, "it is gone");
        wordings.note(Group::Staff, with(4), &Answer::Done);
        assert_eq!(wordings.otherwise(&[stored("staff", None)]).len(), 1);
        assert_eq!(wordings.otherwise(&[stored("staff", Some(4))]), Vec::<String>::new());
        wordings.note(Group::Staff, with(5), &Answer::Open);
        wordings.note(Group::Staff, with(6), &Answer::ReadOnly);
        for (devices, told) in [(4, 0), (5, 0), (6, 1)] {
            let found = wordings.otherwise(&[stored("staff", Some(devices))]);
            assert_eq!(found.len(), told, "{found:?}");
        }
    }

    #[test]
    fn a_request_says_what_nodes_are_told() {
        let wording = Wording {
            rules: json!({ "reach": [{ "protocol": "icmp" }], "up": 1000, "down": 2000 }),
            ..Wording::new()
        };
        let body = json!({
            "devices": null, "sessions": null, "session_excess": "oldest_ends",
            "reach": [{ "protocol": "icmp" }], "routes": [], "speed": { "up": 1000, "down": 2000 },
        });
        assert_eq!(wording.body(), body);
    }
}
