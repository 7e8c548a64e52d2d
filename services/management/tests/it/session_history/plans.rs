//! Which indexes the history is read by.

use vpnmanager_management::ops::sessions::read_history::{Alive, HistoryFilter, query};

use super::at;
use crate::database::{connect_fresh, plan_of, run};

#[tokio::test]
async fn the_history_is_read_by_an_index_whatever_is_asked() {
    let db = connect_fresh().await;
    run(
        &db,
        "INSERT INTO sessions (server_id, since, cid, common_name, username, real_address, real_ip, virtual_address, listener, bytes_in, bytes_out,
             seen_at, ended_at, gone_at, end_kind)
         SELECT CASE WHEN i % 500 = 7 THEN 'node-7' ELSE 'node-' || 10 + i % 5 END, date_trunc('second', now()) - i * interval '1 minute', i,
             'c', 'user-' || i % 100, 'a',
             ('192.0.2.' || i % 250)::inet, ('10.8.' || i % 50 || '.' || i % 250)::inet,
             CASE WHEN i % 500 = 9 THEN 'tcp:443' ELSE 'udp:1194' END, 0, 0, now(),
             date_trunc('second', now()) - i * interval '1 minute' + interval '1 hour',
             date_trunc('second', now()) - i * interval '1 minute' + interval '1 hour', 'seen'
         FROM generate_series(61, 10000) i; ANALYZE sessions",
    )
    .await;
    let of = |address: Option<&str>, alive: Alive| HistoryFilter {
        address: address.map(|address| address.parse().expect("an address")),
        alive,
        ..HistoryFilter::default()
    };
    let (anytime, then) = (Alive::default(), Alive::At(at(0)));
    let while_that = Alive::Between(Some(at(0)), Some(at(600)));
    for (filter, indexes) in [
        (
            of(Some("10.8.7.7"), then),
            vec!["sessions_by_address", "sessions_by_real_ip"],
        ),
        (
            of(Some("10.8.7.7"), anytime),
            vec!["sessions_by_address", "sessions_by_real_ip"],
        ),
        (
            of(Some("10.8.7.7"), while_that),
            vec!["sessions_by_address", "sessions_by_real_ip"],
        ),
        (
            of(Some("fd00::1"), then),
            vec!["sessions_by_address6", "sessions_by_real_ip"],
        ),
        (of(None, then), vec!["sessions_by_time"]),
        (of(None, while_that), vec!["sessions_by_time", "sessions_pkey"]),
        (of(None, anytime), vec!["sessions_pkey"]),
        (
            HistoryFilter {
                username: Some("user-7".parse().expect("a username")),
                ..HistoryFilter::default()
            },
            vec!["sessions_by_user"],
        ),
        (
            HistoryFilter {
                server_id: Some("node-7".parse().expect("a valid id")),
                ..HistoryFilter::default()
            },
            vec!["sessions_by_server"],
        ),
        (
            HistoryFilter {
                listener: Some("tcp:443".parse().expect("a listener")),
                ..HistoryFilter::default()
            },
            vec!["sessions_by_listener"],
        ),
    ] {
        let plan = plan_of(&db, query(&filter, None, 51)).await;
        for index in indexes {
            assert!(plan.contains(index), "{filter:?}: {plan}");
        }
        assert!(!plan.contains("Seq Scan"), "{filter:?}: {plan}");
    }
}
