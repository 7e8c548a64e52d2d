//! The document as YAML: block style, every string in JSON's quotes (which YAML 1.2 reads alike).

use std::fmt::Write as _;

use serde_json::Value;

pub(super) fn to_yaml(document: &Value) -> String {
    let mut text = String::new();
    write_block(&mut text, document, 0);
    text
}

/// Writes the members or items of a container, each on its own line.
fn write_block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                indent(text, depth);
                write_plain(text, &Value::from(name.as_str()));
                text.push(':');
                write_child(text, member, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                indent(text, depth);
                text.push('-');
                write_child(text, item, depth);
            }
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            write_plain(text, plain);
            text.push('\n');
        }
    }
}

/// Writes what follows `name:` or `-`.
fn write_child(text: &mut String, child: &Value, depth: usize) {
    let filled = child.as_object().is_some_and(|members| !members.is_empty())
        || child.as_array().is_some_and(|items| !items.is_empty());
    if filled {
        text.push('\n');
        write_block(text, child, depth + 1);
    } else {
        text.push(' ');
        write_plain(text, child);
        text.push('\n');
    }
}

fn write_plain(text: &mut String, value: &Value) {
    // Writing to a String cannot fail.
    let _infallible = write!(text, "{value}");
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_blocks_and_text_is_quoted() {
        let document = json!({"a": {"b": [1, {"c": "no: \"yes\""}], "d": []}, "e": null});
        let expected = "\"a\":\n  \"b\":\n    - 1\n    -\n      \"c\": \"no: \\\"yes\\\"\"\n  \"d\": []\n\"e\": null\n";
        assert_eq!(to_yaml(&document), expected);
    }
}
