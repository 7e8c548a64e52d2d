//! Which requests are taken, and what is said of the others.

use poem::Body;
use poem::http::StatusCode;
use poem::test::TestClient;
use serde_json::{Value, json};
use vpnmanager_openapi::middleware::Conventions;

use crate::service::{client, post, problem, service};

#[tokio::test]
async fn a_wrong_body_names_each_field_it_can() {
    let cases: [(Value, &[&str]); 12] = [
        (json!({"name": 5, "count": 1}), &["name"]),
        (json!({"name": "a", "count": "one"}), &["count"]),
        (json!({"name": "a", "count": -1}), &["count"]),
        (json!({"name": "a"}), &["count"]),
        (json!({}), &["name", "count"]),
        (json!({"name": null, "count": 1}), &["name"]),
        (json!({"name": "UPPER", "count": 1}), &["name"]),
        (json!({"name": "waytoolongname", "count": 1}), &["name"]),
        (
            json!({"name": "a", "count": 1, "expires_at": "+262142-12-31T00:00:00Z"}),
            &["expires_at"],
        ),
        (json!({"name": "a", "count": 1, "remark": "too long"}), &["remark"]),
        (json!({"name": "a", "count": 1, "address": {}}), &["address.street"]),
        (json!([]), &["body"]),
    ];
    for (body, expected) in cases {
        let (problem, mut fields) = problem(post(body.to_string()).await, StatusCode::BAD_REQUEST).await;
        fields.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(fields, expected, "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_member_that_is_given_twice_is_refused_at_any_depth() {
    for (body, field) in [
        (r#"{"name": "a", "count": 1, "name": "b"}"#, "name"),
        (r#"{"name": "a", "count": 1, "count": 1}"#, "count"),
        (
            r#"{"name": "a", "count": 1, "address": {"street": "b", "street": "c"}}"#,
            "address.street",
        ),
    ] {
        let (problem, fields) = problem(post(body.to_owned()).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{problem}");
        assert!(problem.to_string().contains("is given more than once"), "{problem}");
    }
}

/// What the caller meant by it would not happen.
#[tokio::test]
async fn what_the_description_does_not_know_is_refused_with_the_nearest_name() {
    let of_body = |body: Value| post(body.to_string());
    for (body, field, word) in [
        (
            json!({"name": "a", "count": 1, "expire_at": "x"}),
            "expire_at",
            "did you mean `expires_at`?",
        ),
        (
            json!({"name": "a", "count": 1, "Remark": "x"}),
            "Remark",
            "did you mean `remark`?",
        ),
        (
            json!({"name": "a", "count": 1, "x": null}),
            "x",
            "what is known: address, count, expires_at, name, remark",
        ),
        (
            json!({"name": "a", "count": 1, "address": {"street": "b", "stret": "c"}}),
            "address.stret",
            "did you mean `street`?",
        ),
        (
            json!({"name": "a", "count": 1, "expires_at": null}),
            "expires_at",
            "not null: leave it out",
        ),
    ] {
        let (problem, fields) = problem(of_body(body.clone()).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{body}: {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{body}: {detail}");
    }
    for (path, field, word) in [
        ("/users?Limit=1", "Limit", "did you mean `limit`?"),
        ("/users?li%6Dits=1", "limits", "did you mean `limit`?"),
        ("/users?expired=true", "expired", "what is known: limit, cursor, wait"),
        ("/users?limit=1&wait=1s&limit=2", "limit", "more than once"),
        ("/open?x", "x", "nothing is taken here"),
    ] {
        let (problem, fields) = problem(client().get(path).send().await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_body_where_none_is_taken_is_refused_unless_it_says_nothing() {
    let client = client();
    let stop = |body: &str| {
        let request = client.post("/stop").content_type("application/json");
        request.body(body.to_owned()).send()
    };
    for body in ["", "{}", " { } "] {
        stop(body).await.assert_status_is_ok();
    }
    for body in ["{\"credentials\": \"revoke\"}", "now", "[]", "null"] {
        let (problem, fields) = problem(stop(body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["body"], "{problem}");
    }
}

#[tokio::test]
async fn a_small_request_has_no_large_answer() {
    let members: serde_json::Map<String, Value> = (0..1000).map(|number| (format!("x{number}"), json!(1))).collect();
    let (problem, fields) = problem(post(Value::from(members).to_string()).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields.len(), 20);
    assert!(problem.to_string().len() < 5000, "{problem}");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_as_such() {
    for body in ["", "{\"name\": \"a", "nonsense", "{\"name\": \"a\0\"}"] {
        let (problem, fields) = problem(post(body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["body"], "{problem}");
    }
    let response = client()
        .post("/users")
        .content_type("text/csv")
        .body("a,b")
        .send()
        .await;
    problem(response, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    problem(
        client().post("/users").body("{}").send().await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
}

#[tokio::test]
async fn nul_is_refused_wherever_it_hides() {
    let (_, fields) = problem(
        post(r#"{"name": "a", "count": 1, "address": {"street": "\u0000"}}"#).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["address.street"]);
    let (_, fields) = problem(client().get("/users?cursor=a%00").send().await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["cursor"]);
    problem(
        client().get("/users/a%00").header("x-api-key", "k").send().await,
        StatusCode::BAD_REQUEST,
    )
    .await;
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    for (path, field) in [
        ("/users?limit=0", "limit"),
        ("/users?limit=x", "limit"),
        ("/users?cursor=bm9uc2Vuc2U", "cursor"),
        ("/users?cursor=!", "cursor"),
        ("/users?wait=61s", "wait"),
        ("/users/UPPER", "name"),
    ] {
        let response = client().get(path).header("x-api-key", "k").send().await;
        let (problem, fields) = problem(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_large_body_is_413_announced_or_not() {
    let large = vec![b' '; 1024 * 1024 + 1];
    let client = client();
    let announced = client
        .post("/users")
        .content_type("application/json")
        .header("content-length", 200_000_000)
        .body("{}");
    problem(announced.send().await, StatusCode::PAYLOAD_TOO_LARGE).await;
    let fits = format!("{}{{}}", " ".repeat(32 * 1024 - 2));
    let (_, fields) = problem(post(fits).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["name", "count"]);
    problem(post(" ".repeat(32 * 1024 + 1)).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    let chunks = futures_util::stream::iter(
        large
            .chunks(1000)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect::<Vec<_>>(),
    );
    problem(
        post(Body::from_bytes_stream(chunks)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
}

#[tokio::test]
async fn of_the_largest_bodies_two_are_taken_at_once_and_small_ones_always() {
    let adapt = |conventions: Conventions| conventions.body_limit_of("create_user", 4 * 1024 * 1024);
    let client = TestClient::new(vpnmanager_openapi::application(service(), adapt));
    let request = || client.post("/users").content_type("application/json");
    let endless = || Body::from_bytes_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (first, second) = (request().body(endless()).send(), request().body(endless()).send());
    let others = async {
        let third = request().body(endless()).send().await;
        third.assert_header("retry-after", "5");
        problem(third, StatusCode::TOO_MANY_REQUESTS).await;
        let small = request().header("content-length", 2).body("{}").send().await;
        problem(small, StatusCode::BAD_REQUEST).await;
    };
    tokio::select! {
        biased;
        _ = first => panic!("the first body has no end"),
        _ = second => panic!("the second body has no end"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_key_is_accepted_in_either_header_and_a_401_has_a_challenge() {
    let client = client();
    for (name, value) in [("x-api-key", "k"), ("authorization", "Bearer k")] {
        let response = client.get("/users/alice").header(name, value).send().await;
        response.assert_status_is_ok();
        response.assert_json("admin alice").await;
    }
    for header in [None, Some("wrong")] {
        let request = client.get("/users/alice");
        let request = match header {
            Some(key) => request.header("x-api-key", key),
            None => request,
        };
        let response = request.send().await;
        response.assert_header("www-authenticate", "Bearer realm=\"vpnmanager\"");
        problem(response, StatusCode::UNAUTHORIZED).await;
    }
    client.get("/open").send().await.assert_json(false).await;
    client
        .get("/open")
        .header("x-api-key", "k")
        .send()
        .await
        .assert_json(true)
        .await;
    problem(
        client.get("/open").header("x-api-key", "wrong").send().await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
}
