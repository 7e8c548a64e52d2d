//! Management of the last release over agents of this one, its upgrade, and the way back that there is not.

use std::path::Path;

use vpnmanager_testbed::stack::{Part, StackOptions};

use super::{THIS_RELEASE, agents_are, main_job, management_is, upgrade, with_tunnels};
use crate::{converge::records::Records, main_job::site::Site};

/// The migrations that the database has.
const MIGRATIONS: &str = "seaql_migrations";

#[tokio::test]
#[ignore = "`make test-upgrade` builds the last release, which it needs"]
async fn agents_of_this_release_serve_under_management_of_the_last_which_is_upgraded_above_them() {
    let Some(last) = with_tunnels("management of the last release") else {
        return;
    };
    let mut site = Site::start(StackOptions {
        programs: vec![(Part::Management, last.management.clone())],
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    management_is(&api, &last.version).await;
    agents_are(&site, THIS_RELEASE).await;
    let records = Records::open(&site).await;
    let witness = site.witness().await;
    let kept = site.create("kept").await;
    main_job(&site, "alice").await;
    let before = records.count(MIGRATIONS).await;

    upgrade(&mut site, Part::Management).await;

    management_is(&api, THIS_RELEASE).await;
    records.agree(&site).await;
    assert_eq!(api.user("alice").await.unwrap().status, 404);
    site.lets_in(&kept).await;
    main_job(&site, "bob").await;
    if records.count(MIGRATIONS).await > before {
        the_last_release_refuses(&mut site, &last.management).await;
        records.agree(&site).await;
        site.lets_in(&kept).await;
    }
    witness.lost_nothing().await;
}

/// Management of the last release does not start on the schema of this one, and says why; this one starts again.
async fn the_last_release_refuses(site: &mut Site, last: &Path) {
    let part = Part::Management;
    site.stack.stop_part(part).await.unwrap();
    site.stack.set_program(part, Some(last.to_path_buf())).unwrap();
    let started = site.stack.start_part(part).await;
    assert!(started.is_err(), "it started on a newer schema");
    let log = site.stack.log(part);
    assert!(log.contains("the database is of a newer release"), "{}", log.tail());
    upgrade(site, part).await;
}
