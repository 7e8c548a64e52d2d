//! Where users are placed. One function for each rule: which nodes take users, which may become homes of other nodes' users, which are
//! given up, and which nodes a user gets.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1996) chooses among the candidates: a hash gives each node a weight for the user, and the
//! heaviest nodes are chosen. A node that joins or leaves moves only the users that it gets or held.
//!
//! | question about a node | the node must be |
//! |---|---|
//! | [`takes_users`]: may new profiles name it, may it create users itself? | enabled, not draining, not leaving |
//! | [`is_open`]: may an operator choose it as home? | the same, and not lost since it was last in sync |
//! | [`Fleet::is_candidate`]: does it get users that nobody wants elsewhere? | open, and running OpenVPN unless no open node of its pool does |
//! | [`may_inherit`]: may it become the home of another node's users? | open, healthy and in sync |
//! | [`Fleet::has_others`]: may another node be drained, because this one takes its clients? | open, heard and in sync since it was enrolled, not lost, and serving with OpenVPN; it may run none if the other one runs none |
//! | [`Fleet::is_given_up`]: do its users get another home, and another standby in its place? | lost for `HEALTH_REHOME_AFTER`, in which another node of its pool was heard all the time |

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use vpnmanager_entities::{
    placement::{self, Role},
    server::{self, NodeState},
};
use vpnmanager_nats::{
    heartbeats::OpenvpnState,
    ids::{DEFAULT_POOL, NodeId, UserKey},
};

/// Whether users may be placed on the node, and new profiles may name it: it is neither disabled nor draining, and stays in its pool.
pub fn takes_users(server: &server::Model) -> bool {
    server.enabled && !server.draining && server.leaving_since.is_none()
}

/// Whether placement may choose the node by itself: it takes users and is not lost.
pub fn is_open(server: &server::Model) -> bool {
    takes_users(server) && server.lost_since.is_none()
}

/// Whether the node may become the home of users whose home is lost: it is open, healthy and in sync.
pub fn may_inherit(server: &server::Model) -> bool {
    is_open(server) && server.state == NodeState::Healthy && !gets_everything(server) && server.last_sync.is_some()
}

/// Whether the node is to get everything again, or gets it.
pub fn gets_everything(server: &server::Model) -> bool {
    server.resync_since.is_some() || server.emptied_at.is_some()
}

/// Whether nodes in this state are heard.
pub fn is_heard(state: NodeState) -> bool {
    match state {
        NodeState::Healthy | NodeState::Degraded => true,
        NodeState::Enrolled | NodeState::Stale | NodeState::Lost => false,
    }
}

/// A lost node that is heard of again.
#[derive(Debug, Clone, Copy)]
pub struct Returning<'a> {
    /// The node.
    pub server: &'a server::Model,
    /// Whether it has ever held a complete snapshot.
    pub complete: bool,
    /// Whether a command has been waiting for it for too long.
    pub behind: bool,
}

/// Whether a lost node takes users again: it is healthy, has completed a sync since it was lost, and is not behind.
pub fn has_returned(returning: Returning<'_>) -> bool {
    let server = returning.server;
    let synced_since = server
        .lost_since
        .is_some_and(|lost| server.last_sync.is_some_and(|sync| sync > lost));
    server.state == NodeState::Healthy
        && synced_since
        && !gets_everything(server)
        && returning.complete
        && !returning.behind
}

/// All nodes, and whether they run OpenVPN.
#[derive(Debug, Clone)]
pub struct Fleet {
    servers: Vec<server::Model>,
    /// What their last heartbeats say; a node that was never heard of is not here.
    openvpn: HashMap<NodeId, OpenvpnState>,
    /// Pools with an open node that is known to run OpenVPN.
    running: HashSet<String>,
    /// Since when each pool has been heard: since when one of its nodes has been, without a break.
    heard: HashMap<String, DateTime<Utc>>,
    /// Nodes for each user of these pools; the users of all others get as many as the configuration says.
    replicas: HashMap<String, usize>,
}

