//! Traffic quotas of groups and users: who is refused, who is let in again, and what is told of it.

mod discarded;
mod forgiven;
mod group_traffic;
mod kept;
mod lifted;
mod on_the_bus;
mod over;
mod own;

use vpnmanager_entities::{group::TrafficPeriod, user};
use vpnmanager_management::{
    domain::{actor::Actor, quota::Quota},
    ops::{
        groups::change::{GroupChange, change_group},
        quotas::{follow_traffic::follow_traffic, review::Review},
    },
};
use vpnmanager_nats::ids::CommonName;

use crate::database::run;
use crate::ops::{create, enrol, only_credential};
use crate::stack::Stack;

/// A management with a node, these users and the group `sales`, whose tasks have ended: what is due stays so.
async fn at_rest(users: &[&str]) -> Stack {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    for name in users {
        create(&stack, name).await;
    }
    run(&stack.app.db, "INSERT INTO groups (name) VALUES ('sales')").await;
    stack.end_tasks().await;
    stack
}

/// The members of the group may have so many bytes in a period.
async fn set_quota(stack: &Stack, group: &str, bytes: i64, period: &str) {
    let quota =
        format!("UPDATE groups SET traffic_bytes = {bytes}, traffic_period = '{period}' WHERE name = '{group}'");
    run(&stack.app.db, &quota).await;
}

/// An operator changes the quota of the group.
async fn change_quota(stack: &Stack, group: &str, bytes: i64, period: TrafficPeriod) {
    let quota = Quota {
        bytes,
        period,
        reset_day: 1,
    };
    let change = GroupChange {
        quota: Some(Some(quota)),
        ..GroupChange::default()
    };
    let group = group.parse().expect("a name");
    change_group(&stack.app, &Actor::system(), &group, change)
        .await
        .expect("changed");
}

/// The user transferred so many bytes more, so many days ago.
async fn transfer(stack: &Stack, username: &str, bytes: i64, days_ago: u8) {
    let more = format!(
        "INSERT INTO traffic_days AS d (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT (now() AT TIME ZONE 'UTC')::date - {days_ago}, id, username, 'node-1', {bytes} - {bytes} / 2, {bytes} / 2, 1
         FROM users WHERE username = '{username}' AND removed_at IS NULL
         ON CONFLICT (day, user_id, server_id) DO UPDATE SET
             bytes_in = d.bytes_in + EXCLUDED.bytes_in, bytes_out = d.bytes_out + EXCLUDED.bytes_out"
    );
    run(&stack.app.db, &more).await;
}

async fn user(stack: &Stack, username: &str) -> user::Model {
    let username = username.parse().expect("a valid username");
    let found = user::Entity::find_living_by_username(&username)
        .one(&stack.app.db)
        .await;
    found.expect("read").expect("there")
}

async fn credential_of(stack: &Stack, username: &str) -> CommonName {
    only_credential(stack, user(stack, username).await.id).await
}

/// What follows on a report that adds to the traffic of the user.
async fn judge(stack: &Stack, username: &str) {
    let user = user(stack, username).await;
    follow_traffic(&stack.app, &[user.id]).await.expect("judged");
}

async fn is_over(stack: &Stack, username: &str) -> bool {
    user(stack, username).await.over_quota_since.is_some()
}

/// What a replica does at its start.
async fn review(stack: &Stack) {
    Review::default().run(&stack.app).await.expect("reviewed");
}
