//! Carries out what was decided about nodes that send more than their budget.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{error_chain::chain, reconcile::Wake};

use crate::{
    app::App,
    ops::nodes::note_excess::{Excess, note_excess},
};

/// A verdict about a node.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) node: NodeId,
    /// What is too much, for people.
    pub(super) what: String,
    pub(super) cut_off: bool,
}

pub(super) async fn run(
    app: App,
    mut judged: mpsc::Receiver<Judged>,
    bus_access: Wake,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            Some(judged) = judged.recv() => carry_out(&app, &judged, &bus_access).await,
            () = stop.cancelled() => return Ok(()),
        }
    }
}

async fn carry_out(app: &App, judged: &Judged, bus_access: &Wake) {
    let Judged { node, what, cut_off } = judged;
    warn!(node.id = %node, what, cut_off, "A node sends more than its budget");
    let excess = Excess {
        node,
        what: what.clone(),
        cut_off_for: cut_off.then_some(app.config.budget.cut_off_for),
    };
    match note_excess(&app.db, &excess).await {
        Ok(true) => {
            if let Err(error) = app.bus_access.enforce(&app.db).await {
                error!(node.id = %node, error = %chain(&error), "Cutting a node off the bus failed, trying again");
            }
            // What it asked for would go on without it. Its next handshake makes another consumer.
            if let Err(error) = app.topology.forget_consumer(node).await {
                warn!(node.id = %node, error = %chain(&error), "The pulls of a node that is cut off wait on");
            }
            // It tries again after a failure, and lets the node in when its time is over.
            bus_access.wake();
        }
        Ok(false) => {}
        Err(error) => warn!(node.id = %node, error = %chain(&error), "Recording the excess of a node failed"),
    }
}
