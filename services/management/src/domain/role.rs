//! Which key may do what.

use vpnmanager_entities::api_key::Role;

/// Whether a key of this role may do what needs a key of that one.
pub fn suffices(held: Role, needed: Role) -> bool {
    match needed {
        Role::Viewer => matches!(held, Role::Viewer | Role::Operator | Role::Admin),
        Role::Operator => matches!(held, Role::Operator | Role::Admin),
        Role::Admin => held == Role::Admin,
        Role::Node => matches!(held, Role::Node | Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_below_it_may_and_nodes_stand_apart() {
        let may = |held| Role::ALL.map(|needed| suffices(held, needed));
        // Needed: viewer, operator, admin, node.
        assert_eq!(may(Role::Viewer), [true, false, false, false]);
        assert_eq!(may(Role::Operator), [true, true, false, false]);
        assert_eq!(may(Role::Admin), [true, true, true, true]);
        assert_eq!(may(Role::Node), [false, false, false, true]);
    }
}
