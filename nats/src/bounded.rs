//! Text and lists that came from elsewhere, cut to bounds as they are read and as they are written. They are cut and not refused: a long error of
//! OpenVPN must not cost a node its report.

use std::iter::once;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The most characters of a text that people read: an error, a note, a reason, a version.
pub const TEXT: usize = 500;
/// The most characters of an entry in a list, such as a file's name.
pub const ENTRY: usize = 200;
/// The most entries of a list in an event.
pub const ENTRIES: usize = 50;

/// What stands for the rest of a text that was cut.
const ELLIPSIS: char = '…';

/// The text in at most `most` characters, of which the last is an ellipsis if it was cut. White space becomes a space, other control
/// characters become U+FFFD, and so does what turns the direction of a line.
pub fn shortened(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        short.pop();
        short.push(ELLIPSIS);
    }
    short
}

fn plain(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// For `#[serde(with = "Text::<..>")]`: a text of at most that many characters.
pub(crate) struct Text<const MOST: usize>;

impl<const MOST: usize> Text<MOST> {
    pub(crate) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&shortened(text, MOST))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Ok(shortened(&String::deserialize(deserializer)?, MOST))
    }
}

/// The same for a text that may be absent; the field also needs `#[serde(default)]`.
pub(crate) struct OptionalText<const MOST: usize>;

impl<const MOST: usize> OptionalText<MOST> {
    pub(crate) fn serialize<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_deref().map(|text| shortened(text, MOST)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| shortened(&text, MOST)))
    }
}

/// The same for a list of names: at most [`ENTRIES`] of at most [`ENTRY`] characters. The last one of a list that was cut says how many more
/// there were.
pub(crate) struct Names;

impl Names {
    pub(crate) fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        Self::cut(names).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(Self::cut(&Vec::deserialize(deserializer)?))
    }

    fn cut(names: &[String]) -> Vec<String> {
        let short = |name: &String| shortened(name, ENTRY);
        if names.len() <= ENTRIES {
            return names.iter().map(short).collect();
        }
        let shown = names.iter().take(ENTRIES - 1).map(short);
        let more = format!("{ELLIPSIS} and {} more", names.len() - (ENTRIES - 1));
        shown.chain(once(more)).collect()
    }
}

/// A list of at most that many entries; what is beyond is left out. Its sender has a smaller one, or sends several.
pub(crate) struct List<const MOST: usize>;

impl<const MOST: usize> List<MOST> {
    pub(crate) fn serialize<T: Serialize, S: Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        items.get(..MOST).unwrap_or(items).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let mut items = Vec::deserialize(deserializer)?;
        items.truncate(MOST);
        Ok(items)
    }
}

/// For `#[serde(deserialize_with)]`: a list of at most that many entries. A longer one is refused: what is left out of a rule changes it.
pub(crate) fn at_most<'de, T: Deserialize<'de>, const MOST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = Vec::deserialize(deserializer)?;
    match items.len() <= MOST {
        true => Ok(items),
        false => Err(D::Error::custom(format_args!(
            "at most {MOST} entries, not {}",
            items.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(shortened("é€😀", 3), "é€😀");
        assert_eq!(shortened("é€😀x", 3), "é€…");
        assert_eq!(shortened(&"😀".repeat(1000), TEXT).chars().count(), TEXT);
        assert_eq!(shortened("", 3), "");
    }

    #[test]
    fn a_text_cannot_start_a_line_or_speak_to_a_terminal() {
        assert_eq!(
            shortened("a\nb\tc\r\u{1b}[2J\0\u{7f}\u{85}\u{202e}", 99),
            "a b c \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_list_of_names_says_how_many_more_there_were() {
        let names: Vec<String> = (0..ENTRIES + 9).map(|number| number.to_string()).collect();
        let cut = Names::cut(&names);
        assert_eq!((cut.len(), cut[ENTRIES - 1].as_str()), (ENTRIES, "… and 10 more"));
        assert_eq!(Names::cut(&names[..ENTRIES]), &names[..ENTRIES]);
    }
}
