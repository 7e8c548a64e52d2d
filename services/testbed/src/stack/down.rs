//! Takes a stack down, including one that crashed.

use std::{path::Path, time::Duration};

use futures_util::future::join_all;
use rustix::process::Signal;

use super::{Part, Stack, StackError};
use crate::{
    net::{delete_network, run},
    process::{Identity, belonging_to},
    scratch::Scratch,
};

const STOP: Duration = Duration::from_secs(15);

impl Stack {
    /// Stops every part, deletes namespaces and folder.
    pub async fn down(self) {
        let Self { state, scratch } = self;
        // Agents first, because a running agent would start its OpenVPN again. Clients end with their namespaces.
        let agents = state
            .nodes
            .iter()
            .map(|node| stop(state.process(Part::Node(node.number))));
        let replicas = state
            .replicas
            .iter()
            .map(|replica| stop(state.process(Part::Replica(replica.number))));
        tokio::join!(
            join_all(agents),
            join_all(replicas),
            stop(state.process(Part::Management))
        );
        for node in &state.nodes {
            for openvpn in state.processes(Part::Openvpn(node.number)) {
                openvpn.kill().await;
            }
        }
        stop(state.process(Part::Nats)).await;
        if let Some(process) = state.process(Part::Postgres) {
            process.stop(Signal::INT, STOP).await;
        }
        delete_network(&state.id).await;
        for process in belonging_to(&state.dir) {
            process.kill().await;
        }
        if state.node_disk.is_some() {
            for node in &state.nodes {
                // A busy disk is unmounted when the last process that uses it ends.
                let _ = run(&format!("umount -l {}", state.node_dir(node.number).display())).await;
            }
        }
        if state.bus_disk.is_some() {
            let _ = run(&format!("umount -l {}", state.bus_store().display())).await;
        }
        state.forget();
        scratch.remove();
    }

    /// Removes what a crashed stack with this id left. A running stack is not touched.
    ///
    /// # Errors
    /// [`StackError::AlreadyUp`] if the stack is running.
    pub async fn clear_leftovers(home: &Path, id: &str) -> Result<(), StackError> {
        match Self::attach(home) {
            Ok(stack) if stack.state.any_alive() => {
                return Err(StackError::AlreadyUp {
                    dir: home.to_path_buf(),
                });
            }
            Ok(stack) => stack.down().await,
            Err(StackError::NotUp { .. }) => {}
            Err(error) => return Err(error),
        }
        delete_network(id).await;
        Scratch::remove_kept(id);
        Ok(())
    }
}

async fn stop(process: Option<Identity>) {
    if let Some(process) = process {
        process.stop(Signal::TERM, STOP).await;
    }
}
