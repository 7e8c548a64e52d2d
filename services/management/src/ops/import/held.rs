//! Reads what the database has of the names in a source, with one statement for each kind of name.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::old_certificate::revoked_serials;
use vpnmanager_nats::{
    groups::GroupName,
    ids::{CommonName, DEFAULT_POOL, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use crate::domain::import::{
    held::{Held, HeldCertificate, HeldUser, Owner},
    planned::Names,
};

/// What is there of these names, and of the certificates of the old server of this node.
pub(super) async fn read_held(transaction: &DatabaseTransaction, node: &NodeId, names: Names) -> Result<Held, DbErr> {
    let usernames: Vec<String> = names.usernames.into_iter().map(String::from).collect();
    let common_names: Vec<String> = names.common_names.into_iter().map(String::from).collect();
    Ok(Held {
        users: users(transaction, usernames).await?,
        certificates: certificates(transaction, node, common_names.clone()).await?,
        credentials: credentials(transaction, common_names).await?,
    })
}

#[derive(FromQueryResult)]
struct UserRow {
    id: i64,
    username: Username,
    home: NodeId,
    pool: String,
    node_group: GroupName,
    has_access: bool,
}

async fn users(
    transaction: &DatabaseTransaction,
    usernames: Vec<String>,
) -> Result<HashMap<Username, HeldUser>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id, u.username, u.server_id AS home, COALESCE(u.former_pool, s.pool, $2) AS pool,
             COALESCE(u.own_group, u.group_name) AS node_group,
             u.active AND COALESCE(u.expires_at > now(), true) AS has_access
         FROM UNNEST($1::text[]) AS t (name) JOIN users u ON u.username = t.name AND u.removed_at IS NULL
         LEFT JOIN servers s ON s.name = u.server_id",
        [usernames.into(), DEFAULT_POOL.into()],
    );
    let rows = UserRow::find_by_statement(statement).all(transaction).await?;
    let users = rows.into_iter().map(|row| {
        let user = HeldUser {
            id: row.id,
            home: row.home,
            pool: row.pool,
            group: row.node_group,
            has_access: row.has_access,
        };
        (row.username, user)
    });
    Ok(users.collect())
}

#[derive(FromQueryResult)]
struct CertificateRow {
    id: i64,
    common_name: CommonName,
    serial: SerialNumber,
    not_after: DateTime<Utc>,
    revoked_serials: Vec<String>,
    /// Of the user; `None`: the certificate is revoked, or the user is removed.
    user_id: Option<i64>,
    username: Option<Username>,
    has_access: Option<bool>,
}

async fn certificates(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    common_names: Vec<String>,
) -> Result<HashMap<CommonName, HeldCertificate>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT o.id, o.common_name, o.serial, o.not_after, o.revoked_serials, u.id AS user_id, u.username,
             u.active AND COALESCE(u.expires_at > now(), true) AS has_access
         FROM UNNEST($1::text[]) AS t (name) CROSS JOIN LATERAL (
             SELECT id, common_name, serial, not_after, revoked_serials, user_id, revoked_at FROM old_certificates
             WHERE server_id = $2 AND common_name = t.name ORDER BY id DESC LIMIT 1) AS o
         LEFT JOIN users u ON u.id = o.user_id AND o.revoked_at IS NULL AND u.removed_at IS NULL",
        [common_names.into(), node.to_string().into()],
    );
    let rows = CertificateRow::find_by_statement(statement).all(transaction).await?;
    let certificates = rows.into_iter().map(|row| {
        let owner = row.user_id.zip(row.username);
        let held = HeldCertificate {
            id: row.id,
            owner: owner.map(|(id, username)| Owner {
                id,
                username,
                has_access: row.has_access.unwrap_or_default(),
            }),
            serial: row.serial,
            not_after: row.not_after,
            revoked: revoked_serials(&row.revoked_serials),
        };
        (row.common_name, held)
    });
    Ok(certificates.collect())
}

#[derive(FromQueryResult)]
struct Name {
    common_name: CommonName,
}

async fn credentials(
    transaction: &DatabaseTransaction,
    common_names: Vec<String>,
) -> Result<HashSet<CommonName>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT c.common_name FROM UNNEST($1::text[]) AS t (name) JOIN credentials c ON c.common_name = t.name",
        [common_names.into()],
    );
    let rows = Name::find_by_statement(statement).all(transaction).await?;
    Ok(rows.into_iter().map(|row| row.common_name).collect())
}
