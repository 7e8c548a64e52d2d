//! Makes the machine as the pool's network wants it, and keeps it so.

use std::{path::PathBuf, time::Duration};

use tokio::sync::watch;
use tracing::{info, warn};
use vpnmanager_nats::network::{AppliedNetwork, Nat, Network, PoolNetwork};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    claim::{Claim, ClaimError},
    error::NetworkError,
    feasible::{Feasible, Lack, feasible},
    forwarding::{Forwarding, ForwardingError},
    nft::{Nft, NftError},
    pushes, rules,
    site::{Site, Tools},
};
use crate::{
    coordination::network_progress::{NetworkProgress, NetworkState},
    openvpn::tunnel::Tunnel,
    pushed_file::Kept,
};

/// How long the start waits until it is known whether an OpenVPN runs, whose tunnel may be another one than the one wanted.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);

static PUT_BACK: LogLimit = LogLimit::lines("something of the pool's network was put back", 3);

/// Keeps the network of the pool on this machine. Nothing of it is undone when the agent ends: OpenVPN goes on.
#[derive(Debug)]
pub struct Keeper {
    site: Site,
    nft: Nft,
    forwarding: Forwarding,
    interfaces: PathBuf,
    told: watch::Receiver<Option<PoolNetwork>>,
    progress: NetworkProgress,
    claimed: String,
    claim: Option<Claim>,
    /// The rules that this run loaded.
    loaded: Option<Loaded>,
    /// Whether forwarding was seen to be on in this run, for IPv6 too or not.
    forwards: Option<bool>,
    /// Nothing of ours is in the firewall.
    is_cleared: bool,
}

/// Rules that were loaded, and how nft prints them.
#[derive(Debug)]
struct Loaded {
    script: String,
    printed: String,
}

impl Keeper {
    /// Of what this progress is told. Changes nothing yet.
    pub fn new(site: Site, tools: Tools, progress: NetworkProgress) -> Self {
        Self {
            site,
            nft: Nft::new(tools.nft),
            forwarding: Forwarding::new(tools.sysctls),
            interfaces: tools.interfaces,
            told: progress.watch(),
            progress,
            claimed: tools.claimed,
            claim: None,
            loaded: None,
            forwards: None,
            is_cleared: false,
        }
    }

    /// The first [`Self::reconcile`] of a run, once it is known whether OpenVPN runs.
    pub async fn begin(&mut self, is_refused: bool) {
        self.site.tunnel.looked_for(LOOKED_WITHIN).await;
        self.reconcile(is_refused).await;
    }

    /// Makes the machine as management wants it, and notes what became of that; true when that is news. A node that must not serve
    /// (`is_refused`) has no network. Before management said anything, what is there stays.
    pub async fn reconcile(&mut self, is_refused: bool) -> bool {
        let told = self.told.borrow_and_update().clone();
        let state = match told.filter(|_| !is_refused) {
            None if is_refused => state(self.end_service().await.map(|()| None), None),
            None => state(self.site.pushed.keep().map(|_| None).map_err(NetworkError::from), None),
            Some(PoolNetwork {
                pool,
                revision,
                network,
            }) => {
                let outcome = match &network {
                    Some(network) => self.apply(network).await,
                    None => self.close().await.map(|()| None),
                };
                state(outcome, Some(AppliedNetwork { pool, revision }))
            }
        };
        let is_news = self.progress.note(state.clone());
        if is_news {
            log(&state);
        }
        is_news
    }

    /// Returns when what management told, or the tunnel, may have changed since the last [`Self::reconcile`].
    pub async fn changed(&mut self) {
        tokio::select! {
            // The keeper holds who tells it, so it cannot end.
            _changed = self.told.changed() => {}
            () = self.site.tunnel.changed() => {}
        }
    }

    /// In this order: nothing is forwarded that is not judged, and nobody is told of a way before there is one.
    async fn apply(&mut self, network: &Network) -> Result<Option<Lack>, NetworkError> {
        let tunnel = self.site.tunnel.current().ok_or(NetworkError::UnknownTunnel)?;
        let Feasible { network, lack } = feasible(network, &tunnel, self.site.tunnel.wanted());
        self.claim()?;
        self.is_cleared = false;

        let script = rules::render(&network, &tunnel, self.site.egress.as_ref());
        self.keep_rules(script).await?;
        let ipv6 = self.keep_forwarding(&tunnel)?;
        if self.site.pushed.set(pushes::render(&network, &tunnel))? == Kept::PutBack {
            put_back("what is pushed to clients");
        }
        ipv6?;
        Ok(lack.or_else(|| self.lacking_egress(network.nat)))
    }

