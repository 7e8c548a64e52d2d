//! Asks for new profiles for all users of a node now and then, and keeps the older ones; some it stops. Notes what was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::stack::Stack;

use super::{
    inventory::Audited,
    model::{Answer, Happened},
    operation::OldProfiles,
    renewed::rows,
    request::Requests,
    work::Worked,
};

/// What was answered of the reissues of each node.
#[derive(Debug, Default)]
pub(super) struct Reissues(BTreeMap<String, Known>);

/// Each reissue is known by the time at which it was started: to ask again while it goes on starts no other one.
#[derive(Debug, Default)]
struct Known {
    started: BTreeSet<String>,
    stopped: BTreeSet<String>,
    /// Requests without an answer: each may have started one, or stopped one, also later.
    open_starts: usize,
    open_stops: usize,
}

/// What is asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Start,
    Stop,
}

impl Reissues {
    /// Notes an answer with its body. The error says what the body should show.
    pub(super) fn note(&mut self, node: &str, asked: Asked, (answer, body): (&Answer, &Value)) -> Result<(), String> {
        let known = self.0.entry(node.to_owned()).or_default();
        match (answer.happened(), asked) {
            (Happened::Yes, _) => {
                let Some(started_at) = body["started_at"].as_str() else {
                    return Err("when it was started".to_owned());
                };
                if body["server_id"] != node || body["old_profiles"] != OldProfiles::Keep.as_str() {
                    return Err(format!("{node}, and old_profiles: {}", OldProfiles::Keep.as_str()));
                }
                let is_stopped = body["stopped"] == true;
                match asked {
                    Asked::Start if is_stopped => return Err("that it is not stopped".to_owned()),
                    Asked::Stop if !body["ended_at"].is_string() => return Err("when it ended".to_owned()),
                    Asked::Start | Asked::Stop => {}
                }
                known.started.insert(started_at.to_owned());
                if is_stopped {
                    known.stopped.insert(started_at.to_owned());
                }
                Ok(())
            }
            (Happened::Perhaps, Asked::Start) => {
                known.open_starts += 1;
                Ok(())
            }
            (Happened::Perhaps, Asked::Stop) => {
                known.open_stops += 1;
                Ok(())
            }
            (Happened::No, _) => Ok(()),
        }
    }

    /// Reissues that were answered and are not in the audit trail, or are there and nobody asked: one sentence for each.
    pub(super) fn unaccounted(&self, trail: &[Audited]) -> Vec<String> {
        let mut told = Vec::new();
        for (node, known) in &self.0 {
            for (action, least, open) in [
                ("node_reissue_started", known.started.len(), known.open_starts),
                ("node_reissue_stopped", known.stopped.len(), known.open_stops),
            ] {
                let times = rows(trail, node, action).count();
                if times < least || times > least + open {
                    told.push(format!(
                        "the audit trail has {action} of {node} {times} times, and it was answered {least} times and left open {open} times"
                    ));
                }
            }
        }
        told
    }
}

/// Who asks for them.
#[derive(Debug)]
pub(super) struct Renewer {
    requests: Requests,
    nodes: Vec<String>,
    rng: Rng,
    reissues: Reissues,
}

impl Renewer {
    pub(super) fn new(stack: &Stack, requests: Requests, rng: Rng) -> Self {
        Self {
            requests,
            nodes: stack.nodes().map(|node| node.id()).collect(),
            rng,
            reissues: Reissues::default(),
        }
    }

