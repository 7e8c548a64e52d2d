//! One value as text for people.

use serde_json::Value;

use super::shape::Look;
use crate::values::shown;

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// A value as people read it.
pub(super) fn cell(value: Option<&Value>, look: Look) -> String {
    match (value, look) {
        (None | Some(Value::Null), _) => NOTHING.to_owned(),
        (Some(Value::Bool(true)), _) => "yes".to_owned(),
        (Some(Value::Bool(false)), _) => "no".to_owned(),
        (Some(Value::String(text)), Look::Time) => to_the_second(&tidy(text)),
        (Some(Value::String(text)), _) => tidy(text),
        (Some(Value::Number(number)), Look::Bytes) => number.as_u64().map_or_else(|| number.to_string(), shown),
        (Some(Value::Number(number)), _) => number.to_string(),
        (Some(Value::Array(items)), Look::Each(member)) => {
            joined(items.iter().map(|item| cell(item.get(member), Look::Plain)))
        }
        (Some(Value::Array(items)), _) => joined(items.iter().map(|item| cell(Some(item), Look::Plain))),
        (Some(object @ Value::Object(_)), _) => tidy(&object.to_string()),
    }
}

/// Text of others as a terminal may be given it: what would steer the terminal, or show what follows in another order, is a question mark.
pub(crate) fn tidy(text: &str) -> String {
    let shown = |c: char| match c.is_control() || reorders(c) {
        true => '?',
        false => c,
    };
    text.chars().map(shown).collect()
}

/// Ends of lines and marks of direction that are no control characters to Unicode.
fn reorders(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() {
        NOTHING.to_owned()
    } else {
        texts.join(", ")
    }
}

/// `2026-11-30T10:00:00.123456Z` without the part of a second.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, rest)) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{seconds}{zone}")
        }
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_for_people() {
        for (value, look, expected) in [
            (json!(null), Look::Plain, "-"),
            (json!(true), Look::Plain, "yes"),
            (json!("2026-11-30T10:00:00.123456Z"), Look::Time, "2026-11-30T10:00:00Z"),
            (
                json!("2026-11-30T10:00:00+02:00"),
                Look::Time,
                "2026-11-30T10:00:00+02:00",
            ),
            (json!(50_000_000_000_u64), Look::Bytes, "50.0 GB"),
            (json!(5), Look::Plain, "5"),
            (json!([]), Look::Plain, "-"),
            (json!(["a", "b"]), Look::Plain, "a, b"),
            (
                json!([{ "server_id": "node-1" }, {}]),
                Look::Each("server_id"),
                "node-1, -",
            ),
        ] {
            assert_eq!(cell(Some(&value), look), expected, "{value}");
        }
        assert_eq!(cell(None, Look::Time), "-");
    }

    #[test]
    fn nothing_of_others_steers_the_terminal() {
        assert_eq!(cell(Some(&json!("\u{1b}[2Jx\ny")), Look::Plain), "?[2Jx?y");
        assert_eq!(tidy("a\u{202e}b\u{2028}c\u{9b}d é"), "a?b?c?d é");
    }
}
