//! The description of the HTTP API.

use std::path::Path;

use vpnmanager_management::api;
use vpnmanager_openapi::spec::assert_committed;

#[test]
fn the_committed_description_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/management.json");
    assert_committed(&path, &api::spec());
}

#[test]
fn the_description_lacks_nothing() {
    assert_eq!(api::spec().lint(), Vec::<String>::new());
}
