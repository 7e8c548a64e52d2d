//! Speeds: `10Mbit`, `512kbit`, `1Gbit`.

use super::size::split;

/// Kilobits (1,000 bits) in a second, the unit of the API, also where no unit is given.
pub(crate) fn speed(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no speed such as 512kbit, 10Mbit or 1Gbit");
    let bare = text.trim();
    let bare = bare.strip_suffix("/s").unwrap_or(bare);
    if let Ok(kilobits) = bare.parse::<u64>() {
        return Ok(kilobits);
    }
    let unit = bare.to_ascii_lowercase();
    let unit = unit
        .strip_suffix("bit")
        .or_else(|| unit.strip_suffix("bps"))
        .unwrap_or(&unit);
    // A large B would be bytes, which nobody means by a speed of a line; it is refused.
    let (number, factor) = split(unit, ' ').ok_or_else(wrong)?;
    let kilobits = (number * factor / 1000.0).round();
    if !(1.0..=1e7).contains(&kilobits) {
        return Err(format!("{text} is not between 1kbit and 10Gbit"));
    }
    Ok(kilobits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_kilobits_a_second() {
        for (text, kilobits) in [
            ("512", Some(512)),
            ("512kbit", Some(512)),
            ("10Mbit", Some(10_000)),
            ("10mbit/s", Some(10_000)),
            ("10M", Some(10_000)),
            ("1.5Mbps", Some(1_500)),
            ("1Gbit", Some(1_000_000)),
            ("10MB", None),
            ("11Gbit", None),
            ("fast", None),
            ("", None),
        ] {
            assert_eq!(speed(text).ok(), kilobits, "{text}");
        }
    }
}
