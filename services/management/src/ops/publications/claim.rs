//! Claims placements that are not published yet. A claim is a lease: other replicas skip it, and it ends when the replica dies.

use std::{collections::HashMap, time::Duration};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
};
use vpnmanager_entities::{credential, old_certificate, placement, server, user};
use vpnmanager_nats::{envelope::Envelope, ids::NodeId, publish::Publication};

use crate::{
    domain::command::{CommandSource, Endpoint, compose},
    ops::{columns::columns_of, count::count},
};

/// The most placements that one run publishes.
pub const BATCH: u64 = 256;
/// One run looks at so many placements, shared equally among the nodes: it costs the same with many nodes as with few.
const LOOKED_AT: i64 = 2 * BATCH as i64;
/// But at no fewer of one node: so many of each come before more of another one, whatever those are.
const OF_ONE_NODE: i64 = 16;
/// How long a claim is valid. After that another replica may claim the placement.
pub const LEASE: Duration = Duration::from_secs(3);

/// A row that was left because another statement had locked it is looked at again after this.
pub const LOCKED_FOR: Duration = Duration::from_millis(10);

/// Placements whose wanted revision is not in the stream, and that nobody has claimed.
const DUE: &str = "published_revision < wanted_revision AND lease_until < now()";

/// Nothing is due while nobody has decided what holds after a restore: a replica that ran on while its database was replaced must not tell nodes
/// what was true when the backup was made. It ends within seconds (`tasks/restored.rs`).
pub(super) const DECIDED: &str = "NOT EXISTS (SELECT FROM restorations WHERE decided_at IS NULL)";

/// A claimed placement with the command to publish.
#[derive(Debug)]
pub struct Claim {
    /// The placement.
    pub placement_id: i64,
    /// How often publishing was tried, including this time.
    pub attempts: i32,
    /// What to publish.
    pub publication: Publication,
}

/// Claims up to [`BATCH`] placements whose wanted revision is not in the stream, each node's in turn, and of each those first that end access:
/// a node with very many of them holds up no other.
pub async fn claim(db: &DatabaseConnection) -> Result<Vec<Claim>, DbErr> {
    // An array and not `IN`: PostgreSQL would plan that as a join with a scan of all placements.
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        format!(
            "WITH due AS MATERIALIZED (
             SELECT id FROM (
                 SELECT d.id, d.urgent_since, row_number() OVER (PARTITION BY s.name ORDER BY (d.urgent_since IS NULL), d.id) AS turn
                 FROM servers s CROSS JOIN LATERAL (
                     SELECT id, urgent_since FROM placements WHERE server_id = s.name AND {DUE}
                     ORDER BY (urgent_since IS NULL), id
                     LIMIT GREATEST($3 / (SELECT count(*) FROM servers), $4)) AS d WHERE {DECIDED}) AS looked_at
             ORDER BY turn > $4, (urgent_since IS NULL), turn, id LIMIT $2)
         UPDATE placements SET lease_until = now() + make_interval(secs => $1), attempts = attempts + 1
         WHERE id = ANY (ARRAY(
             SELECT id FROM placements WHERE id = ANY (ARRAY(SELECT id FROM due)) AND {DUE} ORDER BY id FOR UPDATE SKIP LOCKED))
         RETURNING {}",
            columns_of::<placement::Entity>("placements")
        ),
        [
            LEASE.as_secs_f64().into(),
            count(BATCH).into(),
            LOOKED_AT.into(),
            OF_ONE_NODE.into(),
        ],
    );
    let mut claimed = placement::Model::find_by_statement(statement).all(db).await?;
    claimed.sort_by_key(|placement| (placement.urgent_since.is_none(), placement.id));
    publications(db, claimed).await
}

/// Whether something is due: [`claim`] left it because its row was locked, which takes moments, or because it was another node's turn.
pub async fn is_any_due(db: &DatabaseConnection) -> Result<bool, DbErr> {
    // In the order of its index: PostgreSQL takes a third of all rows to be due, and would look for one of them in the whole table.
    let sql = format!(
        "SELECT d.id FROM servers s CROSS JOIN LATERAL (
             SELECT id FROM placements WHERE server_id = s.name AND {DUE} ORDER BY (urgent_since IS NULL), id LIMIT 1) AS d
         LIMIT 1"
    );
    let found = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql));
    Ok(found.await?.is_some())
}

/// The claimed placements with their commands, in the same order. Placements of users that were deleted meanwhile are left out.
pub(super) async fn publications(db: &DatabaseConnection, claimed: Vec<placement::Model>) -> Result<Vec<Claim>, DbErr> {
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<i64> = claimed.iter().map(|placement| placement.user_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let users = user::Entity::find()
        .filter(user::Column::Id.eq_any(ids.clone()))
        .all(db);
    let credentials = credential::Entity::find_valid_of(ids.clone()).all(db);
    let old_certificates = old_certificate::Entity::find_valid_of(ids.clone()).all(db);
    let nodes = placement::Entity::find_of(ids)
        .filter(placement::COLUMN.wanted_present.eq(true))
        .all(db);
    let (users, credentials, old_certificates, nodes, endpoints) =
        tokio::try_join!(users, credentials, old_certificates, nodes, endpoints(db))?;
    let users: HashMap<i64, user::Model> = users.into_iter().map(|user| (user.id, user)).collect();

    let mut credentials_of: HashMap<i64, Vec<&credential::Model>> = HashMap::new();
    for credential in &credentials {
        credentials_of
            .entry(credential.user_id.unwrap_or_default())
            .or_default()
            .push(credential);
    }
    let mut old_of: HashMap<i64, Vec<&old_certificate::Model>> = HashMap::new();
    for old in &old_certificates {
        old_of.entry(old.user_id.unwrap_or_default()).or_default().push(old);
    }
    let mut nodes_of: HashMap<i64, Vec<NodeId>> = HashMap::new();
    for placement in nodes {
        nodes_of.entry(placement.user_id).or_default().push(placement.server_id);
    }
    let claims = claimed.into_iter().filter_map(|placement| {
        // The user was deleted meanwhile, and its placements with it.
        let user = users.get(&placement.user_id)?;
        let source = CommandSource {
            user,
            credentials: credentials_of.get(&user.id).map_or(&[], Vec::as_slice),
            old_certificates: old_of.get(&user.id).map_or(&[], Vec::as_slice),
            nodes: nodes_of.get(&user.id).map_or(&[], Vec::as_slice),
            endpoints: &endpoints,
        };
        Some(Claim {
            placement_id: placement.id,
            attempts: placement.attempts,
            publication: Publication {
                command: Envelope::new(compose(&source, &placement)),
                expected_sequence: u64::try_from(placement.published_sequence).unwrap_or_default(),
            },
        })
    });
    Ok(claims.collect())
}

/// Where clients connect to each node.
async fn endpoints(db: &DatabaseConnection) -> Result<HashMap<NodeId, Endpoint>, DbErr> {
    let servers = server::Entity::find().all(db).await?;
    Ok(servers
        .iter()
        .map(|server| (server.name.clone(), Endpoint::of(server)))
        .collect())
}
