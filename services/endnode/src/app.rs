//! The agent from its start to its end.

use std::path::Path;

use anyhow::Context as _;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use tracing::info;
use vpnmanager_nats::connect::{Bus, BusAddress, Identity as BusIdentity, NodeJwt, connect};
use vpnmanager_openapi::server::Bound;
use vpnmanager_runtime::{
    reconcile::{Reconciler, Schedule, Wake, drive},
    secret_file,
    tasks::Tasks,
};

use crate::{
    api::{self, Agent, LocalNode},
    apply::{Applier, Issuer, Pki},
    backend_choice::choose_backend,
    config::Config,
    enrol::enrol,
    identity::{Identity, NodeKeys},
    journal::Journal,
    node::Node,
    openvpn::tls_crypt_v2::TlsCryptV2ServerKey,
    state_dir::StateDir,
    tasks::{
        acks::{Acks, node_context},
        allow_list::AllowListRepair,
        bus_watch::{self, BusRefusal, BusWatch},
        commands::{self, Commands},
        drain::{self, Drain, Draining},
        events::EventOutbox,
        expiry::Expiry,
        heartbeats::{self, Heartbeats, certificate_end},
        housekeeping::Housekeeping,
        intents::{IntentOutbox, IntentWaiters},
        issue::{self, IssueQueue, IssueTask},
        node_requests::{self, NodeRequests},
        progress::Progress,
        serving::{self, Readiness},
        sessions::SessionGuard,
        sync::{self, Sync},
    },
    vpn::Vpn,
};

/// Runs until SIGTERM or SIGINT. OpenVPN and its sessions stay as they are when the agent ends.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    let dir = StateDir::new(std::path::absolute(&config.state_dir)?);
    dir.prepare()?;
    let _lock = dir.lock()?;
    let local = LocalNode::new(config.server_id.clone());
    serve_api(config, &dir, &local, &tasks).await?;
    let (starting, config, started) = (tasks.clone(), config.clone(), tasks.token());
    let timeout = config.shutdown_timeout;
    tasks.spawn_job("start", async move {
        tokio::select! {
            outcome = start(&config, dir, local, &starting) => outcome,
            () = started.cancelled() => Ok(()),
        }
    });
    Ok(tasks.wait(timeout).await?)
}

/// Enrols where that is still to be done, then starts everything.
async fn start(config: &Config, dir: StateDir, local: LocalNode, tasks: &Tasks) -> anyhow::Result<()> {
    let keys = NodeKeys::load_or_make(&dir, &config.server_id)?;
    let identity = identity(config, &dir, &keys).await?;
    let journal = Journal::open(&dir.journal(), tasks)?;
    let snapshot = journal.read(|records| records.snapshot()).await?;
    let node = Node::new(config.server_id.clone());
    info!(node.id = %node.id, instance = %node.instance, complete = snapshot.complete, "Starting");

    let (vpn, server) = choose_backend(config, &dir)?;
    let applier = Applier::new(node.clone(), journal.clone(), vpn.clone(), dir.profiles());
    if snapshot.complete {
        // Before the server can be started: who was revoked while a projection was cut short must not find a file.
        let changes = applier.reconcile().await?;
        info!(
            restored = changes.added.len() + changes.repaired.len(),
            removed = changes.removed.len(),
            "The allow-list stands"
        );
    }
    if let Some(server) = server {
        let stop = tasks.token();
        tasks.spawn("openvpn", async move {
            server.run(stop).await;
            Ok(())
        });
    }

    // Before anything makes a new profile.
    applier.rebuild_profiles().await?;

    let address = BusAddress {
        urls: identity.bus_urls.clone(),
        ca_file: identity.bus_ca.is_some().then(|| dir.bus_ca()),
    };
    let jwt = NodeJwt::from(identity.bus_jwt.clone());
    let credential = BusIdentity::Node {
        node: node.id.clone(),
        jwt: jwt.clone(),
        seed: seed_of(&keys.bus)?,
    };
    let bus = connect(&address, node.id.as_str(), credential).await?;
    let readiness = Readiness::new(snapshot.complete, snapshot.refused);
    let parts = Parts {
        node,
        journal,
        applier,
        vpn,
        readiness,
        draining: Draining::new(snapshot.drain_pace),
        bus,
        pki: pki_of(&identity)?,
    };
    let agent = spawn_tasks(config, &dir, &identity, &parts, tasks);
    let watch = BusWatch {
        node: parts.node.clone(),
        identity,
        jwt,
        keys,
        dir,
        address,
        bus: parts.bus.client.clone(),
        refusal: agent.bus_refusal.clone(),
        management_url: config.management_url.clone(),
        journal: parts.journal.clone(),
        readiness: parts.readiness.clone(),
    };
    tasks.spawn("bus-watch", bus_watch::run(watch, tasks.token()));
    local.enrolled(agent);
    Ok(())
}

