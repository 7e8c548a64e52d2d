//! Creates a link to the profile of a device of a user.

use std::time::Duration;

use aws_lc_rs::rand;
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveValue::Set, DbErr, EntityTrait};
use secrecy::SecretString;
use vpnmanager_entities::{profile_link, user};
use vpnmanager_nats::{device::DeviceName, username::Username};

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        link_token::{LinkToken, RANDOM_BYTES},
    },
    ops::{
        audit::{self, Entry, profile_link_snapshot},
        in_turn::transact_on_user,
        users::{
            fetch_profile::{FetchProfileError, check_issued},
            locked::{LivingUserError, locked_user},
        },
    },
};

/// How long a link is valid, and how often it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTerms {
    /// From now on.
    pub time_to_live: Duration,
    /// At least 1.
    pub uses: i16,
}

/// A link. It is returned once, and its token is stored only as a hash.
#[derive(Debug)]
pub struct NewLink {
    /// The id of its row.
    pub id: i64,
    /// The page for the user.
    pub url: SecretString,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Why a link was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateLinkError {
    /// Nobody said where users reach management.
    #[error("it is not configured where users reach management")]
    NoPublicUrl,
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user is suspended.
    #[error("the user is suspended")]
    Suspended,
    /// The user's access has ended.
    #[error("the access of the user ended at {at}")]
    Expired {
        /// When.
        at: DateTime<Utc>,
    },
    /// There is no profile to hand out.
    #[error("there is no profile to hand out")]
    NoProfile(#[from] FetchProfileError),
    /// The database did not answer.
    #[error("recording the link failed")]
    Database(#[from] DbErr),
}

/// Creates a link for a living user who has access, and a profile of this device.
///
/// # Panics
/// When the operating system has no randomness to give.
pub async fn create_link(
    app: &App,
    actor: &Actor,
    username: &Username,
    device: &DeviceName,
    terms: LinkTerms,
) -> Result<NewLink, CreateLinkError> {
    let public_url = app.config.public_url().ok_or(CreateLinkError::NoPublicUrl)?;
    // Whether a link is open is judged by the clock of the database.
    let now = app.clock.now();

    let mut random = [0_u8; RANDOM_BYTES];
    rand::fill(&mut random).expect("the operating system provides randomness");
    let token = LinkToken::of(random);
    let hash = token.hash();
    let expires_at = (now + terms.time_to_live).trunc_subsecs(6);
    let id = transact_on_user(app, username, |tx| async move {
        // Whoever revokes the device, or the profiles of it, locks the user too, and ends the links that are there then.
        let user = locked_user(&tx, username).await?;
        check_access(&user, now)?;
        check_issued(&*tx, &user, device).await?;
        let row = profile_link::ActiveModel {
            hash: Set(hash.to_vec()),
            user_id: Set(user.id),
            device: Set(device.clone()),
            created_by: Set(actor.name.clone()),
            expires_at: Set(expires_at),
            uses_left: Set(terms.uses),
            ..Default::default()
        };
        let made = profile_link::Entity::insert(row).exec_with_returning(&*tx).await?;
        let entry = Entry::new(actor, AuditAction::ProfileLinkCreated, &app.config.server_id)
            .about(&user.username)
            .after(profile_link_snapshot(&made));
        audit::record_one(&tx, entry).await?;
        Ok::<i64, CreateLinkError>(made.id)
    })
    .await?;
    Ok(NewLink {
        id,
        url: public_url.with(&token.path()).into(),
        expires_at,
    })
}

fn check_access(user: &user::Model, now: DateTime<Utc>) -> Result<(), CreateLinkError> {
    if !user.active {
        return Err(CreateLinkError::Suspended);
    }
    match user.expires_at {
        Some(at) if at <= now => Err(CreateLinkError::Expired { at }),
        Some(_) | None => Ok(()),
    }
}
