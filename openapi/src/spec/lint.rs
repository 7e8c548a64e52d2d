//! What a good description has, checked.

use serde_json::{Map, Value};

use crate::problem;

/// Everything that the operations of a description lack, one line each: id, summary, descriptions of parameters, examples of JSON
/// bodies, and their error answers as problems (400 and 500 always; 401 and 403 where a key is needed; 404 under a path parameter;
/// 413 and 415 where there is a body). An operation without any input needs no error answers.
#[must_use]
pub fn lint(document: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, method, operation) in operations(document) {
        let name = format!("{} {path}", method.to_uppercase());
        complaints.extend(complaints_about(document, path, operation).map(|complaint| format!("{name}: {complaint}")));
    }
    complaints
}

/// Path, method and object of each operation.
pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS
            .iter()
            .filter_map(move |method| Some((path.as_str(), *method, item.get(method)?)))
    })
}

/// Follows one `$ref` inside the document.
pub(crate) fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn complaints_about<'d>(document: &'d Value, path: &str, operation: &'d Value) -> impl Iterator<Item = String> {
    let mut complaints = Vec::new();
    for member in ["operationId", "summary"] {
        if operation.get(member).and_then(Value::as_str).is_none_or(str::is_empty) {
            complaints.push(format!("no {member}"));
        }
    }
    for parameter in operation
        .get("parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if parameter
            .get("description")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            complaints.push(format!("no description of parameter {}", parameter["name"]));
        }
    }
    let empty = Map::new();
    let answers = operation.get("responses").and_then(Value::as_object).unwrap_or(&empty);
    if !answers.keys().any(|status| status.starts_with('2')) {
        complaints.push("no answer of success".to_owned());
    }
    for status in needed_errors(path, operation) {
        let content = answers.get(status).and_then(|answer| answer.get("content"));
        if content.and_then(|content| content.get(problem::CONTENT_TYPE)).is_none() {
            complaints.push(format!("no {status} as {}", problem::CONTENT_TYPE));
        }
    }
    if let Some(content) = operation.pointer("/requestBody/content")
        && lacks_example(document, content)
    {
        complaints.push("no example of the body".to_owned());
    }
    for (status, answer) in answers.iter().filter(|(status, _)| status.starts_with('2')) {
        if answer
            .get("content")
            .is_some_and(|content| lacks_example(document, content))
        {
            complaints.push(format!("no example of the {status} answer"));
        }
    }
    complaints.into_iter()
}

fn needed_errors(path: &str, operation: &Value) -> Vec<&'static str> {
    let keyed = operation
        .get("security")
        .and_then(Value::as_array)
        .is_some_and(|schemes| !schemes.is_empty());
    let parameters = operation
        .get("parameters")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let body = operation.get("requestBody").is_some();
    let mut needed = Vec::new();
    if keyed || parameters || body {
        needed.extend(["400", "500"]);
    }
    if keyed {
        needed.extend(["401", "403"]);
    }
    if path.contains('{') {
        needed.push("404");
    }
    if body {
        needed.extend(["413", "415"]);
    }
    needed
}

/// Whether a JSON object in this content has no example, beside it or in its schema.
fn lacks_example(document: &Value, content: &Value) -> bool {
    content.as_object().into_iter().flatten().any(|(content_type, media)| {
        let schema = resolve(document, media.get("schema").unwrap_or(&Value::Null));
        let is_object = schema.get("properties").is_some() || schema.get("allOf").is_some();
        let shown = [media, schema].iter().any(|holder| holder.get("example").is_some());
        content_type.contains("json") && is_object && !shown
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let document = json!({"paths": {"/users/{name}": {"delete": {
            "operationId": "delete_user",
            "parameters": [{"name": "name", "description": "Who"}],
            "responses": {"204": {}, "400": {"content": {"application/problem+json": {}}}, "404": {"content": {"text/plain": {}}}},
        }}}});
        let expected = [
            "DELETE /users/{name}: no summary",
            "DELETE /users/{name}: no 500 as application/problem+json",
            "DELETE /users/{name}: no 404 as application/problem+json",
        ];
        assert_eq!(lint(&document), expected);
    }
}
