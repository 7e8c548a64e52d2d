//! A node of a stack, for tests.

use std::path::PathBuf;

use super::{Listener, NodeMode, Part, ServiceState, Stack, StackError, State};
use crate::{
    api::Api,
    net::Namespace,
    process::{Identity, Log},
};

/// A node of a running stack.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    state: &'a State,
    number: u8,
}

impl Stack {
    /// Node `number` (from 1 on).
    ///
    /// # Errors
    /// [`StackError::NoSuchPart`].
    pub fn node(&self, number: u8) -> Result<Node<'_>, StackError> {
        self.state
            .node_state(number)
            .ok_or(StackError::NoSuchPart(Part::Node(number)))?;
        Ok(Node {
            state: &self.state,
            number,
        })
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.state.nodes.iter().map(|node| Node {
            state: &self.state,
            number: node.number,
        })
    }

    /// Management's API with the admin key.
    #[must_use]
    pub fn api(&self) -> Api {
        self.state.api(Some(&self.state.api_key))
    }

    /// The same of one more management.
    ///
    /// # Errors
    /// [`StackError::NoSuchPart`].
    pub fn replica_api(&self, number: u8) -> Result<Api, StackError> {
        let replica = self
            .state
            .replica(number)
            .ok_or(StackError::NoSuchPart(Part::Replica(number)))?;
        Ok(Api::new(replica.url(), Some(&self.state.api_key)))
    }

    /// The credentials file with which management connects to the bus.
    #[must_use]
    pub fn nats_creds(&self) -> PathBuf {
        self.state.bus_dir().join("management.creds")
    }

    /// The bus CA's certificate.
    #[must_use]
    pub fn nats_ca(&self) -> PathBuf {
        self.state.bus_dir().join("ca.pem")
    }

    /// The log of a part.
    #[must_use]
    pub fn log(&self, part: Part) -> Log {
        Log::at(self.state.log(part))
    }

    /// The last warnings and errors in the logs of management and the nodes, to show after a failure.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let nodes = self.state.nodes.iter().map(|node| Part::Node(node.number));
        let replicas = self.state.replicas.iter().map(|replica| Part::Replica(replica.number));
        let managements = std::iter::once(Part::Management).chain(replicas);
        let told = managements.chain(nodes).flat_map(|part| {
            let text = self.log(part).text();
            let lines = text
                .lines()
                .filter(|line| line.contains(" WARN ") || line.contains("ERROR"));
            let lines: Vec<String> = lines.map(|line| format!("{part}: {line}")).collect();
            lines[lines.len().saturating_sub(5)..].to_vec()
        });
        told.collect()
    }

    /// The service host behind the nodes.
    ///
    /// # Errors
    /// [`StackError::NoService`].
    pub fn service(&self) -> Result<&ServiceState, StackError> {
        self.state.service.as_ref().ok_or(StackError::NoService)
    }

    /// The running process of a part; of an OpenVPN with several listeners that of the first.
    #[must_use]
    pub fn process(&self, part: Part) -> Option<Identity> {
        self.state.process(part)
    }

    /// Every running process of a part: of an OpenVPN one for each listener, in the order of the listeners while there are two at most.
    #[must_use]
    pub fn processes(&self, part: Part) -> Vec<Identity> {
        self.state.processes(part)
    }
}

impl<'a> Node<'a> {
    /// 1, 2, ...
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// `node-1`, `node-2`, ...
    #[must_use]
    pub fn id(&self) -> String {
        format!("node-{}", self.number)
    }

    /// Its local API's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.node_url(self.number)
    }

    /// Its local API with its key.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.url(), Some(&self.state.api_key))
    }

    /// Its state folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.state.node_dir(self.number)
    }

    /// The credentials file with which it connects to the bus.
    #[must_use]
    pub fn creds(&self) -> PathBuf {
        self.dir().join("node.creds")
    }

    /// The allow-list of its first listener: the folder whose files name the allowed credentials.
    #[must_use]
    pub fn allow_dir(&self) -> PathBuf {
        self.dir().join("allow")
    }

    /// Its namespace.
    ///
    /// # Errors
    /// [`StackError::NoTunnels`].
    pub fn namespace(&self) -> Result<&'a Namespace, StackError> {
        self.state
            .node_state(self.number)
            .and_then(|node| node.namespace.as_ref())
            .ok_or(StackError::NoTunnels)
    }

    /// How its OpenVPN runs.
    #[must_use]
    pub fn mode(&self) -> NodeMode {
        self.state.mode(self.number)
    }

    /// Where its OpenVPN listens, UDP first.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        self.state.listeners(self.number)
    }

    /// Its running agent.
    #[must_use]
    pub fn agent(&self) -> Option<Identity> {
        self.state.process(Part::Node(self.number))
    }

    /// Its running OpenVPN server, of its first listener.
    #[must_use]
    pub fn openvpn(&self) -> Option<Identity> {
        self.state.process(Part::Openvpn(self.number))
    }

    /// Its agent's log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::at(self.state.log(Part::Node(self.number)))
    }
}
