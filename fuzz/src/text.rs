//! What holds of every name that parses.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use serde_json::Value;
use vpnmanager_nats::bounded;

/// Fields that hold PEM, which is not for people. The bound of their message bounds them.
const PEM: [&str; 6] = ["ca", "csr", "certificate", "key", "tls_crypt_v2", "profile"];

/// Reads a text; what was read prints as the same text, and that reads as the same again.
pub fn prints_as_read<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    let read: T = match text.parse() {
        Ok(read) => read,
        Err(error) => {
            // It may quote the text, with each character escaped.
            let most = 200 + 10 * text.len();
            assert!(error.to_string().len() < most, "a refusal is short");
            return None;
        }
    };
    let printed = read.to_string();
    assert!(printed.eq_ignore_ascii_case(text), "{printed} from {text:?}");
    assert!(printed.parse::<T>().is_ok_and(|again| again == read), "{printed}");
    Some(read)
}

/// Every part of a subject is one token, and there are as many as it should have.
pub fn is_subject(subject: &str, tokens: usize) {
    let token = |token: &str| {
        !token.is_empty()
            && token
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
    };
    assert!(
        subject.split('.').count() == tokens && subject.split('.').all(token),
        "{subject:?}"
    );
}

/// Texts that people read are short and have no control character, at any depth.
pub fn within_bounds(value: &Value, name: &str) {
    match value {
        Value::String(text) if !PEM.contains(&name) => {
            assert!(text.chars().count() <= bounded::TEXT, "{name} is long");
            assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::Array(items) => items.iter().for_each(|item| within_bounds(item, name)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| within_bounds(value, name)),
    }
}
