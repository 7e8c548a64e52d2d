//! Revokes one device of a user: all its credentials, for ever. The others are not touched.

use vpnmanager_nats::{device::DeviceName, ids::CommonName, username::Username};

use super::DeviceError;
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::revoke::revoke_of_device,
        in_turn::transact_on_user,
        links::revoke::end_links,
        publications::make_due::{Urgency, want_newest},
        users::{
            locked::locked_user,
            next_revision::next_revision,
            read::{self, UserView},
        },
    },
};

/// Revokes all credentials of a device of a living user, and ends the links to its profile. Returns the user after it.
pub async fn revoke_device(
    app: &App,
    actor: &Actor,
    username: &Username,
    name: &DeviceName,
) -> Result<UserView, DeviceError> {
    let view = transact_on_user(app, username, |tx| async move {
        let before = locked_user(&tx, username).await?;
        let revoked = revoke_of_device(&tx, before.id, name).await?;
        if revoked.is_empty() {
            return Err(DeviceError::UnknownDevice(name.clone()));
        }
        let user = next_revision(&tx, &before, name).await?;
        end_links(&tx, app, actor, &[(user.id, name)]).await?;
        want_newest(&*tx, &[user.id], Urgency::EndsAccess).await?;
        let revoked: Vec<&str> = revoked.iter().map(CommonName::as_str).collect();
        let entry = Entry::new(actor, AuditAction::DeviceRevoked, &app.config.server_id)
            .about(&user.username)
            .details(format!("the device {name}; revoked: {}", revoked.join(", ")))
            .before(user_snapshot(&before))
            .after(user_snapshot(&user));
        audit::record_one(&tx, entry).await?;
        Ok::<_, DeviceError>(read::view(&*tx, user).await?)
    })
    .await?;
    app.wake_publishers();
    Ok(view)
}
