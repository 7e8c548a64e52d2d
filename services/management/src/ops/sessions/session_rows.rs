//! Reads and writes rows of the history, many with one statement.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult as _, Statement};
use vpnmanager_entities::session;
use vpnmanager_nats::sessions::EndKind;

use crate::{
    domain::{
        session_history::{Change, id_of},
        session_id::SessionId,
    },
    ops::columns::columns_of,
};

/// The rows of these sessions that are there.
pub(super) async fn read(
    transaction: &DatabaseTransaction,
    sessions: &[&session::Model],
) -> Result<BTreeMap<SessionId, session::Model>, DbErr> {
    let (mut starts, mut numbers, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for row in sessions {
        starts.push(row.since);
        numbers.push(row.cid);
        nodes.push(row.server_id.to_string());
    }
    if starts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let columns = columns_of::<session::Entity>("s");
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "SELECT {columns} FROM UNNEST($1::timestamptz[], $2::bigint[], $3::text[]) AS t (since, cid, node)
             JOIN sessions s ON s.since = t.since AND s.cid = t.cid AND s.server_id = t.node"
        ),
        [starts.into(), numbers.into(), nodes.into()],
    );
    let rows = session::Model::find_by_statement(statement).all(transaction).await?;
    Ok(rows.into_iter().map(|row| (id_of(&row), row)).collect())
}

/// Columns that may be empty: an array holds no NULL, so an empty text, or 0, stands for it.
#[derive(Default)]
struct Optional {
    users: Vec<i64>,
    usernames: Vec<String>,
    devices: Vec<String>,
    real_ips: Vec<String>,
    inside: Vec<String>,
    inside6: Vec<String>,
    versions: Vec<String>,
    platforms: Vec<String>,
    listeners: Vec<String>,
    end_kinds: Vec<String>,
}

impl Optional {
    fn push(&mut self, row: &session::Model) {
        self.users.push(row.user_id.unwrap_or_default());
        self.usernames.push(text(row.username.as_ref()));
        self.devices.push(text(row.device.as_ref()));
        self.real_ips.push(address(row.real_ip));
        self.inside.push(address(row.virtual_address));
        self.inside6.push(address(row.virtual_address6));
        self.versions.push(text(row.client_version.as_ref()));
        self.platforms.push(text(row.client_platform.as_ref()));
        self.listeners.push(text(row.listener.as_ref()));
        self.end_kinds.push(row.end_kind.map_or("", EndKind::as_str).to_owned());
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn address(value: Option<IpNetwork>) -> String {
    value.map(|address| address.ip().to_string()).unwrap_or_default()
}

/// Writes the rows of these changes, each as a whole; the database writes when it was recorded, the first time and last. Nobody else may write
/// rows of their nodes at this moment.
pub(super) async fn write(transaction: &DatabaseTransaction, changes: &[Change]) -> Result<(), DbErr> {
    let mut optional = Optional::default();
    let (mut starts, mut numbers, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let (mut bytes_in, mut bytes_out) = (Vec::new(), Vec::new());
    let (mut seen, mut ended, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for Change { row, .. } in changes {
        optional.push(row);
        starts.push(row.since);
        numbers.push(row.cid);
        nodes.push(row.server_id.to_string());
        names.push(row.common_name.to_string());
        addresses.push(row.real_address.clone());
        bytes_in.push(row.bytes_in);
        bytes_out.push(row.bytes_out);
        seen.push(row.seen_at);
        // Without a kind of end these are not looked at.
        ended.push(row.ended_at.unwrap_or(row.since));
        gone.push(row.gone_at.unwrap_or(row.since));
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO sessions (since, cid, server_id, common_name, real_address, bytes_in, bytes_out, seen_at, ended_at,
             user_id, username, device, real_ip, virtual_address, virtual_address6, client_version, client_platform, end_kind, gone_at,
             listener)
         SELECT since, cid, node, common_name, real_address, bytes_in, bytes_out, seen_at, CASE WHEN end_kind <> '' THEN ended_at END,
             NULLIF(user_id, 0), NULLIF(username, ''), NULLIF(device, ''), NULLIF(real_ip, '')::inet, NULLIF(inside, '')::inet,
             NULLIF(inside6, '')::inet, NULLIF(version, ''), NULLIF(platform, ''), NULLIF(end_kind, ''),
             CASE WHEN end_kind <> '' THEN gone_at END, NULLIF(listener, '')
         FROM UNNEST($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::timestamptz[],
                     $9::timestamptz[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
                     $17::text[], $18::text[], $19::timestamptz[], $20::text[])
                  AS t (since, cid, node, common_name, real_address, bytes_in, bytes_out, seen_at, ended_at, user_id, username, device,
                        real_ip, inside, inside6, version, platform, end_kind, gone_at, listener)
         ON CONFLICT (since, cid, server_id) DO UPDATE SET
             real_address = EXCLUDED.real_address, real_ip = EXCLUDED.real_ip, virtual_address = EXCLUDED.virtual_address,
             virtual_address6 = EXCLUDED.virtual_address6, bytes_in = EXCLUDED.bytes_in, bytes_out = EXCLUDED.bytes_out,
             client_version = EXCLUDED.client_version, client_platform = EXCLUDED.client_platform, listener = EXCLUDED.listener,
             seen_at = EXCLUDED.seen_at,
             ended_at = EXCLUDED.ended_at, end_kind = EXCLUDED.end_kind, gone_at = EXCLUDED.gone_at, recorded_at = EXCLUDED.recorded_at",
        [
            starts.into(),
            numbers.into(),
            nodes.into(),
            names.into(),
            addresses.into(),
            bytes_in.into(),
            bytes_out.into(),
            seen.into(),
            ended.into(),
            optional.users.into(),
            optional.usernames.into(),
            optional.devices.into(),
            optional.real_ips.into(),
            optional.inside.into(),
            optional.inside6.into(),
            optional.versions.into(),
            optional.platforms.into(),
            optional.end_kinds.into(),
            gone.into(),
            optional.listeners.into(),
        ],
    );
    transaction.execute_raw(statement).await.map(drop)
}
