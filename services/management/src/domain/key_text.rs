//! The text of an API key: `vpnm_`, 43 characters that hold 256 random bits, and 6 that check them. Secret scanners find a leaked one by its
//! form, and a mistyped one is refused without a query.

use flate2::Crc;

/// What each key begins with.
pub const PREFIX: &str = "vpnm_";

/// The random bytes of a key.
pub const RANDOM_BYTES: usize = 32;

/// What a secret scanner looks for.
pub const PATTERN: &str = "vpnm_[0-9A-Za-z]{49}";

/// Characters that hold the random bytes: 62^43 is more than 2^256.
const RANDOM_CHARACTERS: usize = 43;
/// Characters that hold 32 bits.
const CHECK_CHARACTERS: usize = 6;
/// Characters that lists show. They say 42 of the 256 bits.
const SHOWN_CHARACTERS: usize = 12;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The key that holds these random bytes.
pub fn key_of(random: &[u8; RANDOM_BYTES]) -> String {
    let secret = base62(random, RANDOM_CHARACTERS);
    let check = check_of(&secret);
    format!("{PREFIX}{secret}{check}")
}

/// The part of a key that is no secret, by which people tell it from others.
pub fn shown(key: &str) -> String {
    key.chars().take(SHOWN_CHARACTERS).collect()
}

/// Whether it is no key of ours for sure: it begins like one and does not go on like one. Any other text may be a key that somebody chose, as
/// `API_KEY` is.
pub fn is_mistyped(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX) else {
        return false;
    };
    let is_plain =
        rest.len() == RANDOM_CHARACTERS + CHECK_CHARACTERS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_plain {
        return true;
    }
    let (secret, check) = rest.split_at(RANDOM_CHARACTERS);
    check != check_of(secret)
}

/// The CRC-32 of the characters.
fn check_of(secret: &str) -> String {
    let mut crc = Crc::new();
    crc.update(secret.as_bytes());
    base62(&crc.sum().to_be_bytes(), CHECK_CHARACTERS)
}

/// A number, its highest byte first, in so many digits.
fn base62(number: &[u8], digits: usize) -> String {
    let mut number = number.to_vec();
    let mut text = vec![0; digits];
    for digit in text.iter_mut().rev() {
        *digit = ALPHABET[usize::from(divide(&mut number))];
    }
    text.into_iter().map(char::from).collect()
}

/// Divides the number by 62, and gives what remains.
fn divide(number: &mut [u8]) -> u16 {
    let mut rest = 0;
    for byte in number {
        // At most 61 * 256 + 255.
        let part: u16 = rest * 256 + u16::from(*byte);
        *byte = u8::try_from(part / 62).unwrap_or(u8::MAX);
        rest = part % 62;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_form_that_scanners_know() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(&format!("^{PATTERN}$")).expect("a pattern");
        for random in [[0; 32], [255; 32], [7; 32]] {
            let key = key_of(&random);
            assert!(pattern.is_match(&key), "{key}");
            assert!(!is_mistyped(&key), "{key}");
        }
        assert_eq!(shown("vpnm_0123456789"), "vpnm_0123456");
    }

    #[test]
    fn numbers_are_written_in_base_62() {
        assert_eq!(base62(&[0], 2), "00");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[1, 0], 2), "48");
        assert_eq!(base62(&[255; 4], 6), "4gfFC3");
    }

    #[test]
    fn each_bit_of_the_random_bytes_counts() {
        let mut keys = std::collections::BTreeSet::new();
        for byte in 0..32 {
            for bit in 0..8 {
                let mut random = [0x5a; 32];
                random[byte] ^= 1 << bit;
                keys.insert(key_of(&random));
            }
        }
        assert_eq!(keys.len(), 256);
    }

    #[test]
    fn a_mistyped_key_is_seen_and_other_texts_may_be_keys() {
        let key = key_of(&[42; 32]);
        let at = |place: usize| {
            let mut bytes = key.clone().into_bytes();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).expect("ASCII")
        };
        assert!((PREFIX.len()..key.len()).all(|place| is_mistyped(&at(place))));
        assert!(is_mistyped(&key[..key.len() - 1]) && is_mistyped(&format!("{key}0")) && is_mistyped("vpnm_"));
        assert!(!is_mistyped("a-key-that-somebody-chose"));
    }
}
