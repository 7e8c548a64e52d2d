//! The description, served and committed.

use serde_json::{Value, json};
use vpnmanager_openapi::spec::{self, Spec};

use crate::service::{client, service};

#[tokio::test]
async fn the_description_is_served_and_the_docs_need_nothing_from_outside() {
    let response = client().get("/openapi.json").send().await;
    let served: Value = response.0.into_body().into_json().await.unwrap();
    assert_eq!(&served, Spec::of(&service()).document());
    let schemes = &served["paths"]["/users/{name}"]["get"]["security"];
    assert_eq!(schemes, &json!([{"ApiKey": []}, {"BearerKey": []}]));

    let yaml = client()
        .get("/openapi.yaml")
        .send()
        .await
        .0
        .into_body()
        .into_string()
        .await
        .unwrap();
    assert!(yaml.contains("\"operationId\": \"create_user\""), "{yaml}");

    let response = client().get("/docs").send().await;
    response.assert_header("content-type", "text/html; charset=utf-8");
    let html = response.0.into_body().into_string().await.unwrap();
    assert!(html.contains("persistAuthorization: true"));
    assert!(html.contains("\"additionalProperties\": false"));
    for outside in ["src=\"http", "href=\"http", "@import", "src=\"//"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn the_description_passes_the_lint() {
    assert_eq!(Spec::of(&service()).lint(), Vec::<String>::new());
}

#[test]
fn a_committed_description_that_differs_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.json");
    let generated = Spec::of(&service());
    std::fs::write(&path, generated.json()).unwrap();
    spec::assert_committed(&path, &generated);

    std::fs::write(&path, generated.json().replace("create_user", "make_user")).unwrap();
    let panic = std::panic::catch_unwind(|| spec::assert_committed(&path, &generated)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("/paths/~1users/post/operationId"), "{text}");
}