    /// Works until told to stop. Each time all users of a node get another credential, which the node keeps for ever: so it is not often.
    pub(super) async fn run(mut self, stop: CancellationToken) -> (Worked, Reissues) {
        let mut worked = Worked::default();
        let mut pause = self.rng.u64(3000..8000);
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                () = stop.cancelled() => return (worked, self.reissues),
            }
            self.renew(&mut worked).await;
            pause = self.rng.u64(8000..25_000);
        }
    }

    async fn renew(&mut self, worked: &mut Worked) {
        let Some(node) = self.rng.choice(&self.nodes).cloned() else {
            return;
        };
        let is_stopped = self.rng.f32() < 0.25;
        let api = self.requests.choose_api(&mut self.rng);
        let path = format!("/api/endnodes/{node}/reissue");
        let (body, what) = (
            json!({ "old_profiles": OldProfiles::Keep.as_str() }),
            format!("reissue of {node}"),
        );
        let asked = api.post(&path, &body);
        let (answer, shown) = self.requests.ask(worked, ("reissue of a node", &what), asked).await;
        self.note(worked, (&node, Asked::Start), (answer.as_ref(), &shown));
        if !is_stopped || answer != Some(Answer::Done) {
            return;
        }
        let what = format!("end of the reissue of {node}");
        let asked = api.delete(&path);
        let (answer, shown) = self.requests.ask(worked, ("end of a reissue", &what), asked).await;
        self.note(worked, (&node, Asked::Stop), (answer.as_ref(), &shown));
    }

    fn note(&mut self, worked: &mut Worked, (node, asked): (&str, Asked), (answer, body): (Option<&Answer>, &Value)) {
        let Some(answer) = answer else { return };
        if let Err(should) = self.reissues.note(node, asked, (answer, body)) {
            let wrong = format!("{asked:?} of the reissue of {node} was answered {body}, and should show {should}");
            worked.violations.push(wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(started_at: &str, stopped: bool) -> Value {
        json!({
            "server_id": "node-1", "old_profiles": "keep", "started_at": started_at, "ended_at": "2027-01-15T08:00:09Z", "stopped": stopped,
        })
    }

    fn row(action: &str) -> Audited {
        Audited {
            at: chrono::DateTime::<chrono::Utc>::UNIX_EPOCH,
            server_id: "node-1".to_owned(),
            action: action.to_owned(),
            username: None,
            request_id: None,
            details: None,
            before: None,
            after: None,
        }
    }

    #[test]
    fn to_ask_again_while_it_goes_on_starts_no_other_one() {
        let mut reissues = Reissues::default();
        let first = shown("2027-01-15T08:00:00Z", false);
        for _ in 0..2 {
            reissues.note("node-1", Asked::Start, (&Answer::Done, &first)).unwrap();
        }
        assert_eq!(
            reissues.unaccounted(&[row("node_reissue_started")]),
            Vec::<String>::new()
        );
        assert_eq!(reissues.unaccounted(&[]).len(), 1);
        let started = ["node_reissue_started", "node_reissue_started"].map(row);
        assert_eq!(reissues.unaccounted(&started).len(), 1);
        let open = (&Answer::Open, &Value::Null);
        reissues.note("node-1", Asked::Start, open).unwrap();
        assert_eq!(reissues.unaccounted(&started), Vec::<String>::new());
    }

    #[test]
    fn one_that_was_stopped_is_in_the_trail() {
        let mut reissues = Reissues::default();
        let stopped = shown("2027-01-15T08:00:00Z", true);
        reissues.note("node-1", Asked::Stop, (&Answer::Done, &stopped)).unwrap();
        let started = row("node_reissue_started");
        assert_eq!(reissues.unaccounted(std::slice::from_ref(&started)).len(), 1);
        let trail = [started, row("node_reissue_stopped")];
        assert_eq!(reissues.unaccounted(&trail), Vec::<String>::new());
    }

    #[test]
    fn an_answer_that_shows_another_reissue_is_told() {
        let mut reissues = Reissues::default();
        let stopped = shown("2027-01-15T08:00:00Z", true);
        let mut revoking = shown("2027-01-15T08:00:00Z", false);
        revoking["old_profiles"] = json!("revoke");
        for body in [stopped, revoking, json!({ "server_id": "node-1" })] {
            let noted = reissues.note("node-1", Asked::Start, (&Answer::Done, &body));
            assert!(noted.is_err(), "{body}");
        }
    }
}
