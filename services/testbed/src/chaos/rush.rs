//! Ends somebody's access while a bulk of creates is under way, while a node gets everything again, or both.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use sea_orm::{ConnectionTrait, FromQueryResult};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    client::{ClientOptions, OpenvpnClient},
    net::{Namespace, Network},
    ping::PingStream,
    stack::{NodeMode, Stack},
    wait,
};

use super::{
    being::Being,
    device::Device,
    endings::Ending,
    inventory, logins,
    model::Person,
    operation::{OldProfiles, Operation},
    work::{Worked, Worker},
};

/// Users of one bulk, and how many of them are created at the same time.
const BULK: usize = 64;
const AT_ONCE: usize = 8;
/// The most users of all bulks together.
const MOST: usize = 448;
/// Others whose access ends in the same moment.
const OTHERS: usize = 3;
/// How long preparations may take; after that a rush goes without them.
const PREPARE: Duration = Duration::from_secs(8);
/// How long to wait until a node can be reached, so that something is promised.
const CALM: Duration = Duration::from_secs(6);
/// Management asks for the handshake within a second, and answers within another.
const REWIND: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(20);
const INNER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
/// A session is dead when no ping was answered for this long.
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(12);
/// Pings are sent every 50 ms.
const ALIVE: Duration = Duration::from_millis(300);

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Bulk,
    Resync,
    Both,
}

/// Begins rushes, one after the other.
#[derive(Debug)]
pub(super) struct Rush {
    worker: Worker,
    database: String,
    nodes: u8,
    /// Where somebody can log in.
    tunnels: Option<Tunnels>,
    bulk: usize,
}

#[derive(Debug)]
struct Tunnels {
    network: Network,
    dir: PathBuf,
    /// The nodes that have an OpenVPN, by their address.
    servers: BTreeMap<String, u8>,
}

/// A session.
#[derive(Debug)]
struct Guest {
    namespace: Namespace,
    client: OpenvpnClient,
    pings: PingStream,
    node: u8,
}

impl Rush {
    /// Does what this worker can do.
    pub(super) fn new(stack: &Stack, worker: Worker) -> anyhow::Result<Self> {
        let tunnels = match stack.network() {
            Ok(network) => {
                let dir = stack.state().dir.join("guests");
                fs::create_dir(&dir).context("no folder for guests")?;
                let servers = stack.nodes().filter(|node| node.mode() != NodeMode::None);
                let servers = servers.map(|node| anyhow::Ok((node.namespace()?.address.to_string(), node.number())));
                Some(Tunnels {
                    network: network.clone(),
                    dir,
                    servers: servers.collect::<anyhow::Result<_>>()?,
                })
            }
            Err(_no_tunnels) => None,
        };
        Ok(Self {
            worker,
            database: stack.state().database_url(),
            nodes: u8::try_from(stack.nodes().count()).unwrap_or(u8::MAX),
            tunnels,
            bulk: 0,
        })
    }

    /// Rushes until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Worked {
        let mut worked = Worked::default();
        let mut round = 0;
        while !stop.is_cancelled() {
            round += 1;
            self.round(&mut worked, round).await;
            let pause = Duration::from_millis(self.worker.rng.u64(300..1500));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        worked
    }

    async fn round(&mut self, worked: &mut Worked, round: usize) {
        let meanwhile = match self.worker.rng.u8(0..10) {
            0..4 => Meanwhile::Bulk,
            4..8 => Meanwhile::Resync,
            8.. => Meanwhile::Both,
        };
        let at = worked.people.len();
        worked.people.push(Person::new(format!("guest{round}")));
        self.calm(None).await;
        let guest = self.invite(worked, at).await;
        let node = guest
            .as_ref()
            .map_or_else(|| self.worker.rng.u8(1..=self.nodes), |guest| guest.node);
        self.calm(Some(node)).await;
        let is_resyncing = match meanwhile {
            Meanwhile::Bulk => false,
            Meanwhile::Resync | Meanwhile::Both => self.resyncs(node).await,
        };
        let mut bulk = JoinSet::new();
        if meanwhile != Meanwhile::Resync {
            self.begin_bulk(&mut bulk);
        }
        tokio::time::sleep(Duration::from_millis(self.worker.rng.u64(0..300))).await;
        while let Some(created) = bulk.try_join_next() {
            add_bulk(worked, created);
        }
        let under_way = match (is_resyncing, !bulk.is_empty()) {
            (false, false) => None,
            (false, true) => Some("during a bulk of creates"),
            (true, false) => Some("during a resync"),
            (true, true) => Some("during both"),
        };
        let ended = self.end_access(worked, at, guest.as_ref()).await;
        self.end_others(worked, at).await;
        if let (true, Some(kind)) = (ended, under_way) {
            *worked.rushes.entry(kind).or_default() += 1;
        }
        if let Some(Guest { namespace, client, .. }) = guest {
            client.kill().await;
            namespace.delete().await;
        }
        while let Some(created) = bulk.join_next().await {
            add_bulk(worked, created);
        }
    }

