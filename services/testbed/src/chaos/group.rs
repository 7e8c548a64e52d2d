//! The groups that the users of a run are in.
//!
//! A node whose agent does not run OpenVPN holds nobody to rules, so members of a group that has some live in a pool of nodes whose agents do.

use vpnmanager_testbed::stack::Stack;

/// The pool of the groups that have rules.
pub(super) const HELD: &str = "held";
/// The pool of all others.
const USUAL: &str = "default";

/// A group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// That of every user that is put into no other one.
    Default,
    /// One without rules.
    Staff,
    /// With rules.
    Sales,
    /// With other ones.
    Visitors,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Default, Self::Staff, Self::Sales, Self::Visitors];

    /// Those of this stack: where there are no tunnels, nobody can be held to rules.
    pub(super) fn of(stack: &Stack) -> Vec<Self> {
        let has_tunnels = stack.network().is_ok();
        let groups = Self::ALL.into_iter();
        groups.filter(|group| has_tunnels || !group.has_rules()).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Staff => "staff",
            Self::Sales => "sales",
            Self::Visitors => "visitors",
        }
    }

    /// The group of this name; `None` if no run puts users into it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }

    /// Whether its rules are changed in a run.
    pub(super) fn has_rules(self) -> bool {
        match self {
            Self::Default | Self::Staff => false,
            Self::Sales | Self::Visitors => true,
        }
    }

    /// The pool in which its members live.
    pub(super) fn pool(self) -> &'static str {
        if self.has_rules() { HELD } else { USUAL }
    }

    /// The other group of that pool: users are moved to and fro.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Default => Self::Staff,
            Self::Staff => Self::Default,
            Self::Sales => Self::Visitors,
            Self::Visitors => Self::Sales,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_moved_within_their_pool() {
        for group in Group::ALL {
            assert_ne!(group.other(), group);
            assert_eq!(group.other().pool(), group.pool());
            assert_eq!(group.other().other(), group);
            assert_eq!(Group::named(group.name()), Some(group));
        }
    }
}
