//! A value beside the schema that it should keep.

use poem_openapi::types::ParseFromParameter as _;
use serde_json::Value;

use super::diagnosis::in_our_words;
use crate::problem::FieldError;
use crate::spec::resolve;
use crate::time::Timestamp;

/// How deep bodies are searched; for deeper ones the framework's text is kept.
pub(super) const DEEPEST: usize = 16;

/// Collects what is wrong with a value, by field.
pub(super) fn check(
    document: &Value,
    schema: &Value,
    value: &Value,
    place: &str,
    depth: usize,
    errors: &mut Vec<FieldError>,
) {
    let schema = resolve(document, schema);
    let mut complain = |detail: String| {
        let field = if place.is_empty() { "body" } else { place };
        errors.push(FieldError {
            field: field.to_owned(),
            detail,
        });
    };
    if depth == 0 {
        return;
    }
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, expected)
    {
        return complain(format!("must be {}, not {}", with_article(expected), kind_of(value)));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<String> = choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        return complain(format!("must be one of {}", choices.join(", ")));
    }
    if let Some(detail) = number_complaint(schema, value) {
        return complain(detail);
    }
    let text = value.as_str();
    if let Some(detail) = text.and_then(|text| text_complaint(schema, text)) {
        return complain(detail);
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        check(document, part, value, place, depth - 1, errors);
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, value) in values.iter().enumerate() {
            check(
                document,
                items,
                value,
                &below(place, &index.to_string()),
                depth - 1,
                errors,
            );
        }
    }
    let Some(members) = value.as_object() else { return };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for name in required
        .iter()
        .filter(|name| members.get(**name).is_none_or(Value::is_null))
    {
        errors.push(FieldError {
            field: below(place, name),
            detail: "is required".to_owned(),
        });
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(value) = members.get(name).filter(|value| !value.is_null()) {
            check(document, property, value, &below(place, name), depth - 1, errors);
        }
    }
}

/// Whether a number is outside its format (`uint32`) or its own bounds.
fn number_complaint(schema: &Value, value: &Value) -> Option<String> {
    let number = value.as_f64()?;
    let (format_least, format_most) = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => (0.0, f64::from(u8::MAX)),
        Some("uint16") => (0.0, f64::from(u16::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        Some("uint64") => (0.0, u64::MAX as f64),
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("int64") => (i64::MIN as f64, i64::MAX as f64),
        Some(_) | None => (f64::MIN, f64::MAX),
    };
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
        return Timestamp::parse_from_parameter(text)
            .err()
            .map(|error| in_our_words(error.message()));
    }
    None
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
