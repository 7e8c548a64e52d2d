//! Gives devices of users other credentials, and revokes those before them: all that a reissue is, of one device or of all users of a node.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, DbErr, EntityTrait, QueryFilter};
use vpnmanager_entities::{node_reissue::OldProfiles, user};
use vpnmanager_nats::{device::DeviceName, ids::CommonName};

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        renewal::{Next, Renewal},
    },
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::{
            give::{NewCredential, give_credentials},
            revoke::revoke_these,
        },
        links::revoke::end_links,
        publications::make_due::{Urgency, want_newest},
        users::next_revision::next_revisions,
    },
};

/// A user, as it was before, and what becomes of its devices: of one at least.
pub(in crate::ops) type Renewed = (user::Model, Vec<Renewal>);

/// How credentials are renewed.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Renewing<'a> {
    pub(in crate::ops) app: &'a App,
    /// Who asked for it.
    pub(in crate::ops) actor: &'a Actor,
    /// What happens to the older credentials: whoever decided which of them end went by the same.
    pub(in crate::ops) old: OldProfiles,
}

impl Renewing<'_> {
    /// Renews devices of living users whose rows are locked, and gives the users after it. Each has the next revision and an entry in the
    /// audit trail. The caller wakes the publishers.
    pub(in crate::ops) async fn renew(
        self,
        transaction: &DatabaseTransaction,
        users: &[Renewed],
    ) -> Result<Vec<user::Model>, DbErr> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = users.iter().map(|(user, _)| user.id).collect();
        let is_of_default = |renewal: &Renewal| renewal.device.is_default() && renewal.next == Next::New;
        let of_default = users.iter().filter(|(_, renewals)| renewals.iter().any(is_of_default));
        next_revisions(transaction, &ids, of_default.map(|(user, _)| user.id).collect()).await?;
        let urgency = match self.old {
            OldProfiles::Keep => Urgency::Ordinary,
            OldProfiles::Revoke => {
                self.revoke(transaction, users).await?;
                Urgency::EndsAccess
            }
        };
        let (new, details): (Vec<Vec<NewCredential>>, Vec<String>) =
            users.iter().map(|renewed| self.new_credentials(renewed)).unzip();
        give_credentials(transaction, &new.concat()).await?;
        want_newest(transaction, &ids, urgency).await?;
        let after = user::Entity::find()
            .filter(user::COLUMN.id.is_in(ids))
            .all(transaction)
            .await?;
        let by_id: HashMap<i64, &user::Model> = after.iter().map(|user| (user.id, user)).collect();
        let entries = users.iter().zip(details).filter_map(|((before, _), details)| {
            let after = by_id.get(&before.id)?;
            let entry = Entry::new(self.actor, AuditAction::UserReissued, &self.app.config.server_id)
                .about(&before.username)
                .details(details)
                .before(user_snapshot(before))
                .after(user_snapshot(after));
            Some(entry)
        });
        audit::record_all(transaction, entries).await?;
        Ok(after)
    }

    /// Revokes the credentials that end. Links to the profiles of these devices end too: whoever has one may be whom the profile is revoked
    /// for, and he would get the new one.
    async fn revoke(self, transaction: &DatabaseTransaction, users: &[Renewed]) -> Result<(), DbErr> {
        let renewals = users.iter().flat_map(|(_, renewals)| renewals);
        let ends = renewals.flat_map(|renewal| renewal.ends.iter().copied()).collect();
        revoke_these(transaction, ends).await?;
        let devices: Vec<(i64, &DeviceName)> = users
            .iter()
            .flat_map(|(user, renewals)| renewals.iter().map(|renewal| (user.id, &renewal.device)))
            .collect();
        end_links(transaction, self.app, self.actor, &devices).await
    }

    /// The new credentials of a user, and what is said of it in the audit trail.
    fn new_credentials(self, (user, renewals): &Renewed) -> (Vec<NewCredential>, String) {
        let (mut new, mut details) = (Vec::new(), Vec::new());
        for renewal in renewals {
            match &renewal.next {
                Next::New => {
                    let credential = NewCredential::new(user.id, &user.username, &renewal.device, &user.server_id);
                    details.push(self.given(renewal, credential.common_name()));
                    new.push(credential);
                }
                Next::Held(name) => details.push(self.held(renewal, name)),
            }
        }
        (new, details.join(". "))
    }

    fn given(self, renewal: &Renewal, name: &CommonName) -> String {
        let Renewal { device, .. } = renewal;
        format!(
            "the new credential of the device {device} is {name}; {}",
            self.fate(renewal)
        )
    }

    fn held(self, renewal: &Renewal, name: &CommonName) -> String {
        let Renewal { device, .. } = renewal;
        format!(
            "the device {device} goes on with {name}, which is newer; {}",
            self.fate(renewal)
        )
    }

    /// Of the older credentials.
    fn fate(self, renewal: &Renewal) -> String {
        match self.old {
            OldProfiles::Keep => "the older ones stay valid (old_profiles: keep)".to_owned(),
            OldProfiles::Revoke => {
                let revoked = renewal.ends.len();
                format!("{revoked} older ones were revoked (old_profiles: revoke)")
            }
        }
    }
}
