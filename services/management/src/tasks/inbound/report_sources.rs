//! The reports of one node as a stream, within its budget.

use std::{future::ready, num::NonZeroU32, time::Duration};

use async_nats::jetstream;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use governor::{DefaultDirectRateLimiter, Quota};
use tracing::{debug, warn};
use vpnmanager_nats::{delivery::Delivery, ids::NodeId, topology::TopologyError};
use vpnmanager_runtime::error_chain::chain;

use super::marks::Marks;
use crate::app::App;

/// The most reports of one node that are fetched ahead: a node that sends many delays another by no more than this.
const AHEAD: usize = 128;
/// The budget is given in portions, so many in a second. A node that sends more than its budget is recorded by the portion, in few
/// transactions, and another node's reports wait behind one portion at most: measured at 2,000 a second, one by one they cost PostgreSQL half
/// a core, and ten seconds' worth at once had others wait for seconds.
const PORTIONS: u32 = 16;

/// The reports of one node, until the pull ends.
pub(super) type Source = BoxStream<'static, Delivery>;

/// Why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenSourceError {
    /// The stream or its consumer is not ready.
    #[error("preparing the stream failed")]
    Topology(#[from] TopologyError),
    /// The pull was refused.
    #[error("opening the pull failed")]
    Pull(#[from] jetstream::consumer::StreamError),
}

/// Opens the source of a node, and makes its stream if it is missing. The source ends when its stream or consumer is lost.
pub(super) async fn open(app: &App, node: &NodeId, open: &Marks) -> Result<Source, OpenSourceError> {
    let consumer = app.topology.ensure_reports(node).await?;
    if let Err(error) = app.topology.give_lost_reports_again(node).await {
        warn!(node.id = %node, error = %chain(&error), "Asking for lost reports failed, they are delivered again after the ack wait");
    }
    let rate = app.config.budget.reports;
    // What waits for longer than the ack wait would be delivered again.
    let ahead = usize::try_from(rate.get()).map_or(AHEAD, |rate| rate.saturating_mul(2).min(AHEAD));
    let messages = consumer
        .stream()
        .max_messages_per_batch(ahead)
        .expires(Duration::from_secs(30))
        .heartbeat(Duration::from_secs(5))
        .messages()
        .await?;
    let name = node.clone();
    let whole = messages.scan(open.mark(node), move |_mark, message| {
        // After the loss of the consumer the errors never end: the source is opened again.
        let message = message.inspect_err(|error| {
            debug!(node.id = %name, error = %chain(error), "The pull of a node's reports ended");
        });
        ready(message.ok().map(Delivery::from))
    });
    let portion = NonZeroU32::new(rate.get() / PORTIONS).unwrap_or(NonZeroU32::MIN);
    let pace = DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(portion));
    let paced = stream::unfold((whole.boxed(), pace, 0), move |(mut whole, pace, left)| async move {
        let delivery = whole.next().await?;
        let left = match left {
            0 => {
                // A portion is no more than the burst.
                pace.until_n_ready(portion).await.ok()?;
                portion.get()
            }
            left => left,
        };
        Some((delivery, (whole, pace, left - 1)))
    });
    Ok(paced.boxed())
}
