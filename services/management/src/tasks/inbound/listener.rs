//! Listens to one node, within its budget.

use std::{num::NonZeroU32, pin::pin, time::Instant};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{join, sync::mpsc};
use tokio_util::sync::CancellationToken;
use vpnmanager_nats::{ids::NodeId, subjects::FromNode};

use super::{
    heartbeats, intents,
    requests::{self, Lane},
    shared::Shared,
    signs, syncs,
    verdicts::Judged,
};
use crate::{
    config::BudgetConfig,
    domain::conduct::{Conduct, Verdict},
};

/// This many seconds' worth of a budget may come at once. Of what waits, one second's worth is answered at once: more would only be more work
/// at once.
const BURST_SECONDS: u32 = 10;
/// The kinds of requests: how many of one node may wait, and how many are answered at the same time. A node has one handshake under way;
/// it sends local requests one after the other, but many certificate requests at once. Two of those are as many as one batch of signatures
/// takes (`ops/credentials/sign.rs`): another node's waits behind no more.
const SYNCS: Lane = Lane { waiting: 2, at_once: 1 };
const SIGNS: Lane = Lane {
    waiting: 32,
    at_once: 2,
};
const INTENTS: Lane = Lane { waiting: 8, at_once: 1 };

/// The requests of one kind, on their way to whoever answers them.
struct Requests {
    waiting: mpsc::Sender<Message>,
    budget: DefaultDirectRateLimiter,
    what: &'static str,
}

fn limiter(per_second: NonZeroU32) -> DefaultDirectRateLimiter {
    let burst = per_second.saturating_mul(const { NonZeroU32::new(BURST_SECONDS).unwrap() });
    RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst))
}

/// Listens until `stop`.
pub(super) async fn run(shared: Shared, node: NodeId, subscriber: Subscriber, stop: CancellationToken) {
    let budget = shared.app.config.budget;
    let (syncs, mut due_syncs) = SYNCS.queue();
    let (signs, mut due_signs) = SIGNS.queue();
    let (intents, mut due_intents) = INTENTS.queue();
    let sorter = Sorter {
        node: &node,
        shared: &shared,
        conduct: Conduct::new(budget.cut_off_after.get(), Instant::now()),
        heartbeats: limiter(budget.heartbeats),
        bytes: limiter(budget.bytes),
        syncs: Requests {
            waiting: syncs,
            budget: limiter(budget.syncs),
            what: "sync requests",
        },
        signs: Requests {
            waiting: signs,
            budget: limiter(budget.signs),
            what: "signing requests",
        },
        intents: Requests {
            waiting: intents,
            budget: limiter(budget.intents),
            what: "local requests",
        },
    };
    let pace = |rate: fn(&BudgetConfig) -> NonZeroU32| RateLimiter::direct(Quota::per_second(rate(&budget)));
    join!(
        sorter.sort(subscriber, stop),
        requests::serve(
            &shared,
            &node,
            &mut due_syncs,
            SYNCS,
            pace(|budget| budget.syncs),
            syncs::answer
        ),
        requests::serve(
            &shared,
            &node,
            &mut due_signs,
            SIGNS,
            pace(|budget| budget.signs),
            signs::answer
        ),
        requests::serve(
            &shared,
            &node,
            &mut due_intents,
            INTENTS,
            pace(|budget| budget.intents),
            intents::answer
        ),
    );
}

/// Takes what the node sends as fast as it comes, and waits for nothing.
struct Sorter<'a> {
    node: &'a NodeId,
    shared: &'a Shared,
    conduct: Conduct,
    heartbeats: DefaultDirectRateLimiter,
    bytes: DefaultDirectRateLimiter,
    syncs: Requests,
    signs: Requests,
    intents: Requests,
}

impl Sorter<'_> {
    async fn sort(mut self, subscriber: Subscriber, stop: CancellationToken) {
        let mut messages = pin!(subscriber.take_until(stop.cancelled_owned()));
        while let Some(message) = messages.next().await {
            let Some(kind) = FromNode::parse(&message.subject) else {
                self.drop_one("messages on unknown subjects");
                continue;
            };
            if !self.has_room_for(message.payload.len()) {
                self.drop_one("bytes");
                continue;
            }
            match kind {
                FromNode::Health(_) => self.take_heartbeat(&message),
                FromNode::Sync(_) => self.queue(|sorter| &sorter.syncs, message),
                FromNode::Sign(_) => self.queue(|sorter| &sorter.signs, message),
                FromNode::Intent(_) => self.queue(|sorter| &sorter.intents, message),
                FromNode::Ack(..) | FromNode::Event(_) | FromNode::Sessions(_) => {
                    self.drop_one("reports outside of the stream")
                }
            }
        }
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        NonZeroU32::new(bytes).is_none_or(|bytes| matches!(self.bytes.check_n(bytes), Ok(Ok(()))))
    }

    fn take_heartbeat(&mut self, message: &Message) {
        if self.heartbeats.check().is_err() {
            return self.drop_one("heartbeats");
        }
        let taken = heartbeats::read(self.node, &message.payload).is_some_and(|heard| self.shared.mailbox.put(heard));
        if !taken {
            self.drop_one("heartbeats");
        }
    }

    /// A request for which there is no room is dropped, and the node asks again. That is held against the node only when it sends more than its
    /// budget: else the answers are slow, as while the database stands still.
    fn queue(&mut self, kind: fn(&Self) -> &Requests, message: Message) {
        let requests = kind(self);
        let what = requests.what;
        let is_within_budget = requests.budget.check().is_ok();
        if requests.waiting.try_send(message).is_err() && !is_within_budget {
            self.drop_one(what);
        }
    }

    fn drop_one(&mut self, what: &'static str) {
        if let Some(verdict) = self.conduct.drop_one(Instant::now()) {
            let (dropped, cut_off) = match verdict {
                Verdict::Dropped { dropped } => (dropped, false),
                Verdict::CutOff { dropped } => (dropped, true),
            };
            let judged = Judged {
                node: self.node.clone(),
                what: format!("it sends too many {what}: {dropped} were dropped in 10 s"),
                cut_off,
            };
            // When there is no room, the next verdict says the same.
            self.shared.verdicts.try_send(judged).ok();
        }
    }
}
