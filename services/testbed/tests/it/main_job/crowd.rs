//! Many creates at once.

use std::{collections::BTreeSet, time::Instant};

use futures_util::future::{join_all, try_join_all};
use sea_orm::{ConnectionTrait, Database, Statement};
use vpnmanager_testbed::{api::ApiError, client::Crowd, wait};

use super::{
    profile,
    site::{Site, assert_synced},
};

const CLIENTS: usize = 8;
const EACH: usize = 25;
/// So many of them connect in the end.
const CONNECTING: usize = 10;

/// What management's inventory holds of one credential.
struct Issued {
    serial: String,
    certificate: String,
    common_name: String,
}

async fn inventory(site: &Site) -> Vec<Issued> {
    let db = Database::connect(site.stack.state().database_url()).await.unwrap();
    let query = "SELECT serial, certificate, common_name FROM credentials WHERE serial IS NOT NULL";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query));
    let rows = rows.await.unwrap();
    let issued = rows.iter().map(|row| Issued {
        serial: row.try_get("", "serial").unwrap(),
        certificate: row.try_get("", "certificate").unwrap(),
        common_name: row.try_get("", "common_name").unwrap(),
    });
    issued.collect()
}

#[tokio::test]
async fn eight_clients_create_two_hundred_users() {
    let Some(site) = Site::with_tunnels("crowd").await else {
        return;
    };
    let api = site.stack.api();
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let api = api.clone();
        async move {
            for number in 0..EACH {
                let created = api
                    .create_user(&format!("user-{client}-{number}"), Some(wait::SOON))
                    .await
                    .unwrap();
                assert_synced(&created.expect(201).unwrap());
            }
        }
    });
    join_all(clients).await;
    eprintln!(
        "measured: {} users created and synced in {} ms",
        CLIENTS * EACH,
        began.elapsed().as_millis()
    );

    let fetch = (0..CLIENTS).map(|client| {
        let api = api.clone();
        async move {
            let mut profiles = Vec::new();
            for number in 0..EACH {
                profiles.push(api.profile(&format!("user-{client}-{number}")).await?);
            }
            Ok::<_, ApiError>(profiles)
        }
    });
    let profiles = try_join_all(fetch).await.unwrap().concat();
    assert_eq!(profiles.len(), CLIENTS * EACH);
    for text in &profiles {
        profile::assert_complete(text, 2);
    }
    let distinct = |name: &str| {
        profiles
            .iter()
            .map(|text| profile::block(text, name))
            .collect::<BTreeSet<_>>()
    };
    for name in ["cert", "key", "tls-crypt-v2"] {
        assert_eq!(distinct(name).len(), profiles.len(), "two profiles share their {name}");
    }

    let issued = inventory(&site).await;
    assert_eq!(issued.len(), profiles.len(), "certificates in the inventory");
    let serials: BTreeSet<&str> = issued.iter().map(|one| one.serial.as_str()).collect();
    assert_eq!(serials.len(), profiles.len(), "two certificates share a serial number");
    let names: BTreeSet<&str> = issued.iter().map(|one| one.common_name.as_str()).collect();
    assert_eq!(names.len(), profiles.len(), "two certificates share a common name");
    let certificates: BTreeSet<&str> = issued.iter().map(|one| one.certificate.trim()).collect();
    assert_eq!(certificates, distinct("cert"), "profiles and inventory differ");

    let namespace = site.stack.network().unwrap().add_client(None).await.unwrap();
    let dir = site.stack.state().dir.join("clients");
    std::fs::create_dir_all(&dir).unwrap();
    let some: Vec<String> = profiles.iter().step_by(profiles.len() / CONNECTING).cloned().collect();
    let crowd = Crowd::start(&namespace, &some, &dir).unwrap();
    let took = crowd.connected(wait::SOON).await.unwrap();
    eprintln!("measured: {} of them connected in {} ms", some.len(), took.as_millis());
    crowd.stop().await;
}