impl Fleet {
    /// These nodes, and what their last heartbeats say of OpenVPN.
    pub fn new(servers: Vec<server::Model>, openvpn: HashMap<NodeId, OpenvpnState>) -> Self {
        let is_known_to_run = |server: &&server::Model| match openvpn.get(&server.name) {
            Some(OpenvpnState::Up | OpenvpnState::Down | OpenvpnState::Waiting) => is_open(server),
            Some(OpenvpnState::Absent) | None => false,
        };
        let running = servers.iter().filter(is_known_to_run);
        let mut heard: HashMap<String, DateTime<Utc>> = HashMap::new();
        for server in servers.iter().filter(|server| is_heard(server.state)) {
            if let Some(since) = server.heard_since {
                let first = heard.entry(server.pool.clone()).or_insert(since);
                *first = since.min(*first);
            }
        }
        Self {
            running: running.map(|server| server.pool.clone()).collect(),
            heard,
            servers,
            openvpn,
            replicas: HashMap::new(),
        }
    }

    /// The same with pools that say how many nodes each of their users gets.
    #[must_use]
    pub fn with_replicas(mut self, replicas: HashMap<String, usize>) -> Self {
        self.replicas = replicas;
        self
    }

    /// The pools that say how many nodes each of their users gets, home included.
    pub fn replicas(&self) -> &HashMap<String, usize> {
        &self.replicas
    }

    /// Nodes for each user of the pool, home included: what the pool says, or `configured`.
    pub fn replicas_of(&self, pool: &str, configured: usize) -> usize {
        self.replicas.get(pool).copied().unwrap_or(configured)
    }

    /// All nodes.
    pub fn servers(&self) -> &[server::Model] {
        &self.servers
    }

    /// The node of this name.
    pub fn find(&self, node: &NodeId) -> Option<&server::Model> {
        find(&self.servers, node)
    }

    /// Whether its last heartbeat says that the agent runs no OpenVPN: it keeps an allow-list, and serves nobody itself.
    pub fn runs_none(&self, node: &NodeId) -> bool {
        self.openvpn.get(node) == Some(&OpenvpnState::Absent)
    }

    /// Whether placement may choose the node for a user that nobody wants there: it is open. One that runs no OpenVPN only while no open
    /// node of its pool is known to run it. A node that was never heard of keeps nobody from being chosen.
    pub fn is_candidate(&self, server: &server::Model) -> bool {
        is_open(server) && !(self.runs_none(&server.name) && self.running.contains(&server.pool))
    }

    /// Whether another node of its pool can take the clients of this one: one that is open, was heard and in sync since it was enrolled, is not
    /// lost, and whose OpenVPN is not known to be down. Those of a node that runs OpenVPN find none on one that does not.
    pub fn has_others(&self, leaving: &server::Model) -> bool {
        let in_pool = self.servers.iter().filter(|server| server.pool == leaving.pool);
        let mut others = in_pool.filter(|server| server.name != leaving.name);
        others.any(|server| match server.state {
            NodeState::Enrolled | NodeState::Lost => false,
            NodeState::Healthy | NodeState::Degraded | NodeState::Stale => {
                is_open(server) && server.last_sync.is_some() && self.lets_in(&server.name, &leaving.name)
            }
        })
    }

    /// Whether clients of the leaving node get in there, by the last heartbeats: at its OpenVPN, which may be about to start, or where neither runs
    /// one.
    fn lets_in(&self, node: &NodeId, leaving: &NodeId) -> bool {
        match self.openvpn.get(node) {
            Some(OpenvpnState::Up | OpenvpnState::Waiting) | None => true,
            Some(OpenvpnState::Down) => false,
            Some(OpenvpnState::Absent) => self.runs_none(leaving),
        }
    }

    /// Whether the node is lost, and has been silent since before `lost_before` while others spoke; it then no longer counts as a replica.
    /// Silence counts from when another node of its pool has been heard: when all were away, the one that returns first says nothing about
    /// the others.
    pub fn is_given_up(&self, server: &server::Model, lost_before: DateTime<Utc>) -> bool {
        // A lost node is not heard, so whoever is heard is another one.
        let (Some(lost_since), Some(heard_since)) = (server.lost_since, self.heard.get(&server.pool)) else {
            return false;
        };
        server.state == NodeState::Lost && lost_since.max(*heard_since) < lost_before
    }

