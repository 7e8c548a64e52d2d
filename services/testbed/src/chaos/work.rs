//! Workers that create, change and remove users through the API. Each has its own usernames.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::api::{self, Api, ApiError};

use super::{
    endings::{Begun, Ended, Endings, Lists},
    model::{Answer, Being, Living, Operation, Person},
    read_only::ReadOnly,
    timeline::Timeline,
};

/// An operation without an answer within this time counts as open.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_NAMES: usize = 400;
/// What a write is answered while the database is read-only.
const TAKES_NO_CHANGES: &str = "the database takes no changes";

/// One worker.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) number: u8,
    /// The APIs of all managements; each operation uses one of them.
    pub(super) apis: Vec<Api>,
    pub(super) rng: Rng,
    pub(super) timeline: Timeline,
    pub(super) lists: Lists,
    pub(super) read_only: ReadOnly,
}

/// What a worker has done.
#[derive(Debug, Default)]
pub(super) struct Worked {
    pub(super) people: Vec<Person>,
    /// The number of operations by kind and result.
    pub(super) counts: BTreeMap<(&'static str, &'static str), usize>,
    pub(super) endings: Endings,
    /// How often access was ended while something else was under way.
    pub(super) rushes: BTreeMap<&'static str, usize>,
    pub(super) violations: Vec<String>,
}

impl Worked {
    /// Adds what others have done.
    pub(super) fn add(&mut self, others: Self) {
        self.people.extend(others.people);
        self.violations.extend(others.violations);
        self.endings.add(others.endings);
        for (kind, times) in others.counts {
            *self.counts.entry(kind).or_default() += times;
        }
        for (kind, times) in others.rushes {
            *self.rushes.entry(kind).or_default() += times;
        }
    }
}

