//! `sessions`: who was connected, when, from where and with how much traffic.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    listeners::Listener,
    sessions::EndKind,
    username::Username,
};

/// One session. `server_id`, `since` and `cid` name it. Who it was is what management knew when it first heard of it; the rest is the node's
/// word.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// When it began, in whole seconds, by the node's clock.
    #[sea_orm(primary_key, auto_increment = false)]
    pub since: DateTimeUtc,
    /// OpenVPN's number for it, plus 2^40 for each listener of the node before its own: 0 to 10^18 - 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cid: i64,
    /// Its credential.
    pub common_name: CommonName,
    /// The row of its user, which may be gone. `None`: it was gone before the session was heard of.
    pub user_id: Option<i64>,
    /// The name of that user.
    pub username: Option<Username>,
    /// The device of its credential.
    pub device: Option<DeviceName>,
    /// Address and port that the client connected from, as the node says them.
    pub real_address: String,
    /// The address in it; `None`: there is none.
    #[sea_orm(column_type = "Inet", nullable)]
    pub real_ip: Option<IpNetwork>,
    /// The IPv4 address of the client inside the tunnel.
    #[sea_orm(column_type = "Inet", nullable)]
    pub virtual_address: Option<IpNetwork>,
    /// The IPv6 address of the client inside the tunnel.
    #[sea_orm(column_type = "Inet", nullable)]
    pub virtual_address6: Option<IpNetwork>,
    /// Bytes that the node received from the client.
    pub bytes_in: i64,
    /// Bytes that the node sent to the client.
    pub bytes_out: i64,
    /// The release of OpenVPN that the client said it was.
    pub client_version: Option<String>,
    /// The system that the client said it ran on.
    pub client_platform: Option<String>,
    /// The listener that the client came to. `None`: the node has not said.
    pub listener: Option<Listener>,
    /// When the node last saw it alive, or saw that it had ended, by the node's clock.
    pub seen_at: DateTimeUtc,
    /// When it ended, or was last seen alive ([`EndKind::Assumed`]), by the node's clock, always after `since`. `None`: it lives, or the node has
    /// not said yet that it ended.
    pub ended_at: Option<DateTimeUtc>,
    /// How the end is known; `None` without an end.
    pub end_kind: Option<EndKind>,
    /// Until when it may have lived: `ended_at` of an end that was seen; of an assumed one when it was found gone, which is `seen_at`, or later
    /// where management closed it by itself. `None` without an end.
    pub gone_at: Option<DateTimeUtc>,
    /// When management recorded what it heard last, by the clock of the database.
    pub recorded_at: DateTimeUtc,
    /// When management recorded it for the first time, by the clock of the database. What is said of it later changes nothing of this.
    pub first_recorded_at: DateTimeUtc,
    /// When a replica last had the node asked to end it, because its user has more devices connected than her group allows; by the clock of
    /// the database.
    pub end_asked_at: Option<DateTimeUtc>,
    /// When the node answered that it had ended it, or that it is not there; by the clock of the database. It counts against no limit from
    /// then on. `None`: it was not asked, or has not answered.
    pub end_answered_at: Option<DateTimeUtc>,
    /// Whether the audit trail says that it was ended for that reason, or that its end was asked for and may have come.
    pub end_audited: bool,
}

impl ActiveModelBehavior for ActiveModel {}
