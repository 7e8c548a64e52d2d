//! What management signs.

use vpnmanager_management::{
    domain::audit_chain::{Begins, Kind, Signers, Trail},
    ops::audit_chain::{read_database::read_database, sign_checkpoint::sign_checkpoint},
    pki::Pki,
};

use super::{entry_at, faults, number, run, sign, signers, tamper, text, verify};
use crate::stack::Stack;

#[tokio::test]
async fn a_checkpoint_is_signed_when_there_are_new_entries_and_names_the_chains_that_went_on() {
    let stack = Stack::start().await;
    stack.end_tasks().await;
    let db = &stack.app.db;
    entry_at(db, "now()", "user_created").await;
    sign(&stack).await;
    let count = number(db, "SELECT count(*) FROM audit_checkpoints").await;
    let mut own = None;
    // Within a minute of the last one, whoever asks.
    assert!(!sign_checkpoint(&stack.app, &mut own).await.expect("asked"));
    tamper(db, "UPDATE audit_checkpoints SET at = at - interval '2 minutes'").await;
    assert!(
        !sign_checkpoint(&stack.app, &mut own).await.expect("asked"),
        "nothing is new"
    );

    // Two chains: one transaction is open while another one writes.
    let open = sea_orm::TransactionTrait::begin(db).await.expect("begun");
    let insert = "INSERT INTO audit_log (action, server_id, actor) VALUES ('user_created', 'management', 'system')";
    sea_orm::ConnectionTrait::execute_unprepared(&open, insert)
        .await
        .expect("inserted");
    entry_at(db, "now()", "user_created").await;
    open.commit().await.expect("committed");
    assert!(sign_checkpoint(&stack.app, &mut own).await.expect("signed"));
    entry_at(db, "now()", "user_created").await;
    tamper(db, "UPDATE audit_checkpoints SET at = at - interval '2 minutes'").await;
    assert!(sign_checkpoint(&stack.app, &mut own).await.expect("signed"));

    assert_eq!(number(db, "SELECT count(*) FROM audit_checkpoints").await, count + 2);
    let heads = "SELECT string_agg(jsonb_array_length(statement::jsonb -> 'heads')::text, ' ' ORDER BY number)
                 FROM (SELECT * FROM audit_checkpoints ORDER BY number DESC LIMIT 2) last";
    assert_eq!(
        text(db, heads).await,
        "2 1",
        "all after a start, then those that went on"
    );
    let report = verify(db, &signers(&stack)).await;
    assert_eq!((faults(&report), report.unproven), (Vec::new(), 0));
}

#[tokio::test]
async fn a_checkpoint_of_another_authority_is_refused() {
    let stack = Stack::start().await;
    stack.end_tasks().await;
    let db = &stack.app.db;
    entry_at(db, "now()", "user_created").await;
    sign(&stack).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = Pki::load_or_create(folder.path()).expect("another authority");
    let statement = text(
        db,
        "SELECT statement FROM audit_checkpoints ORDER BY number DESC LIMIT 1",
    )
    .await;
    let signature = data_encoding::HEXLOWER.encode(
        &other
            .sign_statement(other.ca_fingerprint(), &statement)
            .expect("signed"),
    );
    let others = Signers::of_pem(other.ca_pem()).expect("a certificate");
    assert_eq!(faults(&verify(db, &others).await), [(Kind::Checkpoint, None)]);

    tamper(
        db,
        &format!(
            "UPDATE audit_checkpoints SET signature = '\\x{signature}' WHERE number = (SELECT max(number) FROM audit_checkpoints)"
        ),
    )
    .await;

    let report = verify(db, &signers(&stack)).await;
    assert_eq!(faults(&report), [(Kind::Checkpoint, None)]);
    assert!(
        report.findings[0].detail.contains("not signed"),
        "{:?}",
        report.findings
    );
    // After a change of the authority, what the earlier one signed counts, too.
    let both = Signers::of_pem(&format!("{}{}", other.ca_pem(), stack.app.pki.ca_pem())).expect("two certificates");
    assert_eq!(faults(&verify(db, &both).await), []);
}

#[tokio::test]
async fn a_trail_that_lost_its_end_with_all_checkpoints_lacks_the_one_that_was_noted() {
    let stack = Stack::start().await;
    stack.end_tasks().await;
    let db = &stack.app.db;
    entry_at(db, "now()", "user_created").await;
    sign(&stack).await;
    let kept = number(db, "SELECT max(number) FROM audit_checkpoints").await;
    for table in ["audit_log", "audit_chains"] {
        run(db, &format!("CREATE TABLE kept_{table} AS TABLE {table}")).await;
    }
    entry_at(db, "now()", "user_removed").await;
    sign(&stack).await;
    let noted = verify(db, &signers(&stack)).await.last.expect("a checkpoint").hash;
    let expecting = async || {
        let mut trail = Trail::default();
        read_database(db, &mut trail).await.expect("read");
        trail.verify(&signers(&stack), Begins::First, Some(&noted))
    };
    assert_eq!(faults(&expecting().await), []);

    // As it was before, as from an old copy of the database.
    let old = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept_audit_log;
               DELETE FROM audit_chains; INSERT INTO audit_chains SELECT * FROM kept_audit_chains";
    tamper(
        db,
        &format!("{old}; DELETE FROM audit_checkpoints WHERE number > {kept}"),
    )
    .await;

    assert_eq!(
        faults(&verify(db, &signers(&stack)).await),
        [],
        "it is a whole trail, of before"
    );
    assert_eq!(faults(&expecting().await), [(Kind::Checkpoint, None)]);
}

#[tokio::test]
async fn a_trail_that_was_rewritten_raises_an_alarm_once() {
    let stack = Stack::start().await;
    stack.end_tasks().await;
    let db = &stack.app.db;
    let mut signed = None;
    let mut look = async || {
        tamper(db, "UPDATE audit_checkpoints SET at = at - interval '2 minutes'").await;
        sign_checkpoint(&stack.app, &mut signed).await.expect("asked")
    };
    entry_at(db, "now()", "user_created").await;
    assert!(look().await);
    entry_at(db, "now()", "user_removed").await;
    assert!(look().await);
    let alarms = async || number(db, "SELECT count(*) FROM audit_log WHERE action = 'audit_rewritten'").await;
    assert_eq!(alarms().await, 0);

    // As an owner does who puts another checkpoint in the place of the last one.
    tamper(
        db,
        "UPDATE audit_checkpoints SET statement = replace(statement, '\"entries\"', '\"Entries\"')
         WHERE number = (SELECT max(number) FROM audit_checkpoints)",
    )
    .await;
    assert!(!look().await, "nothing is signed at once");
    assert_eq!(alarms().await, 1);
    let told = stack.app.figures.exposed.text();
    assert!(told.contains("vpnmanager_audit_rewritten_total 1"), "{told}");
    assert!(look().await, "what is there is signed a minute later");
    assert_eq!(alarms().await, 1, "told once");
}
