//! Tells a node that the bus refuses whether it is still registered. The answer is signed with the key of the fleet's CA.

use chrono::{TimeDelta, Utc};
use sea_orm::DbErr;
use vpnmanager_entities::server;
use vpnmanager_nats::{
    endpoint::BusPlace,
    security::{
        jwt::JwtError,
        node_credentials::issue_node_jwt,
        standing::{Question, Standing},
    },
};

use crate::{
    app::App,
    ops::{
        certificates::authorities::authorities,
        nodes::bus_keys::{last_revocation, time_of_issue},
    },
    pki::PkiError,
};

/// How far the time of a question may be from management's clock.
pub const ANSWERED_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// The standing of a node, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingReply {
    /// The standing.
    pub standing: Standing,
    /// A new bus credential for a registered node; useless without the node's seed.
    pub bus_jwt: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA over [`Question::answer_text`].
    pub signature: Vec<u8>,
    /// Where the bus is, for a registered node, and the same signature over [`Question::bus_text`].
    pub bus: Option<(BusPlace, Vec<u8>)>,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TellStandingError {
    /// The question is not signed with the key that it names.
    #[error("the signature of the question is not by its key")]
    Signature,
    /// The time of the question is more than [`ANSWERED_WITHIN`] away from management's clock.
    #[error("the time of the question is too far from management's clock")]
    Time,
    /// The bus credential could not be signed.
    #[error("signing the bus credential failed")]
    Jwt(#[from] JwtError),
    /// The answer could not be signed.
    #[error("signing the answer failed")]
    Sign(#[from] PkiError),
    /// The database did not answer.
    #[error("reading the node failed")]
    Database(#[from] DbErr),
}

/// Answers a question. Only a key whose revocation is recorded is called deregistered: a key that this database does not know may have been
/// registered in a newer one.
pub async fn tell_standing(
    app: &App,
    question: &Question,
    signature: &[u8],
) -> Result<StandingReply, TellStandingError> {
    if !question.is_signed(signature) {
        return Err(TellStandingError::Signature);
    }
    if (Utc::now() - question.at).abs() > ANSWERED_WITHIN {
        return Err(TellStandingError::Time);
    }
    let (name, key) = (&question.node, &question.key);
    let revoked = last_revocation(&app.db, key).await?;
    let server = server::Entity::find_by_name(name.clone()).one(&app.db).await?;
    let is_revoked = revoked
        .as_ref()
        .is_some_and(|revoked| revoked.server_id == name.as_str());
    let standing = match (server, is_revoked) {
        (Some(server), _) if server.bus_public_key == *key && !server.is_deregistered() => Standing::Registered,
        (_, true) => Standing::Deregistered,
        (_, false) => Standing::Unknown,
    };
    let bus_jwt = match standing {
        Standing::Registered => {
            let issued_at = time_of_issue(&app.db, revoked.as_ref()).await?;
            Some(issue_node_jwt(name, key, issued_at, app.bus_access.authority())?)
        }
        Standing::Deregistered | Standing::Unknown => None,
    };
    let trusted = authorities(&app.db).await?;
    let bus = match standing {
        Standing::Registered => {
            let place = app.bus_place();
            let signature = app
                .pki
                .sign_statement(trusted.of_servers(), &question.bus_text(&place))?;
            Some((place, signature))
        }
        Standing::Deregistered | Standing::Unknown => None,
    };
    let text = question.answer_text(standing, bus_jwt.as_deref());
    Ok(StandingReply {
        standing,
        bus_jwt,
        signature: app.pki.sign_statement(trusted.of_servers(), &text)?,
        bus,
    })
}
