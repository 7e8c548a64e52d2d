//! Names of users that are made of names of old servers.

use vpnmanager_nats::{ids::NodeId, username::Username};

/// The name with a dash for each character that usernames have not, without what it may not begin with, and not too long. `None`: nothing is left.
pub fn replaced(name: &str) -> Option<Username> {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '@' | '-' => character,
        _ => '-',
    };
    let name: String = name
        .chars()
        .map(plain)
        .skip_while(|first| !first.is_ascii_alphanumeric())
        .take(Username::MAX_LENGTH)
        .collect();
    // The reserved word alone is refused now.
    name.parse().or_else(|_refused| format!("{name}-").parse()).ok()
}

/// The name with a dash and the node behind it; `None`: it is too long.
pub fn renamed(username: &Username, node: &NodeId) -> Option<Username> {
    format!("{username}-{node}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_usernames_have_not_becomes_a_dash() {
        for (name, replacement) in [
            ("Alice Smith", Some("Alice-Smith")),
            ("müller", Some("m-ller")),
            ("-bob", Some("bob")),
            ("../../etc", Some("etc")),
            ("DEFAULT", Some("DEFAULT-")),
            ("ёж", None),
            ("", None),
        ] {
            assert_eq!(replaced(name).as_ref().map(Username::as_str), replacement, "{name:?}");
        }
        let long = replaced(&"x".repeat(300)).expect("a name");
        assert_eq!(long.as_str().len(), Username::MAX_LENGTH);
    }

    #[test]
    fn a_renamed_user_has_the_node_in_the_name_where_there_is_room() {
        let node: NodeId = "node-1".parse().expect("a valid id");
        let renamed = |name: &str| renamed(&name.parse().expect("a username"), &node);
        assert_eq!(renamed("alice").expect("a name").as_str(), "alice-node-1");
        assert_eq!(renamed(&"x".repeat(60)), None);
    }
}