impl Worker {
    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Worked {
        let mut worked = Worked::default();
        while !stop.is_cancelled() {
            let Some(at) = self.choose_person(&mut worked.people) else {
                break;
            };
            let Some(being) = worked.people[at].certain().cloned() else {
                continue;
            };
            let operation = self.choose_operation(&being);
            let management = self.choose_management();
            self.operate(&mut worked, at, &operation, management).await;
            let pause = Duration::from_millis(self.rng.u64(10..150));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        worked
    }

    /// Chooses mostly a known user. A user whose state is not certain is not chosen.
    fn choose_person(&mut self, people: &mut Vec<Person>) -> Option<usize> {
        let certain: Vec<usize> = (0..people.len()).filter(|at| people[*at].certain().is_some()).collect();
        let room = people.len() < MOST_NAMES;
        if room && (certain.len() < 3 || self.rng.f32() < 0.2) {
            people.push(Person::new(format!("w{}.{}", self.number, people.len())));
            return Some(people.len() - 1);
        }
        self.rng.choice(certain)
    }

    fn choose_operation(&mut self, being: &Being) -> Operation {
        let Being::Living(living) = being else {
            let short = self.rng.f32() < 0.2;
            let expires_at = short.then(|| self.soon());
            return Operation::Create { expires_at };
        };
        match self.rng.u8(0..100) {
            0..27 => Operation::ReadProfile,
            27..52 if living.active => Operation::Suspend,
            27..52 => Operation::Resume,
            52..61 if living.expires_at.is_some() => Operation::Expire { at: None },
            52..61 => Operation::Expire { at: Some(self.soon()) },
            61..77 => Operation::Delete,
            77..84 => Operation::Reissue,
            84..92 => self.shorten(),
            92.. => Operation::Look,
        }
    }

    /// A time in a few seconds.
    fn soon(&mut self) -> DateTime<Utc> {
        within(&mut self.rng, 1500..9000)
    }

    /// The user's time is over as soon as it can be: a time in the past is refused.
    pub(super) fn shorten(&mut self) -> Operation {
        Operation::Shorten {
            at: within(&mut self.rng, 200..900),
        }
    }

    /// The place of one of the managements.
    pub(super) fn choose_management(&mut self) -> usize {
        self.rng.usize(0..self.apis.len())
    }

    /// Carries out one operation on one person through this management, records what it says and, where it ends access, how long that
    /// takes. Returns whether it was answered that it is done.
    pub(super) async fn operate(
        &mut self,
        worked: &mut Worked,
        at: usize,
        operation: &Operation,
        management: usize,
    ) -> bool {
        let api = self.apis[management].clone();
        let wait = (self.rng.f32() < 0.15).then_some(Duration::from_secs(2));
        let person = &mut worked.people[at];
        let username = person.username.clone();
        let told = format!("{} {username} at {}", operation.kind(), api.base());
        self.timeline.note(format!("{told} ..."));
        let frozen = self.read_only.since();
        let begun = operation
            .ends_access()
            .then(|| self.lists.begin(&username, management).due(operation.due()));
        let held = begun.as_ref().map(Begun::names).unwrap_or_default();
        let mut watch = pin!(async {
            match begun {
                Some(begun) => self.lists.watch(begun, &told).await,
                None => Ended::default(),
            }
        });
        let mut asking = pin!(tokio::time::timeout(PATIENCE, ask(&api, &username, operation, wait)));
        let mut ended = None;
        let asked = tokio::select! {
            asked = &mut asking => asked,
            so_far = &mut watch => {
                ended = Some(so_far);
                asking.await
            }
        };
        let (answer, in_words) = match &asked {
            Ok(Ok(answered)) => (
                judge(answered),
                format!("{} {}", answered.status, brief(operation, answered)),
            ),
            Ok(Err(error)) => (judge_failure(error), error.to_string()),
            Err(_elapsed) => (Some(Answer::Open), "no answer in time".to_owned()),
        };
        self.timeline.note(format!("{told}: {in_words}"));
        let was_frozen = frozen.is_some() && self.read_only.since() == frozen;
        if was_frozen && operation.writes() && promises_what_it_cannot(&asked) {
            let wrong = format!("{told} was answered {in_words} while the database took no changes");
            worked.violations.push(wrong);
        }
        if answer == Some(Answer::ReadOnly) && !operation.writes() {
            worked
                .violations
                .push(format!("{told} changes nothing and was answered {in_words}"));
        }
        let Some(answer) = answer else {
            *worked.counts.entry((operation.kind(), "refused")).or_default() += 1;
            worked.violations.push(format!("{told} was answered {in_words}"));
            return false;
        };
        // Without an answer it may have been carried out.
        if operation.ends_credentials() && matches!(answer, Answer::Done | Answer::Open) {
            self.lists.end(held);
        }
        let how = match answer {
            Answer::Done => "answered",
            Answer::Unknown | Answer::Taken | Answer::Refused => "refused",
            Answer::ReadOnly => "read-only",
            Answer::Open if matches!(&asked, Ok(Ok(answered)) if answered.status == 500) => "failed inside",
            Answer::Open => "open",
            Answer::NotSent => "not sent",
        };
        *worked.counts.entry((operation.kind(), how)).or_default() += 1;
        if let Err(contradiction) = person.note(operation, &answer) {
            worked.violations.push(format!("{contradiction} ({in_words})"));
            return false;
        }
        let Ok(Ok(answered)) = asked else { return false };
        if answer != Answer::Done {
            return false;
        }
        let ended = match ended {
            Some(ended) => ended,
            None => watch.await,
        };
        worked.endings.excused += ended.excused;
        for ending in &ended.judged {
            worked.endings.note_list(ending);
            self.timeline.note(format!(
                "{told}: off the allow-list of node-{} after {} ms",
                ending.node,
                ending.took.as_millis()
            ));
        }
        if *operation == Operation::ReadProfile {
            person.profiles.push(answered.text);
        } else if let Some(Being::Living(known)) = person.certain()
            && Living::shown(&answered.body).as_ref() != Some(known)
        {
            worked.violations.push(format!(
                "{told} was answered {}, and should show {known:?}",
                answered.text
            ));
        }
        true
    }
}

/// A time in so many milliseconds. It has whole ones, because every part stores these exactly.
fn within(rng: &mut Rng, milliseconds: std::ops::Range<i64>) -> DateTime<Utc> {
    let at = Utc::now() + TimeDelta::milliseconds(rng.i64(milliseconds));
    at.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(at)
}

/// Whether a write was answered as done, or as an inner failure, although the database takes no changes.
fn promises_what_it_cannot<E>(asked: &Result<Result<api::Answer, ApiError>, E>) -> bool {
    matches!(asked, Ok(Ok(answered)) if (200..300).contains(&answered.status) || answered.status == 500)
}

async fn ask(
    api: &Api,
    username: &str,
    operation: &Operation,
    wait: Option<Duration>,
) -> Result<api::Answer, ApiError> {
    match operation {
        Operation::Create { expires_at } => {
            let mut body = json!({ "username": username });
            if let Some(at) = expires_at {
                body["expires_at"] = text(*at);
            }
            api.create_user_as(&body, wait).await
        }
        Operation::Suspend => api.change_user(username, &json!({ "active": false }), wait).await,
        Operation::Resume => api.change_user(username, &json!({ "active": true }), wait).await,
        Operation::Expire { at } => {
            let change = json!({ "expires_at": at.map(text) });
            api.change_user(username, &change, wait).await
        }
        Operation::Shorten { at } => {
            let change = json!({ "expires_at": text(*at) });
            api.change_user(username, &change, wait).await
        }
        Operation::Delete => api.delete_user(username, wait).await,
        Operation::Reissue => {
            api.reissue_profile(username, &json!({ "old_profiles": "revoke" }), wait)
                .await
        }
        Operation::ReadProfile => api.get(&format!("/api/users/{username}/profile")).await,
        Operation::Look => api.user(username).await,
    }
}

fn text(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into()
}

/// How the operation ended. `None` for an answer that must never happen.
fn judge(answered: &api::Answer) -> Option<Answer> {
    let conflict = answered.request.starts_with("POST") && answered.text.contains("is taken");
    match answered.status {
        200..300 => Some(Answer::Done),
        404 => Some(Answer::Unknown),
        // The time had passed when the request was read.
        409 if answered.text.contains("must be in the future") => Some(Answer::Refused),
        409 if conflict => Some(Answer::Taken),
        // The profile is not made yet, or its home has lost it.
        409 if answered.request.contains("/profile") => Some(Answer::Refused),
        503 if answered.text.contains(TAKES_NO_CHANGES) => Some(Answer::ReadOnly),
        500..600 => Some(Answer::Open),
        _ => None,
    }
}

fn judge_failure(error: &ApiError) -> Option<Answer> {
    match error {
        ApiError::NoAnswer { source, .. } if source.is_connect() => Some(Answer::NotSent),
        ApiError::NoAnswer { .. } => Some(Answer::Open),
        ApiError::Unexpected { .. } => None,
    }
}

/// The text of the answer for the timeline, but never a profile.
fn brief(operation: &Operation, answered: &api::Answer) -> String {
    if *operation == Operation::ReadProfile && answered.status == 200 {
        return String::new();
    }
    answered.text.chars().take(400).collect()
}
