//! `join_tokens`: one-time tokens that allow a node to enrol.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One token. Only its hash is stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "join_tokens")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// SHA-256 of the token. Of a revoked one `revoked <id>`, which is the hash of nothing.
    pub hash: Vec<u8>,
    /// The only node that may use it; `None`: any node.
    pub server_id: Option<NodeId>,
    /// Who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// When it stops being valid.
    pub expires_at: DateTimeUtc,
    /// When it was used.
    pub used_at: Option<DateTimeUtc>,
    /// The node that enrolled with it.
    pub used_by: Option<NodeId>,
    /// SHA-256 of what that node was enrolled as, as in `servers.enrolled_as`.
    pub used_as: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a token can still do. It is no column: queries tell it from the others and from the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum TokenState {
    /// It enrols a node.
    Open,
    /// A node enrolled with it.
    Used,
    /// Its time was over, or it was revoked, before a node enrolled with it.
    Expired,
}

impl TokenState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Used, Self::Expired];

    /// The word for it in queries and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}
