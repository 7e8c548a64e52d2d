//! Stops and starts single parts of a running stack.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use rustix::process::Signal;

use super::{Listener, NodeMode, Part, ReplicaState, Stack, StackError};
use crate::{
    api::Api,
    postgres::Postgres,
    process::{Identity, Process},
};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);
/// How long to wait until an agent starts its OpenVPN again; it checks every few seconds.
const REVIVE: Duration = Duration::from_secs(20);

impl Stack {
    /// Starts a stopped part and waits until it is ready. A managed OpenVPN is started by its agent, so for it this only waits.
    pub async fn start_part(&mut self, part: Part) -> Result<(), StackError> {
        if let Some(process) = self.state.process(part)
            && self.state.runs(part)
        {
            return Err(StackError::Running { part, pid: process.pid });
        }
        match part {
            Part::Postgres => {
                let data = self.state.dir.join("postgres");
                let postgres = Postgres::run(&data, self.state.postgres_port, self.state.durability).await?;
                self.scratch.stop_at_end(postgres.identity(), "QUIT");
                self.state.postgres = Some(postgres.identity());
            }
            Part::Nats => {
                let nats = self.run_nats().await?;
                self.scratch.stop_at_end(nats, "KILL");
                self.state.nats = Some(nats);
            }
            Part::Management | Part::Replica(_) => self.start_management(part).await?,
            Part::Node(number) => self.start_node(number).await?,
            Part::Openvpn(number) if self.state.mode(number) == NodeMode::External => {
                self.start_operators_openvpn(number).await?;
            }
            Part::Openvpn(number) => self.await_openvpn(number, REVIVE).await?,
        }
        self.state.save()
    }

    /// Stops a part with SIGTERM (PostgreSQL with a fast shutdown), and with SIGKILL if that takes too long.
    ///
    /// # Errors
    /// [`StackError`] when there is no such part.
    pub async fn stop_part(&mut self, part: Part) -> Result<(), StackError> {
        let signal = if part == Part::Postgres {
            Signal::INT
        } else {
            Signal::TERM
        };
        for process in self.running(part)? {
            process.stop(signal, STOP).await;
        }
        self.state.save()
    }

    /// kill -9 of a part.
    ///
    /// # Errors
    /// [`StackError`] when there is no such part.
    pub async fn kill_part(&mut self, part: Part) -> Result<(), StackError> {
        for process in self.running(part)? {
            process.kill().await;
        }
        self.state.save()
    }

    /// Has the agent of a node told at its next start where its OpenVPN is to listen; with none it is told nothing.
    ///
    /// # Errors
    /// [`StackError::NoSuchPart`], and when the state cannot be written.
    pub fn set_listeners(&mut self, number: u8, listeners: &[Listener]) -> Result<(), StackError> {
        let mut nodes = self.state.nodes.iter_mut();
        let node = nodes.find(|node| node.number == number);
        let node = node.ok_or(StackError::NoSuchPart(Part::Node(number)))?;
        node.listeners = listeners.to_vec();
        self.state.save()
    }

