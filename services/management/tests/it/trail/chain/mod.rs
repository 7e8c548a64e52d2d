//! The trail proves itself.

mod archived;
mod checkpoints;
mod files;
mod tampering;
mod writers;

use std::time::Duration;

use sea_orm::DatabaseConnection;
use vpnmanager_management::{
    domain::audit_chain::{Begins, Kind, Report, Signers, Trail},
    ops::audit_chain::{read_database::read_database, sign_checkpoint::sign_checkpoint},
};
use vpnmanager_testbed::wait;

use super::{entry_at, number, text};
use crate::{database::run, stack::Stack};

/// Runs statements as an owner of the database who has switched off all triggers.
async fn tamper(db: &DatabaseConnection, sql: &str) {
    let sql = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT");
    run(db, &sql).await;
}

/// Signs what there is, although the last checkpoint may be less than a minute old. The stack may be at it, too.
async fn sign(stack: &Stack) {
    let db = &stack.app.db;
    let is_signed = "SELECT count(*) FROM audit_checkpoints WHERE (statement::jsonb ->> 'entries')::bigint = (SELECT sum(seq) FROM audit_chains)";
    let signed = wait::until(Duration::from_secs(10), "a checkpoint of all entries", async || {
        tamper(db, "UPDATE audit_checkpoints SET at = at - interval '2 minutes'").await;
        sign_checkpoint(&stack.app, &mut None).await.expect("asked");
        number(db, is_signed).await > 0
    });
    signed.await.expect("signed");
}

fn signers(stack: &Stack) -> Signers {
    Signers::of_pem(stack.app.pki.ca_pem()).expect("a certificate")
}

/// Verifies all that is in a database.
async fn verify(db: &DatabaseConnection, signers: &Signers) -> Report {
    let mut trail = Trail::default();
    read_database(db, &mut trail).await.expect("read");
    trail.verify(signers, Begins::First, None)
}

/// What is wrong, with the entries concerned.
fn faults(report: &Report) -> Vec<(Kind, Option<i64>)> {
    let findings = report.findings.iter();
    findings.map(|finding| (finding.kind, finding.id)).collect()
}
