//! The form of a join token: the secret, and whom it may be told.

/// What stands between the two; the secret has none.
const SEPARATOR: char = '.';

/// A join token that names the CA of management's HTTPS by its fingerprint, so that a node tells the secret nobody else:
/// `vpnjoin-<secret>.<64 hex digits>`.
#[must_use]
pub fn pinned(secret: &str, fingerprint: &str) -> String {
    format!("{secret}{SEPARATOR}{fingerprint}")
}

/// The secret, and the fingerprint where the token has one. The secret alone is what management knows and what a node sends.
#[must_use]
pub fn split(token: &str) -> (&str, Option<&str>) {
    match token.split_once(SEPARATOR) {
        Some((secret, fingerprint)) => (secret, Some(fingerprint)),
        None => (token, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_and_without_a_fingerprint_has_the_same_secret() {
        let token = pinned("vpnjoin-abc", "0123");
        assert_eq!(token, "vpnjoin-abc.0123");
        assert_eq!(split(&token), ("vpnjoin-abc", Some("0123")));
        assert_eq!(split("vpnjoin-abc"), ("vpnjoin-abc", None));
    }
}
