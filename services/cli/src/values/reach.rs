//! What somebody may reach: `10.20.0.0/16`, `10.20.0.0/16,tcp,443,8000-8100`, `any,udp,53`, or `nothing`.

use serde_json::{Map, Value, json};

/// One rule as the API takes it; `None` for `nothing`.
pub(crate) fn reach(text: &str) -> Result<Option<Value>, String> {
    if text == "nothing" {
        return Ok(None);
    }
    let mut parts = text.split(',').map(str::trim);
    let mut rule = Map::new();
    match parts.next() {
        None | Some("") => return Err(format!("{text:?} begins with no network: write any for all of them")),
        Some("any") => {}
        Some(to) => drop(rule.insert("to".to_owned(), to.into())),
    }
    if let Some(protocol) = parts.next() {
        rule.insert("protocol".to_owned(), protocol.into());
    }
    let ports: Vec<&str> = parts.collect();
    if !ports.is_empty() {
        rule.insert("ports".to_owned(), json!(ports));
    }
    Ok(Some(Value::Object(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_network_a_protocol_and_ports() {
        let rule = |text| reach(text).unwrap().unwrap();
        assert_eq!(rule("10.20.0.0/16"), json!({ "to": "10.20.0.0/16" }));
        assert_eq!(
            rule("2001:db8::/32,tcp,443,8000-8100"),
            json!({ "to": "2001:db8::/32", "protocol": "tcp", "ports": ["443", "8000-8100"] })
        );
        assert_eq!(rule("any,icmp"), json!({ "protocol": "icmp" }));
        assert_eq!(reach("nothing").unwrap(), None);
        assert!(reach(",tcp").is_err());
    }
}
