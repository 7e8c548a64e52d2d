//! HTTP routes and their query parameters.

use serde_json::Value;

use crate::{markdown, sources};

/// Answered beside what the descriptions say: the description itself.
const UNDESCRIBED: [&str; 3] = ["/docs", "/openapi.json", "/openapi.yaml"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A request that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    /// Unknown where only a path is named.
    method: Option<String>,
    path: String,
    parameters: Vec<String>,
}

/// An operation of one of the two APIs.
struct Operation {
    method: String,
    path: String,
    parameters: Vec<String>,
}

fn operations() -> Vec<Operation> {
    let mut found = Vec::new();
    for file in ["openapi/management.json", "openapi/endnode.json"] {
        let description: Value = serde_json::from_str(&sources::read(file)).expect("JSON");
        let paths = description["paths"].as_object().expect("paths");
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().expect("methods") {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let in_query = parameters.filter(|parameter| parameter["in"] == "query");
                found.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    parameters: in_query.filter_map(|p| p["name"].as_str().map(str::to_owned)).collect(),
                });
            }
        }
    }
    found
}

/// The requests in a piece of code: `DELETE /api/users/{username}`, or a command of curl.
fn requests(code: &markdown::Code) -> Vec<Request> {
    let words: Vec<&str> = code
        .text
        .split([' ', '"', '\'', '(', ')', ',', '>', '<'])
        .filter(|w| !w.is_empty())
        .collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(start) = path_in(word, code.fenced) else {
            continue;
        };
        let (path, query) = word[start..].split_once('?').unwrap_or((&word[start..], ""));
        let before = at.checked_sub(1).map(|before| words[before]);
        let named = before.filter(|word| METHODS.contains(word)).map(str::to_owned);
        found.push(Request {
            method: named.or_else(|| curl_method(&words)),
            path: path.trim_end_matches(['.', '/', ';', '`']).to_owned(),
            parameters: query
                .split('&')
                .filter_map(|pair| pair.split('=').next())
                .filter(|p| !p.is_empty())
                .map(str::to_owned)
                .collect(),
        });
    }
    found
}

/// Where in a word a path of ours begins. A source file such as `services/endnode/src/api/access.rs` has none.
fn path_in(word: &str, fenced: bool) -> Option<usize> {
    if word.ends_with(".rs") {
        return None;
    }
    if let Some(at) = word.find("/api/") {
        return Some(at);
    }
    let others = [
        "/health",
        "/health/live",
        "/health/ready",
        "/docs",
        "/openapi.json",
        "/openapi.yaml",
    ];
    let at = others
        .iter()
        .find_map(|path| word.ends_with(path).then(|| word.len() - path.len()))?;
    (at == 0 || (fenced && word.contains("://")) || word.contains("_URL")).then_some(at)
}

/// The method of a curl command; `None` for what is none.
fn curl_method(words: &[&str]) -> Option<String> {
    let is_curl = words.iter().any(|word| matches!(*word, "curl" | "api"));
    let named = words
        .iter()
        .position(|word| *word == "-X")
        .and_then(|at| words.get(at + 1));
    let implied = if words.contains(&"-d") { "POST" } else { "GET" };
    is_curl.then(|| named.unwrap_or(&implied).to_string())
}

/// What of a request is not there.
fn wrong(request: &Request, operations: &[Operation]) -> Option<String> {
    if UNDESCRIBED.contains(&request.path.as_str()) {
        return None;
    }
    let fits = |operation: &&Operation| {
        let method = request.method.as_ref().is_none_or(|method| *method == operation.method);
        method && matches(&request.path, &operation.path)
    };
    let fitting: Vec<&Operation> = operations.iter().filter(fits).collect();
    if fitting.is_empty() {
        let method = request.method.as_deref().unwrap_or("any method");
        return Some(format!("there is no {method} {}", request.path));
    }
    let takes = |parameter: &String| fitting.iter().any(|operation| operation.parameters.contains(parameter));
    let unknown = request.parameters.iter().find(|parameter| !takes(parameter))?;
    Some(format!("{} takes no {unknown}", request.path))
}

/// Whether a path is one of this operation's: a `{name}` stands for any one segment.
fn matches(path: &str, described: &str) -> bool {
    let (path, described): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), described.split('/').collect());
    path.len() == described.len()
        && path
            .iter()
            .zip(&described)
            .all(|(one, other)| one == other || other.starts_with('{'))
}

#[test]
fn every_route_in_the_manual_exists() {
    let operations = operations();
    let mut seen = 0;
    let mut wrongs = Vec::new();
    for page in sources::manual() {
        for request in markdown::code(&page.text).iter().flat_map(requests) {
            seen += 1;
            wrongs.extend(wrong(&request, &operations).map(|why| format!("{}: {why}", page.path)));
        }
    }
    assert_eq!(wrongs, Vec::<String>::new());
    assert!(seen > 40, "only {seen} requests were found");
}

#[test]
fn a_route_a_method_and_a_parameter_that_do_not_exist_are_found() {
    let operations = operations();
    let check = |text: &str, fenced| {
        let code = markdown::Code {
            text: text.to_owned(),
            fenced,
        };
        requests(&code)
            .iter()
            .filter_map(|request| wrong(request, &operations))
            .collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(
        check("api -X PATCH \"$MANAGEMENT_URL/api/users/alice?wait=5s\" -d '{}'", true),
        none
    );
    assert_eq!(check("curl -sS http://127.0.0.1:8081/health", true), none);
    assert_eq!(
        check("api \"$MANAGEMENT_URL/api/user\"", true),
        ["there is no GET /api/user"]
    );
    assert_eq!(
        check("PUT /api/users/{username}", false),
        ["there is no PUT /api/users/{username}"]
    );
    assert_eq!(
        check("api \"$U/api/users?waits=5s\" -d '{}'", true),
        ["/api/users takes no waits"]
    );
    assert_eq!(check("/api/gone", false), ["there is no any method /api/gone"]);
}
