//! What a machine fetches to become a node.

use std::fs;

use poem::http::StatusCode;

use crate::stack::{Stack, problem_of};

const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[tokio::test]
async fn a_new_node_gets_the_script_and_the_package_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("vpnmanager-endnode_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    fs::write(folder.path().join(&name), "abc").expect("written");
    let packages_dir = folder.path().to_str().expect("UTF-8");
    let settings = [("PACKAGES_DIR", packages_dir), ("PUBLIC_URL", "https://vpn.example")];
    let stack = Box::pin(Stack::start_with(&settings)).await;
    let client = stack.client();

    let answer = client.get("/install.sh").send().await;

    answer.assert_status_is_ok();
    answer.assert_content_type("text/x-shellscript; charset=utf-8");
    answer.assert_header("cache-control", "no-store");
    let script = answer.0.into_body().into_string().await.expect("text");
    assert!(
        script.contains(&format!("amd64) package={name} sha256={SHA256_OF_ABC} ;;")),
        "{script}"
    );
    assert!(script.contains("management_url='https://vpn.example'"), "{script}");
    let package = client.get(format!("/packages/{name}")).send().await;
    package.assert_status_is_ok();
    package.assert_text("abc").await;

    // A name from outside is one of a package, or leads nowhere.
    fs::write(folder.path().join("secret"), "x").expect("written");
    let other = name.replace("-1_", "-2_");
    for path in [
        "/packages/secret",
        "/packages/..%2Fsecret",
        "/packages/.",
        &format!("/packages/{other}"),
    ] {
        problem_of(client.get(path).send().await, StatusCode::NOT_FOUND).await;
    }
    let response = client.post("/install.sh").send().await;
    response.assert_header("allow", "GET, HEAD");
    problem_of(response, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn without_a_package_there_is_no_script_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let packages_dir = folder.path().to_str().expect("UTF-8");
    let stack = Box::pin(Stack::start_with(&[("PACKAGES_DIR", packages_dir)])).await;

    let response = stack.client().get("/install.sh").send().await;

    let (problem, _) = problem_of(response, StatusCode::NOT_FOUND).await;
    assert!(problem.to_string().contains("put it into PACKAGES_DIR"), "{problem}");
}
