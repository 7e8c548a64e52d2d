//! Prepares the database at the start: the first admin key, and the fleet's CA.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    sea_query::OnConflict,
};
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_entities::{
    api_key::{self, Role},
    certificate_authority,
};

use crate::{ops::transact::transact, pki::Pki};

use vpnmanager_openapi::auth::hash_key;

/// The name of the key from `API_KEY`.
const FIRST_KEY: &str = "admin";
/// The advisory lock: any number that nothing else in this database locks. These are the letters of "boot".
const BOOTSTRAP_LOCK: i64 = 0x626f_6f74;

/// Why management may not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The database knows another CA than the PKI folder of this replica.
    #[error(
        "the CA in the PKI folder (SHA-256 {found}) is not the fleet's ({expected}): copy the PKI folder of the replica that started first"
    )]
    ForeignAuthority {
        /// The fingerprint of the CA in the folder.
        found: String,
        /// The fingerprint of the CA in the database.
        expected: String,
    },
    /// The database did not answer.
    #[error("preparing the database failed")]
    Database(#[from] DbErr),
}

/// Makes `API_KEY` the first admin key and checks that this replica holds the fleet's CA.
pub async fn bootstrap(db: &DatabaseConnection, key: &SecretString, pki: &Pki) -> Result<(), BootstrapError> {
    transact(db, |tx| async move { bootstrap_within(&tx, key, pki).await }).await
}

async fn bootstrap_within(
    transaction: &DatabaseTransaction,
    key: &SecretString,
    pki: &Pki,
) -> Result<(), BootstrapError> {
    transaction
        .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({BOOTSTRAP_LOCK})"))
        .await?;
    let row = api_key::ActiveModel {
        name: Set(FIRST_KEY.to_owned()),
        hash: Set(hash_key(key.expose_secret()).to_vec()),
        role: Set(Role::Admin),
        ..Default::default()
    };
    api_key::Entity::insert(row)
        .on_conflict(
            OnConflict::column(api_key::Column::Name)
                .update_column(api_key::Column::Hash)
                .to_owned(),
        )
        .exec_without_returning(transaction)
        .await?;

    let known = certificate_authority::Entity::find().all(transaction).await?;
    let found = pki.ca_fingerprint();
    match known.first() {
        None => {
            let row = certificate_authority::ActiveModel {
                fingerprint: Set(found.to_owned()),
                certificate: Set(pki.ca_pem().to_owned()),
                ..Default::default()
            };
            certificate_authority::Entity::insert(row)
                .exec_without_returning(transaction)
                .await?;
        }
        Some(_) if known.iter().any(|authority| authority.fingerprint == found) => {}
        Some(expected) => {
            return Err(BootstrapError::ForeignAuthority {
                found: found.to_owned(),
                expected: expected.fingerprint.clone(),
            });
        }
    }
    Ok(())
}
