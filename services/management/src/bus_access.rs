//! Access to the bus. Management makes the nodes' account from the revocations in PostgreSQL and compares it with the one of the NATS server
//! at every start, at every reconnect and every minute, and publishes it where it differs: a server whose store was wiped would otherwise
//! accept revoked keys again.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use chrono::Utc;
use nkeys::KeyPair;
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use tokio::sync::Mutex;
use tracing::warn;
use vpnmanager_entities::{bus_revocation, server};
use vpnmanager_nats::{
    connect::{self, Bus, BusAddress, Identity},
    ids::NodeId,
    security::{
        bus_files::open::{BusFiles, BusFilesError},
        node_credentials::NodeAuthority,
        revocations::Revocations,
        revoke::{self, PublishAccountError, RebuildError},
    },
};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    domain::revoked_keys::{ISSUED_AHEAD, Member, Told, shortage, tell},
    ops::nodes::note_excess::cut_off,
};

/// So many nodes are named that should be enrolled again.
const NAMED: usize = 10;

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
    /// That the list of revoked keys is nearly full, if so.
    shortage: std::sync::Mutex<Option<String>>,
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
            shortage: std::sync::Mutex::default(),
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
        let mut revocations = self.revocations(db).await?;
        // Whatever its key is issued before the node may come back is refused too: the server compares the time of issue, which may lie ahead.
        for server in cut_off(db, Utc::now()).await? {
            if let Some(until) = server.cut_off_until {
                let refused_until = revocations.of_keys.entry(server.bus_public_key).or_insert(until);
                *refused_until = until.max(*refused_until) + ISSUED_AHEAD;
            }
        }
        let account = revoke::rebuild_nodes_account(&self.inner.first_account, &revocations, &self.inner.operator)?;
        let system = self.connect_as_system().await?;
        revoke::publish_account_if_changed(&system.client, account, &self.inner.operator).await?;
        Ok(())
    }

    /// What to tell people when the bus has hardly room for more revoked keys.
    pub fn problem(&self) -> Option<String> {
        let shortage = self.inner.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        shortage.clone()
    }

    /// The revoked keys, in as few entries as the fleet allows. Their rows stay for ever: they say what is told as one, and nodes ask for them.
    async fn revocations(&self, db: &DatabaseConnection) -> Result<Revocations, DbErr> {
        let revoked = bus_revocation::Entity::find().all(db).await?;
        let members = members_of_fleet(db).await?;
        let told = tell(revoked, &members, Utc::now());
        self.note_shortage(&told);
        let mut revocations = Revocations {
            of_all: told.until,
            ..Revocations::default()
        };
        for row in told.one_by_one {
            match row.public_key.parse() {
                Ok(key) => drop(revocations.of_keys.insert(key, row.revoked_at)),
                Err(error) => {
                    warn!(node.id = row.server_id, error = %chain(&error), "Skipping a revoked bus key: the database holds an invalid key")
                }
            }
        }
        Ok(revocations)
    }

    fn note_shortage(&self, told: &Told) {
        let found = shortage(told.one_by_one.len());
        let mut known = self.inner.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_some() && known.is_none() {
            let oldest: Vec<&str> = told.oldest.iter().take(NAMED).map(NodeId::as_str).collect();
            warn!(
                keys = told.one_by_one.len(),
                nodes = oldest.join(", "),
                "The bus has hardly room for more revoked keys of nodes: enrol the nodes whose keys are the oldest again, with a new node.nk"
            );
        }
        *known = found;
    }
}

/// The nodes that may connect.
async fn members_of_fleet(db: &DatabaseConnection) -> Result<Vec<Member>, DbErr> {
    let servers = server::Entity::find().all(db).await?;
    let members = servers.into_iter().filter(|server| !server.is_deregistered());
    Ok(members
        .map(|server| Member {
            node: server.name,
            key_since: server.bus_key_since,
        })
        .collect())
}
