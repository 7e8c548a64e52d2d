//! What the file and the fleet differ in, user by user.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::old_certificate::revoked_serials;
use vpnmanager_nats::{
    ids::{CommonName, NodeId, Revision, UserKey},
    username::Username,
};

use super::look::Found;
use crate::domain::restoration::{
    Fate, disbelieved,
    filed::{Expected, Filed, FiledOld},
    judge,
    sightings::Stranger,
};

/// A user of the file of whom the fleet was told something since.
#[derive(Debug)]
pub struct Judged {
    /// The row.
    pub id: i64,
    /// What the file says.
    pub filed: Filed,
    /// What became of the user; never [`Fate::Same`].
    pub fate: Fate,
}

/// All that differs.
#[derive(Debug)]
pub struct Assessment {
    /// Users of the file.
    pub users: usize,
    /// Those of whom the fleet was told something since, in the order of their rows.
    pub judged: Vec<Judged>,
    /// Users whom the file does not know.
    pub strangers: Vec<Stranger>,
    /// Users whom a node says that it holds, although neither the file nor the bus places them there. It is not believed.
    pub disbelieved: Vec<(Username, NodeId)>,
    /// The names of the API keys that are valid by the file. The fleet does not know them.
    pub api_keys: Vec<String>,
}

#[derive(FromQueryResult)]
struct UserRow {
    id: i64,
    key: UserKey,
    username: Username,
    revision: i64,
    active: bool,
    expires_at: Option<DateTime<Utc>>,
    is_removed: bool,
}

#[derive(FromQueryResult)]
struct CredentialRow {
    user_id: i64,
    common_name: CommonName,
}

#[derive(FromQueryResult)]
struct OldRow {
    user_id: i64,
    server_id: NodeId,
    common_name: CommonName,
    expires_at: Option<DateTime<Utc>>,
    revoked_serials: Vec<String>,
}

#[derive(FromQueryResult)]
struct PlacementRow {
    user_id: i64,
    server_id: NodeId,
    published: bool,
    applied: bool,
}

#[derive(FromQueryResult)]
struct KeyRow {
    name: String,
}

/// Judges every user of the file.
pub async fn assess(db: &impl ConnectionTrait, found: &Found) -> Result<Assessment, DbErr> {
    let users = UserRow::find_by_statement(select(
        db,
        "SELECT id, key, username, revision, active AND over_quota_since IS NULL AS active, expires_at, removed_at IS NOT NULL AS is_removed
         FROM users ORDER BY id",
    ));
    let users = users.all(db).await?;
    let mut rows = Rows::read(db).await?;
    let mut assessment = Assessment {
        users: users.iter().filter(|user| !user.is_removed).count(),
        judged: Vec::new(),
        strangers: found.sightings.strangers(),
        disbelieved: Vec::new(),
        api_keys: valid_api_keys(db).await?,
    };
    for row in users {
        let id = row.id;
        let filed = rows.filed(row);
        let fate = judge(&filed, &found.sightings);
        if let Some(node) = disbelieved(&filed, &fate, &found.sightings) {
            assessment.disbelieved.push((filed.username.clone(), node.clone()));
        }
        if fate != Fate::Same {
            assessment.judged.push(Judged { id, filed, fate });
        }
    }
    Ok(assessment)
}

fn select(db: &impl ConnectionTrait, sql: &str) -> Statement {
    Statement::from_string(db.get_database_backend(), sql)
}

async fn valid_api_keys(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let keys = KeyRow::find_by_statement(select(
        db,
        "SELECT name FROM api_keys
         WHERE (expires_at IS NULL OR expires_at > now()) AND hash <> convert_to('revoked ' || id, 'UTF8') ORDER BY name, id",
    ));
    Ok(keys.all(db).await?.into_iter().map(|key| key.name).collect())
}

/// What the file says of each user besides the row.
#[derive(Default)]
struct Rows {
    credentials: HashMap<i64, Vec<CommonName>>,
    old_certificates: HashMap<i64, Vec<FiledOld>>,
    expected: HashMap<i64, Vec<Expected>>,
}

impl Rows {
    async fn read(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let credentials = CredentialRow::find_by_statement(select(
            db,
            "SELECT user_id, common_name FROM credentials WHERE revoked_at IS NULL AND user_id IS NOT NULL ORDER BY id",
        ));
        let old_certificates = OldRow::find_by_statement(select(
            db,
            "SELECT user_id, server_id, common_name, expires_at, revoked_serials FROM old_certificates
             WHERE revoked_at IS NULL AND user_id IS NOT NULL ORDER BY id",
        ));
        let placements = PlacementRow::find_by_statement(select(
            db,
            "SELECT user_id, server_id, published_revision > 0 AS published, applied_revision > 0 AS applied
             FROM placements WHERE wanted_present ORDER BY id",
        ));
        let mut rows = Self::default();
        for row in credentials.all(db).await? {
            rows.credentials.entry(row.user_id).or_default().push(row.common_name);
        }
        for row in old_certificates.all(db).await? {
            rows.old_certificates.entry(row.user_id).or_default().push(FiledOld {
                node: row.server_id,
                common_name: row.common_name,
                expires_at: row.expires_at,
                revoked: revoked_serials(&row.revoked_serials),
            });
        }
        for row in placements.all(db).await? {
            rows.expected.entry(row.user_id).or_default().push(Expected {
                node: row.server_id,
                published: row.published,
                applied: row.applied,
            });
        }
        Ok(rows)
    }

    fn filed(&mut self, row: UserRow) -> Filed {
        Filed {
            key: row.key,
            username: row.username,
            revision: Revision(row.revision),
            active: row.active,
            expires_at: row.expires_at,
            is_removed: row.is_removed,
            credentials: self.credentials.remove(&row.id).unwrap_or_default(),
            old_certificates: self.old_certificates.remove(&row.id).unwrap_or_default(),
            expected: self.expected.remove(&row.id).unwrap_or_default(),
        }
    }
}
