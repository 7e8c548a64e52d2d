//! `old_certificates`: client certificates of servers that nodes took over.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
};

/// One of them, told by node and common name. The row stays when it is revoked, so that an import of the same source does not bring it back.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "old_certificates")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its user; `None` once the user's row is deleted.
    pub user_id: Option<i64>,
    /// The node that took over the server whose authority made it. No other one accepts it.
    pub server_id: NodeId,
    /// Its common name. Another server may have given out the same one.
    pub common_name: CommonName,
    /// The serial number of the newest certificate of that name that the source did not revoke.
    pub serial: SerialNumber,
    /// When that one ends.
    pub not_after: DateTimeUtc,
    /// Serial numbers of certificates of that name that stay revoked, decimal, at most 256.
    pub revoked_serials: Vec<String>,
    /// Until when the node accepts it; `None`: as long as it is valid.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was imported.
    pub created_at: DateTimeUtc,
    /// When a session with it was last seen alive; `None` until it is used.
    pub last_access: Option<DateTimeUtc>,
    /// When it was revoked. The node refuses it from then on.
    pub revoked_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The serial numbers of the column `revoked_serials`, which holds no other text.
pub fn revoked_serials(column: &[String]) -> Vec<SerialNumber> {
    column.iter().filter_map(|serial| serial.parse().ok()).collect()
}

impl Entity {
    /// Those of these users that are not revoked, in the order of their import.
    pub fn find_valid_of(users: impl IntoIterator<Item = i64>) -> Select<Self> {
        use sea_orm::QueryOrder;
        Self::find()
            .filter(Column::UserId.eq_any(users))
            .filter(COLUMN.revoked_at.is_null())
            .order_by_asc(Column::Id)
    }
}
