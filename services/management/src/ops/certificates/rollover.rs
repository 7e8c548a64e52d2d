//! Puts another authority in the place of the present one, in four steps, so that no client needs a new profile: both are trusted by everybody before
//! the other one signs anything, and the old one is trusted as long as something of it is good.

use std::path::Path;

use chrono::Utc;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, sea_query::Expr,
};
use serde_json::json;
use vpnmanager_entities::{
    certificate::{self, Kind},
    certificate_authority::{self, Stage},
    credential,
};
use vpnmanager_nats::ids::NodeId;

use super::authorities::authorities;
use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::authorities::{Authorities, Step},
    },
    ops::{
        audit::{self, Entry},
        transact::transact,
        webhooks::reseal::reseal,
    },
    pki::{CertificateFacts, OpenPkiError, Pki},
};

/// Certificates that are read at once.
const BATCH: u64 = 1000;
/// Things that a refusal names.
const NAMED: usize = 10;

/// Which step, and what is known better.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The step.
    pub step: Step,
    /// Nodes whose OpenVPN somebody else runs, and was seen to by whoever asks.
    pub seen_to: Vec<NodeId>,
    /// Whether to go on although something breaks.
    pub force: bool,
}

/// Why a step was not taken. Nothing was changed, but for the files of the next authority.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// Another step comes first.
    #[error("the next step is `ca-rollover {}`", .due.as_str())]
    NotDue {
        /// That one.
        due: Step,
    },
    /// Something would break.
    #[error("{0}")]
    Breaks(String),
    /// The authorities cannot be read or made.
    #[error("the folder of the authorities cannot be used")]
    Pki(#[from] OpenPkiError),
    /// The key of the authority is not here.
    #[error(
        "PKI_DIR of this machine lacks the key of the authority {0}: run this where management has it, or copy that PKI_DIR"
    )]
    NoKey(String),
    /// The database failed.
    #[error("reading or changing the authorities failed")]
    Database(#[from] DbErr),
}

/// How far a rollover is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The authorities.
    pub authorities: Authorities,
    /// The step that comes next.
    pub due: Step,
    /// What would break by it at this moment, for people.
    pub breaks: Option<String>,
}

/// Says how far it is. Changes nothing.
pub async fn progress(db: &DatabaseConnection) -> Result<Progress, DbErr> {
    let authorities = authorities(db).await?;
    let due = Step::due(&authorities);
    let breaks = breaks(db, &authorities, due, &[]).await?;
    Ok(Progress {
        authorities,
        due,
        breaks,
    })
}

/// Takes a step, and gives what breaks by it, if that was wanted all the same. `recorder` is who records it.
pub async fn roll_over(
    db: &DatabaseConnection,
    pki_dir: &Path,
    recorder: &str,
    wish: &Wish,
) -> Result<Option<String>, RolloverError> {
    let trusted = authorities(db).await?;
    let due = Step::due(&trusted);
    if due != wish.step {
        return Err(RolloverError::NotDue { due });
    }
    let breaks = breaks(db, &trusted, due, &wish.seen_to).await?;
    if let Some(what) = breaks.as_ref().filter(|_| !wish.force) {
        return Err(RolloverError::Breaks(what.clone()));
    }
    let next = match due {
        Step::Begin => Some(holding(pki_dir, trusted.at(Stage::Present))?.prepare_next(pki_dir)?),
        Step::Clients => {
            holding(pki_dir, trusted.at(Stage::Next))?;
            None
        }
        Step::Servers | Step::Finish => None,
    };
    if due == Step::Finish {
        if !Pki::is_half_promoted(pki_dir) {
            // The key that secrets in the database were encrypted with goes.
            reseal(db, &holding(pki_dir, trusted.at(Stage::Present))?).await?;
        }
        // First: the one that leaves signs nothing any more, so nothing needs its key, and a run that was interrupted is completed by the next.
        Pki::promote_next(pki_dir)?;
    }
    let next = next.as_ref();
    transact(db, |tx| async move { record_step(&tx, due, next, recorder).await }).await?;
    Ok(breaks)
}

/// What is in the folder, which must have the key of this authority.
fn holding(pki_dir: &Path, authority: Option<&certificate_authority::Model>) -> Result<Pki, RolloverError> {
    let pki = Pki::load_or_create(pki_dir)?;
    let lacking = authority.filter(|authority| !pki.holds(&authority.fingerprint));
    match lacking {
        Some(lacking) => Err(RolloverError::NoKey(lacking.fingerprint.clone())),
        None => Ok(pki),
    }
}

