//! `profile_links`: links that hand out the profile of a device of a user.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::device::DeviceName;

/// One link. Only the hash of its token is stored. It goes with its user.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "profile_links")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// Whose profile.
    pub user_id: i64,
    /// The device of the user whose profile it hands out.
    pub device: DeviceName,
    /// Who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// When it stops being valid.
    pub expires_at: DateTimeUtc,
    /// How often it still hands out the profile.
    pub uses_left: i16,
    /// When it handed out the profile last.
    pub last_used_at: Option<DateTimeUtc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a link does at this moment. It is no column: queries tell it from the link, its user and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum LinkState {
    /// It hands out the profile.
    Open,
    /// It was revoked.
    Revoked,
    /// It was used as often as it may be.
    Used,
    /// Its time is over.
    Expired,
    /// Its user has no access: suspended, expired or removed.
    Closed,
}
