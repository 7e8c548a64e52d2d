//! `credentials`: one row for each profile that was issued.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
};

/// One credential. The row stays when its user is removed, so that a common name is never used twice.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its user; `None` once the user's row is deleted.
    pub user_id: Option<i64>,
    /// The device of the user that it is for. A user has those devices that have a credential which is not revoked.
    pub device: DeviceName,
    /// The common name of its certificate, never used twice.
    #[sea_orm(unique)]
    pub common_name: CommonName,
    /// The node that creates and stores the key and the profile.
    pub server_id: NodeId,
    /// Serial number of the certificate, lower-case hex.
    pub serial: Option<String>,
    /// SHA-256 of the public key in the certificate.
    pub public_key_sha256: Option<Vec<u8>>,
    /// The certificate, PEM.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate: Option<String>,
    /// When the certificate becomes valid.
    pub not_before: Option<DateTimeUtc>,
    /// When the certificate expires.
    pub not_after: Option<DateTimeUtc>,
    /// When the credential was created.
    pub created_at: DateTimeUtc,
    /// When it was revoked. Nodes refuse it from then on.
    pub revoked_at: Option<DateTimeUtc>,
    /// SHA-256 of the profile, lower-case hex.
    pub profile_checksum: Option<String>,
    /// When a session of it was last seen alive; `None` until it is used.
    pub last_access: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The credentials of these users that are not revoked, oldest first.
    pub fn find_valid_of(users: impl IntoIterator<Item = i64>) -> Select<Self> {
        use sea_orm::QueryOrder;
        Self::find()
            .filter(Column::UserId.eq_any(users))
            .filter(COLUMN.revoked_at.is_null())
            .order_by_asc(Column::Id)
    }
}
