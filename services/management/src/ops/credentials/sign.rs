//! Signs certificates for credentials whose home is the requesting node. A repeated request gets the same certificate.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};
use tracing::{error, warn};
use vpnmanager_entities::credential;
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    sign::{CertificateRequest, SignResult, SignedCertificate},
};

use crate::{
    domain::signing::{Decision, decide},
    ops::{certificates::authorities::authorities, transact::transact},
    pki::{Pki, Signed},
};

use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    error_chain::chain,
    tasks::Tasks,
};

/// One certificate request and the node that sent it.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    /// The node, as the bus authenticated it.
    pub node: NodeId,
    /// Its request.
    pub request: CertificateRequest,
}

/// Batches certificate requests, so that many share a commit. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signatures {
    batcher: Batcher<SigningRequest, SignResult>,
}

impl Signatures {
    /// Starts the workers that sign.
    pub fn start(tasks: &Tasks, db: &DatabaseConnection, pki: &Arc<Pki>) -> Self {
        let limits = BatchLimits {
            batch: 128,
            workers: 2,
            ..BatchLimits::default()
        };
        let (db, pki) = (db.clone(), Arc::clone(pki));
        let batcher = Batcher::start(tasks, "sign-certificates", limits, move |batch| {
            let (db, pki) = (db.clone(), Arc::clone(&pki));
            async move { sign_batch(&db, &pki, batch).await }
        });
        Self { batcher }
    }

    /// Signs one certificate, in a batch with the other requests of this moment.
    pub async fn submit(&self, asked: SigningRequest) -> SignResult {
        let common_name = asked.request.common_name.clone();
        let signed = self.batcher.submit(asked).await;
        signed.unwrap_or(SignResult::Unavailable { common_name })
    }
}

/// Signs a batch in one transaction. Returns one result for each request, in the same order.
pub async fn sign_batch(db: &DatabaseConnection, pki: &Arc<Pki>, batch: Vec<SigningRequest>) -> Vec<SignResult> {
    let asked = batch.as_slice();
    match transact(db, |tx| async move { sign_within(&tx, pki, asked).await }).await {
        Ok(results) => results,
        Err(error) => {
            warn!(error = %chain(&error), "Recording certificates failed");
            batch.iter().map(unavailable).collect()
        }
    }
}

fn unavailable(asked: &SigningRequest) -> SignResult {
    SignResult::Unavailable {
        common_name: asked.request.common_name.clone(),
    }
}

/// The SHA-256 of each request's public key; `None` for an invalid request, and for one that is refused whatever its key: a check takes
/// longer than all else, and a node can send any number of requests.
async fn check(
    pki: &Arc<Pki>,
    batch: &[SigningRequest],
    rows: &HashMap<&CommonName, &credential::Model>,
) -> Result<Vec<Option<Vec<u8>>>, tokio::task::JoinError> {
    let worth_it = |asked: &SigningRequest| {
        let row = rows.get(&asked.request.common_name);
        row.is_some_and(|row| row.server_id == asked.node && row.revoked_at.is_none())
    };
    let requests: Vec<Option<String>> = batch
        .iter()
        .map(|asked| worth_it(asked).then(|| asked.request.csr.clone()))
        .collect();
    let pki = Arc::clone(pki);
    tokio::task::spawn_blocking(move || {
        let check = |csr: &Option<String>| pki.csr_public_key_sha256(csr.as_deref()?).ok();
        requests.iter().map(check).collect()
    })
    .await
}

