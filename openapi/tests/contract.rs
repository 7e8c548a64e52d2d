//! The golden files of the contract: every shape that was ever shipped reads and is written again as it is, by the code that serves
//! it (poem-openapi) and by the code that sends it (serde).
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use poem_openapi::types::{Example, ParseFromJSON, ToJSON};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vpnmanager_openapi::contract::enrolment::{Enrolment, Registration};
use vpnmanager_openapi::contract::standing::{StandingAnswer, StandingQuestion, StandingWord};
use vpnmanager_openapi::problem::Problem;

/// A body of the contract, or of its errors.
trait Body: ParseFromJSON + ToJSON + Serialize + DeserializeOwned {}
impl<T: ParseFromJSON + ToJSON + Serialize + DeserializeOwned> Body for T {}

#[test]
fn the_request_to_enrol_keeps_its_shapes() {
    check::<Registration>("registration", &["signed", "full", "minimal"]);
}

#[test]
fn the_answer_to_an_enrolment_keeps_its_shapes() {
    check::<Enrolment>("enrolment", &["full", "without_bus_ca"]);
}

#[test]
fn the_question_of_standing_keeps_its_shape() {
    check::<StandingQuestion>("standing_question", &["question"]);
}

#[test]
fn the_answer_about_standing_keeps_its_shapes() {
    let words = [
        StandingWord::Registered,
        StandingWord::Deregistered,
        StandingWord::Unknown,
    ];
    let shapes = words.map(|word| match word {
        StandingWord::Registered => "registered",
        StandingWord::Deregistered => "deregistered",
        StandingWord::Unknown => "unknown",
    });
    check::<StandingAnswer>("standing_answer", &shapes);
}

#[test]
fn a_problem_keeps_its_shapes() {
    check::<Problem>("problem", &["with_fields", "bare"]);
}

#[test]
fn a_request_that_leaves_out_what_has_a_default_means_the_default() {
    let golden = golden("registration", "minimal");
    let sent = json!({
        "server_id": golden["server_id"], "bus_public_key": golden["bus_public_key"], "csr": golden["csr"],
    });
    assert_eq!(served::<Registration>(&sent), golden);
    assert_eq!(sent_by_client::<Registration>(&sent), golden);
}

#[test]
fn a_client_reads_a_problem_of_somebody_else() {
    let foreign = json!({ "detail": "the upstream is away" });
    let problem: Problem = serde_json::from_value(foreign).unwrap();
    assert_eq!(
        (problem.title.as_str(), problem.detail.as_deref()),
        ("", Some("the upstream is away"))
    );
}

#[test]
fn text_that_breaks_its_rule_is_refused_on_both_sides() {
    for (field, bad) in [
        ("server_id", "a.b"),
        ("csr", ""),
        ("pool", "two words"),
        ("bus_public_key", "UABC"),
        ("protocol", "sctp"),
    ] {
        let mut body = golden("registration", "full");
        body[field] = json!(bad);
        assert!(Registration::parse_from_json(Some(body.clone())).is_err(), "{field}");
        assert!(serde_json::from_value::<Registration>(body).is_err(), "{field}");
    }
}

#[test]
fn the_examples_of_the_description_are_of_the_contract() {
    assert_eq!(example::<Registration>(), golden("registration", "signed"));
    assert_eq!(example::<Enrolment>(), golden("enrolment", "full"));
    assert_eq!(example::<StandingQuestion>(), golden("standing_question", "question"));
    assert_eq!(example::<StandingAnswer>(), golden("standing_answer", "deregistered"));
    assert_eq!(example::<Problem>(), golden("problem", "with_fields"));
}

fn example<T: Body + Example>() -> Value {
    T::example().to_json().unwrap()
}

/// Checks the file of each shape, and that the folder holds no other.
fn check<T: Body>(folder: &str, shapes: &[&str]) {
    let mut files: Vec<String> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut expected = shapes.to_vec();
    expected.sort_unstable();
    assert_eq!(files, expected, "the files of {folder}");
    for shape in shapes {
        let golden = golden(folder, shape);
        assert_eq!(
            served::<T>(&golden),
            golden,
            "{folder}/{shape}, as management serves it"
        );
        assert_eq!(
            sent_by_client::<T>(&golden),
            golden,
            "{folder}/{shape}, as an agent sends it"
        );
        let later = with_unknown_fields(&golden);
        assert_eq!(
            served::<T>(&later),
            golden,
            "{folder}/{shape} of a later release, at management"
        );
        assert_eq!(
            sent_by_client::<T>(&later),
            golden,
            "{folder}/{shape} of a later release, at an agent"
        );
    }
}

/// Decoded and encoded as the API does it.
fn served<T: Body>(body: &Value) -> Value {
    let decoded = T::parse_from_json(Some(body.clone())).map_err(|error| error.into_message());
    decoded.unwrap().to_json().unwrap()
}

/// Decoded and encoded as a client does it.
fn sent_by_client<T: Body>(body: &Value) -> Value {
    let decoded: T = serde_json::from_value(body.clone()).unwrap();
    serde_json::to_value(decoded).unwrap()
}

fn golden(folder: &str, shape: &str) -> Value {
    let file = root().join(folder).join(format!("{shape}.json"));
    serde_json::from_slice(&fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The same with a field of a later release in each object.
fn with_unknown_fields(body: &Value) -> Value {
    match body {
        Value::Object(fields) => {
            let known = fields
                .iter()
                .map(|(name, value)| (name.clone(), with_unknown_fields(value)));
            Value::Object(
                known
                    .chain([("of_a_later_release".to_owned(), json!([1, null]))])
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(with_unknown_fields).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => body.clone(),
    }
}
