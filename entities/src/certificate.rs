//! `certificates`: those that are not of users, whose are in [`credential`](crate::credential).

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One certificate.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificates")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// What it is for.
    pub kind: Kind,
    /// Of the kind [`Kind::Node`]: the node.
    pub server_id: Option<NodeId>,
    /// Who presents it: of one kind and holder the one that begins last is in use, and the others are replaced.
    pub holder: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// SHA-256 of its public key.
    pub public_key_sha256: Vec<u8>,
    /// The certificate, PEM.
    #[sea_orm(column_type = "Text")]
    pub certificate: String,
    /// When it becomes valid.
    pub not_before: DateTimeUtc,
    /// When it ends.
    pub not_after: DateTimeUtc,
    /// When it was recorded.
    pub recorded_at: DateTimeUtc,
    /// When a replica last found it where it lies; of a node: when it was signed.
    pub seen_at: DateTimeUtc,
    /// When it was found that another one had taken its place.
    pub replaced_at: Option<DateTimeUtc>,
    /// The fewest days before its end at which that was told.
    pub told_days: Option<i16>,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Kind {
    /// The fleet's certificate authority.
    Ca,
    /// The OpenVPN server of a node.
    Node,
    /// The bus: its own authority, and its server.
    Bus,
    /// The HTTPS of a replica of management.
    Https,
}

impl ActiveModelBehavior for ActiveModel {}
