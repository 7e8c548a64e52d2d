//! Makes the machine as the pool's network and the rules of groups want it, and keeps it so.

mod pushing;
mod put_back;
mod state;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::info;
use vpnmanager_nats::{
    groups::Groups,
    network::{AppliedNetwork, Nat, Network, PoolNetwork},
};

use self::{put_back::put_back, state::Lacks};
use super::{
    error::NetworkError,
    feasible::{Feasible, Lack, feasible},
    firewall::{Firewall, Loading, Way},
    forwarding::{Forwarding, ForwardingError},
    mtu::DeviceMtus,
    roster::Roster,
    rules,
    site::{Site, Tools},
    tunnels::{one_has_ipv6, overlapping},
};
use crate::{
    coordination::network_progress::NetworkProgress,
    groups::Enforced,
    openvpn::{ManagedTunnel, tunnel::Tunnel},
};

/// How long the start waits until it is known whether an OpenVPN runs, whose tunnel may be another one than the one wanted.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);

/// Keeps the network of the pool on this machine, and holds members of groups to their rules. Nothing of it is undone when the agent ends:
/// OpenVPN goes on.
#[derive(Debug)]
pub struct Keeper {
    site: Site,
    firewall: Firewall,
    forwarding: Forwarding,
    mtus: DeviceMtus,
    interfaces: PathBuf,
    told: watch::Receiver<Option<PoolNetwork>>,
    defined: watch::Receiver<Option<Arc<Groups>>>,
    placed: watch::Receiver<u64>,
    progress: NetworkProgress,
    /// Whether forwarding was seen to be on in this run, for IPv6 too or not.
    forwards: Option<bool>,
    held: Held,
    /// Of each listener, whether this run has loaded rules of the group `default` for the tunnel that its next OpenVPN has.
    holds_default: Vec<bool>,
}

/// Whether members of groups are held to their rules, by the last look.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// The firewall judges every fixed address.
    is_enforced: bool,
    /// It has the rules of all groups, as far as somebody is to be held to them.
    is_applied: bool,
}

impl Keeper {
    /// Of what this progress is told. Changes nothing yet.
    pub fn new(site: Site, tools: Tools, progress: NetworkProgress) -> Self {
        Self {
            firewall: Firewall::new(tools.nft, tools.claimed),
            forwarding: Forwarding::new(tools.sysctls),
            mtus: DeviceMtus::new(tools.ip, site.mtus.clone()),
            interfaces: tools.interfaces,
            told: progress.watch(),
            defined: site.definitions.watch(),
            placed: site.places.watch(),
            progress,
            forwards: None,
            held: Held::default(),
            holds_default: Vec::new(),
            site,
        }
    }

    /// The first [`Self::reconcile`] of a run, once it is known whether OpenVPN runs.
    pub async fn begin(&mut self, is_refused: bool) {
        self.site.tunnels.looked_for(LOOKED_WITHIN).await;
        self.reconcile(is_refused).await;
    }

    /// Makes the machine as management wants it, and notes what became of that; true when that is news. A node that must not serve
    /// (`is_refused`) has no network. Before management said anything, what is there stays.
    pub async fn reconcile(&mut self, is_refused: bool) -> bool {
        let told = self.told.borrow_and_update().clone().filter(|_| !is_refused);
        let roster = self.roster();
        self.site.places.set_divided(&self.divided());
        self.held = Held::default();
        let outcome = match &told {
            None if is_refused => self.end_service(&roster).await,
            None => self.do_without_network(&roster, false).await,
            Some(PoolNetwork {
                network: Some(network), ..
            }) => self.apply(network, &roster).await,
            Some(PoolNetwork { network: None, .. }) => self.do_without_network(&roster, true).await,
        };
        let is_held_anew = self.note_held(&roster);
        // Behind that: nobody who is held waits for it.
        let mtu = self.keep_mtu(told.as_ref()).await;
        let mut lacks = outcome.unwrap_or_else(Lacks::from);
        lacks.faults.extend(mtu.err());
        let applied = told.map(|told| AppliedNetwork {
            pool: told.pool,
            revision: told.revision,
        });
        let state = state::of(lacks, applied);
        let is_news = self.progress.note(state.clone());
        if is_news {
            state::log(&state);
        }
        is_news || is_held_anew
    }

    /// Returns when what management told, who has which address, or a tunnel or its device may have changed since the last [`Self::reconcile`].
    pub async fn changed(&mut self) {
        tokio::select! {
            // The keeper holds who tells these, so they cannot end.
            _changed = self.told.changed() => {}
            _changed = self.defined.changed() => {}
            _changed = self.placed.changed() => {}
            () = self.site.tunnels.changed() => {}
            () = self.mtus.set_up() => {}
        }
    }

