//! Writes audit entries, in the transaction of the change that they record.

use ipnetwork::IpNetwork;
use sea_orm::{ActiveEnum as _, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use serde_json::{Map, Value, json};
use vpnmanager_entities::{
    api_key, audit_log,
    group::{self, SessionExcess},
    join_token, old_certificate, pool, profile_link, server, user,
};
use vpnmanager_nats::{own_rules::OwnRules, username::Username};

use crate::domain::{
    actor::Actor, audit_action::AuditAction, lifetime::Lifetime, own_limits::OwnLimits, own_rules::own_rules_of,
    quota::Quota,
};

/// An entry of the audit trail. The database gives it its id and its time, and a role that only writes entries may set neither.
#[derive(Debug)]
pub struct Entry {
    row: audit_log::ActiveModel,
}

impl Entry {
    /// `recorder` is the node concerned, or the management replica that recorded it.
    pub fn new(actor: &Actor, action: AuditAction, recorder: impl ToString) -> Self {
        let row = audit_log::ActiveModel {
            action: Set(action.as_str().to_owned()),
            ip_address: Set(actor.address.map(IpNetwork::from)),
            server_id: Set(recorder.to_string()),
            actor: Set(actor.name.clone()),
            request_id: Set(actor.request_id.clone()),
            username: Set(None),
            details: Set(None),
            before: Set(None),
            after: Set(None),
            ..Default::default()
        };
        Self { row }
    }

    /// The user concerned.
    #[must_use]
    pub fn about(mut self, username: &Username) -> Self {
        self.row.username = Set(Some(username.to_string()));
        self
    }

    /// What people should know about it.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.row.details = Set(Some(details.into()));
        self
    }

    /// The state before the change.
    #[must_use]
    pub fn before(mut self, before: Value) -> Self {
        self.row.before = Set(Some(before));
        self
    }

    /// The state after the change.
    #[must_use]
    pub fn after(mut self, after: Value) -> Self {
        self.row.after = Set(Some(after));
        self
    }

    /// The row to insert.
    pub fn into_row(self) -> audit_log::ActiveModel {
        self.row
    }
}

/// Writes one entry.
pub async fn record_one(transaction: &DatabaseTransaction, entry: Entry) -> Result<(), DbErr> {
    audit_log::Entity::insert(entry.into_row())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Writes all entries with one statement.
pub async fn record_all(
    transaction: &DatabaseTransaction,
    entries: impl IntoIterator<Item = Entry>,
) -> Result<(), DbErr> {
    let rows: Vec<audit_log::ActiveModel> = entries.into_iter().map(Entry::into_row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    audit_log::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// The state of a user, for `before` and `after`.
pub fn user_snapshot(user: &user::Model) -> Value {
    let mut snapshot = json!(user);
    if let Value::Object(columns) = &mut snapshot {
        let own = own_snapshot(OwnLimits::of(user), own_rules_of(user));
        columns.insert("limits".to_owned(), own);
    }
    snapshot
}

/// The own values of a user alone, by the names that groups have for them.
fn own_snapshot(limits: OwnLimits, rules: OwnRules) -> Value {
    let OwnLimits {
        devices,
        sessions,
        session_excess,
        quota,
    } = limits;
    let speed = [("up", rules.up), ("down", rules.down)].into_iter();
    let speed: Map<String, Value> = speed
        .filter_map(|(way, speed)| Some((way.to_owned(), speed?.kilobits().into())))
        .collect();
    let own = [
        ("devices", devices.map(Value::from)),
        ("sessions", sessions.map(Value::from)),
        (
            "session_excess",
            session_excess.map(|excess| Value::from(excess_word(excess))),
        ),
        ("traffic", quota.map(quota_snapshot)),
        ("reach", rules.reach.map(|reach| json!(reach))),
        ("routes", rules.routes.map(|routes| json!(routes))),
        ("speed", (!speed.is_empty()).then_some(Value::Object(speed))),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(own.collect::<Map<String, Value>>())
}

/// The state of a certificate of an old server, for `before` and `after`.
pub fn old_certificate_snapshot(old: &old_certificate::Model) -> Value {
    json!({
        "server_id": old.server_id,
        "common_name": old.common_name,
        "serial": old.serial,
        "revoked_serials": old.revoked_serials,
        "not_after": old.not_after,
        "expires_at": old.expires_at,
    })
}

/// The state of a node, for `before` and `after`.
pub fn node_snapshot(server: &server::Model) -> Value {
    json!({
        "server_id": server.name,
        "pool": server.pool,
        "public_host": server.public_host,
        "public_port": server.public_port,
        "public_protocol": server.public_protocol,
        "listeners": server.listeners,
        "bus_public_key": server.bus_public_key.as_str(),
        "enabled": server.enabled,
        "draining": server.draining,
        "capacity": server.capacity,
        "asked_pool": server.asked_pool,
    })
}

/// The state of a pool, for `before` and `after`.
pub fn pool_snapshot(pool: &pool::Model) -> Value {
    json!({
        "pool": pool.name,
        "revision": pool.revision,
        "network": pool.network,
        "replicas": pool.replicas,
        "client_directives": pool.client_directives,
    })
}

/// The state of a group, for `before` and `after`.
pub fn group_snapshot(group: &group::Model) -> Value {
    json!({
        "group": group.name,
        "revision": group.revision,
        "pool": group.pool,
        "reach": group.rules.reach,
        "routes": group.rules.routes,
        "speed": { "up": group.rules.up, "down": group.rules.down },
        "devices": group.devices,
        "sessions": group.sessions,
        "session_excess": excess_word(group.session_excess),
        "lifetime": group.lifetime.map(|seconds| Lifetime::of_seconds(seconds).to_string()),
        "traffic": Quota::of(group).map(quota_snapshot),
    })
}

fn excess_word(excess: SessionExcess) -> &'static str {
    match excess {
        SessionExcess::OldestEnds => "oldest_ends",
        SessionExcess::NewestEnds => "newest_ends",
    }
}

fn quota_snapshot(quota: Quota) -> Value {
    json!({
        "bytes": quota.bytes,
        "period": quota.period.to_value(),
        "reset_day": quota.reset_day,
    })
}

/// The state of a join token, for `before` and `after`: neither the token nor its hash.
pub fn join_token_snapshot(token: &join_token::Model) -> Value {
    json!({
        "id": token.id,
        "server_id": token.server_id,
        "expires_at": token.expires_at,
    })
}

/// The state of an API key, for `before` and `after`: neither the key nor its hash, nor when it was used.
pub fn api_key_snapshot(key: &api_key::Model) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "role": key.role.as_str(),
        "owner": key.owner,
        "prefix": key.prefix,
        "expires_at": key.expires_at,
        "pools": key.pools,
        "groups": key.groups,
        "previous_valid_until": key.previous_valid_until,
        "revoked_at": key.revoked_at,
    })
}

/// The state of a link to a profile, for `before` and `after`: neither the token nor its hash.
pub fn profile_link_snapshot(link: &profile_link::Model) -> Value {
    json!({
        "id": link.id,
        "device": link.device,
        "expires_at": link.expires_at,
        "uses_left": link.uses_left,
    })
}
