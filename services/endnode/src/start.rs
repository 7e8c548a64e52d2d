//! Starting an enrolled node, in an order that never lets a refused credential in.

use anyhow::Context as _;
use tokio::sync::mpsc;
use tracing::{info, warn};
use vpnmanager_nats::endpoint::Endpoint;
use vpnmanager_runtime::{error_chain::chain, reconcile::Wake, tasks::Tasks};

use crate::{
    api::LocalNode,
    apply::{Applier, Issuer, Projected},
    backend::{Serving, VpnBackend as _},
    backend_choice::{Chosen, choose_backend},
    config::{Config, OpenvpnMode},
    coordination::{
        bus_trouble::BusTrouble, contact::Contact, draining::Draining, intent_waiters::IntentWaiters,
        issue_queue::IssueQueue, network_progress::NetworkProgress, new_start::NewStart, progress::Progress,
        readiness::Readiness, reporting::Reporting,
    },
    disk::Disk,
    enrolled::{Enrolled, node_jetstream},
    groups::Definitions,
    journal::Journal,
    management::ManagementPlace,
    network::{Keeper, Tools},
    node::Node,
    old_choice::choose_old_listener,
    openvpn::process::check_machine,
    server_certificate::ServerCertificate,
    shared::Shared,
    state_dir::StateDir,
    tasks::{
        heartbeats::HeartbeatSettings,
        renewal::Renewal,
        start::{Inputs, start_tasks},
    },
};

/// Enrols where that is still to be done, then starts everything.
pub(crate) async fn start(
    config: &Config,
    dir: StateDir,
    local: LocalNode,
    tasks: &Tasks,
    new_start: NewStart,
) -> anyhow::Result<()> {
    let endpoint = endpoint_of(config)?;
    let (definitions, network) = (Definitions::default(), NetworkProgress::default());
    // Before a join token is spent: what OpenVPN could not run with shows here.
    let Chosen {
        vpn,
        server,
        site,
        holding,
        allow_list,
    } = choose_backend(config, &dir, &definitions, &network).await?;
    let (vpn, old_server) = match choose_old_listener(config, &dir, vpn.login_counter()).await? {
        Some((old, task)) => (vpn.with_old(old), Some(task)),
        None => (vpn, None),
    };
    if config.openvpn.mode == OpenvpnMode::Managed && !dir.identity().exists() {
        // A node that has enrolled starts all the same: it has users to refuse, and says that OpenVPN is down.
        check_machine(&config.openvpn.binary).await?;
    }
    let enrolled = Enrolled::load_or_enrol(config, dir, &local.enrolling).await?;
    let dir = &enrolled.dir;
    let journal = Journal::open(&dir.journal(), tasks)?;
    let read = journal.read(|records| Ok((records.snapshot()?, records.network()?, records.groups()?)));
    let (snapshot, told, groups) = read.await?;
    if let Some(told) = told {
        network.learn(told);
    }
    if let Some(groups) = groups {
        definitions.learn(groups);
    }
    holding.load(&journal).await?;
    let node = Node::new(config.server_id.clone());
    info!(node.id = %node.id, node.instance = %node.instance, complete = snapshot.complete, "Starting");

    let projected = Projected {
        vpn: vpn.clone(),
        holding: holding.clone(),
        profiles: dir.profiles(),
    };
    let applier = Applier::new(node.clone(), journal.clone(), projected);
    if snapshot.refused.is_some() {
        // Nobody, until management readmits this node. Said first, so that clients move on and do not give up.
        vpn.set_serving(Serving::No).await;
        applier.close().await?;
    } else if snapshot.complete {
        // Before the server can be started: who was revoked while a projection was cut short must not find a file.
        let removed = applier.refuse_unwanted().await?.len();
        info!(removed, "Nobody is on the allow-list who is not in the journal");
    } else {
        // The first command that ends access should not wait for a look at all files.
        applier.look_for_unknown().await?;
        if let Some(places) = holding.places() {
            // Members whom the journal has lost stay held to the rules of their groups.
            places.find(allow_list.fixed()?);
        }
    }
    let (is_right, old_is_right) = (Wake::new(), Wake::new());
    for (name, server, is_right) in [
        ("openvpn", server, &is_right),
        ("old-openvpn", old_server, &old_is_right),
    ] {
        let Some(server) = server else { continue };
        let (stop, is_right) = (tasks.token(), is_right.clone());
        tasks.spawn(name, async move {
            server.run_after(async move { is_right.woken().await }, stop).await;
            Ok(())
        });
    }
    // Before the server can be started: clients must find the network that they are told of.
    let mut keeper = site.map(|site| Keeper::new(site, Tools::default(), network.clone()));
    if let Some(keeper) = &mut keeper {
        keeper.begin(snapshot.refused.is_some()).await;
    }
    if snapshot.complete && snapshot.refused.is_none() {
        // Once it is known whether the firewall holds members of groups to their rules: their entries are made anew where they differ.
        match applier.reconcile().await {
            Ok(changes) => info!(
                restored = changes.added.len() + changes.repaired.len(),
                removed = changes.removed.len(),
                "The allow-list equals the journal"
            ),
            // Nobody is on it who must not be.
            Err(error) => {
                warn!(error = %chain(&error), "The allow-list lacks some whom the journal lets in; trying again")
            }
        }
    }
    // Before this, an entry that was about to be made anew would cost a session.
    is_right.wake();
    old_is_right.wake();

    // Before anything makes a new profile.
    applier.rebuild_profiles().await?;

    let bus = enrolled.connect().await?;
    let (issue, issue_jobs) = IssueQueue::new();
    let certificate = ServerCertificate::new(enrolled.identity.material());
    let shared = Shared {
        jetstream: node_jetstream(&bus.client),
        reporting: Reporting::new(bus.client.clone()),
        bus: bus.client,
        readiness: Readiness::new(snapshot.complete, snapshot.refused),
        draining: Draining::new(snapshot.drain_pace),
        network,
        definitions,
        holding,
        node,
        endpoint,
        journal,
        applier,
        vpn,
        certificate: certificate.clone(),
        issue,
        progress: Progress::default(),
        waiters: IntentWaiters::default(),
        contact: Contact::default(),
        bus_trouble: BusTrouble::new(&enrolled.identity.bus_place()),
        disk: Disk::new(dir.root(), config.disk_reserve),
        figures: local.figures.clone(),
    };
    let issuer = Issuer {
        node: shared.node.id.clone(),
        journal: shared.journal.clone(),
        pki: enrolled.pki()?,
        profiles: dir.profiles(),
        bus: shared.bus.clone(),
    };
    let (renewed, renewals) = mpsc::channel(1);
    let inputs = Inputs {
        issuer,
        issue_jobs,
        connections: bus.connections,
        renewal: Renewal::new(&enrolled, certificate, renewed)?,
        renewals,
        heartbeat: HeartbeatSettings::new(config.heartbeat_interval),
        enrolled,
        keeper,
        management: ManagementPlace::of(config),
        new_start,
    };
    start_tasks(&shared, inputs, tasks);
    local.enrolled(shared);
    Ok(())
}

/// Where clients reach this node, which management hears at each handshake.
fn endpoint_of(config: &Config) -> anyhow::Result<Endpoint> {
    let listening = config.listening();
    let listeners = listening.listeners();
    let first = listeners.first();
    Ok(Endpoint {
        host: config.public_host.clone(),
        port: first.port,
        protocol: first.protocol,
        listeners: (!listeners.is_one()).then(|| listeners.clone()),
        pool: config.pool.parse().context("pool (POOL) cannot be used")?,
        capacity: config.capacity(),
    })
}