    /// Whether the node gets users whose home is lost: it is a candidate and [`may_inherit`].
    pub fn is_heir(&self, server: &server::Model) -> bool {
        self.is_candidate(server) && may_inherit(server)
    }
}

/// Who chooses the home of a new user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Placement.
    Any,
    /// An operator, who names this node.
    Named(NodeId),
    /// This node, which asks for a user of its own. So it is there, whatever is known of it.
    Asking(NodeId),
}

/// Where a new user is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Who chooses the home.
    pub home: &'a Home,
    /// The pool that the user's group places its members in; `None`: that of the wanted home, or `default`.
    pub pool: Option<&'a NodeId>,
}

/// Why a new user cannot be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaceable {
    /// The wanted home does not exist.
    UnknownHome,
    /// The wanted home is in another pool than that of the user's group.
    HomeInOtherPool,
    /// The wanted home is disabled or draining.
    HomeTakesNobody,
    /// The wanted home is lost, or has not been in sync again since this time.
    HomeIsLost(DateTime<Utc>),
    /// No node of the pool takes users.
    NoNode,
}

/// The nodes of a new user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement<'a> {
    /// The home of the user.
    pub home: &'a server::Model,
    /// All nodes with their roles, home first.
    pub nodes: Vec<(NodeId, Role)>,
}

/// Chooses nodes for a new user, in the pool of the user's group. Where that names none: in the pool of the wanted home; without a wanted home,
/// in the default pool. At most as many as the pool says, or `replicas` where it says nothing.
pub fn place_new<'a>(
    user: UserKey,
    wanted: Wanted<'_>,
    fleet: &'a Fleet,
    replicas: usize,
) -> Result<Placement<'a>, Unplaceable> {
    let servers = &fleet.servers;
    let wanted_home = match wanted.home {
        Home::Any => None,
        Home::Named(node) | Home::Asking(node) => Some(node),
    };
    let pool = match wanted_home {
        Some(node) => {
            let server = fleet.find(node).ok_or(Unplaceable::UnknownHome)?;
            if wanted.pool.is_some_and(|pool| pool.as_str() != server.pool) {
                return Err(Unplaceable::HomeInOtherPool);
            }
            if !takes_users(server) {
                return Err(Unplaceable::HomeTakesNobody);
            }
            if let (Home::Named(_), Some(since)) = (wanted.home, server.lost_since) {
                return Err(Unplaceable::HomeIsLost(since));
            }
            server.pool.as_str()
        }
        None => wanted.pool.map_or(DEFAULT_POOL, NodeId::as_str),
    };
    let in_pool = |server: &&server::Model| server.pool == pool;
    let mut candidates = names(
        servers
            .iter()
            .filter(in_pool)
            .filter(|server| fleet.is_candidate(server)),
    );
    if candidates.is_empty() {
        // A lost node is better than none: it applies the command when it returns.
        candidates = names(servers.iter().filter(in_pool).filter(|server| takes_users(server)));
    }
    let nodes = rank(user, wanted_home, &candidates, fleet.replicas_of(pool, replicas));
    let home = nodes.first().and_then(|(home, _)| find(servers, home));
    home.map(|home| Placement { home, nodes }).ok_or(Unplaceable::NoNode)
}

/// A user and where it is placed.
#[derive(Debug, Clone, Copy)]
pub struct UserPlacements<'a> {
    /// The user.
    pub user: UserKey,
    /// Its home.
    pub home: &'a NodeId,
    /// The pool that it stays in while its home is one that has left the fleet.
    pub former_pool: Option<&'a str>,
    /// Its placements.
    pub placements: &'a [&'a placement::Model],
}

/// How many nodes every user should have.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Nodes for each user, including its home, in a pool that says nothing else.
    pub replicas: usize,
    /// A node that [is given up](Fleet::is_given_up) since before this time no longer counts.
    pub lost_before: DateTime<Utc>,
}

