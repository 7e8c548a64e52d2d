//! Notes what the OpenVPN of a node goes by that runs at this moment.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};
use vpnmanager_nats::{ids::NodeId, sign::RunningServer};

/// Records what the agent of a registered node says.
pub async fn note_running(db: &DatabaseConnection, node: &NodeId, running: &RunningServer) -> Result<(), DbErr> {
    let trusted: Vec<String> = running.trusted.iter().cloned().map(String::from).collect();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO node_authorities (server_id, trusted, signed_by, told_at)
         SELECT name, $2, $3, now() FROM servers WHERE name = $1
         ON CONFLICT (server_id) DO UPDATE SET trusted = EXCLUDED.trusted, signed_by = EXCLUDED.signed_by, told_at = EXCLUDED.told_at",
        [
            node.to_string().into(),
            trusted.into(),
            running.signed_by.clone().map(String::from).into(),
        ],
    );
    db.execute_raw(statement).await.map(drop)
}