    /// The inner result is that of IPv6: without it there is still a network.
    fn keep_forwarding(&mut self, tunnel: &Tunnel) -> Result<Result<(), ForwardingError>, ForwardingError> {
        let with_ipv6 = tunnel.network6.is_some();
        let ipv4 = self.forwarding.ensure_ipv4()?;
        let ipv6 = match with_ipv6 {
            true => self.forwarding.ensure_ipv6(tunnel),
            false => Ok(false),
        };
        let was_off = ipv4 || matches!(ipv6, Ok(true));
        if was_off && self.forwards == Some(with_ipv6) {
            put_back("forwarding");
        }
        self.forwards = Some(with_ipv6);
        Ok(ipv6.map(drop))
    }

    fn lacking_egress(&self, nat: Nat) -> Option<Lack> {
        let egress = match nat {
            Nat::Masquerade => self.site.egress.as_ref()?,
            Nat::None => return None,
        };
        let is_there = self.interfaces.join(egress.as_str()).exists();
        (!is_there).then(|| Lack::Egress {
            interface: egress.clone(),
        })
    }

    async fn keep_rules(&mut self, script: String) -> Result<(), NftError> {
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.script == script) {
            if self.nft.printed().await?.as_ref() == Some(&loaded.printed) {
                return Ok(());
            }
            put_back("the firewall rules");
        }
        self.nft.load(&script).await?;
        let printed = self.nft.printed().await?.unwrap_or_default();
        self.loaded = Some(Loaded { script, printed });
        Ok(())
    }

    /// The pool has no network any more: nobody is told of a way, and nothing passes. Where there are no rules nothing is made.
    async fn close(&mut self) -> Result<(), NetworkError> {
        let running = self.site.tunnel.current();
        let wanted = self.site.tunnel.wanted();
        // The next OpenVPN may have another one.
        let running = running.as_ref().filter(|running| running.device != wanted.device);
        let devices: Vec<_> = running
            .into_iter()
            .chain([wanted])
            .map(|tunnel| &tunnel.device)
            .collect();
        let script = rules::closed(&devices);
        self.replace_rules(&script).await
    }

    /// The node must not serve: nothing passes while OpenVPN still stops, and then the rules go.
    async fn end_service(&mut self) -> Result<(), NetworkError> {
        if self.site.tunnel.is_running() {
            self.close().await?;
            self.is_cleared = false;
            return Ok(());
        }
        self.replace_rules(&rules::removal()).await
    }

    async fn replace_rules(&mut self, script: &str) -> Result<(), NetworkError> {
        if self.site.pushed.set(String::new())? == Kept::PutBack {
            put_back("what is pushed to clients");
        }
        if self.is_cleared {
            return Ok(());
        }
        match self.claim() {
            Ok(()) => {}
            // The table is that agent's.
            Err(ClaimError::Taken) => return Ok(()),
            Err(error @ ClaimError::Bind(_)) => return Err(error.into()),
        }
        match self.replace_if_there(script).await {
            Ok(()) => {}
            // So no rules were made either.
            Err(NftError::NotInstalled | NftError::NotPermitted) if self.loaded.is_none() => {}
            Err(error) => return Err(error.into()),
        }
        (self.loaded, self.forwards, self.claim) = (None, None, None);
        self.is_cleared = true;
        Ok(())
    }

    /// A machine that has no such table is only looked at.
    async fn replace_if_there(&self, script: &str) -> Result<(), NftError> {
        if self.nft.printed().await?.is_some() {
            self.nft.load(script).await?;
            info!("Ended the firewall rules of the pool's network");
        }
        Ok(())
    }

    fn claim(&mut self) -> Result<(), ClaimError> {
        if self.claim.is_none() {
            self.claim = Some(Claim::take(&self.claimed)?);
        }
        Ok(())
    }
}

fn state(outcome: Result<Option<Lack>, NetworkError>, applied: Option<AppliedNetwork>) -> NetworkState {
    match outcome {
        Ok(None) => NetworkState {
            applied,
            ..NetworkState::default()
        },
        Ok(Some(lack)) => {
            let said = Some(format!("the pool's network is not wholly applied: {lack}"));
            let (fault, lack) = if lack.degrades() { (said, None) } else { (None, said) };
            NetworkState {
                applied: None,
                fault,
                lack,
            }
        }
        Err(error) => NetworkState {
            fault: Some(format!("the pool's network is not applied: {}", chain(&error))),
            ..NetworkState::default()
        },
    }
}

fn log(state: &NetworkState) {
    match state {
        NetworkState {
            fault: Some(reason), ..
        }
        | NetworkState { lack: Some(reason), .. } => {
            warn!(reason, "The network of the pool is not as it should be")
        }
        NetworkState {
            applied: Some(applied), ..
        } => info!(pool = %applied.pool, revision = applied.revision.0, "Applied the network of the pool"),
        NetworkState { .. } => {}
    }
}

fn put_back(what: &'static str) {
    if let Some(times) = PUT_BACK.admit() {
        warn!(
            what,
            times, "Something of the pool's network was changed by another hand, and is put back"
        );
    }
}

#[cfg(test)]
mod tests;
