//! How much one API key may ask, and how it is told.

use poem::http::StatusCode;
use poem::test::TestResponse;
use vpnmanager_entities::api_key::Role;

use crate::stack::{Stack, WithKey as _, problem_of};

/// What is left, and the seconds behind it.
fn left(response: &TestResponse) -> (u32, u32) {
    response.assert_header("ratelimit-policy", "\"key\";q=5;w=10");
    let told = response.0.header("ratelimit").expect("what is left");
    let numbers = told.strip_prefix("\"key\";r=").and_then(|rest| rest.split_once(";t="));
    let (requests, seconds) = numbers.expect("two numbers");
    (requests.parse().expect("a number"), seconds.parse().expect("a number"))
}

#[tokio::test]
async fn a_key_that_asks_too_much_is_put_off_and_others_go_on() {
    let stack = Stack::start_with(&[("CALLERS_REQUESTS_PER_KEY", "5")]).await;
    stack.add_key("another-admin-key", Role::Admin).await;
    let client = stack.client();
    let ask = async |key: &str| client.get("/api/users").key(key).send().await;
    let first = ask("another-admin-key").await;
    first.assert_status_is_ok();
    assert_eq!(left(&first), (4, 2));
    // One more is taken each 2 s.
    let mut put_off = None;
    for _ in 0..100 {
        let answer = ask("another-admin-key").await;
        if answer.0.status() == StatusCode::TOO_MANY_REQUESTS {
            put_off = Some(answer);
            break;
        }
        answer.assert_status_is_ok();
    }
    let put_off = put_off.expect("refused");
    let (requests, seconds) = left(&put_off);
    assert_eq!(requests, 0);
    assert!((1..=2).contains(&seconds), "{seconds}");
    put_off.assert_header("retry-after", seconds.to_string());
    problem_of(put_off, StatusCode::TOO_MANY_REQUESTS).await;

    let other = stack.client().get("/api/nowhere").admin().send().await;
    assert!(
        other.0.header("ratelimit").is_none(),
        "no operation, so no key was looked at"
    );
    for path in ["/api/users/nobody", "/api/users?limit=0"] {
        let answer = client.get(path).admin().send().await;
        assert!(answer.0.status().is_client_error());
        assert!(left(&answer).0 >= 3, "a refusal tells it too");
    }
    let health = client.get("/health").send().await;
    health.assert_status_is_ok();
    assert!(health.0.header("ratelimit").is_none());
}
