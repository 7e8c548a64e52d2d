//! The disk of PostgreSQL is full: whoever asks for the health hears of it, also while some changes still find room in pages that are there.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::PathBuf,
};

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use vpnmanager_testbed::{net::require_tunnels, stack::Part, wait};

use super::small_disk::SmallDisk;
use crate::main_job::site::Site;

/// More users than fit into the pages that are there.
const USERS: usize = 500;

#[tokio::test]
async fn management_whose_database_has_no_room_says_so_until_it_has() {
    // Mounting a disk needs what tunnels need.
    if require_tunnels("disk of PostgreSQL full").is_none() {
        return;
    }
    let mut site = Site::without_tunnels(1).await;
    site.create_at("alice", "node-1").await;
    site.stack.stop_part(Part::Management).await.unwrap();
    let disk = keep_users_on_a_small_disk(&site).await;
    site.stack.start_part(Part::Management).await.unwrap();
    is_told(&site, 200, "ok").await;

    let filler = disk.fill();
    let api = site.stack.api();
    let mut refusal = None;
    for number in 0..USERS {
        let user = json!({ "username": format!("user-{number}"), "server_id": "node-1" });
        let answer = api.create_user_as(&user, None).await.unwrap();
        if answer.status != 201 {
            refusal = Some((answer.status, answer.text));
            break;
        }
    }
    let (status, text) = refusal.expect("all users fit in");
    assert!(
        status == 503 && text.contains("has no room left on its disk"),
        "{status}: {text}"
    );
    is_told(&site, 503, "has no room left on its disk").await;

    drop(filler);
    is_told(&site, 200, "ok").await;
    site.create_at("bob", "node-1").await;
    site.all_synced(wait::SOON * 2).await;
}

/// Moves the users, and what the sorts of management need room for, to a disk of their own. PostgreSQL's log of changes stays where it is: a
/// server that cannot write that ends.
async fn keep_users_on_a_small_disk(site: &Site) -> SmallDisk {
    let folder: PathBuf = site.stack.state().dir.join("small");
    fs::create_dir(&folder).unwrap();
    let disk = SmallDisk::over(&folder);
    let of_postgres = fs::metadata(site.stack.state().dir.join("postgres")).unwrap();
    chown(&folder, Some(of_postgres.uid()), Some(of_postgres.gid())).unwrap();
    let db = site.stack.connect_database().await.unwrap();
    for statement in [
        format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()),
        "ALTER TABLE users SET TABLESPACE small".to_owned(),
        "ALTER ROLE vpnmanager SET temp_tablespaces = 'small'".to_owned(),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
    db.close().await.unwrap();
    disk
}

async fn is_told(site: &Site, status: u16, words: &str) {
    let told = wait::until_ok(wait::SOON, format!("/health to answer {status} {words}"), async || {
        let answer = site
            .stack
            .api()
            .get("/health")
            .await
            .map_err(|error| error.to_string())?;
        let is_so = answer.status == status && answer.text.contains(words);
        is_so.then_some(()).ok_or(format!("{}: {}", answer.status, answer.text))
    });
    told.await.unwrap_or_else(|error| panic!("{error}"));
}