/// The nodes that the user must get in addition. The first one becomes its home if it has none.
pub fn missing_nodes(placed: UserPlacements<'_>, fleet: &Fleet, goal: Goal) -> Vec<(NodeId, Role)> {
    let pool_of_home = || fleet.find(placed.home).map_or(DEFAULT_POOL, |home| &home.pool);
    let pool = placed.former_pool.unwrap_or_else(pool_of_home);
    let replicas = fleet.replicas_of(pool, goal.replicas);
    let in_pool = fleet.servers.iter().filter(|server| server.pool == pool);
    let candidates = names(in_pool.filter(|server| fleet.is_candidate(server)));
    let given_up = |node: &NodeId| {
        fleet
            .find(node)
            .is_some_and(|server| fleet.is_given_up(server, goal.lost_before))
    };
    let held = placed.placements;
    let home = held
        .iter()
        .find(|placement| placement.role == Role::Home && placement.wanted_present)
        .map(|placement| &placement.server_id);
    // A node of the pool that is still removing the user cannot get it again before that.
    let holds = |placement: &placement::Model| {
        placement.wanted_present
            || fleet
                .find(&placement.server_id)
                .is_some_and(|server| server.pool == pool)
    };
    let counted = held
        .iter()
        .filter(|placement| holds(placement) && !given_up(&placement.server_id))
        .count();
    // `rank` puts the home first; if it is given up, it does not count as a replica.
    let without_home = usize::from(home.is_some_and(&given_up));
    rank(placed.user, home, &candidates, replicas + without_home)
        .into_iter()
        .filter(|(node, _)| held.iter().all(|placement| placement.server_id != *node))
        .take(replicas.saturating_sub(counted))
        .collect()
}

/// Which standbys may become a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heirs {
    /// Only a candidate that [`may_inherit`]; a user without such a standby keeps its home.
    Fit,
    /// A candidate that [`may_inherit`] if there is one, otherwise one that runs OpenVPN, otherwise any standby.
    Any,
}

/// Chooses the new home of a user among its standbys, so that the users of one node are spread over all others.
pub fn new_home(user: UserKey, standbys: &[&server::Model], fleet: &Fleet, heirs: Heirs) -> Option<NodeId> {
    let those = |fits: &dyn Fn(&server::Model) -> bool| names(standbys.iter().copied().filter(|server| fits(server)));
    let fit = || those(&|server| fleet.is_heir(server));
    let tiers: &[&dyn Fn() -> Vec<NodeId>] = match heirs {
        Heirs::Fit => &[&fit],
        Heirs::Any => &[&fit, &|| those(&|server| !fleet.runs_none(&server.name)), &|| {
            those(&|_| true)
        }],
    };
    let candidates = tiers.iter().map(|tier| tier()).find(|nodes| !nodes.is_empty())?;
    rank(user, None, &candidates, 1)
        .into_iter()
        .map(|(node, _)| node)
        .next()
}

fn names<'a>(servers: impl Iterator<Item = &'a server::Model>) -> Vec<NodeId> {
    servers.map(|server| server.name.clone()).collect()
}

fn find<'a>(servers: &'a [server::Model], node: &NodeId) -> Option<&'a server::Model> {
    servers.iter().find(|server| server.name == *node)
}

/// Ranks the nodes for one user: the home first, at most `replicas`. If `home` is given, it is the home regardless of its weight.
pub fn rank(user: UserKey, home: Option<&NodeId>, nodes: &[NodeId], replicas: usize) -> Vec<(NodeId, Role)> {
    let mut ranked: Vec<&NodeId> = nodes.iter().filter(|node| Some(*node) != home).collect();
    ranked.sort_by_cached_key(|node| (std::cmp::Reverse(weight(user, node)), node.as_str().to_owned()));
    home.into_iter()
        .chain(ranked)
        .take(replicas.max(1))
        .enumerate()
        .map(|(rank, node)| (node.clone(), if rank == 0 { Role::Home } else { Role::Standby }))
        .collect()
}

fn weight(user: UserKey, node: &NodeId) -> u64 {
    let hash = digest::digest(&digest::SHA256, format!("{user}@{node}").as_bytes());
    hash.as_ref()
        .iter()
        .take(8)
        .fold(0, |head, byte| head << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(crate) mod tests;
