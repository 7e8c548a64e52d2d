//! Which field of a refused body is wrong: the framework names the type that failed to parse, the schema gives the field.

use poem::http::Method;
use serde_json::Value;
use vpnmanager_runtime::json::{self, JsonError};

use super::allow::Allowed;
use super::names::shown;
use super::schema::{faults, with_article};
use crate::problem::FieldError;
use crate::spec::resolve;

/// A request that the framework refused, beside the description of what it should have been.
pub(super) struct Refused<'r> {
    pub(super) allowed: &'r Allowed,
    pub(super) document: &'r Value,
    pub(super) method: &'r Method,
    pub(super) path: &'r str,
    pub(super) body: &'r [u8],
}

/// What is wrong with a body by the description, before the framework parses it: it would skip members that it does not know. Nothing
/// where the framework refuses it anyway, because it is of another type or no JSON. It would also take the last of two members of one name.
pub(super) fn faults_of_body(
    document: &Value,
    schema: &Value,
    content_type: Option<&str>,
    body: &[u8],
) -> Vec<FieldError> {
    let is_json = content_type.is_some_and(|content_type| content_type.to_ascii_lowercase().contains("json"));
    if !is_json {
        return Vec::new();
    }
    match json::parse(body) {
        Ok(value) => faults(document, schema, &value),
        Err(JsonError::Twice { place }) => vec![FieldError {
            field: shown(&place),
            detail: "is given more than once".to_owned(),
        }],
        Err(JsonError::Invalid(_)) => Vec::new(),
    }
}

/// What is wrong with the body of an operation that takes none. An empty object says nothing, and some clients send it always.
pub(super) fn faults_without_body(body: &[u8]) -> Vec<FieldError> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) if members.is_empty() => Vec::new(),
        Err(_) if body.trim_ascii().is_empty() => Vec::new(),
        Ok(_) | Err(_) => vec![FieldError {
            field: "body".to_owned(),
            detail: "this operation takes no body, only what stands in its URL".to_owned(),
        }],
    }
}

impl Refused<'_> {
    /// The wrong fields of a body that keeps the schema, as far as the framework's text tells.
    pub(super) fn body_errors(&self, reason: &str) -> Vec<FieldError> {
        if let Some((field, rule)) = named_by_validator(reason) {
            return vec![FieldError {
                field: field.to_owned(),
                detail: rule_in_words(rule),
            }];
        }
        let value = match serde_json::from_slice::<Value>(self.body) {
            Ok(value) => value,
            Err(error) => {
                let empty = self.body.is_empty();
                let detail = if empty {
                    "is required".to_owned()
                } else {
                    format!("is not valid JSON: {error}")
                };
                return vec![FieldError {
                    field: "body".to_owned(),
                    detail,
                }];
            }
        };
        let Some(schema) = self.allowed.body_schema(self.document, self.method, self.path) else {
            return Vec::new();
        };
        by_type_name(self.document, schema, &value, reason)
            .into_iter()
            .collect()
    }

    /// The name of a path parameter, which the router calls `param0` and so on.
    pub(super) fn path_parameter<'n>(&'n self, routed: &'n str) -> &'n str {
        self.allowed.parameter_name(self.path, routed).unwrap_or(routed)
    }
}

/// The framework's texts about a value, without its own vocabulary.
pub(super) fn in_our_words(reason: &str) -> String {
    let reason = reason.split(" (occurred while parsing").next().unwrap_or(reason);
    if reason.contains("expects an input value") {
        return "is required".to_owned();
    }
    if let Some(rule) = reason.strip_prefix("verification failed. ") {
        return rule_in_words(rule);
    }
    if let Some((_, found)) = reason
        .strip_prefix("failed to parse \"")
        .and_then(|rest| rest.split_once("\": "))
    {
        return found.to_owned();
    }
    if let Some((expected, _)) = reason
        .strip_prefix("Expected input type \"")
        .and_then(|rest| rest.split_once("\", found "))
    {
        return format!(
            "must be {}",
            with_article(expected.split('_').next().unwrap_or(expected))
        );
    }
    reason.to_owned()
}

/// ``failed to parse "NewUser": field `username` verification failed. maxLength(64)``.
fn named_by_validator(reason: &str) -> Option<(&str, &str)> {
    let (_, rest) = reason.split_once("field `")?;
    let (field, rest) = rest.split_once('`')?;
    let rule = rest.strip_prefix(" verification failed. ")?;
    Some((field, rule.split(" (occurred while parsing").next().unwrap_or(rule)))
}

/// `maxLength(64)` and its like.
fn rule_in_words(rule: &str) -> String {
    let Some((name, value)) = rule.strip_suffix(')').and_then(|rule| rule.split_once('(')) else {
        return rule.to_owned();
    };
    let (bound, is_exclusive) = match value.split_once(", exclusive: ") {
        Some((bound, exclusive)) => (bound, exclusive == "true"),
        None => (value, false),
    };
    match name {
        "maxLength" => format!("must have {value} characters at most"),
        "minLength" => format!("must have {value} characters at least"),
        "maxItems" => format!("must have {value} items at most"),
        "minItems" => format!("must have {value} items at least"),
        "pattern" => format!("must match {}", value.trim_matches('"')),
        "maximum" if is_exclusive => format!("must be less than {bound}"),
        "minimum" if is_exclusive => format!("must be more than {bound}"),
        "maximum" => format!("must be {bound} at most"),
        "minimum" => format!("must be {bound} at least"),
        _ => format!("must keep {rule}"),
    }
}

/// A named type refused its text: the fault is in the only member of that type in the body.
fn by_type_name(document: &Value, schema: &Value, value: &Value, reason: &str) -> Option<FieldError> {
    let (name, _) = reason.strip_prefix("failed to parse \"")?.split_once('"')?;
    let format = name.split_once('_')?.1;
    let properties = resolve(document, schema).get("properties")?.as_object()?;
    let mut suspects = properties.iter().filter(|(name, property)| {
        resolve(document, property).get("format").and_then(Value::as_str) == Some(format)
            && value.get(name.as_str()).is_some()
    });
    let (field, _) = suspects.next()?;
    suspects.next().is_none().then(|| FieldError {
        field: field.clone(),
        detail: in_our_words(reason),
    })
}
