//! `/api/endnodes/{server_id}/reissue`: new profiles for all users of an end-node, and how far they are.

use chrono::{DateTime, SubsecRound as _, Utc};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use serde_json::Value;
use vpnmanager_entities::node_reissue;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use crate::api::failure;
use crate::api::users::OldProfiles;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::reissues::start::Lost;
use crate::ops::reissues::{read, start, stop};

/// What counts as lost, and what happens to it.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct ReissueAll {
    /// The profiles that the users have.
    #[oai(default)]
    old_profiles: OldProfiles,
    /// A time that has passed: what the end-node made at this time or later counts for nothing that is lost, so that a request may be sent again,
    /// and older profiles may be revoked once the users have newer ones. Left out: all that it has made.
    #[oai(default)]
    made_before: Option<Timestamp>,
}

impl ReissueAll {
    fn lost(&self) -> Result<Lost, ApiError> {
        // PostgreSQL keeps microseconds.
        let made_before = self.made_before.map(|before| before.to_utc().trunc_subsecs(6));
        if made_before.is_some_and(|before| before > Utc::now()) {
            return Err(ApiError::conflict("made_before", "must not be in the future"));
        }
        Ok(Lost {
            old: self.old_profiles.into(),
            made_before,
        })
    }
}

impl Example for ReissueAll {
    fn example() -> Self {
        Self {
            old_profiles: OldProfiles::Keep,
            made_before: None,
        }
    }
}

/// How far new profiles for all users of an end-node are.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct EndnodeReissue {
    /// The end-node.
    server_id: String,
    /// What happens to the profiles that the users have.
    old_profiles: OldProfiles,
    /// Only what the end-node made before this time counts as lost; absent if all does.
    made_before: Option<Timestamp>,
    /// Users who had a profile that the end-node made, when it was asked for.
    total: u64,
    /// Users who had their turn, also those of `failed`. Their home servers make the profiles afterwards: `synced` of a user says when they are there.
    done: u64,
    /// Those of them who needed nothing: they have newer profiles of another home, or were removed.
    unchanged: u64,
    /// Users of whom the database refused the change. What is wrong is in management's log.
    failed: u64,
    /// The names of the first 10 of them.
    failed_users: Vec<String>,
    /// When it was asked for.
    started_at: Timestamp,
    /// When it ended; absent while it goes on.
    ended_at: Option<Timestamp>,
    /// Whether it was stopped before all users had their turn.
    stopped: bool,
}

#[derive(Debug, ApiResponse)]
pub(super) enum ReissueStarted {
    /// It is recorded, and goes on in the background.
    #[oai(status = 202)]
    Accepted(Json<EndnodeReissue>),
}

pub(super) async fn start(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    body: &ReissueAll,
) -> Result<ReissueStarted, ApiError> {
    start::start_reissue(app, actor, node, &body.lost()?)
        .await
        .map(|job| ReissueStarted::Accepted(Json(EndnodeReissue::of(&job))))
        .map_err(|error| failure::nodes::of_start_reissue(app, error))
}

pub(super) async fn get(app: &App, node: &NodeId) -> Result<EndnodeReissue, ApiError> {
    read::read_reissue(&app.db, node)
        .await
        .map(|job| EndnodeReissue::of(&job))
        .map_err(|error| failure::nodes::of_node_reissue(app, error))
}

pub(super) async fn stop(app: &App, actor: &Actor, node: &NodeId) -> Result<EndnodeReissue, ApiError> {
    stop::stop_reissue(app, actor, node)
        .await
        .map(|job| EndnodeReissue::of(&job))
        .map_err(|error| failure::nodes::of_node_reissue(app, error))
}

impl EndnodeReissue {
    fn of(job: &node_reissue::Model) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let names = job.failed_users.as_array().into_iter().flatten();
        Self {
            server_id: job.server_id.to_string(),
            old_profiles: job.old_profiles.into(),
            made_before: job.made_before.map(Timestamp::from),
            total: count(job.total),
            done: count(job.done),
            unchanged: count(job.unchanged),
            failed: count(job.failed),
            failed_users: names.filter_map(Value::as_str).map(str::to_owned).collect(),
            started_at: job.started_at.into(),
            ended_at: job.ended_at.map(Timestamp::from),
            stopped: job.stopped,
        }
    }
}

impl Example for EndnodeReissue {
    fn example() -> Self {
        Self {
            server_id: "endnode-1".to_owned(),
            old_profiles: OldProfiles::Keep,
            made_before: None,
            total: 1200,
            done: 800,
            unchanged: 3,
            failed: 0,
            failed_users: Vec::new(),
            started_at: DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default().into(),
            ended_at: None,
            stopped: false,
        }
    }
}
