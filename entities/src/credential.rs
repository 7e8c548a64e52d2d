//! `credentials`: one for each issued profile.

use sea_orm::entity::prelude::*;

/// One credential. Outlives its user, so that its common name is never given twice.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its user, while there is one.
    pub user_id: Option<i64>,
    /// Unique for ever.
    #[sea_orm(unique)]
    pub common_name: String,
    /// The node that makes and keeps key and profile.
    pub server_id: String,
    /// Serial number of the certificate, lower-case hex.
    pub serial: Option<String>,
    /// SHA-256 of the public key that was signed.
    pub public_key_sha256: Option<Vec<u8>>,
    /// The certificate, PEM.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate: Option<String>,
    /// Start of validity.
    pub not_before: Option<DateTimeUtc>,
    /// End of validity.
    pub not_after: Option<DateTimeUtc>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// From then on nobody lets it in.
    pub revoked_at: Option<DateTimeUtc>,
    /// SHA-256 of the profile, lower-case hex.
    pub profile_checksum: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// What still lets these users in, oldest first.
    pub fn find_valid_of(users: impl IntoIterator<Item = i64>) -> Select<Self> {
        use sea_orm::QueryOrder;
        Self::find()
            .filter(Column::UserId.eq_any(users))
            .filter(COLUMN.revoked_at.is_null())
            .order_by_asc(Column::Id)
    }
}
