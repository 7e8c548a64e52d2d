//! Records a certificate, and which one it replaces.

use chrono::Utc;
use sea_orm::{
    ActiveEnum as _, ActiveValue::Set, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, Statement,
    sea_query::OnConflict,
};
use vpnmanager_entities::certificate::{self, Kind};
use vpnmanager_nats::ids::NodeId;

use crate::pki::CertificateFacts;

/// A certificate that was found, or signed.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What it is for.
    pub(super) kind: Kind,
    /// The node, of one of a node.
    pub(super) server_id: Option<NodeId>,
    /// Who presents it.
    pub(super) holder: String,
    /// PEM.
    pub(super) pem: String,
    /// What it says.
    pub(super) facts: CertificateFacts,
}

/// Records it, or that it is still there. Of one kind and holder the one that begins last is in use: whoever finds an older copy changes nothing.
pub(super) async fn record(transaction: &DatabaseTransaction, found: Found) -> Result<(), DbErr> {
    let Found {
        kind,
        server_id,
        holder,
        pem,
        facts,
    } = found;
    let row = certificate::ActiveModel {
        kind: Set(kind),
        server_id: Set(server_id),
        holder: Set(holder.clone()),
        fingerprint: Set(facts.fingerprint),
        public_key_sha256: Set(facts.public_key_sha256),
        certificate: Set(pem),
        not_before: Set(facts.not_before),
        not_after: Set(facts.not_after),
        seen_at: Set(Utc::now()),
        ..Default::default()
    };
    let known = OnConflict::columns([
        certificate::Column::Kind,
        certificate::Column::Holder,
        certificate::Column::Fingerprint,
    ])
    .update_column(certificate::Column::SeenAt)
    .to_owned();
    certificate::Entity::insert(row)
        .on_conflict(known)
        .exec_without_returning(transaction)
        .await?;
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE certificates c SET replaced_at = now()
         WHERE c.kind = $1 AND c.holder = $2 AND c.replaced_at IS NULL AND EXISTS (
             SELECT FROM certificates n
             WHERE n.kind = c.kind AND n.holder = c.holder AND (n.not_before, n.id) > (c.not_before, c.id))",
        [kind.to_value().into(), holder.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
