//! Requests with an `Idempotency-Key`, kept in the journal.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use poem::Response;
use tokio::sync::oneshot;
use tracing::{Instrument as _, warn};
use vpnmanager_openapi::{
    auth::Named,
    idempotency::{AnswerStore, Claim, Claimed, Done, Kept, KeyedRequest, Storing, Work},
    problem::ApiError,
};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit, tasks::Tasks};

use super::{
    access::Operator,
    local::{LocalNode, internal},
};
use crate::journal::Known;

/// When there may be room again for who was refused for lack of it: requests are known for a day.
const ROOM_IN: Duration = Duration::from_secs(60 * 60);

static NOT_SETTLED: LogLimit = LogLimit::new("the answer to a request with an Idempotency-Key was not journaled");

/// Keeps answers in the journal of the node.
#[derive(Debug)]
pub(super) struct KeptAnswers {
    node: LocalNode,
    tasks: Tasks,
    under_way: UnderWay,
}

/// The claims that this process works on. Nobody works on any other that has no answer: an agent before this one was stopped meanwhile, or the
/// journal did not take the answer.
#[derive(Debug, Clone, Default)]
struct UnderWay(Arc<Mutex<HashSet<i64>>>);

impl UnderWay {
    fn claims(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptAnswers {
    pub(super) fn new(node: LocalNode, tasks: Tasks) -> Self {
        Self {
            node,
            tasks,
            under_way: UnderWay::default(),
        }
    }

    async fn look(&self, request: KeyedRequest, id: i64) -> Result<Claimed, ApiError> {
        let (asked, journal) = (request.clone(), &self.node.shared()?.journal);
        let known = journal.write(move |records| records.claim_request(&asked, id, Utc::now()));
        match known.await.map_err(internal)? {
            Known::Nothing => Ok(Claimed::New(Claim { request, id })),
            Known::NoRoom => Err(no_room()),
            Known::Claimed(claim) if self.under_way.claims().contains(&claim) => Ok(Claimed::UnderWay),
            Known::Claimed(_) => Ok(Claimed::Unknown),
            Known::Answered(answer) => Ok(Claimed::Answered(answer)),
            Known::Another => Ok(Claimed::Another),
        }
    }
}

/// There is one key, and root at the socket: both are the operator of this node.
impl Named for Operator {
    fn name(&self) -> &str {
        "operator"
    }
}

impl AnswerStore for KeptAnswers {
    fn claim(&self, request: KeyedRequest) -> Storing<'_, Claimed> {
        Box::pin(async move {
            let id = fastrand::i64(..);
            // Before the journal has it: whoever finds it there must find it here.
            self.under_way.claims().insert(id);
            let claimed = self.look(request, id).await;
            if !matches!(claimed, Ok(Claimed::New(_))) {
                self.under_way.claims().remove(&id);
            }
            claimed
        })
    }

    /// As a task of its own: a caller who does not wait any longer is the one who sends the request again.
    fn work(&self, claim: Claim, work: Work) -> Storing<'_, Response> {
        let (node, under_way) = (self.node.clone(), self.under_way.clone());
        let (tell, told) = oneshot::channel();
        let job = async move {
            let Done { response, kept } = work.await;
            let id = claim.id;
            settle(&node, claim, kept).await;
            under_way.claims().remove(&id);
            // The caller may be gone.
            let _gone = tell.send(response);
            anyhow::Ok(())
        };
        self.tasks.spawn_job("keyed-request", job.in_current_span());
        Box::pin(async move { told.await.map_err(|_ended| stopping()) })
    }
}

async fn settle(node: &LocalNode, claim: Claim, kept: Kept) {
    let settled = match node.shared_if_enrolled() {
        Some(shared) => {
            shared
                .journal
                .write(move |records| records.settle_request(&claim, &kept))
                .await
        }
        // It was claimed in the journal, so it is there.
        None => return,
    };
    if let Err(error) = settled
        && let Some(times) = NOT_SETTLED.admit()
    {
        warn!(
            error = %chain(&error), times,
            "The answer to a request with an Idempotency-Key was not journaled: whoever repeats it is told that nobody knows how it ended"
        );
    }
}

fn no_room() -> ApiError {
    ApiError::too_many_requests(
        "this node has got as many requests with an Idempotency-Key as it knows for a day: send fewer, or this one without it",
        ROOM_IN,
    )
}

fn stopping() -> ApiError {
    ApiError::unavailable("the agent is stopping: ask again once it has started")
}
