//! A whole number of a directive.

use std::fmt;

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const LEAST: u32, const MOST: u32>(pub(super) u32);

impl<const LEAST: u32, const MOST: u32> Number<LEAST, MOST> {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Reads digits without a sign and without zeros before them.
    pub(super) fn read(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        let number: u32 = text.parse().ok().filter(|_| is_plain)?;
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Display for Number<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_plain_digits_within_its_bounds() {
        for (text, number) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("120", Some(120)),
            ("121", None),
            ("", None),
            ("+7", None),
            ("-7", None),
            ("07", None),
            ("00", None),
            ("7 ", None),
            ("0x7", None),
            ("7.0", None),
            ("\u{0667}", None),
            ("4294967296", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Number::<0, 120>::read(text).map(Number::get), number, "{text:?}");
        }
        assert_eq!(Number::<5, 6>::read("4"), None);
    }
}
