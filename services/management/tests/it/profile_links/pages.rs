//! Looking at a link.

use poem::http::StatusCode;
use serde_json::json;

use super::{PUBLIC_URL, audited, home_of_alice, look, make, open, page_of};

#[tokio::test]
async fn looking_uses_up_nothing_and_asks_no_node() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    for _ in 0..3 {
        let page = page_of(look(&home.stack, &made.path).await, StatusCode::OK).await;
        assert!(page.contains("as <strong>alice</strong>"), "{page}");
    }
    let client = home.stack.client();
    for (path, content_type) in [
        (made.path.clone(), "text/html; charset=utf-8"),
        (format!("{}/profile", made.path), "application/x-openvpn-profile"),
    ] {
        let head = client.head(path).send().await;
        head.assert_status_is_ok();
        head.assert_content_type(content_type);
        head.assert_text("").await;
    }

    assert_eq!(open(&home.stack).await[0]["uses_left"], 1);
    assert!(audited(&home.stack, "profile_link_used").await.is_empty());
    assert!(audited(&home.stack, "user_profile_read").await.is_empty());
}

#[tokio::test]
async fn the_page_is_told_nobody_and_runs_nothing() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    let response = look(&home.stack, &made.path).await;
    for (header, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
    ] {
        response.assert_header(header, value);
    }
    let policy = response.0.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(
        policy.contains("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");

    let page = page_of(response, StatusCode::OK).await;
    let import = format!("href=\"openvpn://import-profile/{}/profile\"", made.url);
    assert!(page.contains(&import) && made.url.starts_with(PUBLIC_URL), "{page}");
    assert!(
        page.contains("<svg ") && page.contains("<form method=\"post\">"),
        "{page}"
    );
    assert!(!page.contains("<script") && !page.contains("PRIVATE KEY"), "{page}");
}

#[tokio::test]
async fn another_method_is_told_which_there_are() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    let client = home.stack.client();
    let profile = format!("{}/profile", made.path);
    for (response, allowed) in [
        (client.delete(&made.path).send().await, "GET, HEAD, POST"),
        (client.post(&profile).send().await, "GET, HEAD"),
    ] {
        response.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        response.assert_header("allow", allowed);
    }
    assert_eq!(open(&home.stack).await[0]["uses_left"], 1);
}
