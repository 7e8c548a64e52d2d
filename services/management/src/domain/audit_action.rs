//! The actions of the audit trail: what happened, in the past tense.

use std::{fmt, str::FromStr};

use vpnmanager_nats::events::EventKind;

/// Declares the actions with their words, once.
macro_rules! audit_actions {
    ($($(#[doc = $doc:literal])+ $name:ident => $word:literal,)+) => {
        /// One kind of change or event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AuditAction {
            $($(#[doc = $doc])+ $name,)+
        }

        impl AuditAction {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

audit_actions! {
    /// A user was created, over the API or at a node.
    UserCreated => "user_created",
    /// A user was changed, but neither suspended nor resumed.
    UserChanged => "user_changed",
    /// A user was suspended.
    UserSuspended => "user_suspended",
    /// A suspended user was given access again.
    UserResumed => "user_resumed",
    /// A device of a user was given a new credential.
    UserReissued => "user_reissued",
    /// A user's profile, private key included, was handed out.
    UserProfileRead => "user_profile_read",
    /// A user got another device.
    DeviceCreated => "device_created",
    /// A device of a user was revoked.
    DeviceRevoked => "device_revoked",
    /// A source of an old server was imported.
    UsersImported => "users_imported",
    /// An import gave a user who was there a certificate of an old server.
    OldCertificateAdded => "old_certificate_added",
    /// Until when a certificate of an old server is accepted, or which serial numbers are revoked, was changed.
    OldCertificateChanged => "old_certificate_changed",
    /// A certificate of an old server was revoked.
    OldCertificateRevoked => "old_certificate_revoked",
    /// A link to the profile of a user was created.
    ProfileLinkCreated => "profile_link_created",
    /// A link handed out the profile of its user.
    ProfileLinkUsed => "profile_link_used",
    /// A link to the profile of a user was revoked.
    ProfileLinkRevoked => "profile_link_revoked",
    /// Credentials of a user were revoked because others may have their keys.
    UserCredentialsRevoked => "user_credentials_revoked",
    /// A user was removed: its credentials are revoked, and its nodes will remove it.
    UserRemoved => "user_removed",
    /// The last node of a removed user has confirmed the removal.
    UserRemovalCompleted => "user_removal_completed",
    /// A user was placed on more nodes.
    UserPlaced => "user_placed",
    /// A user got another home because the old one is lost.
    UserRehomed => "user_rehomed",
    /// A user's revision was raised above one that a node or the stream held.
    UserRevisionRaised => "user_revision_raised",
    /// Most of the quota of the user's group is used.
    UserNearQuota => "user_near_quota",
    /// A user is over the quota of its group, and has no access.
    UserOverQuota => "user_over_quota",
    /// A user is not over the quota any more, or an operator forgave what was used of it.
    UserQuotaLifted => "user_quota_lifted",
    /// An operator ended a session.
    SessionEnded => "session_ended",
    /// A session was ended because its user had more devices connected at the same time than the group allows.
    SessionLimited => "session_limited",
    /// A request to a node's local API was refused.
    LocalRequestRefused => "local_request_refused",
    /// Somebody presented unknown keys, join tokens or links.
    AccessRefused => "access_refused",
    /// Many unknown keys were presented in a minute.
    WrongKeys => "wrong_keys",
    /// An API key was created.
    ApiKeyCreated => "api_key_created",
    /// An API key got another secret.
    ApiKeyRotated => "api_key_rotated",
    /// An API key was revoked.
    ApiKeyRevoked => "api_key_revoked",
    /// A join token was created.
    JoinTokenCreated => "join_token_created",
    /// A join token that was not used was revoked.
    JoinTokenRevoked => "join_token_revoked",
    /// A node enrolled.
    NodeRegistered => "node_registered",
    /// A node's agent was configured anew: where clients reach it, how many it takes, or another pool, which an operator must agree to.
    NodeEndpointChanged => "node_endpoint_changed",
    /// An operator moved a node to another pool.
    NodeMoved => "node_moved",
    /// A node was removed from the fleet.
    NodeDeregistered => "node_deregistered",
    /// An operator, or a rollout, started the drain of a node; or an operator asked to drain one that a rollout had drained, so that it stays so.
    NodeDrained => "node_drained",
    /// An operator, or the rollout that had started it, ended the drain of a node.
    NodeUndrained => "node_undrained",
    /// An operator disabled a node: it gets no new users.
    NodeDisabled => "node_disabled",
    /// An operator enabled a node: it gets new users again.
    NodeEnabled => "node_enabled",
    /// The agent of a node was told, in a rollout, to restart OpenVPN, and began it: once more where the agent itself was started anew meanwhile.
    NodeRestarted => "node_restarted",
    /// A pool was made: by an operator, or because a node was put into it.
    PoolCreated => "pool_created",
    /// An operator changed the network of a pool, how many nodes its users get, or the extra lines of their profiles.
    PoolChanged => "pool_changed",
    /// An operator deleted a pool.
    PoolDeleted => "pool_deleted",
    /// An operator asked for a rollout: to restart OpenVPN on all nodes of a pool, one after another.
    RolloutStarted => "rollout_started",
    /// A rollout has ended: all nodes had their turn, an operator stopped it, or it could not go on.
    RolloutEnded => "rollout_ended",
    /// An operator created a group.
    GroupCreated => "group_created",
    /// An operator changed what a group says of its members.
    GroupChanged => "group_changed",
    /// An operator deleted a group.
    GroupDeleted => "group_deleted",
    /// Management began to revoke the credentials that a node made.
    NodeRevocationStarted => "node_revocation_started",
    /// All credentials that a node made are revoked.
    NodeRevocationCompleted => "node_revocation_completed",
    /// Management began to give all users of a node new credentials.
    NodeReissueStarted => "node_reissue_started",
    /// All users of a node had their turn.
    NodeReissueCompleted => "node_reissue_completed",
    /// An operator ended that before all had it.
    NodeReissueStopped => "node_reissue_stopped",
    /// An operator had traffic forgotten that a node had reported.
    NodeTrafficDiscarded => "node_traffic_discarded",
    /// A node's state changed.
    NodeStateChanged => "node_state_changed",
    /// A node that was lost gets users again.
    NodeReadmitted => "node_readmitted",
    /// Management began to send a node all its commands again.
    NodeResyncStarted => "node_resync_started",
    /// A second agent uses the identity of a node, and is refused.
    NodeCloned => "node_cloned",
    /// A refused agent was accepted because the other agents of its node are silent.
    NodeCloneAccepted => "node_clone_accepted",
    /// A node sent far more than its budget, and is cut off the bus for a while.
    NodeCutOff => "node_cut_off",
    /// A node caused more entries than it has room for in the trail: how many of which action were not recorded.
    NodeEventsLeftOut => "node_events_left_out",
    /// A certificate ends soon that is not of a user.
    CertificateNearEnd => "certificate_near_end",
    /// Certificates of users end soon: one entry for all of one day.
    CertificatesNearEnd => "certificates_near_end",
    /// A step was taken to put another authority in the place of the present one.
    AuthorityChanged => "authority_changed",
    /// A node got another certificate for its OpenVPN server.
    NodeCertificateRenewed => "node_certificate_renewed",
    /// A part of the trail was written to a file, and dropped from the database.
    AuditArchived => "audit_archived",
    /// The trail is not what management signed: somebody has rewritten it.
    AuditRewritten => "audit_rewritten",
    /// The database was restored from a backup.
    DatabaseRestored => "database_restored",
    /// An operator decided what holds of what the fleet was told since that backup was made.
    DatabaseRestorationDecided => "database_restoration_decided",
    /// An operator made a webhook.
    WebhookCreated => "webhook_created",
    /// An operator changed a webhook: where events are sent, which ones, or whether.
    WebhookChanged => "webhook_changed",
    /// A webhook got another secret.
    WebhookSecretRotated => "webhook_secret_rotated",
    /// An operator deleted a webhook.
    WebhookDeleted => "webhook_deleted",
    /// An event could not be delivered to a webhook for three days, and was given up.
    WebhookFailing => "webhook_failing",
    /// The receiver of a webhook said that it is gone: nothing is sent there any more.
    WebhookDisabled => "webhook_disabled",
    /// A node answered a request of management with something that is not taken.
    NodeAnswerRefused => "node_answer_refused",
    /// The bus has a new store: its streams were lost or replaced.
    BusStoreReplaced => "bus_store_replaced",
    /// A node could not read a command.
    CommandUndecodable => "command_undecodable",
    /// A node enforced a user's expiry.
    UserExpired => "user_expired",
    /// A node cut sessions that are not allowed.
    SessionsCut => "sessions_cut",
    /// A node repaired its allow-list.
    AllowListRepaired => "allow_list_repaired",
    /// OpenVPN answers on a node.
    OpenvpnUp => "openvpn_up",
    /// OpenVPN does not answer on a node.
    OpenvpnDown => "openvpn_down",
}

impl AuditAction {
    /// The action that records an event of a node.
    pub fn of_event(kind: &EventKind) -> Self {
        match kind {
            EventKind::CommandUndecodable { .. } => Self::CommandUndecodable,
            EventKind::UserExpired { .. } => Self::UserExpired,
            EventKind::SessionsCut { .. } => Self::SessionsCut,
            EventKind::AllowListRepaired { .. } => Self::AllowListRepaired,
            EventKind::OpenvpnUp { .. } => Self::OpenvpnUp,
            EventKind::OpenvpnDown { .. } => Self::OpenvpnDown,
        }
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is not that of any action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an action of the audit trail, such as user_created")]
pub struct UnknownAction;

impl FromStr for AuditAction {
    type Err = UnknownAction;

    fn from_str(word: &str) -> Result<Self, UnknownAction> {
        let found = Self::ALL.iter().find(|action| action.as_str() == word);
        found.copied().ok_or(UnknownAction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_found_by_its_word() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("user_vanished".parse::<AuditAction>(), Err(UnknownAction));
    }

    #[test]
    fn an_event_is_recorded_under_its_own_name() {
        let event = EventKind::OpenvpnUp { pid: 1 };
        assert_eq!(AuditAction::of_event(&event).as_str(), event.name());
    }
}
