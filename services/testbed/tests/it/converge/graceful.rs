//! SIGTERM under load: what is in hand is finished or handed back, and the next start finds nothing torn.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use vpnmanager_testbed::{
    stack::{Part, StackOptions},
    wait,
};

use super::records::Records;
use crate::main_job::site::{Site, create_each};

const WRITERS: usize = 4;
const EACH: usize = 40;
/// `SHUTDOWN_TIMEOUT`, and the end of the process.
const BOUND: Duration = wait::under_load(Duration::from_secs(11));

#[tokio::test]
async fn services_that_are_told_to_end_under_load_leave_nothing_torn() {
    let mut site = Site::start(StackOptions {
        tunnels: Some(false),
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    let records = Records::open(&site).await;
    let mut promised = Vec::new();
    for (round, part) in [Part::Management, Part::Node(1)].into_iter().enumerate() {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let writer = round * WRITERS + writer;
            let names = (0..EACH).map(move |number| format!("user-{writer}-{number}"));
            writers.spawn(create_each(api.clone(), names));
        }
        // The writing is under way.
        site.knows(&format!("user-{}-5", round * WRITERS)).await;

        let began = Instant::now();
        site.stack.stop_part(part).await.unwrap();
        let took = began.elapsed();
        site.stack.start_part(part).await.unwrap();

        eprintln!("measured: {part} ended {} ms after SIGTERM", took.as_millis());
        assert!(took < BOUND, "{part} took {took:?} to end");
        promised.extend(writers.join_all().await.into_iter().flatten());
    }

    let took = records.agree(&site).await;
    eprintln!(
        "measured: {} creates were promised, all applied after {} ms",
        promised.len(),
        took.as_millis()
    );
    assert_eq!(
        site.all_synced(wait::SOON).await,
        records.serials().await.len(),
        "one certificate each"
    );
    for name in &promised {
        api.user(name).await.unwrap().expect(200).unwrap();
    }
}
