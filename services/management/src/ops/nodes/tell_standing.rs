//! Telling a node that the bus refuses how it stands, with a signature that only the holder of the fleet's CA can give.

use chrono::{TimeDelta, Utc};
use sea_orm::{DbErr, EntityTrait};
use vpnmanager_entities::{bus_revocation, server};
use vpnmanager_nats::security::{
    jwt::JwtError,
    node_credentials::issue_node_jwt,
    standing::{Question, Standing},
};

use crate::{app::App, pki::PkiError};

/// A question that is older, or from a clock that is further off, is not answered.
pub const ANSWERED_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingReply {
    /// In one word.
    pub standing: Standing,
    /// A fresh bus credential for a registered node; of no use without its seed.
    pub bus_jwt: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA over [`Question::answer_text`].
    pub signature: Vec<u8>,
}

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellStandingError {
    /// The holder of the key did not sign it.
    #[error("the signature is not by that key over this question")]
    Signature,
    /// Its time is too far from ours.
    #[error("the question is not of this moment")]
    Time,
    /// The bus credential could not be signed.
    #[error("signing the bus credential failed")]
    Jwt(#[from] JwtError),
    /// The answer could not be signed.
    #[error("signing the answer failed")]
    Sign(#[from] PkiError),
    /// The database did not answer.
    #[error("looking for the node failed")]
    Database(#[from] DbErr),
}

/// Only a key that is known to have been revoked is called deregistered: what this database does not know at all may be of a newer one.
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
    let server = server::Entity::find_by_name(name.clone()).one(&app.db).await?;
    let revoked = bus_revocation::Entity::find_by_id(key.as_str()).one(&app.db).await?;
    let revoked = revoked.filter(|revoked| revoked.server_id == name.as_str());
    let standing = match (server, &revoked) {
        (Some(server), _) if server.bus_public_key == *key => Standing::Registered,
        (_, Some(_)) => Standing::Deregistered,
        (_, None) => Standing::Unknown,
    };
    let bus_jwt = match standing {
        Standing::Registered => Some(issue_node_jwt(
            &question.node,
            &question.key,
            revoked.map(|revoked| revoked.revoked_at),
            app.bus_access.authority(),
        )?),
        Standing::Deregistered | Standing::Unknown => None,
    };
    let text = question.answer_text(standing, bus_jwt.as_deref());
    Ok(StandingReply {
        standing,
        bus_jwt,
        signature: app.pki.sign_statement(&text)?,
    })
}
