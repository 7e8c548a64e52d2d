//! Gives devices of a user new profiles, when the user or the home node has lost them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::{
    device::{DeviceName, MOST_DEVICES},
    username::Username,
};
use vpnmanager_runtime::traces;

pub use vpnmanager_entities::node_reissue::OldProfiles;

use crate::{
    app::App,
    domain::{
        actor::Actor,
        renewal::{Cause, Renewal, renewals},
    },
    ops::{
        credentials::renew::Renewing,
        devices::limit::{BeyondLimit, beyond_limit},
        in_turn::transact_on_user,
        users::{
            locked::{LivingUserError, locked_user},
            read::{self, UserView},
        },
    },
};

/// Which devices of a user get new profiles, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reissue {
    /// The devices.
    pub devices: Devices,
    /// What happens to the profiles that they have.
    pub old: OldProfiles,
    /// A device whose home was asked for a profile at this time or later gets no other one; `None`: each gets one.
    pub made_before: Option<DateTime<Utc>>,
}

/// Devices of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// All that the user has.
    All,
    /// This one.
    One(DeviceName),
}

/// A user after a reissue.
#[derive(Debug, Clone)]
pub struct Reissued {
    /// The user.
    pub view: UserView,
    /// Whether any device needed a new profile, or an older one was revoked.
    pub differs: bool,
}

/// Why there is no new profile.
#[derive(Debug, thiserror::Error)]
pub enum ReissueError {
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] LivingUserError),
    /// The user has no such device.
    #[error("the user has no device {0}")]
    UnknownDevice(DeviceName),
    /// The device `default` would be one too many.
    #[error("the user has {} devices, which is the most", MOST_DEVICES)]
    TooManyDevices,
    /// It would be one more than the user, or its group, is allowed.
    #[error(transparent)]
    BeyondLimit(#[from] BeyondLimit),
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Gives a device of a living user another credential; the user's home node creates the key and the profile. A user without the device `default`
/// gets it again.
pub async fn reissue_profile(
    app: &App,
    actor: &Actor,
    username: &Username,
    device: &DeviceName,
    old: OldProfiles,
) -> Result<UserView, ReissueError> {
    let wanted = Reissue {
        devices: Devices::One(device.clone()),
        old,
        made_before: None,
    };
    let reissued = reissue_where_needed(app, actor, username, &wanted).await?;
    Ok(reissued.view)
}

/// Gives those devices of a living user other credentials that need them, like [`reissue_profile`], and says whether any did. A user without
/// devices has none that does.
pub async fn reissue_where_needed(
    app: &App,
    actor: &Actor,
    username: &Username,
    wanted: &Reissue,
) -> Result<Reissued, ReissueError> {
    let reissued = transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let renewals = needed(&tx, &before, wanted).await?;
        if renewals.is_empty() {
            let view = read::view(&*tx, before).await?;
            return Ok::<_, ReissueError>(Reissued { view, differs: false });
        }
        let renewing = Renewing {
            app,
            actor,
            old: wanted.old,
        };
        let id = before.id;
        let after = renewing.renew(&tx, &[(before, renewals)]).await?.pop();
        let after = after.ok_or_else(|| DbErr::RecordNotFound(format!("the user {id}")))?;
        let view = read::view(&*tx, after).await?;
        Ok(Reissued { view, differs: true })
    })
    .await?;
    app.user_traces.remember(reissued.view.user.key, traces::current());
    app.wake_publishers();
    Ok(reissued)
}

/// What becomes of the devices of a user whose row is locked.
async fn needed(
    transaction: &DatabaseTransaction,
    user: &user::Model,
    wanted: &Reissue,
) -> Result<Vec<Renewal>, ReissueError> {
    let credentials = credential::Entity::find_valid_of([user.id]).all(transaction).await?;
    let cause = Cause::Asked {
        made_before: wanted.made_before,
    };
    let device = match &wanted.devices {
        Devices::All => return Ok(renewals(&credentials, &user.server_id, cause, wanted.old)),
        Devices::One(device) => device,
    };
    let held: BTreeSet<&DeviceName> = credentials.iter().map(|credential| &credential.device).collect();
    if !held.contains(device) {
        if !device.is_default() {
            return Err(ReissueError::UnknownDevice(device.clone()));
        }
        if held.len() >= MOST_DEVICES {
            return Err(ReissueError::TooManyDevices);
        }
        if let Some(beyond) = beyond_limit(transaction, user, held.len()).await? {
            return Err(beyond.into());
        }
        return Ok(vec![Renewal::first_of(device.clone())]);
    }
    let of_device: Vec<credential::Model> = credentials
        .iter()
        .filter(|credential| credential.device == *device)
        .cloned()
        .collect();
    Ok(renewals(&of_device, &user.server_id, cause, wanted.old))
}
