//! Many clients in one namespace: handshakes and sessions without tunnel devices.

use std::{path::Path, time::Duration};

use super::{ClientError, ClientOptions, OpenvpnClient};
use crate::{NotReady, net::Namespace};

/// Clients that only hold sessions; each needs a profile of its own.
#[derive(Debug)]
pub struct Crowd {
    /// The clients, in the order of their profiles.
    pub clients: Vec<OpenvpnClient>,
}

impl Crowd {
    /// Starts one client per profile.
    pub fn start(namespace: &Namespace, profiles: &[String], dir: &Path) -> Result<Self, ClientError> {
        let options = ClientOptions {
            without_device: true,
            ..ClientOptions::default()
        };
        let start = |(number, profile): (usize, &String)| {
            OpenvpnClient::start(namespace, profile, (dir, &format!("crowd-{number}")), &options)
        };
        Ok(Self {
            clients: profiles.iter().enumerate().map(start).collect::<Result<_, _>>()?,
        })
    }

    /// Waits until every client is connected.
    ///
    /// # Errors
    /// [`NotReady`] of the first that is not.
    pub async fn connected(&self, deadline: Duration) -> Result<Duration, NotReady> {
        let started = std::time::Instant::now();
        for client in &self.clients {
            client.connected(deadline.saturating_sub(started.elapsed())).await?;
        }
        Ok(started.elapsed())
    }

    /// Ends all clients; they tell the server.
    pub async fn stop(&self) {
        for client in &self.clients {
            client.process().signal(rustix::process::Signal::TERM);
        }
        for client in &self.clients {
            client.stop().await;
        }
    }
}
