//! Gives devices of users other credentials, and revokes those before them: all that a reissue is, of one device or of all users of a node.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, Statement};
use vpnmanager_entities::{node_reissue::OldProfiles, user};
use vpnmanager_nats::ids::CommonName;

use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        renewal::{Next, Renewal},
    },
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::give::{NewCredential, give_credentials},
        links::revoke::{Ended, end_links},
        publications::make_due::{Urgency, want_newest},
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
        begin_revisions(transaction, users).await?;
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
        let ends: Vec<i64> = renewals.flat_map(|renewal| renewal.ends.iter().copied()).collect();
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            "UPDATE credentials SET revoked_at = now() WHERE id = ANY($1) AND revoked_at IS NULL",
            [ends.into()],
        );
        transaction.execute_raw(statement).await?;
        for (user, renewals) in users {
            for renewal in renewals {
                let ended = Ended::OfDevice(&renewal.device);
                end_links(transaction, self.app, self.actor, (user, ended)).await?;
            }
        }
        Ok(())
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

/// Starts the next revision of each user, which is not synced. The columns about the profile of the device `default` are emptied where that gets
/// another one.
async fn begin_revisions(transaction: &DatabaseTransaction, users: &[Renewed]) -> Result<(), DbErr> {
    let ids: Vec<i64> = users.iter().map(|(user, _)| user.id).collect();
    let is_of_default = |renewal: &Renewal| renewal.device.is_default() && renewal.next == Next::New;
    let of_default: Vec<i64> = users
        .iter()
        .filter(|(_, renewals)| renewals.iter().any(is_of_default))
        .map(|(user, _)| user.id)
        .collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE users SET revision = revision + 1, synced = false,
             checksum = CASE WHEN id = ANY($2) THEN NULL ELSE checksum END,
             ovpn_path = CASE WHEN id = ANY($2) THEN NULL ELSE ovpn_path END
         WHERE id = ANY($1)",
        [ids.into(), of_default.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
