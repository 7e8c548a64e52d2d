//! Generates the client of management's HTTP API from its committed description.
//!
//! What is generated sends requests to the right paths, with parameters and members of bodies that exist: a name that is not in the description
//! does not compile. What may stand in a value, and what an answer has, management decides. So this program works with an older and a newer
//! one: it neither refuses a value that it does not know, nor an answer that has one.

use std::fs;
use std::path::{Path, PathBuf};

use progenitor::{GenerationSettings, Generator, InterfaceStyle};
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "../../openapi/management.json";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DESCRIPTION}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DESCRIPTION);
    let text = fs::read_to_string(path).expect("the description of the API is in the repository");
    let mut description: Value = serde_json::from_str(&text).expect("the description is JSON");
    loosen(&mut description);
    let description = serde_json::from_value(description).expect("the description is OpenAPI 3.0");
    let mut settings = GenerationSettings::default();
    settings.with_interface(InterfaceStyle::Builder);
    let client = Generator::new(&settings)
        .generate_tokens(&description)
        .expect("the generator takes the description");
    fs::write(out_dir().join("client.rs"), client.to_string()).expect("the folder of the build can be written to");
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its folder by a variable alone"
)]
fn out_dir() -> PathBuf {
    std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR").into()
}

/// Leaves paths, parameters and names, and takes away what values may be.
fn loosen(description: &mut Value) {
    let schemas = description["components"]["schemas"].take();
    let mut bodies = Map::new();
    let paths = description["paths"].as_object_mut().expect("an API has paths");
    for operations in paths.values_mut().filter_map(Value::as_object_mut) {
        // What is sent as something else than JSON is sent by hand: src/upload.rs.
        operations.retain(|_, operation| operation.get("requestBody").is_none_or(|body| json_of(body).is_some()));
        let operations = operations
            .iter_mut()
            .filter(|(method, _)| METHODS.contains(&method.as_str()));
        for (_, operation) in operations {
            loosen_parameters(operation);
            loosen_answers(operation);
            loosen_body(operation, &schemas, &mut bodies);
        }
    }
    description["components"]["schemas"] = Value::Object(bodies);
}

/// The schema of what is sent or answered as JSON.
fn json_of(content: &Value) -> Option<&Value> {
    let (_, json) = content["content"].as_object()?.iter().find(|(kind, _)| is_json(kind))?;
    json.get("schema")
}

/// Not that of JSON lines, which begins in the same way.
fn is_json(kind: &str) -> bool {
    kind.split(';').next() == Some("application/json")
}

/// Names in the path and the query stay, as texts, numbers and switches. Headers are no business of a command: src/hooks.rs.
fn loosen_parameters(operation: &mut Value) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else {
        return;
    };
    parameters.retain(|parameter| parameter["in"] != "header");
    for parameter in parameters {
        let kind = match parameter["schema"]["type"].as_str() {
            Some(kind @ ("integer" | "boolean")) => kind.to_owned(),
            Some(_) | None => "string".to_owned(),
        };
        parameter["schema"] = json!({ "type": kind });
    }
}

/// A good answer is any JSON, or a stream of bytes. All others are left to src/api.rs, which reads what it can of them.
fn loosen_answers(operation: &mut Value) {
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
        return;
    };
    answers.retain(|status, _| status.starts_with('2'));
    for answer in answers.values_mut() {
        let description = answer["description"].take();
        let kind = answer["content"]
            .as_object()
            .and_then(|content| content.keys().next().cloned());
        let content = match kind {
            Some(kind) if is_json(&kind) => json!({ "application/json": { "schema": {} } }),
            Some(kind) => json!({ kind: { "schema": { "type": "string", "format": "binary" } } }),
            None => json!({}),
        };
        *answer = json!({ "description": description, "content": content });
    }
}

/// A body keeps the names of its members, and which of them there must be.
fn loosen_body(operation: &mut Value, schemas: &Value, bodies: &mut Map<String, Value>) {
    let Some(body) = operation.get("requestBody").and_then(json_of) else {
        return;
    };
    let reference = body["$ref"]
        .as_str()
        .expect("bodies have schemas with names")
        .to_owned();
    let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
    let schema = &schemas[&name];
    let members = schema["properties"].as_object().expect("a body is an object");
    let members = members.iter().map(|(member, schema)| {
        (
            member.clone(),
            json!({ "description": schema["description"].as_str().unwrap_or_default() }),
        )
    });
    let mut loose = json!({ "type": "object", "properties": members.collect::<Map<_, _>>() });
    if let Some(required) = schema.get("required") {
        loose["required"] = required.clone();
    }
    bodies.insert(name, loose);
    operation["requestBody"] =
        json!({ "required": true, "content": { "application/json": { "schema": { "$ref": reference } } } });
}
