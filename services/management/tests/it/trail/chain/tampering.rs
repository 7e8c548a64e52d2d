//! Whatever an owner of the database does to the trail is found.

use vpnmanager_management::domain::audit_chain::Kind::{
    self, Changed, Checkpoint, Inserted, Removed, Reordered, Replaced, Rewritten,
};

use super::{entry_at, faults, number, run, sign, signers, tamper, text, verify};
use crate::stack::Stack;

/// What the verifier says: each fault, and the entry that it is about.
type Found = Vec<(Kind, Option<i64>)>;

/// The hash of a row, as the trigger makes it: everybody can.
const HASH: &str = "sha256(previous_hash || convert_to(json_build_array(
    id, (extract(epoch FROM timestamp) * 1000000)::bigint, action, username, details, ip_address, server_id, actor, request_id, before, after,
    event_id, (extract(epoch FROM reported_at) * 1000000)::bigint)::text, 'UTF8'))";

/// A stack with twelve entries in one chain, and a copy of them. Management has signed after the eighth, and after the last.
struct Scene {
    stack: Stack,
    /// The ids, in the order of the chain.
    ids: Vec<i64>,
}

impl Scene {
    async fn make() -> Self {
        let stack = Stack::start().await;
        stack.end_tasks().await;
        let db = &stack.app.db;
        // What the start recorded, if anything.
        let before = number(db, "SELECT COALESCE(max(id), 0) FROM audit_log").await;
        for entry in 0..12 {
            entry_at(db, "now()", "user_created").await;
            if entry == 7 {
                sign(&stack).await;
            }
        }
        sign(&stack).await;
        let chains = format!("SELECT count(DISTINCT chain) FROM audit_log WHERE id > {before}");
        assert_eq!(number(db, &chains).await, 1, "whoever is alone stays in one chain");
        let ids = format!("SELECT string_agg(id::text, ' ' ORDER BY chain_seq) FROM audit_log WHERE id > {before}");
        let ids = text(db, &ids).await;
        let ids = ids.split(' ').map(|id| id.parse().expect("an id")).collect();
        for table in ["audit_log", "audit_chains", "audit_checkpoints"] {
            run(db, &format!("CREATE TABLE kept_{table} AS TABLE {table}")).await;
        }
        Self { stack, ids }
    }

    /// An entry by its place, from 1 on.
    fn id(&self, place: usize) -> i64 {
        self.ids[place - 1]
    }

    /// Puts `{1}` to `{12}`, the ids, into statements, and `{hash}`.
    fn fill(&self, sql: &str) -> String {
        let filled = (1..=12).fold(sql.to_owned(), |sql, place| {
            sql.replace(&format!("{{{place}}}"), &self.id(place).to_string())
        });
        filled.replace("{hash}", HASH)
    }

