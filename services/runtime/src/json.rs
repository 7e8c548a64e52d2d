//! JSON in which each member is given once.
//!
//! RFC 8259 leaves open what a second member of the same name means, and most parsers take the last one silently: whoever wrote
//! `{"active": false, "active": true}` may have meant either.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

/// Why a text is not taken.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// An object has two members of one name.
    #[error("{place} is given more than once")]
    Twice {
        /// Where: names and positions, with dots.
        place: String,
    },
    /// It is no JSON.
    #[error(transparent)]
    Invalid(serde_json::Error),
}

/// Parses a text once. What it returns is what serde_json would.
///
/// # Errors
/// [`JsonError::Twice`] with the first member that is given more than once.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let twice = Twice::default();
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = Once(&twice).deserialize(&mut parser);
    let value = value.and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| match twice.place() {
        Some(place) => JsonError::Twice { place },
        None => JsonError::Invalid(error),
    })
}

/// Where a member is given twice, innermost name first. Filled on the way out, so that a good text costs nothing.
#[derive(Default)]
struct Twice(RefCell<Option<Vec<String>>>);

impl Twice {
    fn found(&self, name: String) {
        *self.0.borrow_mut() = Some(vec![name]);
    }

    fn inside(&self, name: impl FnOnce() -> String) {
        if let Some(names) = &mut *self.0.borrow_mut() {
            names.push(name());
        }
    }

    fn place(self) -> Option<String> {
        let names = self.0.into_inner()?;
        Some(names.into_iter().rev().collect::<Vec<_>>().join("."))
    }
}

#[derive(Clone, Copy)]
struct Once<'t>(&'t Twice);

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            match items.next_element_seed(self) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return Ok(Value::Array(values)),
                Err(error) => {
                    self.0.inside(|| values.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match values.entry(name) {
                Entry::Vacant(free) => match members.next_value_seed(self) {
                    Ok(value) => _ = free.insert(value),
                    Err(error) => {
                        self.0.inside(|| free.key().clone());
                        return Err(error);
                    }
                },
                Entry::Occupied(taken) => {
                    self.0.found(taken.key().clone());
                    return Err(A::Error::custom("a member is given more than once"));
                }
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(text: &str) -> String {
        match parse(text.as_bytes()) {
            Err(JsonError::Twice { place }) => place,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_member_that_is_given_twice_is_named_at_any_depth() {
        assert_eq!(place(r#"{"active": false, "active": true}"#), "active");
        assert_eq!(place(r#"{"a": {"b": [1, {"c": 1, "c": 1}]}}"#), "a.b.1.c");
        assert_eq!(place(r#"[{"a": 1, "\u0061": 1}]"#), "0.a", "an escape is no other name");
        assert!(parse(br#"{"a": {"a": 1}, "b": {"a": 1}}"#).is_ok());
    }

    #[test]
    fn what_is_no_json_is_refused_as_by_serde_json() {
        for text in ["", "{", "{\"a\": 1} x", "[1,]", "1e999", &"[".repeat(200)] {
            let theirs = serde_json::from_str::<Value>(text).expect_err("no JSON").to_string();
            assert_eq!(parse(text.as_bytes()).expect_err("no JSON").to_string(), theirs);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"é]{1,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The text with the member number `left` written twice, and its place.
    fn doubled(value: &Value, at: &str, left: &mut usize, found: &mut Option<String>) -> String {
        let below = |name: &str| {
            if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}.{name}")
            }
        };
        match value {
            Value::Array(items) => {
                let texts = items.iter().enumerate();
                let texts: Vec<String> = texts
                    .map(|(index, item)| doubled(item, &below(&index.to_string()), left, found))
                    .collect();
                format!("[{}]", texts.join(","))
            }
            Value::Object(members) => {
                let mut texts = Vec::new();
                for (name, member) in members {
                    let is_it = found.is_none() && *left == 0;
                    *left = left.saturating_sub(1);
                    if is_it {
                        *found = Some(below(name));
                        texts.push(format!("{}:0", Value::from(name.as_str())));
                    }
                    let text = doubled(member, &below(name), left, found);
                    texts.push(format!("{}:{text}", Value::from(name.as_str())));
                }
                format!("{{{}}}", texts.join(","))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }

    proptest! {
        #[test]
        fn what_is_given_once_is_read_as_by_serde_json_and_nothing_that_is_given_twice(
            value in any_json(), number in 0_usize..8,
        ) {
            let text = value.to_string();
            let read: Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(parse(text.as_bytes()).expect("each once"), read);

            let mut found = None;
            let text = doubled(&value, "", &mut number.clone(), &mut found);
            if let Some(expected) = found {
                prop_assert_eq!(place(&text), expected);
            }
        }
    }
}
