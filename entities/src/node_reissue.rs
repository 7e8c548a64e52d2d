//! `node_reissues`: nodes whose users get new credentials. Those who still have to come are in `node_reissue_users`.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One node. The row stays when it has ended, until the next one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node_reissues")]
pub struct Model {
    /// The node, which may be deregistered.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// The id of the newest credential that counts as lost.
    pub upto: i64,
    /// What happens to the profiles that the users have.
    pub old_profiles: OldProfiles,
    /// Only what the node made before it counts as lost; `None`: all that it had made.
    pub made_before: Option<DateTimeUtc>,
    /// Who asked for it.
    pub actor: String,
    /// The address that the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// When it was asked for.
    pub started_at: DateTimeUtc,
    /// When some of its users last had their turn, or it was asked for.
    pub turn_at: DateTimeUtc,
    /// When it ended; `None` while it goes on.
    pub ended_at: Option<DateTimeUtc>,
    /// Whether somebody ended it before all users had their turn.
    pub stopped: bool,
    /// Users whom it is about.
    pub total: i64,
    /// Users who had their turn, with those of [`failed`](Self::failed).
    pub done: i64,
    /// Those of them who needed nothing: they have newer profiles, or are gone.
    pub unchanged: i64,
    /// Users of whom the database refused the change.
    pub failed: i64,
    /// The names of the first of them, a list of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub failed_users: Json,
}

/// What happens to the profiles that a device already has, when it gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum OldProfiles {
    /// They stay valid, beside the new one.
    Keep,
    /// They are revoked for ever, and their sessions are cut.
    Revoke,
}

impl ActiveModelBehavior for ActiveModel {}
