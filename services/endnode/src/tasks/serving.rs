//! Tells the server whether this node serves. One that must not serve lets nobody in and ends every session, whoever runs the
//! server.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    apply::{Applier, ApplyError, ProjectError},
    backend::{Rest, Serving, VpnBackend as _},
    coordination::readiness::{Readiness, ReadinessState},
    vpn::Vpn,
};

/// How long a start waits for management, so that what was revoked meanwhile is refused before the first login.
/// After that a complete journal serves without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Before a change of the allow-list that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the server what is known, as it changes, until stopped.
pub async fn run(readiness: Readiness, applier: Applier, vpn: Vpn, stop: CancellationToken) -> anyhow::Result<()> {
    let mut states = readiness.watch();
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let (mut waited, mut was_refused) = (false, false);
    let mut last = None;
    while !stop.is_cancelled() {
        let state = states.borrow_and_update().clone();
        let is_refused = state.refused.is_some();
        if was_refused && !is_refused {
            // Readmitted, it waits anew: what was revoked meanwhile is refused first.
            waited = false;
            patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        was_refused = is_refused;
        let serving = state.serving(waited);
        if last != Some(serving) {
            log_change(serving, &state);
            last = match change(serving, &applier, &vpn).await {
                Ok(()) => Some(serving),
                Err(error) => {
                    error!(error = %chain(&error), "The allow-list could not be changed; trying again");
                    None
                }
            };
        }
        tokio::select! {
            changed = states.changed() => changed?,
            () = &mut patience, if !waited && !is_refused => waited = true,
            () = tokio::time::sleep(RETRY), if last.is_none() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// The server hears of it before the allow-list is emptied, so that clients are told to move on and not to give up.
async fn change(serving: Serving, applier: &Applier, vpn: &Vpn) -> Result<(), ApplyError> {
    match serving {
        Serving::Undecided => vpn.set_serving(serving).await,
        Serving::Yes => {
            applier.open().await?;
            vpn.set_serving(serving).await;
        }
        Serving::No => {
            vpn.set_serving(serving).await;
            // Whose file cannot be removed is cut all the same.
            let closed = applier.close().await;
            let ended = vpn.enforce().await.map_err(ProjectError::from);
            closed?;
            let ended = ended?;
            match ended.rest {
                Rest::Nothing | Rest::Pending => {}
                Rest::Unseen => warn!(
                    "OPENVPN_MODE is none: the agent ends no session. Those that are open go on until they are ended where OpenVPN runs"
                ),
            }
        }
    }
    Ok(())
}

fn log_change(serving: Serving, state: &ReadinessState) {
    match serving {
        Serving::Yes => info!(in_sync = state.caught_up, "This node serves"),
        Serving::Undecided => info!(
            complete = state.complete,
            "This node waits for management before it serves"
        ),
        Serving::No => warn!(reason = state.refused, "This node must not serve"),
    }
}
