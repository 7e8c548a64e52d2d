use std::{convert::Infallible, time::Duration};

use sea_orm::{ConnectionTrait, Database};
use vpnmanager_testbed::postgres::{Durability, Postgres, shared};

#[tokio::test]
async fn a_fresh_database_is_a_copy_of_its_template() {
    let postgres = shared().await.unwrap();
    let prepare = async |url: String| {
        let db = Database::connect(url).await.unwrap();
        db.execute_unprepared("CREATE TABLE marks (id int)").await.unwrap();
        db.close().await.unwrap();
        Ok::<_, Infallible>(())
    };

    let one = postgres.fresh_database("tpl_marks", prepare).await.unwrap();
    let two = postgres.fresh_database("tpl_marks", async |_| {
        unreachable!("prepared already") as Result<(), Infallible>
    });
    let two = two.await.unwrap();

    assert_ne!(one, two);
    for url in [one, two] {
        let db = Database::connect(url).await.unwrap();
        db.execute_unprepared("INSERT INTO marks VALUES (1)").await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_cluster_comes_back_with_its_data() {
    let mut postgres = Postgres::start(Durability::Durable).await.unwrap();
    let url = postgres.create_database("kept").await.unwrap();
    // Nobody buries it: it stays a zombie, as under the first process of many containers.
    postgres.identity().kill().await;
    assert!(!postgres.identity().alive());
    assert!(postgres.connect("kept").await.is_err());

    postgres.restart().await.unwrap();

    assert!(Database::connect(&url).await.is_ok());
    postgres.process().stop(Duration::from_secs(1)).await;
}
