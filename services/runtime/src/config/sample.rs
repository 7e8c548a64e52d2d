//! The sample configuration file: every setting, loadable as it is.

use serde_json::{Map, Value};

use super::api_key::random_key;
use super::setting::{Listing, Sample, Setting};

/// Builds the nested JSON object of all settings that are used; a setting without default or sample is `null` (not set).
pub(crate) fn sample<'a>(settings: impl Iterator<Item = &'a Setting>) -> String {
    let mut root = Map::new();
    for setting in settings.filter(|setting| !setting.is_ignored()) {
        insert(&mut root, setting.key, value_of(setting));
    }
    // Printing a tree of plain values has no way to fail.
    let text = serde_json::to_string_pretty(&root).unwrap_or_default();
    format!("{text}\n")
}

fn value_of(setting: &Setting) -> Value {
    let text = match setting.sample {
        Sample::Key => return Value::from(random_key()),
        Sample::Text(text) => text,
        Sample::Default => match setting.default {
            Some(text) => text,
            None => return Value::Null,
        },
    };
    match setting.list {
        Listing::Comma => Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>(),
        ),
        Listing::One => match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            Ok(_) | Err(_) => Value::from(text),
        },
    }
}

fn insert(node: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            node.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let child = node.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Some(child) = child.as_object_mut() {
                insert(child, rest, value);
            }
        }
    }
}
