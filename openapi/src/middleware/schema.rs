//! A value beside the schema that it should keep.

use serde_json::{Map, Value};

use super::names::{self, shown};
use crate::problem::FieldError;
use crate::spec::{bounds_of, resolve};
use crate::time::Timestamp;

/// How deep bodies are searched; what is deeper is left to the framework.
const DEEPEST: usize = 16;
/// The most faults that are told of one body, so that a small request has no large answer.
const MOST_FAULTS: usize = 20;

/// What is wrong with a value, by field; empty if it keeps the schema as far as that is checked here.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<FieldError> {
    let mut check = Check {
        document,
        faults: Vec::new(),
    };
    check.value(schema, value, "", DEEPEST);
    check.faults
}

struct Check<'d> {
    document: &'d Value,
    faults: Vec<FieldError>,
}

impl Check<'_> {
    fn complain(&mut self, place: &str, detail: String) {
        if self.faults.len() < MOST_FAULTS {
            let field = if place.is_empty() { "body" } else { place };
            self.faults.push(FieldError {
                field: shown(field),
                detail,
            });
        }
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str, depth: usize) {
        if depth == 0 || self.faults.len() >= MOST_FAULTS {
            return;
        }
        let schema = resolve(self.document, schema);
        if value.is_null() && schema.get("nullable").and_then(Value::as_bool) == Some(true) {
            return;
        }
        if let Some(detail) = plain_complaint(schema, value) {
            return self.complain(place, detail);
        }
        for part in list(schema, "allOf") {
            self.value(part, value, place, depth - 1);
        }
        if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
            for (index, value) in values.iter().enumerate() {
                self.value(items, value, &below(place, &index.to_string()), depth - 1);
            }
        }
        if let Some(members) = value.as_object() {
            self.members(schema, members, place, depth - 1);
        }
    }

    fn members(&mut self, schema: &Value, members: &Map<String, Value>, place: &str, depth: usize) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = list(schema, "required").filter_map(Value::as_str);
        for name in required {
            if members.get(name).is_none_or(Value::is_null) {
                self.complain(&below(place, name), "is required".to_owned());
            }
        }
        for (name, value) in members {
            let place = below(place, name);
            match properties.and_then(|properties| properties.get(name)) {
                // Told above where it is required.
                Some(property) if !(value.is_null() && requires(schema, name)) => {
                    self.value(property, value, &place, depth);
                }
                Some(_) => {}
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    self.complain(&place, names::unknown(name, &known));
                }
                None => {}
            }
        }
    }
}

/// What is wrong with a value itself, whatever is in it.
fn plain_complaint(schema: &Value, value: &Value) -> Option<String> {
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, expected)
    {
        let advice = if value.is_null() { ": leave it out" } else { "" };
        return Some(format!(
            "must be {}, not {}{advice}",
            with_article(expected),
            kind_of(value)
        ));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<String> = choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        return Some(format!("must be one of {}", choices.join(", ")));
    }
    number_complaint(schema, value)
        .or_else(|| text_complaint(schema, value.as_str()?))
        .or_else(|| list_complaint(schema, value.as_array()?))
}

fn list<'s>(schema: &'s Value, name: &str) -> impl Iterator<Item = &'s Value> + use<'s> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn requires(schema: &Value, name: &str) -> bool {
    list(schema, "required").any(|required| required == name)
}

/// Whether a number is outside its format (`uint32`) or its own bounds.
fn number_complaint(schema: &Value, value: &Value) -> Option<String> {
    let number = value.as_f64()?;
    let format = schema.get("format").and_then(Value::as_str).and_then(bounds_of);
    let of_format = |bound: fn(&(Value, Value)) -> &Value| format.as_ref().and_then(|bounds| bound(bounds).as_f64());
    let format_least = of_format(|(least, _)| least).unwrap_or(f64::MIN);
    let format_most = of_format(|(_, most)| most).unwrap_or(f64::MAX);
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").unwrap_or(format_least).max(format_least);
    let most = bound("maximum").unwrap_or(format_most).min(format_most);
    (number < least || number > most).then(|| format!("must be a number from {least} to {most}"))
}

fn text_complaint(schema: &Value, text: &str) -> Option<String> {
    let bound = |name: &str| {
        schema
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|bound| usize::try_from(bound).ok())
    };
    let length = text.chars().count();
    if bound("maxLength").is_some_and(|most| length > most) || bound("minLength").is_some_and(|least| length < least) {
        let (least, most) = (
            bound("minLength").unwrap_or(0),
            bound("maxLength").unwrap_or(usize::MAX),
        );
        return Some(if most == usize::MAX {
            format!("must have {least} characters at least, not {length}")
        } else {
            format!("must have {least} to {most} characters, not {length}")
        });
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time") {
        return text.parse::<Timestamp>().err();
    }
    None
}

fn list_complaint(schema: &Value, items: &[Value]) -> Option<String> {
    let most = schema.get("maxItems").and_then(Value::as_u64)?;
    let is_longer = usize::try_from(most).is_ok_and(|most| items.len() > most);
    is_longer.then(|| format!("must have {most} items at most, not {}", items.len()))
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}
