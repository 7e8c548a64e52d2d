//! Own reach and routes are checked when they are said, and kept in one order.

use poem::http::StatusCode;
use serde_json::json;

use super::{alice, change, changed, create, fleet, make, told};
use crate::{
    api_bulk::{batch, counts},
    database::number,
    stack::{Stack, json_of, problem_of, registration},
};

#[tokio::test]
async fn an_own_route_that_leads_the_way_to_the_bus_into_the_tunnel_is_refused() {
    let stack = Stack::start_with(&[("BUS_PUBLIC_URLS", "tls://203.0.113.9:4222")]).await;
    stack.enrol("node-1").await;
    make(&stack, "alice", json!({})).await;
    let limits = json!({ "routes": ["203.0.113.8/29", "10.0.0.0/8"] });
    let answers = [
        create(&stack, &json!({ "username": "bob", "limits": limits })).await,
        change(&stack, &json!({ "limits": limits })).await,
    ];
    for answer in answers {
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert_eq!(fields, ["limits.routes.0"]);
        let said = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert!(said.starts_with("the way to the bus (203.0.113.9)"), "{said}");
    }
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM own_groups").await, 0);
}

/// A user keeps what it has, and nobody else gets it.
#[tokio::test]
async fn own_routes_stay_when_a_node_comes_into_them_and_are_refused_to_others() {
    let stack = fleet().await;
    let routes = json!({ "routes": ["10.0.0.0/8", "203.0.113.0/24"] });
    make(&stack, "alice", json!({ "limits": routes })).await;
    stack
        .register(&registration("node-2").with("host", "203.0.113.7"))
        .await;

    changed(&stack, json!({ "speed": { "down": 64 } })).await;
    json_of(change(&stack, &json!({ "group": "sales" })).await, StatusCode::OK).await;
    changed(
        &stack,
        json!({ "routes": ["203.0.113.0/24", "10.0.0.0/8"], "sessions": 1 }),
    )
    .await;

    let limits = json!({ "routes": routes["routes"], "sessions": 1, "speed": { "down": 64 } });
    assert_eq!(alice(&stack).await["limits"], limits);
    let (_, groups) = told(&stack).await;
    let other = json!({ "routes": ["203.0.113.0/28"] });
    for (answer, field) in [
        // The group for these is there.
        (
            create(
                &stack,
                &json!({ "username": "bob", "group": "sales", "limits": limits }),
            )
            .await,
            "limits.routes.1",
        ),
        (change(&stack, &json!({ "limits": other })).await, "limits.routes.0"),
    ] {
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert_eq!(fields, [field], "{problem}");
    }
    // Who is there as wanted stays so, also when a list is sent again.
    let again = json!([{ "action": "create", "username": "alice", "group": "sales", "limits": limits }]);
    assert_eq!(counts(&batch(&stack, again).await), [0, 0, 0, 1, 0]);
    assert_eq!(told(&stack).await.1, groups);
}

#[tokio::test]
async fn the_order_of_a_list_makes_no_other_values() {
    let stack = fleet().await;
    let (web, other) = (
        json!({ "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443", "8000-8100"] }),
        json!({ "to": "10.30.0.0/16", "ports": [] }),
    );
    let sorted = json!({ "reach": [web, other], "routes": ["10.20.0.0/16", "10.30.0.0/16"] });
    let mut turned = sorted.clone();
    for list in ["reach", "routes"] {
        turned[list].as_array_mut().expect("a list").reverse();
    }
    turned["reach"][1]["ports"] = json!(["8000-8100", "443"]);
    let alices = make(&stack, "alice", json!({ "limits": turned })).await;
    let bobs = make(&stack, "bob", json!({ "limits": sorted })).await;

    assert_eq!((&alices["limits"], &bobs["limits"]), (&sorted, &sorted));
    assert_eq!(alices["node_group"], bobs["node_group"]);
    assert_eq!(changed(&stack, turned.clone()).await["revision"], 1);
    let again = json!([{ "action": "create", "username": "bob", "limits": turned }]);
    assert_eq!(counts(&batch(&stack, again).await), [0, 0, 0, 1, 0]);
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM own_groups").await, 1);
}
