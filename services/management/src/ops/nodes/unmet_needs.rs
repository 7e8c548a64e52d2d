//! Finds nodes whose agents are too old for what users of them need.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::NodeId;

use crate::domain::agent_features::{Feature, lacks};

#[derive(FromQueryResult)]
struct Needing {
    name: NodeId,
}

/// Of each of these nodes, with the version that its agent says of itself, what its users need and its agent does not do. Nodes without such a
/// need are left out. Where no agent is older than a feature it costs nothing.
pub async fn unmet_needs(
    db: &impl ConnectionTrait,
    agents: &[(&NodeId, &str)],
) -> Result<HashMap<NodeId, Vec<Feature>>, DbErr> {
    let mut unmet: HashMap<NodeId, Vec<Feature>> = HashMap::new();
    for feature in Feature::ALL {
        let older = agents.iter().filter(|(_, version)| lacks(version, feature));
        let older: Vec<String> = older.map(|(node, _)| node.to_string()).collect();
        if older.is_empty() {
            continue;
        }
        let statement = Statement::from_sql_and_values(db.get_database_backend(), needing(feature), [older.into()]);
        for Needing { name } in Needing::find_by_statement(statement).all(db).await? {
            unmet.entry(name).or_default().push(feature);
        }
    }
    Ok(unmet)
}

/// The nodes among `$1` with a user who needs it. It stops at the first one of each node.
fn needing(feature: Feature) -> &'static str {
    match feature {
        Feature::OldCertificates => {
            "SELECT n.name FROM unnest($1::text[]) AS n(name)
             WHERE EXISTS (
                 SELECT FROM old_certificates o
                 WHERE o.server_id = n.name AND o.revoked_at IS NULL AND LEAST(o.not_after, o.expires_at) > now()
             )"
        }
    }
}
