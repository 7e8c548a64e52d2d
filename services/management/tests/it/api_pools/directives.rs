//! The extra directives of the clients of a pool: stored, told, and refused with the entry that is wrong.

use poem::{http::StatusCode, test::TestResponse};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{change, create, get};
use crate::{
    ops::audited,
    stack::{Stack, json_of, problem_of},
};

#[tokio::test]
async fn directives_are_stored_as_they_are_written_and_replaced_as_a_whole() {
    let stack = Stack::start().await;
    assert_eq!(get(&stack, "/api/pools/default").await["client_directives"], json!([]));
    let body = json!({
        "name": "sales",
        "network": { "redirect_gateway": true, "dns_servers": ["9.9.9.9"] },
        "client_directives": ["setenv opt block-outside-dns", "mssfix 1400"],
    });
    let made = json_of(create(&stack, &body).await, StatusCode::CREATED).await;
    let told = json!(["block-outside-dns", "mssfix 1400"]);
    assert_eq!((&made["client_directives"], &made["revision"]), (&told, &json!(1)));
    assert_eq!(get(&stack, "/api/pools/sales").await, made);

    // What is left out keeps its value, and what is as it was is no change.
    for same in [json!({}), json!({ "client_directives": told })] {
        let pool = json_of(change(&stack, "sales", &same).await, StatusCode::OK).await;
        assert_eq!(
            (&pool["client_directives"], &pool["revision"]),
            (&told, &json!(1)),
            "{same}"
        );
    }
    // The revision is that of what nodes are told.
    let fewer = json!({ "client_directives": ["float"] });
    let pool = json_of(change(&stack, "sales", &fewer).await, StatusCode::OK).await;
    assert_eq!(
        (&pool["client_directives"], &pool["revision"]),
        (&json!(["float"]), &json!(1))
    );
    let pool = json_of(change(&stack, "sales", &json!({ "replicas": 2 })).await, StatusCode::OK).await;
    assert_eq!(
        (&pool["client_directives"], &pool["revision"]),
        (&json!(["float"]), &json!(2))
    );
    let pool = json_of(
        change(&stack, "sales", &json!({ "client_directives": [] })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(pool["client_directives"], json!([]));

    let created = audited(&stack, AuditAction::PoolCreated).await;
    let after = created[0].after.as_ref().expect("a state");
    assert_eq!(after["client_directives"], told);
    let changes = audited(&stack, AuditAction::PoolChanged).await;
    let of = |state: &Option<Value>| state.as_ref().expect("a state")["client_directives"].clone();
    assert_eq!(
        (of(&changes[0].before), of(&changes[0].after)),
        (told, json!(["float"]))
    );
}

#[tokio::test]
async fn a_directive_that_is_not_of_the_list_is_refused_by_its_number() {
    let stack = Stack::start().await;
    for (directive, said) in [
        ("up /bin/evil", "up: it has programs run"),
        ("plugin /lib/evil.so", "plugin: it has programs run"),
        ("script-security 2", "script-security: it has programs run"),
        ("auth-user-pass /etc/passwd", "auth-user-pass: it names files"),
        ("float\nup /bin/evil", "one line of words"),
        ("float\r", "one line of words"),
        ("</ca>", "one line of words"),
        ("mssfix \"1400\"", "one line of words"),
        ("remote evil.example 443", "remote: profiles say themselves"),
        (
            "verify-x509-name evil name",
            "verify-x509-name: profiles say themselves",
        ),
        ("cipher none", "cipher: profiles say themselves"),
        ("tls-version-min 1.0", "tls-version-min: profiles say themselves"),
        ("mssfix 9223372036854775808", "mssfix takes 576 to 1500 bytes"),
        ("mssfix -1", "mssfix takes 576 to 1500 bytes"),
        ("persist-tun", "persist-tun: clients could not reach the next server"),
        ("connect-retry 5 300", "the first pause (1 or 2 seconds)"),
        ("server-poll-timeout 10", "server-poll-timeout takes 2 to 5 seconds"),
        ("pull-filter ignore dhcp-option", "pull-filter takes `ignore dns` alone"),
        (
            "pull-filter ignore block-outside-dns",
            "pull-filter takes `ignore dns` alone",
        ),
        ("unheard-of", "a pool may have auth-nocache, "),
        ("", "must have 1 to 64 characters"),
    ] {
        let body = json!({ "client_directives": ["float", directive] });
        let mut new = body.clone();
        new["name"] = json!("sales");
        for answer in [change(&stack, "default", &body).await, create(&stack, &new).await] {
            let (problem, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
            assert_eq!(fields, ["client_directives.1"], "{directive:?}: {problem}");
            let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
            assert!(detail.contains(said), "{directive:?}: {detail}");
            assert!(!problem.to_string().contains("/bin/evil"), "{problem}");
        }
    }
    // All are told at once.
    let body = json!({ "client_directives": ["up x", "float", "verb 7"] });
    let (_, fields) = problem_of(change(&stack, "default", &body).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["client_directives.0", "client_directives.2"]);
    for body in [
        json!({ "client_directives": null }),
        json!({ "client_directives": "float" }),
        json!({ "client_directives": vec!["float"; 17] }),
    ] {
        let (problem, fields) = problem_of(change(&stack, "default", &body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["client_directives"], "{body}: {problem}");
    }
    assert!(audited(&stack, AuditAction::PoolChanged).await.is_empty());
}

#[tokio::test]
async fn directives_that_contradict_each_other_or_themselves_are_a_conflict() {
    let stack = Stack::start().await;
    for (directives, field, said) in [
        (
            json!(["verb 1", "float", "verb 2"]),
            "client_directives.2",
            "verb 2 contradicts verb 1, which is there as well",
        ),
        (json!(["float", "float"]), "client_directives.1", "float is there twice"),
        (
            json!(["block-outside-dns", "setenv opt block-outside-dns"]),
            "client_directives.1",
            "block-outside-dns is there twice",
        ),
        (
            json!(["pull-filter ignore dns", "block-outside-dns"]),
            "client_directives.1",
            "block-outside-dns contradicts pull-filter ignore dns, which is there as well",
        ),
        (
            json!(["connect-retry 2 1"]),
            "client_directives.0",
            "the longest pause (1 s) is shorter than the first one (2 s)",
        ),
    ] {
        let answer = change(&stack, "default", &json!({ "client_directives": directives })).await;
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert_eq!(fields, [field], "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(said), "{detail}");
    }
}

/// Checks that this is refused because of DNS, and names that field.
async fn assert_without_dns(answer: TestResponse, expected: &str) {
    let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(fields, [expected], "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("clients on Windows would find no names"), "{detail}");
}

/// Windows would ask nobody: it asks the DNS servers of the tunnel alone, and there are none.
#[tokio::test]
async fn block_outside_dns_and_the_dns_servers_of_the_network_come_and_go_together() {
    let stack = Stack::start().await;
    let blocked = json!(["float", "block-outside-dns"]);
    let (with, without) = (
        json!({ "redirect_gateway": true, "dns_servers": ["9.9.9.9"] }),
        json!({ "redirect_gateway": true }),
    );

    for network in [json!({}), json!({ "network": without })] {
        let mut new = network.clone();
        new["name"] = json!("sales");
        new["client_directives"] = blocked.clone();
        assert_without_dns(create(&stack, &new).await, "client_directives.1").await;
        json_of(change(&stack, "default", &network).await, StatusCode::OK).await;
        let body = json!({ "client_directives": blocked });
        assert_without_dns(change(&stack, "default", &body).await, "client_directives.1").await;
    }

    // Together they are taken, and then the servers stay.
    let both = json!({ "network": with, "client_directives": blocked });
    let pool = json_of(change(&stack, "default", &both).await, StatusCode::OK).await;
    assert_eq!((&pool["client_directives"], &pool["revision"]), (&blocked, &json!(3)));
    for (change_of, field) in [
        (json!({ "network": without }), "network.dns_servers"),
        (json!({ "network": null }), "network"),
        (
            json!({ "network": null, "client_directives": blocked }),
            "client_directives.1",
        ),
    ] {
        assert_without_dns(change(&stack, "default", &change_of).await, field).await;
    }
    assert_eq!(get(&stack, "/api/pools/default").await, pool);

    // Other changes disturb nobody, and together they go.
    json_of(
        change(&stack, "default", &json!({ "replicas": 2 })).await,
        StatusCode::OK,
    )
    .await;
    let neither = json!({ "network": null, "client_directives": ["float"] });
    json_of(change(&stack, "default", &neither).await, StatusCode::OK).await;
    // Who keeps the own DNS needs none of the tunnel.
    let kept = json!({ "client_directives": ["pull-filter ignore dns"] });
    json_of(change(&stack, "default", &kept).await, StatusCode::OK).await;
}

/// Windows would ask a public server beside the tunnel, and `block-outside-dns` keeps it from that.
#[tokio::test]
async fn block_outside_dns_needs_a_way_through_the_tunnel_to_a_dns_server() {
    let stack = Stack::start().await;
    let blocked = json!(["block-outside-dns"]);
    let network = |routes: &[&str], servers: &[&str]| json!({ "routes": routes, "dns_servers": servers });
    let beside = network(&["10.20.0.0/16"], &["9.9.9.9"]);

    let new = json!({ "name": "sales", "network": beside, "client_directives": blocked });
    assert_without_dns(create(&stack, &new).await, "client_directives.0").await;
    let both = json!({ "network": beside, "client_directives": blocked });
    assert_without_dns(change(&stack, "default", &both).await, "client_directives.0").await;

    for reached in [
        network(&["10.20.0.0/16", "9.9.9.9/32"], &["9.9.9.9"]),
        network(&["10.20.0.0/16"], &["9.9.9.9", "10.20.0.53"]),
    ] {
        let both = json!({ "network": reached, "client_directives": blocked });
        json_of(change(&stack, "default", &both).await, StatusCode::OK).await;
        let body = json!({ "network": beside });
        assert_without_dns(change(&stack, "default", &body).await, "network.dns_servers").await;
    }
    // Without the directive Windows asks where it likes.
    let free = json!({ "network": beside, "client_directives": [] });
    json_of(change(&stack, "default", &free).await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_pool_of_an_older_release_has_none() {
    let stack = Stack::start().await;
    let insert = "INSERT INTO pools (name) VALUES ('stores')";
    stack.app.db.execute_unprepared(insert).await.expect("inserted");
    assert_eq!(get(&stack, "/api/pools/stores").await["client_directives"], json!([]));
}