/// What the tasks share.
struct Parts {
    node: Node,
    journal: Journal,
    applier: Applier,
    vpn: Vpn,
    readiness: Readiness,
    draining: Draining,
    bus: Bus,
    pki: Pki,
}

fn spawn_tasks(config: &Config, dir: &StateDir, identity: &Identity, parts: &Parts, tasks: &Tasks) -> Agent {
    let Parts {
        node,
        journal,
        applier,
        vpn,
        readiness,
        draining,
        bus,
        pki,
    } = parts;
    let (node, journal, applier, vpn) = (node.clone(), journal.clone(), applier.clone(), vpn.clone());
    let (readiness, bus, stop) = (readiness.clone(), bus.clone(), || tasks.token());
    let context = node_context(&bus.client);
    let (progress, waiters) = (Progress::default(), IntentWaiters::default());
    let acks = Acks::new(node.clone(), context.clone(), progress.clone());
    let (issue, jobs) = IssueQueue::new();

    tasks.spawn("serving", serving::run(readiness.clone(), vpn.clone(), stop()));
    let drain = Drain {
        node: node.clone(),
        vpn: vpn.clone(),
        draining: draining.clone(),
    };
    tasks.spawn("drain", drain::run(drain, stop()));
    let sync = Sync {
        node: node.clone(),
        journal: journal.clone(),
        applier: applier.clone(),
        progress: progress.clone(),
        readiness: readiness.clone(),
        bus: bus.client.clone(),
        context: context.clone(),
    };
    tasks.spawn("sync", sync::run(sync, bus.connections.clone(), stop()));
    let commands = Commands {
        node: node.clone(),
        journal: journal.clone(),
        applier: applier.clone(),
        acks: acks.clone(),
        issue: issue.clone(),
        readiness: readiness.clone(),
        progress,
        context: context.clone(),
        tasks: tasks.clone(),
    };
    tasks.spawn("commands", commands::run(commands, stop()));
    let issuer = Issuer {
        node: node.id.clone(),
        journal: journal.clone(),
        pki: pki.clone(),
        profiles: dir.profiles(),
        bus: bus.client.clone(),
    };
    let task = IssueTask {
        issuer,
        acks,
        readiness: readiness.clone(),
    };
    tasks.spawn("issue", issue::run(task, jobs, stop()));

    let reconcilers = Reconcilers { tasks };
    reconcilers.spawn(
        "expiry",
        Expiry::new(applier.clone()),
        &node.wakes.expiry,
        Expiry::schedule(),
    );
    let guard = SessionGuard {
        node: node.clone(),
        journal: journal.clone(),
        vpn: vpn.clone(),
        readiness: readiness.clone(),
    };
    reconcilers.spawn("sessions", guard, &Wake::new(), SessionGuard::schedule());
    let repair = AllowListRepair {
        node: node.clone(),
        journal: journal.clone(),
        applier: applier.clone(),
        readiness: readiness.clone(),
    };
    reconcilers.spawn(
        "allow-list",
        repair,
        &node.wakes.allow_list,
        AllowListRepair::schedule(),
    );
    let outbox = EventOutbox {
        node: node.clone(),
        journal: journal.clone(),
        readiness: readiness.clone(),
        context,
    };
    reconcilers.spawn("events", outbox, &node.wakes.events, EventOutbox::schedule());
    let intents = IntentOutbox {
        node: node.clone(),
        journal: journal.clone(),
        applier: applier.clone(),
        readiness: readiness.clone(),
        bus: bus.client.clone(),
        waiters: waiters.clone(),
    };
    reconcilers.spawn("intents", intents, &node.wakes.intents, IntentOutbox::schedule());
    reconcilers.spawn(
        "housekeeping",
        Housekeeping::new(journal.clone()),
        &Wake::new(),
        Housekeeping::schedule(),
    );

    let heartbeats = Heartbeats {
        node: node.clone(),
        journal: journal.clone(),
        vpn: vpn.clone(),
        bus: bus.client.clone(),
        state_dir: dir.root().to_owned(),
        certificate_expires_at: certificate_end(&identity.certificate),
        interval: config.heartbeat_interval,
    };
    tasks.spawn("heartbeats", heartbeats::run(heartbeats, stop()));
    let requests = NodeRequests {
        node: node.clone(),
        journal: journal.clone(),
        vpn: vpn.clone(),
        draining: draining.clone(),
        readiness: readiness.clone(),
        bus: bus.client.clone(),
    };
    tasks.spawn("node-requests", node_requests::run(requests, stop()));
    Agent {
        node,
        journal,
        applier,
        vpn,
        readiness,
        draining: draining.clone(),
        waiters,
        issue,
        bus: bus.client,
        bus_refusal: BusRefusal::default(),
    }
}

