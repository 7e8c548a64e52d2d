//! Stop and start single parts of a running stack.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use rustix::process::Signal;

use super::{Part, Stack, StackError};
use crate::{
    api::Api,
    postgres::Postgres,
    process::{Identity, Process},
};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);
/// An agent looks after its OpenVPN every few seconds.
const REVIVE: Duration = Duration::from_secs(20);

impl Stack {
    /// Starts a part that does not run and waits until it is ready. OpenVPN is started by its agent: this waits for it.
    ///
    /// # Errors
    /// [`StackError`].
    pub async fn start_part(&mut self, part: Part) -> Result<(), StackError> {
        if let Some(process) = self.state.process(part) {
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
            Part::Management => self.start_management().await?,
            Part::Node(number) => self.start_node(number).await?,
            Part::Openvpn(number) => self.await_openvpn(number, REVIVE).await?,
        }
        self.state.save()
    }

    /// Stops a part politely (SIGTERM; a fast shutdown for PostgreSQL), with SIGKILL when it takes too long.
    ///
    /// # Errors
    /// [`StackError`] when there is no such part.
    pub async fn stop_part(&mut self, part: Part) -> Result<(), StackError> {
        let signal = if part == Part::Postgres {
            Signal::INT
        } else {
            Signal::TERM
        };
        if let Some(process) = self.running(part)? {
            process.stop(signal, STOP).await;
        }
        self.state.save()
    }

    /// kill -9 of a part.
    ///
    /// # Errors
    /// [`StackError`] when there is no such part.
    pub async fn kill_part(&mut self, part: Part) -> Result<(), StackError> {
        if let Some(process) = self.running(part)? {
            process.kill().await;
        }
        self.state.save()
    }

    /// The part's process, none when it is stopped already.
    fn running(&self, part: Part) -> Result<Option<Identity>, StackError> {
        match part {
            Part::Management | Part::Nats | Part::Postgres => {}
            Part::Node(number) | Part::Openvpn(number) => {
                self.state.node_state(number).ok_or(StackError::NoSuchPart(part))?;
            }
        }
        if matches!(part, Part::Openvpn(_)) && self.state.network.is_none() {
            return Err(StackError::NoTunnels);
        }
        Ok(self.state.process(part))
    }

    async fn start_management(&mut self) -> Result<(), StackError> {
        let process = Process::spawn(&self.state.management_spec()?)?;
        self.state.management = Some(process.identity());
        self.scratch.stop_at_end(process.identity(), "KILL");
        self.state.save()?;
        healthy(&process, &self.state.management_url()).await
    }

    async fn start_node(&mut self, number: u8) -> Result<(), StackError> {
        if !self.state.node_dir(number).join("identity.json").exists() {
            self.renew_join_token(number).await?;
        }
        let process = Process::spawn(&self.state.node_spec(number)?)?;
        let node = self.state.nodes.iter_mut().find(|node| node.number == number);
        node.ok_or(StackError::NoSuchPart(Part::Node(number)))?.agent = Some(process.identity());
        self.scratch.stop_at_end(process.identity(), "KILL");
        self.state.save()?;
        healthy(&process, &self.state.node_url(number)).await?;
        if self.state.network.is_some() {
            self.await_openvpn(number, START).await?;
        }
        Ok(())
    }

    /// Puts a fresh one-time token where the node looks for one: for its first start, or after its folder was wiped.
    ///
    /// # Errors
    /// [`StackError`].
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

    /// Waits until the node's agent has OpenVPN running. An end of the agent ends the wait.
    async fn await_openvpn(&self, number: u8, deadline: Duration) -> Result<(), StackError> {
        let part = Part::Openvpn(number);
        self.running(part)?;
        let agent = self
            .state
            .process(Part::Node(number))
            .ok_or(StackError::NoAgent(number))?;
        let agent = Process::adopt(format!("node-{number}"), agent, self.state.log(Part::Node(number)));
        let started = async || match self.state.process(part) {
            Some(_) => Ok(()),
            None => Err("it has not started OpenVPN"),
        };
        agent.ready(deadline, started).await?;
        Ok(())
    }
}

async fn healthy(process: &Process, url: &str) -> Result<(), StackError> {
    let api = Api::new(url, None);
    let health = async || api.get("/health").await.and_then(|answer| answer.expect(200)).map(drop);
    process.ready(START, health).await?;
    Ok(())
}
