//! Access to the bus. Management makes the nodes' account from the revocations in PostgreSQL and compares it with the one of the NATS server
//! at every start, at every reconnect and every minute, and publishes it where it differs: a server whose store was wiped would otherwise
//! accept revoked keys again.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use nkeys::KeyPair;
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use tokio::sync::Mutex;
use tracing::warn;
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::{
    connect::{self, Bus, BusAddress, Identity},
    security::{
        bus_files::open::{BusFiles, BusFilesError},
        keys::NodePublicKey,
        node_credentials::NodeAuthority,
        revoke::{self, PublishAccountError, RebuildError},
    },
};
use vpnmanager_runtime::error_chain::chain;

use crate::ops::nodes::note_excess::cut_off;

/// Signs the bus credentials of nodes, and publishes which of them are revoked.
#[derive(Debug, Clone)]
pub struct BusAccess {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: BusAddress,
    system_credentials: PathBuf,
    operator: KeyPair,
    first_account: String,
    authority: NodeAuthority,
    /// One publication at a time: each is newer than the one that the server has.
    turn: Mutex<()>,
}

/// Why the server may still accept revoked keys.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The revocations could not be read.
    #[error("reading the revocations failed")]
    Database(#[from] DbErr),
    /// The account could not be signed.
    #[error("making the nodes' account failed")]
    Rebuild(#[from] RebuildError),
    /// The bus could not be reached.
    #[error("connecting to the bus as its system user failed")]
    Connect(#[from] connect::ConnectError),
    /// The server did not accept the account.
    #[error("updating the nodes' account failed")]
    Publish(#[from] PublishAccountError),
}

impl BusAccess {
    /// Reads the keys from the bus folder.
    pub fn open(files: &BusFiles, address: BusAddress) -> Result<Self, BusFilesError> {
        let inner = Inner {
            address,
            system_credentials: files.system_creds_path(),
            operator: files.operator_signing_key()?,
            first_account: files.nodes_account_jwt()?,
            authority: files.node_authority()?,
            turn: Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The key that signs the credentials of nodes.
    pub fn authority(&self) -> &NodeAuthority {
        &self.inner.authority
    }

    /// Connects as the user of the system account.
    pub async fn connect_as_system(&self) -> Result<Bus, connect::ConnectError> {
        let identity = Identity::Credentials(self.inner.system_credentials.clone());
        connect::connect(&self.inner.address, "vpnmanager-management-system", identity).await
    }

    /// Publishes the nodes' account with every revocation, and with the nodes that are cut off for now, unless the server has it already.
    /// The server then drops live connections of revoked keys at once.
    ///
    /// # Errors
    /// The server may still accept revoked keys: call again.
    pub async fn enforce(&self, db: &DatabaseConnection) -> Result<(), EnforceError> {
        let _turn = self.inner.turn.lock().await;
        let mut revocations: BTreeMap<NodePublicKey, DateTime<Utc>> = BTreeMap::new();
        for row in bus_revocation::Entity::find().all(db).await? {
            match row.public_key.parse() {
                Ok(key) => drop(revocations.insert(key, row.revoked_at)),
                Err(error) => {
                    warn!(node.id = row.server_id, error = %chain(&error), "Skipping a revoked bus key: the database holds an invalid key")
                }
            }
        }
        // A credential that is issued before its node may come back is refused too: the server compares the time of issue.
        for server in cut_off(db, Utc::now()).await? {
            if let Some(until) = server.cut_off_until {
                let refused_until = revocations.entry(server.bus_public_key).or_insert(until);
                *refused_until = until.max(*refused_until);
            }
        }
        let account = revoke::rebuild_nodes_account(&self.inner.first_account, &revocations, &self.inner.operator)?;
        let system = self.connect_as_system().await?;
        revoke::publish_account_if_changed(&system.client, account, &self.inner.operator).await?;
        Ok(())
    }
}
