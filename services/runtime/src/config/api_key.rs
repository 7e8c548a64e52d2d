//! Keys that an operator chooses: too weak ones are refused at the start, because only their hash is stored, without a slow hash, and a
//! stranger may try as many as he likes.

use std::collections::BTreeSet;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

use super::quotes::{QUOTED, is_quoted};

/// The fewest characters of a key. 32 hex digits are 128 bits (NIST SP 800-57 part 1, table 2: security strength of AES-128).
pub const SHORTEST_KEY: usize = 32;

/// What is expected of a key, for [`Setting::new`](super::Setting::new).
pub const EXPECTED_KEY: &str =
    "32 or more random printable ASCII characters without spaces; `openssl rand -hex 32` makes such a key";

/// Fewer different characters than random text of this length has: 32 hex digits have 8 or more, but for one key in 10 million.
const FEWEST_DIFFERENT: usize = 8;
/// What stands in examples and in what people type to get past a check.
const PLACEHOLDERS: [&str; 8] = [
    "changeme",
    "yourapikey",
    "yoursecret",
    "secretapikey",
    "developmentonly",
    "password",
    "placeholder",
    "replacethis",
];

/// Passwords of examples, beside [`PLACEHOLDERS`]. In a key, which is long, one of these words is nothing to object to.
const PASSWORDS: [&str; 8] = [
    "admin",
    "default",
    "postgres",
    "secret",
    "test",
    "vpnmanager",
    "yourpassword",
    "yoursecretpassword",
];

/// Whether a password is one that everybody knows from examples: such a word and nothing else, whatever its case and the characters
/// between its letters, with or without digits at its end.
#[must_use]
pub fn is_placeholder(password: &str) -> bool {
    let letters = letters_of(password);
    let word = letters.trim_end_matches(|last: char| last.is_ascii_digit());
    PLACEHOLDERS.iter().chain(&PASSWORDS).any(|known| *known == word)
}

/// Its letters and digits, in lower case.
fn letters_of(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// Why nobody should use this key; `None`: nothing is known against it. The words do not repeat the key.
#[must_use]
pub fn weakness(key: &str) -> Option<String> {
    if is_quoted(key) {
        return Some(QUOTED.to_owned());
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it cannot be sent in a header".to_owned());
    }
    let letters = letters_of(key);
    if PLACEHOLDERS.iter().any(|known| letters.contains(known)) {
        return Some("it is an example that everybody knows".to_owned());
    }
    if key.len() < SHORTEST_KEY {
        return Some(format!("it has {} characters and can be guessed", key.len()));
    }
    if key.bytes().collect::<BTreeSet<u8>>().len() < FEWEST_DIFFERENT
        || repeats(key.as_bytes())
        || counts(key.as_bytes())
    {
        return Some("it is not random and can be guessed".to_owned());
    }
    None
}

/// A fresh key of 256 bits, in hex.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn random_key() -> String {
    let mut random = [0_u8; 32];
    rand::fill(&mut random).expect("the operating system provides randomness");
    HEXLOWER.encode(&random)
}

/// Whether it is a shorter text again and again.
fn repeats(key: &[u8]) -> bool {
    (1..=key.len() / 2).any(|period| key.iter().zip(key.iter().skip(period)).all(|(one, other)| one == other))
}

/// Whether nearly all characters follow from the one before, as in `abcdef...`. Of random hex digits one in six does.
fn counts(key: &[u8]) -> bool {
    let steps = key.windows(2).filter(|pair| match pair {
        [one, other] => one.abs_diff(*other) <= 1,
        _ => false,
    });
    steps.count() * 4 > key.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_known_and_made_up_keys_are_refused() {
        for (key, word) in [
            ("", "header"),
            ("with space", "header"),
            ("x", "1 characters"),
            ("\"9f2c4b7e1a8d3f605be7c2914d06a8f3\"", "quotation marks"),
            ("'9f2c4b7e1a8d3f605be7c2914d06a8f3'", "quotation marks"),
            ("k3y-of-31-characters-0123456789", "31 characters"),
            ("change-me", "example"),
            ("development-only", "example"),
            ("your-secret-api-key", "example"),
            ("Change_Me-Change_Me-Change_Me-Change_Me", "example"),
            ("correct-horse-battery-staple-password-1", "example"),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "random"),
            ("0123456789012345678901234567890123456789", "random"),
            ("abcdefghijklmnopqrstuvwxyz0123456789", "random"),
            ("deadbeefcafe0123deadbeefcafe0123", "random"),
        ] {
            let reason = weakness(key).unwrap_or_else(|| panic!("{key} is accepted"));
            assert!(reason.contains(word), "{key}: {reason}");
            assert!(key.is_empty() || !reason.contains(key), "{reason}");
        }
    }

    #[test]
    fn passwords_of_examples_are_known_and_others_are_not() {
        for known in [
            "change-me",
            "changeme",
            "your_password",
            "Password1",
            "postgres",
            "secret",
            "development-only",
            "vpnmanager",
            "p.a.s.s.w.o.r.d",
        ] {
            assert!(is_placeholder(known), "{known}");
        }
        for other in [
            "",
            "1234",
            "my password is long",
            "zq9x",
            "correct-horse-battery-secret",
        ] {
            assert!(!is_placeholder(other), "{other}");
        }
        assert!(!is_placeholder(&random_key()));
    }

    #[test]
    fn what_a_generator_makes_is_accepted() {
        for _ in 0..200 {
            let key = random_key();
            assert_eq!((key.len(), weakness(&key)), (64, None));
            assert_ne!(key, random_key());
            // The shortest that is accepted.
            let shortest = key.get(..SHORTEST_KEY).unwrap();
            assert_eq!(weakness(shortest), None, "{shortest}");
        }
    }
}