    /// Does something, says what is found, and undoes it.
    async fn after(&self, sql: &str) -> Vec<(Kind, Option<i64>)> {
        let db = &self.stack.app.db;
        tamper(db, &self.fill(sql)).await;
        let report = verify(db, &signers(&self.stack)).await;
        for table in ["audit_log", "audit_chains", "audit_checkpoints"] {
            tamper(
                db,
                &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"),
            )
            .await;
        }
        faults(&report)
    }
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_and_the_entry_named() {
    let scene = Scene::make().await;
    let db = &scene.stack.app.db;
    let sound = verify(db, &signers(&scene.stack)).await;
    assert_eq!(faults(&sound), []);
    assert_eq!(sound.unproven, 0);
    let last = sound.last.expect("a checkpoint").number;
    let id = |place: usize| Some(scene.id(place));
    // The next number that an entry gets.
    let new = number(db, "SELECT max(id) + 1000 FROM audit_log").await;
    let insert = format!(
        "INSERT INTO audit_log (id, action, server_id, actor, chain, chain_seq, previous_hash, hash)
         SELECT {new}, 'forged', 'x', 'x', chain, chain_seq, previous_hash, hash FROM audit_log"
    );
    let cases: Vec<(String, Found)> = vec![
        // Changed, in each column that says something.
        ("UPDATE audit_log SET details = 'x' WHERE id = {5}".into(), vec![(Changed, id(5))]),
        ("UPDATE audit_log SET actor = 'key:other' WHERE id = {12}".into(), vec![(Changed, id(12))]),
        ("UPDATE audit_log SET timestamp = timestamp + interval '1 microsecond' WHERE id = {1}".into(), vec![(Changed, id(1))]),
        ("UPDATE audit_log SET after = '{\"a\": [1, 2]}' WHERE id = {5}".into(), vec![(Changed, id(5))]),
        ("UPDATE audit_log SET hash = NULL WHERE id = {12}".into(), vec![(Removed, id(11)), (Changed, id(12))]),
        // With a hash that fits.
        ("UPDATE audit_log SET details = 'x' WHERE id = {5}; UPDATE audit_log SET hash = {hash} WHERE id = {5}".into(), vec![(Replaced, id(5))]),
        // Removed.
        ("DELETE FROM audit_log WHERE id = {5}".into(), vec![(Removed, id(6))]),
        ("DELETE FROM audit_log WHERE id IN ({5}, {6}, {9})".into(), vec![(Removed, id(7)), (Removed, id(10))]),
        ("DELETE FROM audit_log WHERE id = {1}".into(), vec![(Removed, id(2))]),
        ("DELETE FROM audit_log WHERE id = {12}".into(), vec![(Removed, id(11))]),
        (
            "DELETE FROM audit_log WHERE id = {12}; UPDATE audit_chains c SET seq = seq - 1, hash = a.hash FROM audit_log a
             WHERE a.id = {11} AND c.chain = a.chain"
                .into(),
            vec![(Removed, id(11))],
        ),
        (
            "DELETE FROM audit_log WHERE id = {5}; UPDATE audit_log SET chain_seq = chain_seq - 1 WHERE id >= {6}".into(),
            vec![(Replaced, id(4)), (Rewritten, id(9)), (Removed, id(12))],
        ),
        // Inserted.
        (
            "INSERT INTO audit_log (action, server_id, actor) VALUES ('forged', 'x', 'x')".into(),
            vec![(Inserted, Some(new - 1000 + 1))],
        ),
        (format!("{insert} WHERE id = {{5}}"), vec![(Inserted, Some(new))]),
        // At the end of a chain, and as one of its own, where nothing follows them: with hashes that fit.
        (
            format!(
                "{insert} WHERE id = {{12}};
                 UPDATE audit_log SET chain_seq = chain_seq + 1, previous_hash = hash WHERE id = {new};
                 UPDATE audit_log SET hash = {{hash}} WHERE id = {new}"
            ),
            vec![(Inserted, Some(new))],
        ),
        (
            format!(
                "{insert} WHERE id = {{1}};
                 UPDATE audit_log SET chain = 99, chain_seq = 1, previous_hash = decode(repeat('00', 32), 'hex') WHERE id = {new};
                 UPDATE audit_log SET hash = {{hash}} WHERE id = {new}"
            ),
            vec![(Inserted, Some(new))],
        ),
        (
            format!(
                "UPDATE audit_log SET chain_seq = chain_seq + 1 WHERE id >= {{6}};
                 {insert} WHERE id = {{6}};
                 UPDATE audit_log SET chain_seq = chain_seq - 1 WHERE id = {new};
                 UPDATE audit_log SET hash = {{hash}} WHERE id = {new}"
            ),
            vec![(Rewritten, id(7)), (Inserted, Some(new))],
        ),
        // Reordered.
        (
            "UPDATE audit_log a SET chain_seq = b.chain_seq FROM audit_log b
             WHERE (a.id, b.id) IN (({4}, {8}), ({8}, {4}))"
                .into(),
            vec![(Reordered, id(4)), (Rewritten, id(4)), (Reordered, id(8))],
        ),
        (
            "UPDATE audit_log a SET chain_seq = b.chain_seq FROM audit_log b
             WHERE (a.id, b.id) IN (({4}, {5}), ({5}, {4}))"
                .into(),
            vec![(Reordered, id(4)), (Reordered, id(5))],
        ),
        (
            "UPDATE audit_log SET id = CASE id WHEN {4} THEN {8} ELSE {4} END WHERE id IN ({4}, {8})".into(),
            vec![(Changed, id(4)), (Changed, id(8))],
        ),
        // All of it made anew from there on.
        (
            "UPDATE audit_log SET details = 'x' WHERE id = {5};
             DO $$ DECLARE entry RECORD; last BYTEA; BEGIN
                 SELECT previous_hash INTO last FROM audit_log WHERE id = {5};
                 FOR entry IN SELECT id FROM audit_log WHERE id >= {5} ORDER BY chain_seq LOOP
                     UPDATE audit_log SET previous_hash = last WHERE id = entry.id;
                     UPDATE audit_log SET hash = {hash} WHERE id = entry.id RETURNING hash INTO last;
                 END LOOP;
                 UPDATE audit_chains SET hash = last WHERE seq > 0;
             END $$"
                .into(),
            vec![(Rewritten, id(8))],
        ),
        // The checkpoints.
        ("DELETE FROM audit_checkpoints WHERE number = 1".into(), vec![(Checkpoint, None)]),
        (
            format!(
                "UPDATE audit_checkpoints SET statement = replace(statement, '\"number\":{last}', '\"number\":{0}'), number = {0}
                 WHERE number = {last}",
                last + 1
            ),
            vec![(Checkpoint, None), (Checkpoint, None)],
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(scene.after(&sql).await, expected, "{sql}");
    }
    assert_eq!(faults(&verify(db, &signers(&scene.stack)).await), []);
}
