//! What enrolment gave this node, and the connection that it makes with it.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{Client, jetstream};
use tracing::{info, warn};
use vpnmanager_nats::{
    connect::{Bus, BusAddress, Identity as BusIdentity, NodeJwt, connect},
    topology::NODE_API_PREFIX,
};
use vpnmanager_profile::tls_crypt_v2::TlsCryptV2ServerKey;

use crate::{
    apply::Pki,
    config::Config,
    coordination::enrolling::Enrolling,
    enrol::enrol,
    identity::{Identity, NodeKeys},
    management::ManagementPlace,
    state_dir::StateDir,
};

/// An enrolled node's identity, with what follows from it.
pub struct Enrolled {
    /// What management gave.
    pub identity: Identity,
    /// The node's own keys.
    pub keys: NodeKeys,
    /// Where both are saved.
    pub dir: StateDir,
    /// The credential that the connection uses; replacing it here changes the next connection.
    pub jwt: NodeJwt,
}

impl Enrolled {
    /// The saved identity, or a new one from management, however long that takes.
    pub async fn load_or_enrol(config: &Config, dir: StateDir, enrolling: &Enrolling) -> anyhow::Result<Self> {
        let keys = NodeKeys::load_or_make(&dir, &config.server_id)?;
        let identity = match Identity::load(&dir, &config.server_id)? {
            Some(identity) => {
                anyhow::ensure!(
                    identity.is_for(&keys),
                    "identity.json and the keys in {} do not belong together: restore them from one backup, or move identity.json out of the folder and enrol anew",
                    dir.root().display()
                );
                identity.project(&dir, &keys)?;
                warn_of_clear_way(config);
                identity
            }
            None => enrol_and_save(config, &dir, &keys, enrolling).await?,
        };
        enrolling.done();
        Ok(Self {
            jwt: NodeJwt::from(identity.bus_jwt.clone()),
            identity,
            keys,
            dir,
        })
    }

    /// The connection to the bus. Returns at once; the client connects, and connects again, by itself.
    pub async fn connect(&self) -> anyhow::Result<Bus> {
        let node = self.identity.server_id.clone();
        let address = BusAddress {
            urls: self.identity.bus_urls.clone(),
            ca_file: self.identity.bus_ca.is_some().then(|| self.dir.bus_ca()),
        };
        let credential = BusIdentity::Node {
            node: node.clone(),
            jwt: self.jwt.clone(),
            seed: self.keys.bus.seed().context("the bus key has no seed")?,
        };
        Ok(connect(&address, node.as_str(), credential).await?)
    }

    /// What all profiles of the fleet share.
    pub fn pki(&self) -> anyhow::Result<Pki> {
        let tls_crypt_v2 = TlsCryptV2ServerKey::from_pem(&self.identity.tls_crypt_v2_key)?;
        Ok(Pki {
            ca: self.identity.ca.as_str().into(),
            server_name_prefix: self.identity.server_name_prefix.as_str().into(),
            tls_crypt_v2: tls_crypt_v2.into(),
        })
    }
}

/// A node that has enrolled says nothing secret to management any more, and believes answers by their signatures.
fn warn_of_clear_way(config: &Config) {
    let place = ManagementPlace::of(config).filter(ManagementPlace::is_in_the_clear);
    if let Some(place) = place
        && !config.tls.allow_plain_http
    {
        warn!(
            management_url = place.url,
            "MANAGEMENT_URL is HTTP in the clear to another machine: it would not be taken to enrol; use https://"
        );
    }
}

async fn enrol_and_save(
    config: &Config,
    dir: &StateDir,
    keys: &NodeKeys,
    enrolling: &Enrolling,
) -> anyhow::Result<Identity> {
    let place = ManagementPlace::of(config).context(
        "this node has not enrolled yet and needs management: set MANAGEMENT_URL (management_url in the configuration file)",
    )?;
    info!(node.id = %config.server_id, management_url = place.url, "Enrolling");
    let identity = enrol(config, &place, keys, enrolling).await?;
    identity.save(dir, keys)?;
    Ok(identity)
}

/// The JetStream of the node's account: requests go by the prefix that its imports have.
pub fn node_jetstream(client: &Client) -> jetstream::Context {
    jetstream::context::ContextBuilder::new()
        .timeout(Duration::from_secs(5))
        .ack_timeout(Duration::from_secs(5))
        .max_ack_inflight(512)
        .api_prefix(NODE_API_PREFIX)
        .build(client.clone())
}
