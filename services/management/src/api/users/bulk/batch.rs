//! `POST /api/users:batch`.

use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use vpnmanager_openapi::Clearable;

use super::answers::{Counts, Refusal, repeated};
use super::batch_limits::BatchLimits;
use super::entry::{Action, End, Entry};
use super::run::{self, ItemResult, Listed, Turns};
use crate::api::users::reissue::OldProfiles;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::users::operation::Outcome;

/// What to do with many users.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct UserBatch {
    /// What to do, 1 to 10,000 items.
    #[oai(validator(min_items = 1, max_items = 10000))]
    items: Vec<BatchItem>,
}

/// What to do with one user. A value that is not good fails this item only.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct BatchItem {
    /// What to do.
    action: Action,
    /// The name: a letter or digit, then letters, digits, `.`, `_`, `@` or `-`. Not the word DEFAULT.
    username: String,
    /// For `create` and `change`. `false`: the user is suspended. A user who is created is not, unless it is said here.
    active: Option<bool>,
    /// For `create` and `change`. When access ends, an RFC 3339 time in the future; `null`: it does not end by itself. Left out of a `create`: as
    /// the `lifetime` of the group says.
    expires_at: Clearable<String>,
    /// For `create` and `change`. The group; `default` when it is left out of a `create`.
    group: Option<String>,
    /// For `create` and `change`. Own values of the user; `null` takes all of them away.
    limits: Clearable<BatchLimits>,
    /// For `create`. The home server, which must not be lost; management chooses one when it is left out.
    server_id: Option<String>,
    /// For `reissue`. The device; all devices of the user when it is left out.
    device: Option<String>,
    /// For `reissue`. What happens to the profiles that the devices already have; `keep` when it is left out.
    old_profiles: Option<OldProfiles>,
    /// For `reissue`. An RFC 3339 time that has passed: a device that got a profile of its home server at this time or later gets no other one,
    /// so that a list may be sent again. Left out: each device gets one, each time.
    made_before: Option<String>,
}

/// What became of each item.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct BatchAnswer {
    /// One for each item, in the order of the request.
    results: Vec<BatchResult>,
    #[oai(flatten)]
    counts: Counts,
}

/// What became of one item.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct BatchResult {
    /// The place of the item in the request, from 0.
    index: u32,
    /// The name in the item.
    username: String,
    /// As the operation for one user answers: 201 for a user that was created, 200 for other items that were done; else see `error`.
    status: u16,
    /// Why it was not done; absent if it was.
    error: Option<Refusal>,
}

/// Does a batch.
pub(super) async fn run_batch(app: &App, turns: &Turns, actor: &Actor, batch: UserBatch) -> BatchAnswer {
    let names: Vec<String> = batch.items.iter().map(|item| repeated(&item.username)).collect();
    let list = batch.items.into_iter().map(|item| Listed {
        username: item.username.clone(),
        operation: item.into_entry().into_operation(actor),
    });
    let done = run::run(app, turns, actor, list.collect()).await;
    BatchAnswer::new(names, done)
}

impl BatchItem {
    fn into_entry(self) -> Entry {
        Entry {
            action: self.action,
            username: self.username,
            active: self.active,
            expires_at: match self.expires_at.0 {
                MaybeUndefined::Undefined => End::LeftOut,
                MaybeUndefined::Null => End::Never,
                MaybeUndefined::Value(text) => End::At(text),
            },
            server_id: self.server_id,
            group: self.group,
            limits: BatchLimits::said(self.limits),
            device: self.device,
            old_profiles: self.old_profiles,
            made_before: self.made_before,
        }
    }
}

impl BatchAnswer {
    fn new(names: Vec<String>, done: Vec<ItemResult>) -> Self {
        let counts = Counts::of(&done);
        let results = (0..).zip(names).zip(done);
        let results = results.map(|((index, username), result)| BatchResult::new(index, username, &result));
        Self {
            results: results.collect(),
            counts,
        }
    }
}

impl BatchResult {
    fn new(index: u32, username: String, result: &ItemResult) -> Self {
        let (status, error) = match result {
            Ok(Outcome::Created) => (201, None),
            Ok(Outcome::Changed | Outcome::Reissued | Outcome::Removed | Outcome::Unchanged) => (200, None),
            Err(error) => {
                let (status, refusal) = Refusal::of(error);
                (status, Some(refusal))
            }
        };
        Self {
            index,
            username,
            status,
            error,
        }
    }
}

impl Example for UserBatch {
    fn example() -> Self {
        let item = |action, username: &str| BatchItem {
            action,
            username: username.to_owned(),
            active: None,
            expires_at: Clearable(MaybeUndefined::Undefined),
            group: None,
            limits: Clearable(MaybeUndefined::Undefined),
            server_id: None,
            device: None,
            old_profiles: None,
            made_before: None,
        };
        Self {
            items: vec![
                BatchItem {
                    expires_at: Clearable(MaybeUndefined::Value("2030-03-17T17:46:40Z".to_owned())),
                    ..item(Action::Create, "alice")
                },
                BatchItem {
                    active: Some(false),
                    ..item(Action::Change, "bob")
                },
                BatchItem {
                    device: Some("laptop".to_owned()),
                    old_profiles: Some(OldProfiles::Revoke),
                    made_before: Some("2026-11-18T09:00:00Z".to_owned()),
                    ..item(Action::Reissue, "erin")
                },
                item(Action::Remove, "carol"),
            ],
        }
    }
}

impl Example for BatchAnswer {
    fn example() -> Self {
        let (status, refusal) = Refusal::example();
        let results = vec![
            BatchResult::new(0, "alice".to_owned(), &Ok(Outcome::Created)),
            BatchResult {
                index: 1,
                username: "bob".to_owned(),
                status,
                error: Some(refusal),
            },
        ];
        let counts = Counts {
            created: 1,
            failed: 1,
            ..Counts::default()
        };
        Self { results, counts }
    }
}
