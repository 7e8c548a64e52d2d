//! The store of the bus is gone while the fleet runs: streams and consumers are made again, nothing is lost.

use std::{fs, future::ready};

use futures_util::TryStreamExt;
use serde_json::json;
use vpnmanager_testbed::{stack::Part, wait};

use super::records::{Records, audited};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_wiped_store_of_the_bus_is_made_again_and_nothing_is_lost() {
    let Some(mut site) = Site::with_tunnels("bus wiped").await else {
        return;
    };
    let witness = site.witness().await;
    let records = Records::open(&site).await;
    let api = site.stack.api();
    let (alice, mallory, trudy) = (
        site.create("alice").await,
        site.create("mallory").await,
        site.create("trudy").await,
    );
    let suspend = json!({ "active": false });
    let suspended = api.change_user("mallory", &suspend, Some(wait::SOON)).await.unwrap();
    suspended.success().unwrap();
    let before = records.serials().await;

    site.stack.stop_part(Part::Nats).await.unwrap();
    fs::remove_dir_all(site.stack.state().dir.join("jetstream")).unwrap();
    // PostgreSQL is there, so both are promised.
    api.create_user("meanwhile", None).await.unwrap().expect(201).unwrap();
    let suspended = api.change_user("trudy", &suspend, None).await.unwrap();
    suspended.success().unwrap();
    site.stack.start_part(Part::Nats).await.unwrap();

    let took = records.agree(&site).await;
    eprintln!(
        "measured: the fleet was right {} ms after the bus came back empty",
        took.as_millis()
    );
    assert_eq!(site.all_synced(wait::SOON).await, 5);
    let stream = site.bus().await.get_stream("VPN_COMMANDS").await.unwrap();
    let wanted = 5 * site.stack.nodes().count();
    let published = wait::until_ok(wait::SOON, "every command to be in the new store", async || {
        let subjects = stream.info_with_subjects("vpn.cmd.>").await;
        let subjects = subjects.map_err(|error| error.to_string())?;
        let found = subjects.try_filter(|(subject, _)| ready(!subject.starts_with("vpn.cmd._.")));
        let found = found
            .try_collect::<Vec<_>>()
            .await
            .map_err(|error| error.to_string())?
            .len();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found} of {wanted}"))
        }
    });
    published.await.unwrap();
    assert_eq!(audited(&site, "bus_store_replaced").await.len(), 1);
    let after = records.serials().await;
    assert_eq!(after.len(), before.len() + 1, "one user was created meanwhile");
    assert!(
        before.iter().all(|(name, serial)| after[name] == *serial),
        "issued again"
    );
    site.lets_in(&alice).await;
    site.lets_in(&api.profile("meanwhile").await.unwrap()).await;
    site.refuses(&mallory).await;
    site.refuses(&trudy).await;
    witness.lost_nothing().await;
    site.create("later").await;
}
