//! `api_keys`: who may call the API.

use sea_orm::entity::prelude::*;

/// One key. Only its hash is stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The name that operators gave it, used once: the audit trail names keys by it.
    pub name: String,
    /// SHA-256 of the key. Of a revoked one `revoked <id>`, which is the hash of nothing.
    pub hash: Vec<u8>,
    /// What it allows.
    pub role: Role,
    /// Whose it is, for people.
    pub owner: Option<String>,
    /// The first characters of the key; `None`: it is that of `API_KEY`, or one of before keys had a form.
    pub prefix: Option<String>,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// Who created it.
    pub created_by: String,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTimeUtc>,
    /// From where it was last used.
    #[sea_orm(column_type = "Inet", nullable)]
    pub last_used_address: Option<IpNetwork>,
    /// When it was revoked.
    pub revoked_at: Option<DateTimeUtc>,
    /// When it was last rotated.
    pub rotated_at: Option<DateTimeUtc>,
    /// SHA-256 of the key of before the last rotation, or of before the revocation.
    pub previous_hash: Option<Vec<u8>>,
    /// Until when that one is accepted; `None`: it is not.
    pub previous_valid_until: Option<DateTimeUtc>,
    /// The pools that it is narrowed to; `None`: all.
    pub pools: Option<Vec<String>>,
    /// The groups that it is narrowed to; `None`: all.
    pub groups: Option<Vec<String>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Role {
    /// To read, except profiles and secrets.
    Viewer,
    /// To read, and to change users, with their devices, sessions, profiles and links.
    Operator,
    /// Every operation.
    Admin,
    /// Only to register nodes.
    Node,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Admin, Self::Node];

    /// The word for it in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }
}

/// Whether a key is accepted. It is no column: queries tell it from the others and from the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum KeyState {
    /// It is accepted.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl KeyState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Expired, Self::Revoked];

    /// The word for it in queries and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}