async fn sign_within(
    transaction: &DatabaseTransaction,
    pki: &Arc<Pki>,
    batch: &[SigningRequest],
) -> Result<Vec<SignResult>, DbErr> {
    let names = batch.iter().map(|asked| asked.request.common_name.clone());
    let rows = credential::Entity::find()
        .filter(credential::Column::CommonName.eq_any(names))
        .order_by_asc(credential::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let rows: HashMap<&CommonName, &credential::Model> = rows.iter().map(|row| (&row.common_name, row)).collect();
    let keys = match check(pki, batch, &rows).await {
        Ok(keys) => keys,
        Err(error) => {
            error!(error = %chain(&error), "Checking certificate requests failed");
            return Ok(batch.iter().map(unavailable).collect());
        }
    };

    let decisions: Vec<Decision> = batch
        .iter()
        .zip(&keys)
        .map(|(asked, key)| {
            decide(
                rows.get(&asked.request.common_name).copied(),
                &asked.node,
                key.as_deref(),
            )
        })
        .collect();
    let issuer = authorities(transaction).await?.of_clients().to_owned();
    let fresh = sign((pki, issuer), batch, &decisions).await;
    record_certificates(transaction, &fresh).await?;

    let mut fresh: HashMap<CommonName, Signed> = fresh.into_iter().collect();
    let results = batch.iter().zip(decisions).map(|(asked, decision)| {
        let common_name = asked.request.common_name.clone();
        match decision {
            Decision::Refuse(reason) => SignResult::Refused { common_name, reason },
            Decision::Repeat(certificate) => SignResult::Signed(certificate),
            Decision::Sign => match fresh.remove(&common_name) {
                Some(signed) => SignResult::Signed(SignedCertificate {
                    common_name,
                    certificate: signed.pem,
                    serial: signed.serial_hex,
                    not_before: signed.not_before,
                    not_after: signed.not_after,
                }),
                None => SignResult::Unavailable { common_name },
            },
        }
    });
    Ok(results.collect())
}

/// Signs by the authority with this fingerprint.
async fn sign(
    (pki, issuer): (&Arc<Pki>, String),
    batch: &[SigningRequest],
    decisions: &[Decision],
) -> Vec<(CommonName, Signed)> {
    let mut wanted: Vec<CertificateRequest> = batch
        .iter()
        .zip(decisions)
        .filter(|(_, decision)| matches!(decision, Decision::Sign))
        .map(|(asked, _)| asked.request.clone())
        .collect();
    // Two requests for one credential in one batch: the first is signed, the other is answered `Unavailable` and comes again.
    wanted.sort_by(|one, other| one.common_name.cmp(&other.common_name));
    wanted.dedup_by(|one, other| one.common_name == other.common_name);
    let pki = Arc::clone(pki);
    let signed = tokio::task::spawn_blocking(move || {
        let mut signed = Vec::with_capacity(wanted.len());
        for request in wanted {
            match pki.sign_client_by(&issuer, &request.common_name, &request.csr) {
                Ok(certificate) => signed.push((request.common_name, certificate)),
                Err(error) => {
                    warn!(credential = %request.common_name, error = %chain(&error), "Signing a certificate failed")
                }
            }
        }
        signed
    });
    signed.await.unwrap_or_default()
}

async fn record_certificates(transaction: &DatabaseTransaction, fresh: &[(CommonName, Signed)]) -> Result<(), DbErr> {
    if fresh.is_empty() {
        return Ok(());
    }
    let text = |value: fn(&(CommonName, Signed)) -> String| fresh.iter().map(value).collect::<Vec<String>>();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials c SET serial = s.serial, public_key_sha256 = decode(s.key, 'hex'), certificate = s.certificate,
             not_before = s.not_before, not_after = s.not_after
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
                  AS s (common_name, serial, key, certificate, not_before, not_after)
         WHERE c.common_name = s.common_name",
        [
            text(|(name, _)| name.to_string()).into(),
            text(|(_, signed)| signed.serial_hex.clone()).into(),
            text(|(_, signed)| data_encoding::HEXLOWER.encode(&signed.public_key_sha256)).into(),
            text(|(_, signed)| signed.pem.clone()).into(),
            fresh.iter().map(|(_, signed)| signed.not_before).collect::<Vec<_>>().into(),
            fresh.iter().map(|(_, signed)| signed.not_after).collect::<Vec<_>>().into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}