async fn record_step(
    transaction: &DatabaseTransaction,
    step: Step,
    next: Option<&(String, String)>,
    recorder: &str,
) -> Result<(), RolloverError> {
    // Two at once: the second one finds what the first one did.
    transaction
        .execute_unprepared("LOCK TABLE certificate_authorities IN SHARE ROW EXCLUSIVE MODE")
        .await?;
    let before = authorities(transaction).await?;
    let due = Step::due(&before);
    if due != step {
        return Err(RolloverError::NotDue { due });
    }
    match (step, next) {
        (Step::Begin, Some((pem, fingerprint))) => {
            let row = certificate_authority::ActiveModel {
                fingerprint: Set(fingerprint.clone()),
                certificate: Set(pem.clone()),
                stage: Set(Stage::Next),
                ..Default::default()
            };
            certificate_authority::Entity::insert(row)
                .exec_without_returning(transaction)
                .await?;
        }
        (Step::Begin, None) => {}
        (Step::Clients, _) => {
            put(transaction, Stage::Present, Stage::Former).await?;
            put(transaction, Stage::Next, Stage::Present).await?;
        }
        (Step::Servers, _) => put(transaction, Stage::Former, Stage::Leaving).await?,
        (Step::Finish, _) => forget(transaction, &before).await?,
    }
    let after = authorities(transaction).await?;
    let entry = Entry::new(&Actor::command(), AuditAction::AuthorityChanged, recorder)
        .details(format!(
            "the step `{}` of putting another authority in the place of the present one",
            step.as_str()
        ))
        .before(snapshot(&before))
        .after(snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(())
}

fn snapshot(authorities: &Authorities) -> serde_json::Value {
    let all = authorities.all().iter();
    all.map(|authority| json!({ "fingerprint": authority.fingerprint, "stage": word(authority.stage) }))
        .collect()
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Next => "next",
        Stage::Present => "present",
        Stage::Former => "former",
        Stage::Leaving => "leaving",
    }
}

async fn put(transaction: &DatabaseTransaction, from: Stage, to: Stage) -> Result<(), DbErr> {
    certificate_authority::Entity::update_many()
        .col_expr(certificate_authority::Column::Stage, Expr::value(to))
        .filter(certificate_authority::Column::Stage.eq(from))
        .exec(transaction)
        .await
        .map(drop)
}

async fn forget(transaction: &DatabaseTransaction, authorities: &Authorities) -> Result<(), DbErr> {
    let Some(leaving) = authorities.at(Stage::Leaving) else {
        return Ok(());
    };
    certificate_authority::Entity::delete_by_id(leaving.fingerprint.clone())
        .exec(transaction)
        .await?;
    certificate::Entity::delete_many()
        .filter(certificate::Column::Kind.eq(Kind::Ca))
        .filter(certificate::Column::Fingerprint.eq(leaving.fingerprint.as_str()))
        .exec(transaction)
        .await
        .map(drop)
}

/// What would break by this step at this moment.
async fn breaks(
    db: &DatabaseConnection,
    authorities: &Authorities,
    step: Step,
    seen_to: &[NodeId],
) -> Result<Option<String>, DbErr> {
    match (
        step,
        authorities.at(Stage::Next),
        authorities.at(Stage::Former).or(authorities.at(Stage::Leaving)),
    ) {
        (Step::Clients, Some(next), _) => {
            let lacking = nodes_without(db, "$1 = ANY (n.trusted)", &next.fingerprint, seen_to).await?;
            Ok(told(
                &lacking,
                "nodes do not accept clients of the next authority yet; their OpenVPN has to start again once their agents have it",
            ))
        }
        (Step::Servers, _, Some(old)) => clients_of(db, old).await,
        (Step::Finish, _, Some(old)) => {
            let present = authorities.of_clients();
            let lacking = nodes_without(db, "n.signed_by = $1", present, seen_to).await?;
            let nodes = told(
                &lacking,
                "nodes use a certificate of the old authority still; their OpenVPN has to start again once their agents have another one",
            );
            Ok(nodes.or(clients_of(db, old).await?))
        }
        (Step::Begin | Step::Clients | Step::Servers | Step::Finish, _, _) => Ok(None),
    }
}

fn told(names: &[String], what: &str) -> Option<String> {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{} {what}: {shown}{more}", names.len()))
}

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

/// The nodes of the fleet of which this is not true, as their agents told last; `$1` is the fingerprint.
async fn nodes_without(
    db: &DatabaseConnection,
    condition: &str,
    fingerprint: &str,
    seen_to: &[NodeId],
) -> Result<Vec<String>, DbErr> {
    let seen_to: Vec<String> = seen_to.iter().map(ToString::to_string).collect();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "SELECT s.name FROM servers s LEFT JOIN node_authorities n ON n.server_id = s.name
             WHERE (s.leaving_since IS NULL OR s.leaving_for IS NOT NULL) AND s.name <> ALL ($2)
               AND NOT COALESCE({condition}, false) ORDER BY s.name"
        ),
        [fingerprint.into(), seen_to.into()],
    );
    let names = Name::find_by_statement(statement).all(db).await?;
    Ok(names.into_iter().map(|row| row.name).collect())
}

/// Devices that have a valid certificate of this authority. Which it is only the certificates say.
async fn clients_of(
    db: &DatabaseConnection,
    authority: &certificate_authority::Model,
) -> Result<Option<String>, DbErr> {
    use credential::Column;
    let Some(subject) = CertificateFacts::of_pem(&authority.certificate).map(|facts| facts.subject) else {
        return Ok(None);
    };
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let rows = credential::Entity::find()
            .filter(Column::Id.gt(after))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::NotAfter.gt(Utc::now()))
            .order_by_asc(Column::Id)
            .limit(BATCH)
            .all(db)
            .await?;
        let Some(last) = rows.last() else {
            break;
        };
        after = last.id;
        let is_of = |row: &&credential::Model| {
            let facts = row.certificate.as_deref().and_then(CertificateFacts::of_pem);
            facts.is_some_and(|facts| facts.issuer == subject)
        };
        found.extend(rows.iter().filter(is_of).map(|row| row.common_name.to_string()));
    }
    Ok(told(
        &found,
        "certificates of users' devices are of the old authority still; they end by themselves, or these devices get new profiles",
    ))
}
