//! Using a link.

use futures_util::future::join;
use poem::http::StatusCode;
use serde_json::json;
use vpnmanager_nats::node_requests::NodeAnswer;

use super::{audited, home_of_alice, look, make, open, page_of, take, text_of};

#[tokio::test]
async fn the_button_hands_out_what_an_operator_would_get_and_only_once() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    let expected = home.handed_out("alice").await;

    let response = take(&home.stack, &made.path).await;

    for (header, value) in [
        ("content-type", "application/x-openvpn-profile"),
        ("content-disposition", "attachment; filename=\"alice.ovpn\""),
        ("cache-control", "no-store"),
    ] {
        response.assert_header(header, value);
    }
    assert_eq!(text_of(response, StatusCode::OK).await, expected);
    for response in [take(&home.stack, &made.path).await, look(&home.stack, &made.path).await] {
        let page = page_of(response, StatusCode::GONE).await;
        assert!(
            page.contains("was used already") && page.contains("for a new link"),
            "{page}"
        );
    }
    assert!(open(&home.stack).await.is_empty());
}

#[tokio::test]
async fn openvpn_connect_fetches_with_get_and_each_fetch_is_a_use() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({ "uses": 2 })).await;
    let profile = format!("{}/profile", made.path);
    let response = look(&home.stack, &profile).await;
    response.assert_content_type("application/x-openvpn-profile");
    text_of(response, StatusCode::OK).await;
    let listed = open(&home.stack).await;
    assert_eq!(listed[0]["uses_left"], 1);
    assert!(listed[0]["last_used_at"].is_string(), "{listed:?}");
    text_of(take(&home.stack, &made.path).await, StatusCode::OK).await;
    page_of(look(&home.stack, &profile).await, StatusCode::GONE).await;
}

#[tokio::test]
async fn of_two_who_take_the_last_use_at_once_one_gets_it() {
    let home = home_of_alice().await;
    for _ in 0..8 {
        let made = make(&home.stack, json!({})).await;
        let (first, second) = join(take(&home.stack, &made.path), take(&home.stack, &made.path)).await;
        let mut answers = [first, second];
        answers.sort_unstable_by_key(|answer| answer.0.status());
        let [taken, late] = answers;
        text_of(taken, StatusCode::OK).await;
        page_of(late, StatusCode::GONE).await;
    }
    assert_eq!(audited(&home.stack, "profile_link_used").await.len(), 8);
}

#[tokio::test]
async fn a_home_that_hands_out_nothing_costs_no_use() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    let parts = home.issued("bob").await;
    let failed = NodeAnswer::Failed {
        error: "the disk is gone".to_owned(),
    };
    for (answer, status) in [
        (failed, StatusCode::SERVICE_UNAVAILABLE),
        (NodeAnswer::ProfileParts(parts), StatusCode::BAD_GATEWAY),
    ] {
        home.answers(answer);
        let page = page_of(take(&home.stack, &made.path).await, status).await;
        assert!(
            page.contains("The link was not used up") && page.contains("Try again"),
            "{page}"
        );
        assert!(!page.contains("disk") && !page.contains("node-1"), "{page}");
    }
    assert_eq!(open(&home.stack).await[0]["uses_left"], 1);
    assert!(audited(&home.stack, "profile_link_used").await.is_empty());
}