    fn roster(&mut self) -> Roster {
        // Before they are asked: what comes in between is asked again.
        let change = *self.placed.borrow_and_update();
        Roster {
            told: self.defined.borrow_and_update().clone(),
            blocks: self.site.places.blocks(),
            change,
            layout: self.site.places.layout(),
        }
    }

    /// Says whether members are held to their rules. True when that is news.
    fn note_held(&self, roster: &Roster) -> bool {
        let enforced = match (self.held.is_enforced, self.firewall.is_lost()) {
            (true, _) => Enforced::Held,
            (false, true) => Enforced::Gone,
            (false, false) => Enforced::Broken,
        };
        self.site.places.note_enforced(enforced, roster.change);
        let applied = roster.revision().filter(|_| self.held.is_applied);
        let holds_default: &[bool] = match self.firewall.is_lost() {
            true => &[],
            false => &self.holds_default,
        };
        self.site.definitions.note_default(holds_default);
        let is_news = self.site.definitions.note_applied(applied);
        if let Some(revision) = applied.filter(|_| is_news) {
            info!(revision = revision.0, "Applied the rules of groups");
        }
        is_news
    }

    /// In this order: nothing is forwarded that is not judged, and nobody is told of a way before there is one.
    async fn apply(&mut self, network: &Network, roster: &Roster) -> Result<Lacks, NetworkError> {
        let tunnels = self.site.tunnels.current().ok_or(NetworkError::UnknownTunnel)?;
        self.keep_apart(&tunnels, Way::Judged).await?;
        let Feasible { network, lack } = feasible(network, &tunnels, self.site.tunnels.wanted());

        let members = roster.members(&tunnels);
        let script = rules::render(&network, &tunnels, &members, self.site.egress.as_ref());
        self.keep_rules(script, Way::Judged, roster).await?;
        let lack_of_addresses = self.hold(&tunnels, roster);
        let ipv6 = self.keep_forwarding(&tunnels)?;
        let lack_of_routes = self.push(&network, &tunnels, roster)?;
        Ok(Lacks {
            network: lack.or_else(|| self.lacking_egress(network.nat)),
            groups: lack_of_addresses.or(lack_of_routes),
            faults: ipv6.err().map(NetworkError::from).into_iter().collect(),
        })
    }

    /// The pool has no network, or nothing is known of it (`is_told`). Members of groups pass nothing, and reach of the node what they may.
    async fn do_without_network(&mut self, roster: &Roster, is_told: bool) -> Result<Lacks, NetworkError> {
        let pushed = self.push_nothing(roster, is_told);
        // Also where nobody could be told that there is no way any more.
        let groups = self.judge_without_network(roster, is_told).await?;
        pushed?;
        Ok(Lacks {
            groups,
            ..Lacks::default()
        })
    }

    async fn judge_without_network(&mut self, roster: &Roster, is_told: bool) -> Result<Option<Lack>, NetworkError> {
        if !roster.needs_rules() {
            if is_told {
                self.close().await?;
            }
            self.holds_default.clear();
            self.held.is_applied = true;
            return Ok(None);
        }
        let tunnels = self.site.tunnels.current().ok_or(NetworkError::UnknownTunnel)?;
        let way = self.firewall.way().await?;
        self.keep_apart(&tunnels, way).await?;
        let members = roster.members(&tunnels);
        let script = match way {
            Way::LeftAlone => rules::of_members(&tunnels, &members),
            Way::Judged if is_told => rules::closed_but_for_node(&self.site.tunnels.devices(), &tunnels, &members),
            // It may be the network that management is about to tell.
            Way::Judged => return Err(NetworkError::NotTold),
        };
        self.keep_rules(script, way, roster).await?;
        self.forwards = None;
        Ok(self.hold(&tunnels, roster))
    }

    /// Where two tunnels have an address in common nobody is known by one: nothing passes.
    async fn keep_apart(&mut self, tunnels: &[Tunnel], way: Way) -> Result<(), NetworkError> {
        let Some((one, other)) = overlapping(tunnels) else {
            return Ok(());
        };
        let sealed = rules::sealed(&self.site.tunnels.devices());
        self.firewall.keep(sealed, way).await?;
        Err(NetworkError::Overlapping {
            one: one.device.clone(),
            other: other.device.clone(),
        })
    }

