//! Names that an operation does not know: which one was meant.

use vpnmanager_runtime::names::nearest;

/// The longest name that is repeated to the caller, in characters.
const LONGEST: usize = 100;

/// Says that a name is not known, with the nearest one that is, or with all of them.
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    match (nearest(&shown(name), known), known) {
        (Some(nearest), _) => format!("is not known here; did you mean `{nearest}`?"),
        (None, []) => "is not known here: nothing is taken here".to_owned(),
        (None, known) => format!("is not known here; what is known: {}", known.join(", ")),
    }
}

/// A name of the caller's, cut where it is too long to be repeated.
pub(super) fn shown(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_otherwise_all() {
        let user = ["expires_at", "server_id", "username"];
        for (name, expected) in [
            ("expire_at", "expires_at"),
            ("expires", "expires_at"),
            ("expiresAt", "expires_at"),
            ("serverid", "server_id"),
            ("SERVER_ID", "server_id"),
            ("user", "username"),
        ] {
            assert!(unknown(name, &user).contains(&format!("`{expected}`")), "{name}");
        }
        assert_eq!(
            unknown("note", &user),
            "is not known here; what is known: expires_at, server_id, username"
        );
        assert_eq!(unknown("note", &[]), "is not known here: nothing is taken here");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