    /// Waits until this node can be reached, or any, through any management; not for ever.
    async fn calm(&self, node: Option<u8>) {
        let nodes = node.map_or(1..=self.nodes, |node| node..=node);
        let (reach, managements) = (&self.worker.lists.reach, self.worker.apis.len());
        let is_reached = |node: u8| (0..managements).any(|management| reach.since(management, node).is_some());
        let began = Instant::now();
        while began.elapsed() < CALM && !nodes.clone().any(is_reached) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One of the managements through which this node can be reached now, or any.
    fn choose_management(&mut self, node: Option<u8>) -> usize {
        let (reach, managements) = (&self.worker.lists.reach, self.worker.apis.len());
        let reaching = |management: &usize| node.is_some_and(|node| reach.since(*management, node).is_some());
        let reaching: Vec<usize> = (0..managements).filter(reaching).collect();
        match self.worker.rng.choice(reaching) {
            Some(management) => management,
            None => self.worker.choose_management(),
        }
    }

    fn note(&self, line: String) {
        self.worker.timeline.note(line);
    }

    /// Creates somebody who logs in; without a session if that is not possible now.
    async fn invite(&mut self, worked: &mut Worked, at: usize) -> Option<Guest> {
        let management = self.worker.choose_management();
        let create = Operation::CREATE;
        if !self.worker.operate(worked, at, &create, management).await {
            return None;
        }
        let username = worked.people[at].username.clone();
        let path = format!("/api/users/{username}/profile");
        let api = self.worker.apis[management].clone();
        let made = async || {
            let is_made = api.get(&path).await.is_ok_and(|answer| answer.status == 200);
            is_made && !self.open_to(&username).is_empty()
        };
        wait::until(PREPARE, "the guest's profile and a node that lets the guest in", made)
            .await
            .ok()?;
        let device = Device::Default;
        let read = Operation::ReadProfile { device };
        if !self.worker.operate(worked, at, &read, management).await {
            return None;
        }
        let profile = worked.people[at].profiles().last()?.to_owned();
        match self.log_in(&username, &profile).await {
            Ok(guest) => guest,
            Err(error) => {
                self.note(format!("{username} cannot log in now: {error:#}"));
                None
            }
        }
    }

    /// The nodes that can be reached, have an OpenVPN and let the user in.
    fn open_to(&self, username: &str) -> Vec<u8> {
        let servers = self
            .tunnels
            .iter()
            .flat_map(|tunnels| tunnels.servers.values().copied());
        let lists = &self.worker.lists;
        let is_reached = |node: u8| (0..self.worker.apis.len()).any(|at| lists.reach.since(at, node).is_some());
        servers
            .filter(|node| is_reached(*node) && lists.holds(username, *node))
            .collect()
    }

    async fn log_in(&mut self, username: &str, profile: &str) -> anyhow::Result<Option<Guest>> {
        let Some(tunnels) = &self.tunnels else {
            return Ok(None);
        };
        let open = self.open_to(username);
        let remotes: Vec<(&str, u8)> = logins::remotes(profile)
            .filter_map(|remote| Some((remote, *tunnels.servers.get(logins::host(remote))?)))
            .filter(|(_, node)| open.contains(node))
            .collect();
        let Some((remote, node)) = self.worker.rng.choice(remotes) else {
            return Ok(None);
        };
        let namespace = tunnels.network.add_client(None).await?;
        let profile = logins::with_only(profile, remote);
        let at = (tunnels.dir.as_path(), username);
        let session = async {
            let client = OpenvpnClient::start(&namespace, &profile, at, &ClientOptions::default())?;
            client.connected(PREPARE).await?;
            let ping = format!("{username}-ping");
            let pings = PingStream::start(&namespace, INNER, (&tunnels.dir, &ping))?;
            pings.flows(5, PREPARE).await?;
            anyhow::Ok((client, pings))
        };
        match session.await {
            Ok((client, pings)) => Ok(Some(Guest {
                namespace,
                client,
                pings,
                node,
            })),
            Err(error) => {
                namespace.delete().await;
                Err(error)
            }
        }
    }

    /// Begins to create users.
    fn begin_bulk(&mut self, bulk: &mut JoinSet<Worked>) {
        if self.bulk >= MOST {
            return;
        }
        for first in (self.bulk..self.bulk + BULK).step_by(BULK / AT_ONCE) {
            let mut worker = self.worker.clone();
            worker.rng = self.worker.rng.fork();
            bulk.spawn(async move {
                let mut created = Worked::default();
                for number in first..first + BULK / AT_ONCE {
                    created.people.push(Person::new(format!("bulk{number}")));
                    let (at, management) = (created.people.len() - 1, worker.choose_management());
                    let create = Operation::CREATE;
                    worker.operate(&mut created, at, &create, management).await;
                }
                created
            });
        }
        self.bulk += BULK;
        self.note(format!("a bulk of {BULK} creates begins"));
    }

    /// Whether the node gets everything again from now on.
    async fn resyncs(&self, node: u8) -> bool {
        match self.begin_resync(node).await {
            Ok(Some(after)) => {
                self.note(format!(
                    "node-{node} gets everything again after {} ms",
                    after.as_millis()
                ));
                true
            }
            Ok(None) => {
                self.note(format!("node-{node} does not begin to get everything again in time"));
                false
            }
            Err(error) => {
                self.note(format!("node-{node} cannot be made to resync now: {error:#}"));
                false
            }
        }
    }

    /// Has management send a node everything again, as it does when it finds a drift, and waits until the node's consumer starts over.
    async fn begin_resync(&self, node: u8) -> anyhow::Result<Option<Duration>> {
        #[derive(FromQueryResult)]
        struct Prepared {
            is_prepared: bool,
        }
        let db = inventory::connect_to(&self.database).await?;
        let begin = format!("UPDATE servers SET resync_since = now(), prompt_since = now() WHERE name = 'node-{node}'");
        db.execute_unprepared(&begin).await?;
        self.note(format!("node-{node} is to get everything again"));
        let look = format!("SELECT resync_since IS NULL AS is_prepared FROM servers WHERE name = 'node-{node}'");
        let began = Instant::now();
        let mut after = None;
        while after.is_none() && began.elapsed() < REWIND {
            let rows: Vec<Prepared> = inventory::rows(&db, &look).await?;
            if rows.iter().all(|row| row.is_prepared) {
                after = Some(began.elapsed());
            }
            tokio::time::sleep(LOOK).await;
        }
        db.close().await?;
        Ok(after)
    }

    fn choose_ending(&mut self) -> Operation {
        let (device, old) = (Device::Default, OldProfiles::Revoke);
        match self.worker.rng.u8(0..5) {
            0 => Operation::Suspend,
            1 => Operation::Delete,
            2 => Operation::Reissue { device, old },
            3 => Operation::RevokeDevice { device },
            _ => self.worker.shorten(),
        }
    }

    /// Ends the guest's access, and measures how long the session lives on. Returns whether it was answered as done.
    async fn end_access(&mut self, worked: &mut Worked, at: usize, guest: Option<&Guest>) -> bool {
        let Some(Being::Living(..)) = worked.people[at].certain() else {
            return false;
        };
        let management = self.choose_management(guest.map(|guest| guest.node));
        let reach = self.worker.lists.reach.clone();
        // A session that something else has ended says nothing.
        let guest = guest.filter(|guest| {
            let last = guest.pings.stats().last_reply;
            last.is_some_and(|at| at.elapsed().is_ok_and(|since| since < ALIVE))
        });
        let operation = self.choose_ending();
        let since = guest
            .filter(|guest| operation.due().is_none() || reach.is_on_time(guest.node))
            .and_then(|guest| reach.since(management, guest.node));
        let now = SystemTime::now();
        let began = operation.due().map_or(now, |at| now.max(at.into()));
        let is_done = self.worker.operate(worked, at, &operation, management).await;
        let (Some(guest), true) = (guest, is_done) else {
            return is_done;
        };
        if since.is_none() || reach.since(management, guest.node) != since {
            worked.endings.excused += 1;
            return is_done;
        }
        let silent = guest.pings.falls_silent(began, SILENCE, PATIENCE).await;
        if reach.since(management, guest.node) != since {
            worked.endings.excused += 1;
            return is_done;
        }
        let ending = Ending {
            what: format!("{} {} with a session", operation.kind(), worked.people[at].username),
            node: guest.node,
            took: silent.unwrap_or(PATIENCE),
            promised: self.worker.lists.promised,
            stalled: Duration::ZERO,
        };
        self.note(format!(
            "{}: dead after {} ms at node-{}",
            ending.what,
            ending.took.as_millis(),
            ending.node
        ));
        worked.endings.note_session(&ending);
        is_done
    }

    /// Ends the access of some who were created earlier.
    async fn end_others(&mut self, worked: &mut Worked, before: usize) {
        for _ in 0..OTHERS {
            let living =
                |at: &usize| matches!(worked.people[*at].certain(), Some(Being::Living(living, _)) if living.active);
            let living: Vec<usize> = (0..before).filter(living).collect();
            let Some(at) = self.worker.rng.choice(living) else {
                return;
            };
            let operation = self.choose_ending();
            let management = self.worker.choose_management();
            self.worker.operate(worked, at, &operation, management).await;
        }
    }
}

fn add_bulk(worked: &mut Worked, created: Result<Worked, JoinError>) {
    match created {
        Ok(created) => worked.add(created),
        Err(error) => worked.violations.push(format!("a bulk of creates broke off: {error}")),
    }
}
