//! Creates API keys.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait};
use secrecy::SecretString;
use vpnmanager_entities::{
    api_key::{self, Role},
    group, pool,
};
use vpnmanager_nats::{groups::GroupName, ids::NodeId};

use super::{
    list_api_keys::{ApiKeyView, recorded},
    new_secret::NewSecret,
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, api_key_snapshot},
        sqlstate::{Meaning, meaning},
        transact::transact,
    },
};

/// A key to create.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Its name, which no key ever had.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whose it is, for people.
    pub owner: Option<String>,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// The pools that it is narrowed to; `None`: all.
    pub pools: Option<Vec<NodeId>>,
    /// The groups that it is narrowed to; `None`: all.
    pub groups: Option<Vec<GroupName>>,
}

/// A key, with the secret, which is stored nowhere.
#[derive(Debug)]
pub struct MadeApiKey {
    /// What is known of it.
    pub about: ApiKeyView,
    /// What the caller presents.
    pub key: SecretString,
}

/// Why a key was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// A key has the name, or had it.
    #[error("a key has or had this name: the audit trail names keys by it, so it is used once")]
    NameTaken,
    /// Keys of this role cannot be narrowed to this.
    #[error("a key of the role {} cannot be narrowed to {field}", role.as_str())]
    NotNarrowed {
        /// The role.
        role: Role,
        /// `pools` or `groups`.
        field: &'static str,
    },
    /// There is no such pool.
    #[error("there is no pool {0}")]
    UnknownPool(NodeId),
    /// There is no such group.
    #[error("there is no group {0}")]
    UnknownGroup(GroupName),
    /// The database failed.
    #[error("recording the key failed")]
    Database(#[from] DbErr),
}

/// Creates a key. Its secret is known to the caller alone.
pub async fn create_api_key(app: &App, actor: &Actor, new: &NewApiKey) -> Result<MadeApiKey, CreateApiKeyError> {
    refuse_narrowing(new)?;
    let secret = &NewSecret::draw();
    let about = transact(&app.db, |tx| async move {
        refuse_unknown(&*tx, new).await?;
        let row = api_key::ActiveModel {
            name: Set(new.name.clone()),
            hash: Set(secret.hash.clone()),
            role: Set(new.role),
            owner: Set(new.owner.clone()),
            prefix: Set(Some(secret.prefix.clone())),
            created_by: Set(actor.name.clone()),
            expires_at: Set(new.expires_at.map(|at| at.trunc_subsecs(6))),
            pools: Set(names(new.pools.as_deref())),
            groups: Set(names(new.groups.as_deref())),
            ..Default::default()
        };
        let made = api_key::Entity::insert(row).exec_with_returning(&*tx).await;
        let made = made.map_err(|error| {
            if meaning(&error) == Meaning::Contradiction {
                CreateApiKeyError::NameTaken
            } else {
                CreateApiKeyError::Database(error)
            }
        })?;
        let entry = Entry::new(actor, AuditAction::ApiKeyCreated, &app.config.server_id).after(api_key_snapshot(&made));
        audit::record_one(&tx, entry).await?;
        Ok::<_, CreateApiKeyError>(recorded(&tx, made.id).await?)
    })
    .await?;
    Ok(MadeApiKey {
        about,
        key: secret.key.clone(),
    })
}

/// Who may do all may make itself another key, so an admin key is not narrowed. Nodes are in pools, and in no group.
fn refuse_narrowing(new: &NewApiKey) -> Result<(), CreateApiKeyError> {
    let (pools, groups) = (new.pools.is_some(), new.groups.is_some());
    let field = match new.role {
        Role::Viewer | Role::Operator => None,
        Role::Admin if pools => Some("pools"),
        Role::Admin | Role::Node if groups => Some("groups"),
        Role::Admin | Role::Node => None,
    };
    match field {
        None => Ok(()),
        Some(field) => Err(CreateApiKeyError::NotNarrowed { role: new.role, field }),
    }
}

async fn refuse_unknown(db: &impl ConnectionTrait, new: &NewApiKey) -> Result<(), CreateApiKeyError> {
    for name in new.pools.iter().flatten() {
        let found = pool::Entity::find_by_name(name.clone()).one(db).await?;
        found.ok_or_else(|| CreateApiKeyError::UnknownPool(name.clone()))?;
    }
    for name in new.groups.iter().flatten() {
        let found = group::Entity::find_by_group_name(name).one(db).await?;
        found.ok_or_else(|| CreateApiKeyError::UnknownGroup(name.clone()))?;
    }
    Ok(())
}

fn names<T: ToString>(narrowed: Option<&[T]>) -> Option<Vec<String>> {
    narrowed.map(|names| names.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_could_not_widen_themselves_are_narrowed() {
        let refused = |role, has_pools: bool, has_groups: bool| {
            let new = NewApiKey {
                name: "key".to_owned(),
                role,
                owner: None,
                expires_at: None,
                pools: has_pools.then(Vec::new),
                groups: has_groups.then(Vec::new),
            };
            match refuse_narrowing(&new) {
                Err(CreateApiKeyError::NotNarrowed { field, .. }) => Some(field),
                Ok(()) | Err(_) => None,
            }
        };
        assert_eq!(refused(Role::Viewer, true, true), None);
        assert_eq!(refused(Role::Operator, true, true), None);
        assert_eq!(refused(Role::Admin, true, false), Some("pools"));
        assert_eq!(refused(Role::Admin, false, true), Some("groups"));
        assert_eq!(refused(Role::Node, true, false), None);
        assert_eq!(refused(Role::Node, true, true), Some("groups"));
    }
}
