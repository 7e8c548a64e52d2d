//! What the generator of the description leaves out.

use std::collections::BTreeSet;

use poem::http::StatusCode;
use poem_openapi::types::ToJSON as _;
use serde_json::{Map, Value, json};

use super::lint::resolve;
use crate::auth::{ROLE_MARK, WHOLE_MARK};
use crate::idempotency;
use crate::middleware::{rate_described, verbs};
use crate::problem::{CONTENT_TYPE, Problem};

/// Text that the middleware lets through.
const NO_NUL: &str = "^[^\\x00]*$";

/// The description with what the generator cannot say:
/// - bodies of requests have no other members than those described;
/// - a number of a request has the bounds of its format, which is a word that no reader of the description knows, and text without a rule of
///   its own holds no NUL;
/// - an optional parameter has no example, because Swagger UI sends each example that it finds, and together such filters find nothing;
/// - each refusal shows an example of its own status;
/// - each operation that needs a key states the role that it needs, as its caller type has it;
/// - a path that ends with a verb of its own has a colon before it;
/// - `Idempotency-Key`, where the service takes it, is a header of each POST with a key;
/// - `RateLimit`, where the service counts what callers ask, is a header of good answers to callers with a key, and of 429.
pub(super) fn refine(mut document: Value) -> Value {
    idempotency::only_where_it_counts(&mut document);
    rate_described::only_where_it_counts(&mut document);
    for name in schemas_of_bodies(&document) {
        if let Some(schema) = document.pointer_mut(&name)
            && schema.get("type").is_some_and(|kind| kind == "object")
        {
            schema["additionalProperties"] = Value::Bool(false);
            let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
            properties.into_iter().flat_map(Map::values_mut).for_each(bound);
        }
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        let renamed = std::mem::take(paths).into_iter();
        *paths = renamed
            .map(|(route, item)| (verbs::described(&route).unwrap_or(route), item))
            .collect();
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for operation in paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut())
    {
        if let Some(operation) = operation.as_object_mut() {
            state_role(operation);
        }
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(forget_example);
        let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, answer) in answers.into_iter().flatten() {
            give_example(status, answer);
        }
    }
    document
}

/// Where an operation states the role of keys that it needs.
const ROLE: &str = "x-required-role";

/// Takes the role out of the ways to present a key, and says it for programs and for people.
fn state_role(operation: &mut Map<String, Value>) {
    let mut said: Option<String> = None;
    if let Some(ways) = operation.get_mut("security").and_then(Value::as_array_mut) {
        ways.retain(|way| {
            let name = way.as_object().and_then(|way| way.keys().next());
            match name.and_then(|name| name.strip_prefix(ROLE_MARK)) {
                Some(mark) => {
                    said = Some(mark.to_owned());
                    false
                }
                None => true,
            }
        });
    }
    let Some(said) = said else {
        return;
    };
    let (role, takes_narrowed) = match said.strip_suffix(WHOLE_MARK) {
        Some(role) => (role, false),
        None => (said.as_str(), true),
    };
    let mut words = match role {
        "admin" => "Needs a key of the role `admin`.".to_owned(),
        "node" => "A key needs the role `node` or `admin`.".to_owned(),
        "operator" => "Needs a key of the role `operator` or `admin`.".to_owned(),
        other => format!("Needs a key of the role `{other}`, `operator` or `admin`."),
    };
    if !takes_narrowed {
        words += " A key that is narrowed to pools or groups is refused.";
    }
    let before = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = match before {
        "" => words,
        before => format!("{before}\n\n{words}"),
    };
    operation.insert("description".to_owned(), description.into());
    operation.insert(ROLE.to_owned(), role.into());
}

/// JSON pointers to the named schemas that bodies of requests are made of.
fn schemas_of_bodies(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let bodies = super::operations(document).filter_map(|(_, _, operation)| operation.get("requestBody"));
    let mut rest: Vec<&Value> = bodies.collect();
    while let Some(value) = rest.pop() {
        if let Some(pointer) = value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|it| it.strip_prefix('#'))
            && found.insert(pointer.to_owned())
        {
            rest.push(resolve(document, value));
        }
        match value {
            Value::Object(members) => rest.extend(members.values()),
            Value::Array(items) => rest.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// The least and the most of a format of whole numbers.
pub(crate) fn bounds_of(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "uint8" => (json!(0), json!(u8::MAX)),
        "uint16" => (json!(0), json!(u16::MAX)),
        "uint32" => (json!(0), json!(u32::MAX)),
        "uint64" => (json!(0), json!(u64::MAX)),
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "int64" => (json!(i64::MIN), json!(i64::MAX)),
        _ => return None,
    })
}

