//! Requests about what is no user: groups, networks of pools, new profiles for all users of a node.

use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use vpnmanager_testbed::api::{self, Api, ApiError};

use super::{
    asking::{judge, judge_failure},
    model::Answer,
    timeline::Timeline,
    work::Worked,
};

/// A request without an answer within this time counts as open.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests and notes what was answered. Nothing is refused that is asked here.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    apis: Vec<Api>,
    timeline: Timeline,
}

impl Requests {
    /// Through any of these APIs, one of each management.
    pub(super) fn new(apis: Vec<Api>, timeline: Timeline) -> Self {
        Self { apis, timeline }
    }

    /// Any of the managements.
    pub(super) fn choose_api(&self, rng: &mut Rng) -> Api {
        let at = rng.usize(0..self.apis.len());
        self.apis[at].clone()
    }

    /// Sends one request and judges its answer, which is `None` for one that must never come. With the body of the answer, null if there is none.
    pub(super) async fn ask(
        &self,
        worked: &mut Worked,
        (kind, what): (&'static str, &str),
        asked: impl Future<Output = Result<api::Answer, ApiError>>,
    ) -> (Option<Answer>, Value) {
        self.timeline.note(format!("{what} ..."));
        let (answer, in_words, body) = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answered)) => (
                judge(&answered),
                format!("{} {}", answered.status, answered.text),
                answered.body,
            ),
            Ok(Err(error)) => (judge_failure(&error), error.to_string(), Value::Null),
            Err(_elapsed) => (Some(Answer::Open), "no answer in time".to_owned(), Value::Null),
        };
        self.timeline.note(format!("{what}: {in_words}"));
        let how = match answer {
            Some(Answer::Done) => "answered",
            Some(Answer::ReadOnly) => "read-only",
            Some(Answer::Open) => "open",
            Some(Answer::NotSent) => "not sent",
            Some(Answer::Unknown | Answer::Taken | Answer::NoDevice | Answer::BeyondLimit | Answer::Refused) | None => {
                worked.violations.push(format!("the {what} was answered {in_words}"));
                "refused"
            }
        };
        *worked.counts.entry((kind, how)).or_default() += 1;
        (answer, body)
    }
}
