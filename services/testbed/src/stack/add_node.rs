//! Adds nodes to a stack.

use std::{fs, os::unix::fs::DirBuilderExt, time::Duration};

use super::{NodeMode, Part, Stack, StackError, new_node::NewNode, state::NodeState};
use crate::{
    net::Namespace,
    ports,
    process::{Identity, Process},
};

const ENROL: Duration = Duration::from_secs(60);

impl Stack {
    /// Adds and starts one more node.
    pub async fn add_node(&mut self, number: u8) -> Result<(), StackError> {
        self.add_node_as(number, NodeMode::Managed).await
    }

    /// The same with another way to run its OpenVPN.
    pub async fn add_node_as(&mut self, number: u8, mode: NodeMode) -> Result<(), StackError> {
        let node = NewNode {
            number,
            mode,
            pool: None,
            listeners: Vec::new(),
            machine: None,
        };
        self.add(node).await
    }

    /// Makes the machine of a node that [`Self::add_node_on`] adds later. Until then other programs have it to themselves.
    ///
    /// # Errors
    /// [`StackError::NoTunnels`], or when the network cannot be built.
    pub async fn add_machine(&self, number: u8) -> Result<Namespace, StackError> {
        let network = self.network()?;
        let machine = network.add(&format!("node-{number}"), 10 + number).await?;
        if self.state.service.is_some() {
            network.connect_behind(&machine).await?;
        }
        Ok(machine)
    }

    /// Adds and starts one more node on its machine.
    pub async fn add_node_on(&mut self, machine: Namespace, number: u8) -> Result<(), StackError> {
        let node = NewNode {
            number,
            mode: NodeMode::Managed,
            pool: None,
            listeners: Vec::new(),
            machine: Some(machine),
        };
        self.add(node).await
    }

    pub(super) async fn add(&mut self, node: NewNode) -> Result<(), StackError> {
        let NewNode {
            number,
            mode,
            pool,
            listeners,
            machine,
        } = node;
        let (namespace, port) = match (machine, &self.state.network) {
            (Some(machine), _) => (Some(machine), 8081),
            (None, Some(_)) => (Some(self.add_machine(number).await?), 8081),
            (None, None) => (None, ports::free().map_err(StackError::Port)?),
        };
        let dir = self.state.node_dir(number);
        fs::DirBuilder::new()
            .mode(0o711)
            .create(&dir)
            .map_err(StackError::file(&dir))?;
        if let Some(size) = self.state.node_disk {
            self.mount_disk(&dir, size, "0711").await?;
        }
        let mode = if self.state.network.is_some() {
            mode
        } else {
            NodeMode::None
        };
        self.state.nodes.push(NodeState {
            number,
            port,
            namespace,
            agent: None,
            mode,
            pool,
            listeners: match mode {
                NodeMode::Managed => listeners,
                NodeMode::External | NodeMode::None => Vec::new(),
            },
            openvpn: None,
        });
        if self.state.mode(number) == NodeMode::External {
            self.state.write_operators_conf(number)?;
        }
        self.start_part(Part::Node(number)).await?;
        self.await_enrolled(number).await?;
        if self.state.mode(number) == NodeMode::External {
            self.start_part(Part::Openvpn(number)).await?;
        }
        Ok(())
    }

    /// Waits until the node and management agree that the node is in sync. The node's API answers even before management knows the node.
    async fn await_enrolled(&self, number: u8) -> Result<(), StackError> {
        let part = Part::Node(number);
        let identity = self.state.process(part).unwrap_or(Identity::NOBODY);
        let agent = Process::adopt(part.to_string(), identity, self.state.log(part));
        let api = self.api();
        let enrolled = async || match api
            .endnode(&part.to_string())
            .await
            .and_then(|answer| answer.expect(200))
        {
            Ok(node) if node.body["last_sync"].is_string() => Ok(()),
            Ok(node) => Err(format!("not in sync: {}", node.text)),
            Err(error) => Err(error.to_string()),
        };
        agent.ready(ENROL, enrolled).await?;
        Ok(())
    }
}