fn bound(property: &mut Value) {
    if let Some(items) = property.get_mut("items") {
        bound(items);
    }
    let has = |name: &str| property.get(name).is_some();
    if property.get("type").is_some_and(|kind| kind == "string") && !["pattern", "format", "enum"].into_iter().any(has)
    {
        property["pattern"] = Value::from(NO_NUL);
        return;
    }
    let bounds = property.get("format").and_then(Value::as_str).and_then(bounds_of);
    if let Some((least, most)) = bounds
        && let Some(property) = property.as_object_mut()
    {
        property.entry("minimum").or_insert(least);
        property.entry("maximum").or_insert(most);
    }
}

fn forget_example(parameter: &mut Value) {
    let is_optional = parameter.get("required").and_then(Value::as_bool) != Some(true);
    let schema = parameter.get_mut("schema").and_then(Value::as_object_mut);
    if let Some(schema) = schema.filter(|_| is_optional) {
        schema.remove("example");
    }
}

fn give_example(status: &str, answer: &mut Value) {
    let Some(status) = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()) else {
        return;
    };
    // The example of the schema is one of 400.
    if status == StatusCode::BAD_REQUEST {
        return;
    }
    if let Some(media) = answer
        .get_mut("content")
        .and_then(|content| content.get_mut(CONTENT_TYPE))
    {
        media["example"] = Problem::example_of(status).to_json().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_closed_at_any_depth_and_answers_stay_open() {
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let refined = refine(json!({
            "paths": {"/users": {"post": {
                "requestBody": {"content": {"application/json": {"schema": reference("List")}}},
                "responses": {"200": {"content": {"application/json": {"schema": reference("Answer")}}}},
            }}},
            "components": {"schemas": {
                "List": {"type": "object", "properties": {"users": {"type": "array", "items": reference("Entry")}}},
                "Entry": {"type": "object", "properties": {"role": {"allOf": [reference("Role"), {"description": "x"}]}}},
                "Role": {"type": "string", "enum": ["home"]},
                "Answer": {"type": "object", "properties": {}},
            }},
        }));
        let closed = |name: &str| {
            refined["components"]["schemas"][name]
                .get("additionalProperties")
                .is_some()
        };
        assert_eq!(
            ["List", "Entry", "Role", "Answer"].map(closed),
            [true, true, false, false]
        );
    }

    #[test]
    fn the_role_is_no_way_to_present_a_key_and_is_said_twice() {
        let way = |name: &str| json!({ name: [] });
        let refined = refine(json!({"paths": {"/a": {
            "get": {"description": "Lists.", "security": [way("ApiKey"), way("role:viewer whole")]},
            "post": {"security": [way("ApiKey"), {}, way("role:node")]},
            "put": {"security": [way("ApiKey")]},
        }}}));
        let of = |method: &str| &refined["paths"]["/a"][method];
        assert_eq!(of("get")["x-required-role"], "viewer");
        assert_eq!(of("get")["security"], json!([way("ApiKey")]));
        assert_eq!(
            of("get")["description"],
            "Lists.\n\nNeeds a key of the role `viewer`, `operator` or `admin`. A key that is narrowed to pools or groups is refused."
        );
        assert_eq!(of("post")["x-required-role"], "node");
        assert_eq!(of("post")["security"], json!([way("ApiKey"), {}]));
        assert_eq!(of("put").get("x-required-role"), None);
    }

    #[test]
    fn numbers_of_bodies_have_the_bounds_of_their_format() {
        let mut property = json!({"type": "integer", "format": "uint16", "minimum": 1});
        bound(&mut property);
        assert_eq!((&property["minimum"], &property["maximum"]), (&json!(1), &json!(65535)));
    }

    #[test]
    fn text_without_a_rule_holds_no_nul() {
        let mut list = json!({"type": "array", "items": {"type": "string"}});
        bound(&mut list);
        assert_eq!(list["items"]["pattern"], "^[^\\x00]*$");
        let mut name = json!({"type": "string", "pattern": "^[a-z]+$"});
        bound(&mut name);
        assert_eq!(name["pattern"], "^[a-z]+$");
    }

    #[test]
    fn only_parameters_that_must_be_given_keep_their_example() {
        let parameter =
            |required: bool| json!({"required": required, "schema": {"type": "string", "example": "alice"}});
        let refined = refine(json!({"paths": {"/a": {"get": {"parameters": [parameter(true), parameter(false)]}}}}));
        let parameters = &refined["paths"]["/a"]["get"]["parameters"];
        assert_eq!(parameters[0]["schema"]["example"], "alice");
        assert_eq!(parameters[1]["schema"].get("example"), None);
    }

    #[test]
    fn each_refusal_shows_its_own_status() {
        let answer = || json!({"content": {CONTENT_TYPE: {}}});
        let refined = refine(json!({"paths": {"/a": {"get": {"responses": {"401": answer(), "403": answer()}}}}}));
        for status in [401, 403] {
            let media = &refined["paths"]["/a"]["get"]["responses"][status.to_string()]["content"][CONTENT_TYPE];
            assert_eq!(media["example"]["status"], status);
        }
    }
}
