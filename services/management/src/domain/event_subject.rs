//! What events are about. The type of an event is the action of its audit entry: one word for one thing.

use std::{fmt, str::FromStr};

use crate::domain::audit_action::AuditAction;

/// What an event is about, for whoever wants to hear of some things only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventSubject {
    /// Users, their devices, profiles and old certificates.
    Users,
    /// On which nodes users are.
    Placements,
    /// Nodes of the fleet.
    Nodes,
    /// Pools, and rollouts in them.
    Pools,
    /// Groups.
    Groups,
    /// Sessions that were ended.
    Sessions,
    /// What lets somebody into management: keys and join tokens.
    Keys,
    /// What somebody should look at.
    Alarms,
    /// Management itself: its trail, its database, its webhooks.
    Service,
}

impl EventSubject {
    /// All subjects.
    pub const ALL: [Self; 9] = [
        Self::Users,
        Self::Placements,
        Self::Nodes,
        Self::Pools,
        Self::Groups,
        Self::Sessions,
        Self::Keys,
        Self::Alarms,
        Self::Service,
    ];

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Placements => "placements",
            Self::Nodes => "nodes",
            Self::Pools => "pools",
            Self::Groups => "groups",
            Self::Sessions => "sessions",
            Self::Keys => "keys",
            Self::Alarms => "alarms",
            Self::Service => "service",
        }
    }

    /// What events of this type are about.
    pub fn of(action: AuditAction) -> Self {
        use AuditAction as Action;
        match action {
            Action::UserCreated
            | Action::UserChanged
            | Action::UserSuspended
            | Action::UserResumed
            | Action::UserReissued
            | Action::UserProfileRead
            | Action::DeviceCreated
            | Action::DeviceRevoked
            | Action::UsersImported
            | Action::OldCertificateAdded
            | Action::OldCertificateChanged
            | Action::OldCertificateRevoked
            | Action::ProfileLinkCreated
            | Action::ProfileLinkUsed
            | Action::ProfileLinkRevoked
            | Action::UserCredentialsRevoked
            | Action::UserRemoved
            | Action::UserRemovalCompleted
            | Action::UserNearQuota
            | Action::UserOverQuota
            | Action::UserQuotaLifted
            | Action::UserExpired => Self::Users,
            Action::UserPlaced | Action::UserRehomed => Self::Placements,
            Action::NodeRegistered
            | Action::NodeEndpointChanged
            | Action::NodeMoved
            | Action::NodeDeregistered
            | Action::NodeDrained
            | Action::NodeUndrained
            | Action::NodeDisabled
            | Action::NodeEnabled
            | Action::NodeRestarted
            | Action::NodeRevocationStarted
            | Action::NodeRevocationCompleted
            | Action::NodeReissueStarted
            | Action::NodeReissueCompleted
            | Action::NodeReissueStopped
            | Action::NodeTrafficDiscarded
            | Action::NodeStateChanged
            | Action::NodeReadmitted
            | Action::NodeResyncStarted
            | Action::NodeCloneAccepted
            | Action::NodeCertificateRenewed
            | Action::OpenvpnUp => Self::Nodes,
            Action::PoolCreated
            | Action::PoolChanged
            | Action::PoolDeleted
            | Action::RolloutStarted
            | Action::RolloutEnded => Self::Pools,
            Action::GroupCreated | Action::GroupChanged | Action::GroupDeleted => Self::Groups,
            Action::SessionEnded | Action::SessionLimited | Action::SessionsCut => Self::Sessions,
            Action::JoinTokenCreated
            | Action::JoinTokenRevoked
            | Action::ApiKeyCreated
            | Action::ApiKeyRotated
            | Action::ApiKeyRevoked => Self::Keys,
            Action::AccessRefused
            | Action::WrongKeys
            | Action::LocalRequestRefused
            | Action::UserRevisionRaised
            | Action::NodeCloned
            | Action::NodeCutOff
            | Action::NodeEventsLeftOut
            | Action::NodeAnswerRefused
            | Action::BusStoreReplaced
            | Action::CommandUndecodable
            | Action::AllowListRepaired
            | Action::OpenvpnDown
            | Action::AuditRewritten
            | Action::CertificateNearEnd
            | Action::CertificatesNearEnd
            | Action::WebhookFailing
            | Action::WebhookDisabled => Self::Alarms,
            Action::AuditArchived
            | Action::AuthorityChanged
            | Action::DatabaseRestored
            | Action::DatabaseRestorationDecided
            | Action::WebhookCreated
            | Action::WebhookChanged
            | Action::WebhookDeleted
            | Action::WebhookSecretRotated => Self::Service,
        }
    }
}

impl fmt::Display for EventSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is not that of any subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a subject of events, such as users")]
pub struct UnknownSubject;

impl FromStr for EventSubject {
    type Err = UnknownSubject;

    fn from_str(word: &str) -> Result<Self, UnknownSubject> {
        let found = Self::ALL.into_iter().find(|subject| subject.as_str() == word);
        found.ok_or(UnknownSubject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_is_found_by_its_word_and_has_a_type() {
        for subject in EventSubject::ALL {
            assert_eq!(subject.as_str().parse(), Ok(subject));
            let has_one = AuditAction::ALL
                .iter()
                .any(|action| EventSubject::of(*action) == subject);
            assert!(has_one, "{subject}");
        }
        assert_eq!("cats".parse::<EventSubject>(), Err(UnknownSubject));
    }
}