    /// Has a management or an agent run the program of another release from its next start on; `None`: that of this build.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn set_program(&mut self, part: Part, program: Option<PathBuf>) -> Result<(), StackError> {
        match program {
            Some(program) => self.state.programs.insert(part.to_string(), program),
            None => self.state.programs.remove(&part.to_string()),
        };
        self.state.save()
    }

    /// The processes of the part; none if it is stopped.
    fn running(&self, part: Part) -> Result<Vec<Identity>, StackError> {
        match part {
            Part::Management | Part::Nats | Part::Postgres => {}
            Part::Replica(number) => {
                self.state.replica(number).ok_or(StackError::NoSuchPart(part))?;
            }
            Part::Node(number) | Part::Openvpn(number) => {
                self.state.node_state(number).ok_or(StackError::NoSuchPart(part))?;
            }
        }
        if let Part::Openvpn(number) = part {
            if self.state.network.is_none() {
                return Err(StackError::NoTunnels);
            }
            if self.state.mode(number) == NodeMode::None {
                return Err(StackError::NoSuchPart(part));
            }
        }
        Ok(self.state.processes(part))
    }

    /// Starts a service (a management, an agent, an OpenVPN that the stack runs) that does not run, and does not wait until it is ready.
    ///
    /// # Errors
    /// [`StackError`], also for a part that is no service.
    pub fn launch_part(&mut self, part: Part) -> Result<Process, StackError> {
        self.launch_part_with(part, &[])
    }

    /// The same with more environment variables.
    ///
    /// # Errors
    /// [`StackError`], also for a part that is no service.
    pub fn launch_part_with(&mut self, part: Part, env: &[(&str, &str)]) -> Result<Process, StackError> {
        if let Some(process) = self.state.process(part) {
            return Err(StackError::Running { part, pid: process.pid });
        }
        let missing = StackError::NoSuchPart(part);
        let (spec, slot) = match part {
            Part::Management => (self.state.management_spec()?, &mut self.state.management),
            Part::Replica(number) => {
                let spec = self.state.replica_spec(number)?;
                let mut replicas = self.state.replicas.iter_mut();
                let replica = replicas.find(|replica| replica.number == number).ok_or(missing)?;
                (spec, &mut replica.process)
            }
            Part::Node(number) => {
                let spec = self.state.node_spec(number)?;
                let mut nodes = self.state.nodes.iter_mut();
                let node = nodes.find(|node| node.number == number).ok_or(missing)?;
                (spec, &mut node.agent)
            }
            Part::Openvpn(number) if self.state.mode(number) == NodeMode::External => {
                let spec = self.state.operators_spec(number)?;
                let mut nodes = self.state.nodes.iter_mut();
                let node = nodes.find(|node| node.number == number).ok_or(missing)?;
                (spec, &mut node.openvpn)
            }
            Part::Nats | Part::Postgres | Part::Openvpn(_) => return Err(missing),
        };
        let spec = env.iter().fold(spec, |spec, (name, value)| spec.env(name, *value));
        let process = Process::spawn(&spec)?;
        *slot = Some(process.identity());
        self.scratch.stop_at_end(process.identity(), "KILL");
        self.state.save()?;
        Ok(process)
    }

    async fn start_management(&mut self, part: Part) -> Result<(), StackError> {
        let process = self.launch_part(part)?;
        match part {
            Part::Replica(number) => {
                let url = self.state.replica(number).map(ReplicaState::url).unwrap_or_default();
                healthy(&process, || Api::new(url.clone(), None)).await
            }
            // At its first start it makes the CA that its certificate is of.
            Part::Management | Part::Nats | Part::Postgres | Part::Node(_) | Part::Openvpn(_) => {
                healthy(&process, || self.state.api(None)).await
            }
        }
    }

    async fn start_node(&mut self, number: u8) -> Result<(), StackError> {
        if !self.state.node_dir(number).join("identity.json").exists() {
            self.renew_join_token(number).await?;
        }
        let process = self.launch_part(Part::Node(number))?;
        healthy(&process, || Api::new(self.state.node_url(number), None)).await?;
        if self.state.network.is_some() && self.state.mode(number) == NodeMode::Managed {
            self.await_openvpn(number, START).await?;
        }
        Ok(())
    }

    /// Starts the OpenVPN that the stack runs, and waits until its agent says that it serves as it should.
    async fn start_operators_openvpn(&mut self, number: u8) -> Result<(), StackError> {
        let server = self.launch_part(Part::Openvpn(number))?;
        let api = Api::new(self.state.node_url(number), None);
        let serves = async || {
            let health = api.get("/health").await.and_then(|answer| answer.expect(200));
            let health = health.map_err(|error| error.to_string())?;
            if health.body["openvpn"]["state"] == "up" && health.body["status"] == "ok" {
                Ok(())
            } else {
                Err(health.text)
            }
        };
        server.ready(START, serves).await?;
        Ok(())
    }

    /// Writes a new join token into the file that the node reads, for its first start or after its folder was wiped.
    pub async fn renew_join_token(&self, number: u8) -> Result<(), StackError> {
        self.state.folder("work", 0o711)?;
        let token = self.api().join_token(&format!("node-{number}")).await?;
        let file = self.state.join_token_file(number);
        let write = || {
            fs::write(&file, "")?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            fs::write(&file, token)
        };
        write().map_err(StackError::file(&file))
    }

    /// Waits until the node's agent has started OpenVPN for every listener. If the agent ends, the wait ends too.
    async fn await_openvpn(&self, number: u8, deadline: Duration) -> Result<(), StackError> {
        let part = Part::Openvpn(number);
        self.running(part)?;
        let agent = self
            .state
            .process(Part::Node(number))
            .ok_or(StackError::NoAgent(number))?;
        let agent = Process::adopt(format!("node-{number}"), agent, self.state.log(Part::Node(number)));
        let started = async || match self.state.runs(part) {
            true => Ok(()),
            false => Err("it has not started OpenVPN"),
        };
        agent.ready(deadline, started).await?;
        Ok(())
    }
}

/// The interface is made anew for each look.
async fn healthy(process: &Process, api: impl Fn() -> Api) -> Result<(), StackError> {
    let health = async || {
        api()
            .get("/health")
            .await
            .and_then(|answer| answer.expect(200))
            .map(drop)
    };
    process.ready(START, health).await?;
    Ok(())
}
