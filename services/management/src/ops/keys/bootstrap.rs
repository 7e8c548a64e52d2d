//! Prepares the database at the start: the first admin key, and the fleet's CA.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, Statement,
};
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_entities::certificate_authority;

use crate::{domain::certificates::authorities::Authorities, ops::transact::transact, pki::Pki};

use vpnmanager_openapi::auth::hash_key;

/// The name of the key from `API_KEY`.
pub(super) const FIRST_KEY: &str = "admin";

/// A key that was revoked stays so until `API_KEY` is another one, and is remembered then too: a replica that is started with the old setting
/// does not bring it back.
const KEEP_FIRST_KEY: &str = "
    INSERT INTO api_keys AS k (name, hash, role) VALUES ($1, $2, 'admin')
    ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, revoked_at = NULL
    WHERE k.previous_hash IS DISTINCT FROM excluded.hash";

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

/// Makes `API_KEY` the first admin key, unless that key was revoked, and checks that this replica holds the fleet's CA.
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
    let first_key = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        KEEP_FIRST_KEY,
        [FIRST_KEY.into(), hash_key(key.expose_secret()).to_vec().into()],
    );
    transaction.execute_raw(first_key).await?;

    let known = Authorities::new(certificate_authority::Entity::find().all(transaction).await?);
    let found = pki.ca_fingerprint();
    if known.all().is_empty() {
        let row = certificate_authority::ActiveModel {
            fingerprint: Set(found.to_owned()),
            certificate: Set(pki.ca_pem().to_owned()),
            ..Default::default()
        };
        return certificate_authority::Entity::insert(row)
            .exec_without_returning(transaction)
            .await
            .map(drop)
            .map_err(BootstrapError::from);
    }
    // What signs: without the key of one of them this replica would answer nobody.
    let missing = [known.of_clients(), known.of_servers()]
        .into_iter()
        .find(|authority| !pki.holds(authority));
    match missing {
        None => Ok(()),
        Some(expected) => Err(BootstrapError::ForeignAuthority {
            found: found.to_owned(),
            expected: expected.to_owned(),
        }),
    }
}
