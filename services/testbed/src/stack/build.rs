//! Bring a stack up, part by part, and take it down.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, process::Stdio, time::Instant};

use tokio::process::Command;

use super::{
    Lifetime, NodeMode, Part, ReplicaState, StackError, StackOptions, State, Step, listener, new_node::NewNode,
};
use crate::{
    binaries,
    nats::Nats,
    net::{Network, NetworkError, has_tunnels, run},
    ports,
    postgres::{Durability, Postgres},
    process::{Identity, Spec},
    scratch::{Medium, Scratch},
};

const DATABASE: &str = "vpnmanager";

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    pub(super) state: State,
    pub(super) scratch: Scratch,
}

impl Stack {
    /// Builds a stack and waits until every part of it is ready.
    ///
    /// # Errors
    /// If a program is missing or a part does not become ready. The parts that were started are removed again.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        // Looked for first, so that nothing has to be undone if a program is missing.
        binaries::postgres()?;
        binaries::nats_server()?;
        binaries::management()?;
        binaries::endnode()?;
        let mut stack = Self::lay_out(&options).await?;
        match stack.bring_up(&options).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                match options.lifetime {
                    // The guard ends and removes everything, unless the folder is to be kept.
                    Lifetime::Owner => stack.note_failure(),
                    Lifetime::Kept(_) => stack.down().await,
                }
                Err(error)
            }
        }
    }

    /// Records that a test of this stack failed: with `VPNMANAGER_KEEP=1` its folder then stays.
    pub fn note_failure(&self) {
        self.scratch.note_failure();
    }

    /// Attaches to the stack whose state file is in `home`.
    ///
    /// # Errors
    /// [`StackError::NotUp`].
    pub fn attach(home: &Path) -> Result<Self, StackError> {
        let state = State::load(home)?;
        let scratch = Scratch::existing(&state.dir);
        Ok(Self { state, scratch })
    }

    /// The state of the stack.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    async fn lay_out(options: &StackOptions) -> Result<Self, StackError> {
        let id = options.id.clone().unwrap_or_else(crate::scratch::fresh_id);
        let scratch = match (&options.lifetime, options.durability) {
            (Lifetime::Kept(home), _) => {
                Self::clear_leftovers(home, &id).await?;
                Scratch::kept(&id)?
            }
            (Lifetime::Owner, Durability::Durable) => Scratch::guarded_named(Medium::Disk, &id)?,
            (Lifetime::Owner, Durability::Fast) => Scratch::guarded_named(Medium::Memory, &id)?,
        };
        let home = match &options.lifetime {
            Lifetime::Kept(home) => home.clone(),
            Lifetime::Owner => scratch.dir().to_path_buf(),
        };
        fs::create_dir_all(&home).map_err(StackError::file(&home))?;
        let port = |usual: u16| {
            let port = if options.usual_ports {
                ports::preferably(usual)
            } else {
                ports::free()
            };
            port.map_err(StackError::Port)
        };
        let state = State {
            dir: scratch.dir().to_path_buf(),
            home,
            api_key: random_key(),
            network: None,
            durability: options.durability,
            postgres_port: port(5433)?,
            postgres: None,
            nats_port: match options.bus_ports {
                Some(ports) => ports.server,
                None => port(4222)?,
            },
            public_nats_port: options.bus_ports.map(|ports| ports.public),
            node_disk: options.node_disk,
            bus_disk: options.bus_disk,
            nats_monitor_port: port(8222)?,
            nats: None,
            management_port: port(8080)?,
            management: None,
            replicas: Vec::new(),
            management_open_files: options.management_open_files,
            programs: options
                .programs
                .iter()
                .map(|(part, program)| (part.to_string(), program.clone()))
                .collect(),
            tls: options.tls,
            management_env: options.management_env.clone(),
            node_env: options.node_env.clone(),
            service: None,
            nodes: Vec::new(),
            id,
        };
        Ok(Self { state, scratch })
    }

    async fn bring_up(&mut self, options: &StackOptions) -> Result<(), StackError> {
        self.state.save()?;
        if options.tunnels.unwrap_or_else(|| has_tunnels().is_ok()) {
            let started = Instant::now();
            let network = Network::create(&self.state.id).await?;
            self.scratch.run_at_end(&network.cleanup_line());
            let result = format!("bridge, {}/24", network.gateway());
            self.state.network = Some(network);
            self.state.save()?;
            tell(options, "Build the network", result, started);
        }

        if options.service && self.state.network.is_some() {
            let started = Instant::now();
            let service = self.start_service().await?;
            tell(options, "Start a service host behind the nodes", service, started);
        }

        let started = Instant::now();
        self.init_postgres().await?;
        tell(
            options,
            "Start PostgreSQL",
            self.pid_and(Part::Postgres, format!("port {}", self.state.postgres_port)),
            started,
        );

        let started = Instant::now();
        self.init_bus().await?;
        self.start_part(Part::Nats).await?;
        let result = format!("port {}, accounts and TLS from bus-init", self.state.nats_port);
        tell(options, "Start nats-server", self.pid_and(Part::Nats, result), started);

        let started = Instant::now();
        self.start_part(Part::Management).await?;
        let result = self.state.management_url();
        tell(
            options,
            "Start management",
            self.pid_and(Part::Management, result),
            started,
        );

        for number in 2..=options.managements {
            let started = Instant::now();
            self.add_replica(number).await?;
            let url = self.state.replica(number).map(ReplicaState::url).unwrap_or_default();
            let result = self.pid_and(Part::Replica(number), url);
            tell(options, &format!("Start replica-{number}"), result, started);
        }

        for number in 1..=options.nodes {
            let started = Instant::now();
            let place = usize::from(number) - 1;
            let mode = options.modes.get(place).copied().unwrap_or_default();
            let node = NewNode {
                number,
                mode,
                pool: options.pools.get(place).cloned(),
                listeners: options.listeners.get(place).cloned().unwrap_or_default(),
                machine: None,
            };
            self.add(node).await?;
            let mut result = self.pid_and(Part::Node(number), self.state.node_url(number));
            if self.state.network.is_some() && mode != NodeMode::None {
                let listeners = listener::setting(&self.state.listeners(number));
                let openvpn = self.pid_and(Part::Openvpn(number), format!("OpenVPN at {listeners}"));
                result = format!("{result}, {openvpn}");
            }
            tell(options, &format!("Enrol and start node-{number}"), result, started);
        }
        Ok(())
    }

    async fn init_postgres(&mut self) -> Result<(), StackError> {
        Postgres::init(&self.state.dir.join("postgres"), self.state.durability).await?;
        self.start_part(Part::Postgres).await?;
        self.postgres().create_database(DATABASE).await?;
        Ok(())
    }

    /// Puts an empty database in place of that of the stack. Who is connected to it loses the connection.
    pub async fn empty_database(&self) -> Result<(), StackError> {
        let cluster = self.postgres();
        cluster.drop_database(DATABASE).await?;
        cluster.create_database(DATABASE).await?;
        Ok(())
    }

    async fn init_bus(&self) -> Result<(), StackError> {
        let state = &self.state;
        if let Some(size) = state.bus_disk {
            let store = state.bus_store();
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&store)
                .map_err(StackError::file(&store))?;
            self.mount_disk(&store, size, "0700").await?;
        }
        let listen = if state.network.is_some() {
            "0.0.0.0"
        } else {
            "127.0.0.1"
        };
        let program = state.program(Part::Management, binaries::management)?;
        let mut spec = Spec::new("bus-init", program, &state.dir, state.log(Part::Nats))
            .args([
                "bus-init",
                "--allow-plaintext",
                "--host",
                "127.0.0.1",
                "--host",
                "localhost",
            ])
            .args(["--listen", &format!("{listen}:{}", state.nats_port)])
            .args(["--monitor", &state.nats_monitor().to_string()]);
        if let Some(network) = &state.network {
            spec = spec.args(["--host", &network.gateway().to_string()]);
        }
        spec = spec
            .args(["--dir"])
            .args([state.bus_dir()])
            .args(["--store-dir"])
            .args([state.bus_store()]);
        let output = Command::from(spec.command()).stdin(Stdio::null()).output().await;
        let output = output.map_err(StackError::file(&spec.program))?;
        if output.status.success() {
            return Ok(());
        }
        Err(StackError::BusInit(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }

    /// Gives the bus another port, with its keys and streams, and tells management. Both must have been stopped, and are started again.
    pub async fn move_bus(&mut self) -> Result<(), StackError> {
        self.start_bus_at(ports::free().map_err(StackError::Port)?).await?;
        self.start_part(Part::Management).await
    }

    /// Has managements that start from now on tell nodes this port of the bus.
    pub fn tell_nodes_bus_port(&mut self, port: u16) -> Result<(), StackError> {
        self.state.public_nats_port = Some(port);
        self.state.save()
    }

    /// Gives the bus, which must have been stopped, that port, with its keys and streams, and starts it.
    pub async fn start_bus_at(&mut self, port: u16) -> Result<(), StackError> {
        self.state.nats_port = port;
        self.init_bus().await?;
        self.start_part(Part::Nats).await
    }

    /// Puts another bus in place of the one that was stopped, with a CA, keys and streams of its own, and starts it on that port.
    pub async fn replace_bus(&mut self, port: u16) -> Result<(), StackError> {
        for folder in [self.state.bus_dir(), self.state.bus_store()] {
            fs::remove_dir_all(&folder).map_err(StackError::file(&folder))?;
        }
        self.start_bus_at(port).await
    }

    /// Adds and starts one more management on the same database and bus.
    pub async fn add_replica(&mut self, number: u8) -> Result<(), StackError> {
        let port = ports::free().map_err(StackError::Port)?;
        self.state.replicas.push(ReplicaState {
            number,
            port,
            process: None,
        });
        self.start_part(Part::Replica(number)).await
    }

    /// A small disk in memory over a folder.
    pub(super) async fn mount_disk(&self, dir: &Path, size: u32, mode: &str) -> Result<(), StackError> {
        run(&format!(
            "mount -t tmpfs -o size={size}m,mode={mode} tmpfs {}",
            dir.display()
        ))
        .await
        .map_err(NetworkError::from)?;
        self.scratch.run_at_end(&format!("umount -l {}", dir.display()));
        Ok(())
    }

    pub(super) fn postgres(&self) -> Postgres {
        let state = &self.state;
        let process = state.postgres.unwrap_or(Identity::NOBODY);
        Postgres::adopt(
            &state.dir.join("postgres"),
            state.postgres_port,
            state.durability,
            process,
        )
    }

    pub(super) async fn run_nats(&self) -> Result<Identity, StackError> {
        let state = &self.state;
        let config = state.bus_dir().join("nats-server.conf");
        let log = state.log(Part::Nats);
        Ok(Nats::run(&config, &log, state.nats_address(), state.nats_monitor())
            .await?
            .identity())
    }

    fn pid_and(&self, part: Part, result: String) -> String {
        match self.state.process(part) {
            Some(process) => format!("{result}, pid {}", process.pid),
            None => result,
        }
    }
}

fn tell(options: &StackOptions, what: &str, result: String, started: Instant) {
    (options.progress)(&Step {
        what: what.to_owned(),
        result,
        took: started.elapsed(),
    });
}

fn random_key() -> String {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_or_else(
        |_| uuid::Uuid::new_v4().to_string(),
        |()| data_encoding::BASE64URL_NOPAD.encode(&bytes),
    )
}
