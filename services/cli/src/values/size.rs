//! Amounts of bytes: `50GB`, `1.5TB`, `512MiB`, `1000`.

const DECIMAL: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

/// Bytes. Units are decimal (`50GB`, `50G`) unless they have an `i` (`50GiB`).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount of bytes such as 50GB, 1.5TB or 512MiB");
    let (number, factor) = split(text, 'b').ok_or_else(wrong)?;
    let bytes = number * factor;
    if !(1.0..=1e15).contains(&bytes) {
        return Err(format!("{text} is not between 1 byte and 1000TB"));
    }
    Ok(bytes.round() as u64)
}

/// The number and what its unit stands for; the unit may end with this letter.
pub(super) fn split(text: &str, last: char) -> Option<(f64, f64)> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix(last).unwrap_or(&unit);
    let (unit, base) = match unit.strip_suffix('i') {
        Some(unit) if !unit.is_empty() => (unit, 1024.0_f64),
        Some(_) => return None,
        None => (unit, 1000.0_f64),
    };
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    Some((number, base.powi(i32::try_from(power).ok()?)))
}

/// The other way round: `1.5 GB`.
pub(crate) fn shown(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1000 && unit + 1 < DECIMAL.len() {
        rest = whole % 1000;
        whole /= 1000;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ if whole < 100 => format!("{whole}.{} {}", rest / 100, DECIMAL[unit]),
        _ => format!("{whole} {}", DECIMAL[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("1000", Some(1000)),
            ("50GB", Some(50_000_000_000)),
            ("50g", Some(50_000_000_000)),
            ("50 GB", Some(50_000_000_000)),
            ("1.5TB", Some(1_500_000_000_000)),
            ("512MiB", Some(536_870_912)),
            ("1k", Some(1000)),
            ("1Ki", Some(1024)),
            ("1000TB", Some(1_000_000_000_000_000)),
            ("1001TB", None),
            ("0", None),
            ("-1GB", None),
            ("GB", None),
            ("1iB", None),
            ("1XB", None),
            ("1.2.3GB", None),
            ("", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_with_two_or_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
            (250_000_000_000, "250 GB"),
            (1_000_000_000_000_000, "1.0 PB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
