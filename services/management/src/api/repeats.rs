//! Requests with an `Idempotency-Key`, kept in the database for all replicas.

use std::convert::Infallible;
use std::time::Duration;

use poem::Response;
use sea_orm::DbErr;
use tokio::sync::oneshot;
use tracing::{Instrument as _, warn};
use vpnmanager_openapi::auth::Named;
use vpnmanager_openapi::idempotency::{AnswerStore, Claim, Claimed, Done, Kept, KeyedRequest, Storing, Work};
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use super::failure;
use crate::app::App;
use crate::ops::idempotency::room::Room;
use crate::ops::idempotency::times::RENEW_EVERY;
use crate::ops::idempotency::{claim, settle};
use crate::ops::keys::authenticate::Operator;

/// A claim that the database does not settle is tried again so often, in about five minutes: after that it is away for longer.
const SETTLED_AGAIN: u32 = 100;
const PAUSE: Duration = Duration::from_secs(3);

static NOT_SETTLED: LogLimit = LogLimit::new("the answer to a request with an Idempotency-Key was not recorded");
static NOT_RENEWED: LogLimit = LogLimit::new("a claim of a request with an Idempotency-Key was not renewed");

/// Keeps answers in the database.
#[derive(Debug)]
pub(super) struct KeptAnswers {
    app: App,
    room: Room,
}

impl KeptAnswers {
    pub(super) fn new(app: App) -> Self {
        let room = Room::default();
        Self { app, room }
    }
}

impl Named for Operator {
    fn name(&self) -> &str {
        &self.name
    }
}

impl AnswerStore for KeptAnswers {
    fn claim(&self, request: KeyedRequest) -> Storing<'_, Claimed> {
        Box::pin(async move {
            let of_database = |error: DbErr| failure::database(&self.app, error);
            let db = &self.app.leases;
            if !self.room.has_room(db, &request.caller).await.map_err(of_database)? {
                let known = claim::look(db, &request).await.map_err(of_database)?;
                return known.ok_or_else(failure::no_room_for_answers);
            }
            claim::claim(db, &self.app.config.server_id, request)
                .await
                .map_err(of_database)
        })
    }

    /// As a task of its own: a caller who does not wait any longer is the one who sends the request again.
    fn work(&self, claim: Claim, work: Work) -> Storing<'_, Response> {
        let (app, (tell, told)) = (self.app.clone(), oneshot::channel());
        let job = async move {
            let Done { response, kept } = renewing(&app, &claim, work).await;
            let is_settled = settled(&app, &claim, &kept).await;
            // The caller may be gone. It is not kept waiting for a database that is away.
            let _gone = tell.send(response);
            if !is_settled {
                settle_later(&app, &claim, &kept).await;
            }
            anyhow::Ok(())
        };
        self.app.tasks.spawn_job("keyed-request", job.in_current_span());
        Box::pin(async move { told.await.map_err(|_ended| failure::stopping()) })
    }
}

/// Does the work, and says meanwhile that it is being done.
async fn renewing(app: &App, claim: &Claim, work: Work) -> Done {
    tokio::select! {
        done = work => done,
        never = renew_on(app, claim) => match never {},
    }
}

async fn renew_on(app: &App, claim: &Claim) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = settle::renew(&app.leases, claim).await
            && let Some(times) = NOT_RENEWED.admit()
        {
            warn!(error = %chain(&error), times, "A claim of a request with an Idempotency-Key was not renewed");
        }
    }
}

async fn settled(app: &App, claim: &Claim, kept: &Kept) -> bool {
    let Err(error) = settle::settle(&app.leases, claim, kept).await else {
        return true;
    };
    if let Some(times) = NOT_SETTLED.admit() {
        warn!(
            error = %chain(&error), times,
            "The answer to a request with an Idempotency-Key is not recorded yet: whoever repeats it is told that nobody knows how it ended"
        );
    }
    false
}

async fn settle_later(app: &App, claim: &Claim, kept: &Kept) {
    let stopping = app.tasks.token();
    for _ in 0..SETTLED_AGAIN {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if settled(app, claim, kept).await {
            return;
        }
    }
}