    /// The rules are loaded. They hold members if nobody else gets their addresses from one of these tunnels: an entry lets in on each listener.
    fn hold(&mut self, tunnels: &[Tunnel], roster: &Roster) -> Option<Lack> {
        let wanted = self.site.tunnels.wanted();
        let pairs = || tunnels.iter().zip(wanted);
        // One with an older tunnel keeps no other one from being started again.
        let holds_default = pairs().map(|(tunnel, wanted)| roster.judges_default() && tunnel == wanted);
        self.holds_default = holds_default.collect();
        let lack = if !pairs().all(|(tunnel, wanted)| divides_as(tunnel, wanted)) {
            Some(Lack::FixedAddresses)
        } else if !pairs().all(|(tunnel, wanted)| tunnel.network6 == wanted.network6) {
            Some(Lack::FixedAddresses6)
        } else {
            None
        };
        self.held = Held {
            is_enforced: lack.is_none(),
            is_applied: lack.is_none() || !roster.has_members(),
        };
        lack.filter(|_| !self.held.is_applied)
    }

    /// The inner result is that of IPv6: without it there is still a network.
    fn keep_forwarding(&mut self, tunnels: &[Tunnel]) -> Result<Result<(), ForwardingError>, ForwardingError> {
        let with_ipv6 = one_has_ipv6(tunnels);
        let ipv4 = self.forwarding.ensure_ipv4()?;
        let ipv6 = match with_ipv6 {
            true => self.forwarding.ensure_ipv6(tunnels),
            false => Ok(false),
        };
        let was_off = ipv4 || matches!(ipv6, Ok(true));
        if was_off && self.forwards == Some(with_ipv6) {
            put_back("forwarding");
        }
        self.forwards = Some(with_ipv6);
        Ok(ipv6.map(drop))
    }

    /// Gives the tunnel devices the MTU of what management told. While it said nothing, and on a node that must not serve, they are left alone.
    async fn keep_mtu(&mut self, told: Option<&PoolNetwork>) -> Result<(), NetworkError> {
        let Some(told) = told else {
            self.mtus.await_none();
            return Ok(());
        };
        let servers = self.site.tunnels.each();
        let Some(mtu) = told.network.as_ref().and_then(|network| network.mtu) else {
            self.mtus.give_back(servers).await;
            return Ok(());
        };
        match self.mtus.keep(servers, mtu).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                put_back("the MTU of a tunnel device");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
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

    /// Loads these rules of the groups of this roster.
    async fn keep_rules(&mut self, script: String, way: Way, roster: &Roster) -> Result<(), NetworkError> {
        self.site.places.loading(&roster.blocks);
        let loading = self.firewall.keep(script, way).await?;
        self.site.places.loaded(&roster.blocks);
        match loading {
            Loading::Unchanged | Loading::Changed => {}
            Loading::PutBack => put_back("the firewall rules"),
        }
        Ok(())
    }

    /// The pool has no network any more: nothing passes. Where there are no rules nothing is made.
    async fn close(&mut self) -> Result<(), NetworkError> {
        let script = rules::closed(&self.site.tunnels.devices());
        self.end_rules(&script).await
    }

    /// Of each listener, whether an OpenVPN runs that gives fixed addresses to nobody but those whose they are.
    fn divided(&self) -> Vec<bool> {
        let divides = |server: &ManagedTunnel| {
            let tunnel = server.running();
            tunnel.is_some_and(|tunnel| divides_as(&tunnel, server.wanted()))
        };
        self.site.tunnels.each().iter().map(divides).collect()
    }

    /// The node must not serve: nothing passes while OpenVPN still stops, and then the rules go.
    async fn end_service(&mut self, roster: &Roster) -> Result<Lacks, NetworkError> {
        let pushed = self.push_nothing(roster, true);
        if self.site.tunnels.is_running() {
            self.close().await?;
            self.firewall.look_again();
        } else {
            self.end_rules(&rules::removal()).await?;
        }
        pushed?;
        Ok(Lacks::default())
    }

    async fn end_rules(&mut self, script: &str) -> Result<(), NetworkError> {
        self.firewall.end(script).await?;
        self.holds_default.clear();
        self.forwards = None;
        Ok(())
    }
}

/// Whether nobody gets a fixed address from this tunnel whose it is not: OpenVPN gives out the lower half of the network that is wanted.
fn divides_as(tunnel: &Tunnel, wanted: &Tunnel) -> bool {
    tunnel.is_split && tunnel.network == wanted.network
}

#[cfg(test)]
mod tests;
