//! How long a command takes, from its start to its end.

use std::time::{Duration, Instant};

use vpnmanager_testbed::wait::under_load;

use crate::program::start;

/// What is promised for a list of 50 users.
const PROMISED: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_list_of_fifty_users_comes_at_once() {
    let (_stack, vpnmanager) = start().await;
    let names: Vec<String> = (0..50).map(|number| format!("user{number:02}")).collect();
    let ran = vpnmanager.run_with(&["users", "import", "-"], &format!("username\n{}\n", names.join("\n")));
    assert_eq!(ran.code, 0, "{ran:?}");
    let took = |_| {
        let started = Instant::now();
        let listed = vpnmanager.done(&["users", "list"]);
        assert_eq!(listed.lines().count(), 51, "{listed}");
        started.elapsed()
    };
    let best = (0..10).map(took).min().unwrap();
    eprintln!("users list of 50: {} ms", best.as_millis());
    assert!(best < under_load(PROMISED), "{best:?}");
}