struct Reconcilers<'a> {
    tasks: &'a Tasks,
}

impl Reconcilers<'_> {
    fn spawn<R: Reconciler + 'static>(&self, name: &'static str, reconciler: R, wake: &Wake, schedule: Schedule) {
        self.tasks.spawn(
            name,
            drive(name, reconciler, wake.clone(), schedule, self.tasks.token()),
        );
    }
}

/// The saved identity, or a new one from management.
async fn identity(config: &Config, dir: &StateDir, keys: &NodeKeys) -> anyhow::Result<Identity> {
    if let Some(identity) = Identity::load(dir, &config.server_id)? {
        anyhow::ensure!(
            identity.is_for(keys),
            "identity.json and the keys in {} do not belong together: restore them from one backup, or move the folder away and enrol anew",
            dir.root().display()
        );
        identity.project(dir, keys)?;
        return Ok(identity);
    }
    let management_url = config.management_url.as_deref().context(
        "this node has not enrolled yet and needs management: set MANAGEMENT_URL (management_url in the configuration file)",
    )?;
    info!(node.id = %config.server_id, management_url, "Enrolling");
    let identity = enrol(config, management_url, keys).await?;
    identity.save(dir, keys)?;
    Ok(identity)
}

async fn serve_api(config: &Config, dir: &StateDir, local: &LocalNode, tasks: &Tasks) -> anyhow::Result<()> {
    let key = local_key(config, &dir.api_key())?;
    let bound = Bound::new(&config.listen).await?;
    info!(addresses = ?bound.addresses(), "The local API listens");
    let (application, stop, grace) = (
        api::application(local.clone(), key),
        tasks.token(),
        config.shutdown_timeout / 2,
    );
    tasks.spawn(
        "api",
        async move { Ok(bound.serve(application, until(stop), grace).await?) },
    );
    Ok(())
}

async fn until(stop: CancellationToken) {
    stop.cancelled().await;
}

/// The configured key, or one that is made at the first start and kept.
fn local_key(config: &Config, file: &Path) -> anyhow::Result<SecretString> {
    if let Some(key) = &config.api_key {
        return Ok(key.clone());
    }
    if file.exists() {
        return Ok(secret_file::read(file)?);
    }
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).context("the operating system has no randomness to give")?;
    let key = SecretString::from(BASE64URL_NOPAD.encode(&bytes));
    secret_file::write(file, format!("{}\n", key.expose_secret()))?;
    info!(file = %file.display(), "Made a key for the local API");
    Ok(key)
}

fn seed_of(key: &KeyPair) -> anyhow::Result<String> {
    key.seed().context("the bus key has no seed")
}

fn pki_of(identity: &Identity) -> anyhow::Result<Pki> {
    let tls_crypt_v2 = TlsCryptV2ServerKey::from_pem(&identity.tls_crypt_v2_key)?;
    Ok(Pki {
        ca: identity.ca.as_str().into(),
        server_name_prefix: identity.server_name_prefix.as_str().into(),
        tls_crypt_v2: tls_crypt_v2.into(),
    })
}
