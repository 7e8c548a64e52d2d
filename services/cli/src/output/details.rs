//! One thing with all that is known of it, whatever management says of it.

use serde_json::{Map, Value};

use super::cell::{cell, tidy};
use super::shape::Look;

/// A line for each member, in the order of their names; what has parts is indented.
pub(super) fn details(value: &Value) -> String {
    let Value::Object(members) = value else {
        return cell(Some(value), Look::Plain) + "\n";
    };
    let mut text = String::new();
    add_members(members, 0, &mut text);
    text
}

fn add_members(members: &Map<String, Value>, indent: usize, text: &mut String) {
    let width = members.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in members {
        let name = tidy(name);
        if let Some(parts) = value.as_object().filter(|parts| !parts.is_empty()) {
            text.push_str(&format!("{:indent$}{name}:\n", ""));
            add_members(parts, indent + 2, text);
        } else if let Some(items) = value.as_array().filter(|items| items.iter().any(Value::is_object)) {
            text.push_str(&format!("{:indent$}{name}:\n", ""));
            for item in items {
                text.push_str(&format!("{:indent$}  - {}\n", "", in_one_line(item)));
            }
        } else {
            let shown = cell(Some(value), look_of(&name));
            text.push_str(&format!("{:indent$}{name:width$}  {shown}\n", ""));
        }
    }
}

/// `server_id=node-1 role=home`
fn in_one_line(value: &Value) -> String {
    let Value::Object(members) = value else {
        return cell(Some(value), Look::Plain);
    };
    let parts = members
        .iter()
        .map(|(name, value)| format!("{}={}", tidy(name), cell(Some(value), look_of(name))));
    parts.collect::<Vec<_>>().join(" ")
}

/// Names tell times in this API; numbers keep all of their digits here.
fn look_of(name: &str) -> Look {
    if name.ends_with("_at") || name.ends_with("_since") || name.starts_with("last_") {
        Look::Time
    } else {
        Look::Plain
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_member_has_a_line_also_one_of_a_newer_management() {
        let user = json!({
            "username": "alice",
            "active": true,
            "created_at": "2026-11-30T10:00:00.5Z",
            "limits": { "devices": 2 },
            "nodes": [{ "server_id": "node-1", "role": "home" }],
            "groups": [],
            "colour": "blue"
        });
        let expected = "\
active      yes
colour      blue
created_at  2026-11-30T10:00:00Z
groups      -
limits:
  devices  2
nodes:
  - role=home server_id=node-1
username    alice
";
        assert_eq!(details(&user), expected);
    }
}
