//! One handshake: the question, and what follows from each answer.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::Envelope,
    groups::Groups,
    network::PoolNetwork,
    subjects,
    sync::{SyncAnswer, SyncReply, SyncRequest},
};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    catch_up::{Ending, Upto, begin_stream, catch_up},
    error::SyncError,
};
use crate::{journal::JournalError, shared::Shared};

static UNKEPT: LogLimit = LogLimit::new("the pool's network could not be journaled");
static UNKEPT_GROUPS: LogLimit = LogLimit::new("the groups could not be journaled");

/// Drift is found and repaired within a minute.
const PERIOD: Duration = Duration::from_secs(30);
/// After everything came again: management should know that the node holds it.
const AT_ONCE: Duration = Duration::ZERO;
/// Between two questions while management publishes everything again.
const PREPARING: Duration = Duration::from_millis(250);
/// Between two questions of a node that must not serve.
const REFUSED: Duration = Duration::from_secs(10);
/// Management may compare much before it answers. One that starts anew prompts, so that nobody waits for one that is gone.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// One handshake to its end. Returns when to have the next one.
pub(super) async fn shake_hands(shared: &Shared, connections: &watch::Receiver<u64>) -> Result<Duration, SyncError> {
    // A command that comes from here on may already belong to the answer.
    shared.progress.restart(Instant::now());
    let SyncReply {
        answer,
        bus,
        network,
        groups,
    } = ask(shared).await?;
    shared.contact.answered(bus);
    if let Some(groups) = groups {
        follow_groups(shared, groups).await;
    }
    if let Some(network) = network {
        follow_network(shared, network).await;
    }
    match answer {
        SyncAnswer::Ok { upto_sequence, stream } => {
            accept(shared).await?;
            begin_stream(&shared.journal, stream).await?;
            let upto = Upto {
                sequence: upto_sequence,
                stream,
            };
            catch_up(shared, upto, Ending::Complete, connections).await?;
            Ok(PERIOD)
        }
        SyncAnswer::Preparing { reason } => {
            debug!(reason, "Management prepares to send everything again");
            accept(shared).await?;
            Ok(PREPARING)
        }
        SyncAnswer::Resync {
            upto_sequence,
            stream,
            reason,
            recorded_upto,
        } => {
            warn!(reason, upto_sequence, "Management sends everything again");
            accept(shared).await?;
            shared.progress.set_recorded_upto(recorded_upto.unwrap_or(0));
            let followed = shared.journal.read(|records| records.snapshot()).await?.stream;
            if followed.is_some() && followed != stream {
                // The consumer that was followed is gone, which the client would notice only by its silence.
                shared.node.wakes.reopen.wake();
            }
            shared.journal.write(|records| records.restart_sequence()).await?;
            let upto = Upto {
                sequence: upto_sequence,
                stream,
            };
            catch_up(shared, upto, Ending::Sweep, connections).await?;
            Ok(AT_ONCE)
        }
        SyncAnswer::Refused { reason } => {
            shared.readiness.retire(&shared.journal, &reason).await?;
            Ok(REFUSED)
        }
    }
}

/// What management says of the pool's network takes effect, also when the journal does not take it: that keeps nobody from being refused.
async fn follow_network(shared: &Shared, network: PoolNetwork) {
    if let Err(error) = shared.network.told(&shared.journal, network).await
        && let Some(times) = UNKEPT.admit()
    {
        warn!(error = %chain(&error), times, "The network of the pool could not be journaled");
    }
}

/// The same of what management says of the groups.
async fn follow_groups(shared: &Shared, groups: Groups) {
    if let Err(error) = shared.definitions.tell(&shared.journal, groups).await
        && let Some(times) = UNKEPT_GROUPS.admit()
    {
        warn!(error = %chain(&error), times, "The groups could not be journaled");
    }
}

async fn ask(shared: &Shared) -> Result<SyncReply, SyncError> {
    loop {
        tokio::select! {
            reply = ask_once(shared) => return reply,
            () = shared.node.wakes.prompt.woken() => {}
        }
    }
}

async fn ask_once(shared: &Shared) -> Result<SyncReply, SyncError> {
    // Taken before the journal is read: what is applied meanwhile may be missing from the digest.
    let at = Utc::now();
    let (snapshot, tally, queued_intents) = shared
        .journal
        .read(|records| Ok((records.snapshot()?, records.tally()?, records.count_queued_intents()?)))
        .await?;
    let question = Envelope::new(SyncRequest {
        node: shared.node.id.clone(),
        instance: shared.node.instance,
        // 0 unless the journal follows a store: commands that a new journal took before its first answer may begin in the middle,
        // and a snapshot that was cut short may lack any of them.
        last_sequence: snapshot.stream.map_or(0, |_| snapshot.last_sequence),
        users: tally.users,
        digest: tally.digest,
        complete: snapshot.complete,
        stream: snapshot.stream,
        queued_intents,
        unsettled: shared.progress.unsettled() as u64,
        endpoint: Some(shared.endpoint.clone()),
        at,
    });
    let request = async_nats::Request::new()
        .payload(question.encode())
        .timeout(Some(REQUEST_TIMEOUT));
    let reply = shared
        .bus
        .send_request(subjects::sync(&shared.node.id), request)
        .await
        .inspect_err(|_| shared.contact.unanswered())?;
    Ok(Envelope::<SyncReply>::decode(&reply.payload)?.body)
}

/// Management lets this node serve: intents and events that waited are sent.
async fn accept(shared: &Shared) -> Result<(), JournalError> {
    shared.node.wakes.intents.wake();
    shared.node.wakes.events.wake();
    if shared.readiness.refusal().is_some() {
        shared.journal.write(|records| records.set_refused(None)).await?;
        shared.readiness.accept();
    }
    Ok(())
}
