//! What a node said, as the audit trail shows it. It is shortened when it is read from the bus; entries of before, which nobody changes, are
//! shortened here, so that one node cannot make a list too long for everybody who reads it.

use serde_json::Value;
use vpnmanager_nats::bounded::{ENTRIES, TEXT, shortened};

/// The text, shortened.
pub(crate) fn text(text: String) -> String {
    shortened(&text, TEXT)
}

/// A state of the audit trail as it is shown: with each text in it shortened, and the lists too where this actor is a node.
pub(crate) fn state_by(actor: &str) -> fn(Value) -> Value {
    if ["node:", "local:"].iter().any(|kind| actor.starts_with(kind)) {
        reported_state
    } else {
        state
    }
}

fn state(state: Value) -> Value {
    cut(state, usize::MAX)
}

/// The same for a state that a node reported: its lists end after [`ENTRIES`] entries, with the number of the others.
fn reported_state(state: Value) -> Value {
    cut(state, ENTRIES)
}

fn cut(value: Value, entries: usize) -> Value {
    match value {
        Value::String(long) => text(long).into(),
        Value::Array(list) => {
            let more = list.len().saturating_sub(entries);
            let first = list.into_iter().take(entries).map(|entry| cut(entry, entries));
            let note = (more > 0).then(|| Value::from(format!("… and {more} more")));
            first.chain(note).collect()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (text(name), cut(value, entries)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_texts_and_the_lists_of_nodes_are_cut_at_any_depth() {
        let long = "x".repeat(250_000);
        let row = json!({ "error": long, "deep": [{ "why": long }], "names": vec!["a.b"; 4000], "pid": 7 });
        let shown = reported_state(row.clone());
        assert!(shown.to_string().len() < 2000, "{shown}");
        let names = shown["names"].as_array().expect("a list");
        assert_eq!(
            (names.len(), names[ENTRIES].as_str()),
            (ENTRIES + 1, Some("… and 3950 more"))
        );
        assert_eq!(
            (
                shown["pid"].as_i64(),
                shown["error"].as_str().map(|text| text.chars().count())
            ),
            (Some(7), Some(500))
        );
        assert_eq!(
            state(row)["names"].as_array().map(Vec::len),
            Some(4000),
            "what management wrote is whole"
        );
    }
}
