//! Makes the machine as the pool's network and the rules of groups want it, and keeps it so.

mod state;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::{info, warn};
use vpnmanager_nats::{
    groups::{GroupName, Groups},
    network::{AppliedNetwork, Nat, Network, PoolNetwork},
};
use vpnmanager_runtime::log_limit::LogLimit;

use self::state::Lacks;
use super::{
    error::NetworkError,
    feasible::{Feasible, Lack, feasible, feasible_routes},
    firewall::{Firewall, Loading, Way},
    forwarding::{Forwarding, ForwardingError},
    pushes,
    roster::Roster,
    rules,
    site::{Site, Tools},
};
use crate::{
    coordination::network_progress::NetworkProgress, groups::Enforced, interface::InterfaceName,
    openvpn::tunnel::Tunnel, pushed_file::Kept,
};

/// How long the start waits until it is known whether an OpenVPN runs, whose tunnel may be another one than the one wanted.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);

static PUT_BACK: LogLimit = LogLimit::lines("something of the pool's network was put back", 3);

/// Keeps the network of the pool on this machine, and holds members of groups to their rules. Nothing of it is undone when the agent ends:
/// OpenVPN goes on.
#[derive(Debug)]
pub struct Keeper {
    site: Site,
    firewall: Firewall,
    forwarding: Forwarding,
    interfaces: PathBuf,
    told: watch::Receiver<Option<PoolNetwork>>,
    defined: watch::Receiver<Option<Arc<Groups>>>,
    placed: watch::Receiver<u64>,
    progress: NetworkProgress,
    /// Whether forwarding was seen to be on in this run, for IPv6 too or not.
    forwards: Option<bool>,
    held: Held,
    /// Whether this run has loaded rules of the group `default` for the tunnel that the next OpenVPN has.
    holds_default: bool,
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
            interfaces: tools.interfaces,
            told: progress.watch(),
            defined: site.definitions.watch(),
            placed: site.places.watch(),
            progress,
            forwards: None,
            held: Held::default(),
            holds_default: false,
            site,
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
        let roster = self.roster();
        let running = self.site.tunnel.running();
        let is_divided = running.is_some_and(|running| divides_as(&running, self.site.tunnel.wanted()));
        self.site.places.set_divided(is_divided);
        self.held = Held::default();
        let (outcome, applied) = match told.filter(|_| !is_refused) {
            None if is_refused => (self.end_service(&roster).await, None),
            None => (self.do_without_network(&roster, false).await, None),
            Some(PoolNetwork {
                pool,
                revision,
                network,
            }) => {
                let outcome = match &network {
                    Some(network) => self.apply(network, &roster).await,
                    None => self.do_without_network(&roster, true).await,
                };
                (outcome, Some(AppliedNetwork { pool, revision }))
            }
        };
        let is_held_anew = self.note_held(&roster);
        let state = state::of(outcome, applied);
        let is_news = self.progress.note(state.clone());
        if is_news {
            state::log(&state);
        }
        is_news || is_held_anew
    }

    /// Returns when what management told, who has which address, or the tunnel may have changed since the last [`Self::reconcile`].
    pub async fn changed(&mut self) {
        tokio::select! {
            // The keeper holds who tells these, so they cannot end.
            _changed = self.told.changed() => {}
            _changed = self.defined.changed() => {}
            _changed = self.placed.changed() => {}
            () = self.site.tunnel.changed() => {}
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
        let holds_default = self.holds_default && !self.firewall.is_lost();
        self.site.definitions.note_default(holds_default);
        let is_news = self.site.definitions.note_applied(applied);
        if let Some(revision) = applied.filter(|_| is_news) {
            info!(revision = revision.0, "Applied the rules of groups");
        }
        is_news
    }

    /// In this order: nothing is forwarded that is not judged, and nobody is told of a way before there is one.
    async fn apply(&mut self, network: &Network, roster: &Roster) -> Result<Lacks, NetworkError> {
        let tunnel = self.site.tunnel.current().ok_or(NetworkError::UnknownTunnel)?;
        let Feasible { network, lack } = feasible(network, &tunnel, self.site.tunnel.wanted());

        let members = roster.members(&tunnel);
        let script = rules::render(&network, &tunnel, &members, self.site.egress.as_ref());
        self.keep_rules(script, Way::Judged, roster).await?;
        let lack_of_addresses = self.hold(&tunnel, roster);
        let ipv6 = self.keep_forwarding(&tunnel)?;
        let lack_of_routes = self.push(&network, &tunnel, roster)?;
        ipv6?;
        Ok(Lacks {
            network: lack.or_else(|| self.lacking_egress(network.nat)),
            groups: lack_of_addresses.or(lack_of_routes),
        })
    }

    /// The pool has no network, or nothing is known of it (`is_told`). Members of groups pass nothing, and reach of the node what they may.
    async fn do_without_network(&mut self, roster: &Roster, is_told: bool) -> Result<Lacks, NetworkError> {
        let pushed = self.push_nothing(roster, is_told);
        // Also where nobody could be told that there is no way any more.
        let groups = self.judge_without_network(roster, is_told).await?;
        pushed?;
        Ok(Lacks { network: None, groups })
    }

    async fn judge_without_network(&mut self, roster: &Roster, is_told: bool) -> Result<Option<Lack>, NetworkError> {
        if !roster.needs_rules() {
            if is_told {
                self.close().await?;
            }
            self.holds_default = false;
            self.held.is_applied = true;
            return Ok(None);
        }
        let tunnel = self.site.tunnel.current().ok_or(NetworkError::UnknownTunnel)?;
        let members = roster.members(&tunnel);
        let way = self.firewall.way().await?;
        let script = match way {
            Way::LeftAlone => rules::of_members(&tunnel, &members),
            Way::Judged if is_told => rules::closed_but_for_node(&self.devices(&tunnel), &tunnel, &members),
            // It may be the network that management is about to tell.
            Way::Judged => return Err(NetworkError::NotTold),
        };
        self.keep_rules(script, way, roster).await?;
        self.forwards = None;
        Ok(self.hold(&tunnel, roster))
    }

    /// The rules are loaded. They hold members if nobody else gets their addresses from this tunnel.
    fn hold(&mut self, tunnel: &Tunnel, roster: &Roster) -> Option<Lack> {
        let wanted = self.site.tunnel.wanted();
        self.holds_default = roster.judges_default() && tunnel == wanted;
        let lack = if !divides_as(tunnel, wanted) {
            Some(Lack::FixedAddresses)
        } else if tunnel.network6 != wanted.network6 {
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

    /// Tells clients of this network, and members of groups of the routes of theirs. The first thing that a group with members here lacks.
    fn push(&self, network: &Network, tunnel: &Tunnel, roster: &Roster) -> Result<Option<Lack>, NetworkError> {
        let mut lack = None;
        let mut texts = Vec::new();
        for group in roster.known() {
            let feasible = feasible_routes(group, tunnel, self.site.tunnel.wanted());
            if roster.is_here(&group.name) {
                lack = lack.or(feasible.lack);
            }
            texts.push((
                &group.name,
                pushes::render(network, tunnel, &group.name, &feasible.routes),
            ));
        }
        let of = |name: &GroupName| {
            texts
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| text.clone())
        };
        let default = GroupName::default();
        let text = of(&default).unwrap_or_else(|| pushes::render(network, tunnel, &default, &[]));
        // Of a group that is not known nothing is said: its members reach nothing.
        self.set_pushed(text, roster, |name| of(name).unwrap_or_default())?;
        Ok(lack)
    }

    /// Nobody is told of a way. Before management said anything, what clients are told stays.
    fn push_nothing(&self, roster: &Roster, is_told: bool) -> Result<(), NetworkError> {
        if is_told {
            return self.set_pushed(String::new(), roster, |_| String::new());
        }
        self.site.pushed.keep()?;
        self.site.pushed_groups.keep()?;
        Ok(())
    }

    fn set_pushed(
        &self,
        text: String,
        roster: &Roster,
        text_of: impl Fn(&GroupName) -> String,
    ) -> Result<(), NetworkError> {
        let groups = &self.site.pushed_groups;
        let mut is_put_back = self.site.pushed.set(text)? == Kept::PutBack;
        for name in roster.pushed() {
            is_put_back |= groups.set(&name, text_of(&name))? == Kept::PutBack;
        }
        // Asked anew: somebody may have got a place meanwhile.
        let now = || Roster {
            blocks: self.site.places.blocks(),
            ..roster.clone()
        };
        groups.retain(|| now().pushed())?;
        if is_put_back {
            put_back("what is pushed to clients");
        }
        Ok(())
    }

    /// The pool has no network any more: nothing passes. Where there are no rules nothing is made.
    async fn close(&mut self) -> Result<(), NetworkError> {
        let running = self
            .site
            .tunnel
            .current()
            .unwrap_or_else(|| self.site.tunnel.wanted().clone());
        let script = rules::closed(&self.devices(&running));
        self.end_rules(&script).await
    }

    /// The next OpenVPN may have another one than this.
    fn devices<'tunnel>(&'tunnel self, running: &'tunnel Tunnel) -> Vec<&'tunnel InterfaceName> {
        let wanted = self.site.tunnel.wanted();
        let other = Some(running).filter(|running| running.device != wanted.device);
        other.into_iter().chain([wanted]).map(|tunnel| &tunnel.device).collect()
    }

    /// The node must not serve: nothing passes while OpenVPN still stops, and then the rules go.
    async fn end_service(&mut self, roster: &Roster) -> Result<Lacks, NetworkError> {
        let pushed = self.push_nothing(roster, true);
        if self.site.tunnel.is_running() {
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
        self.holds_default = false;
        self.forwards = None;
        Ok(())
    }
}

/// Whether nobody gets a fixed address from this tunnel whose it is not: OpenVPN gives out the lower half of the network that is wanted.
fn divides_as(tunnel: &Tunnel, wanted: &Tunnel) -> bool {
    tunnel.is_split && tunnel.network == wanted.network
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
