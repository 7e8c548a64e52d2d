//! What a node says is wrong with it, in heartbeats and at its local `/health`.

use vpnmanager_testbed::wait;

use crate::{
    bus::fleet,
    fake_management::{DEADLINE, FakeManagement},
    parts::User,
};

impl FakeManagement {
    /// Waits until the fault of the newest heartbeat is as it should be.
    pub(crate) async fn last_fault(&self, is_it: impl Fn(&Option<String>) -> bool) -> Option<String> {
        let told = async || {
            let newest = self.script().heartbeats.last().cloned();
            newest.map(|beat| beat.fault).filter(&is_it)
        };
        wait::until_some(DEADLINE, "the fault of a heartbeat to change", told)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_degrades_the_node_until_it_can() {
    let (management, agent) = fleet().await;
    management.last_fault(Option::is_none).await;
    let other = rusqlite::Connection::open(agent.dir.join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    management.send(vec![User::new("alice").standby(1)]).await;

    let fault = management.last_fault(Option::is_some).await.unwrap();

    assert!(
        fault.starts_with("the journal /") && fault.contains("database is locked") && fault.contains("`fuser /"),
        "{fault}"
    );
    let says = async |status: &str, detail: &str| {
        let said = async || {
            let health = agent.get("/health").await.unwrap();
            let is_said = health["status"] == status && health["detail"].as_str().unwrap_or_default().contains(detail);
            is_said.then_some(()).ok_or(health)
        };
        wait::until_ok(DEADLINE, status, said).await.unwrap();
    };
    says("degraded", "cannot be written since 20").await;

    other.execute_batch("ROLLBACK").unwrap();
    management.last_fault(Option::is_none).await;
    says("ok", "").await;
}

/// A node that fell silent would count as lost, and its users would move while it serves.
#[tokio::test]
async fn a_journal_that_cannot_be_read_is_said_in_heartbeats_that_go_on() {
    let (management, agent) = fleet().await;
    management.last_fault(Option::is_none).await;
    let other = rusqlite::Connection::open(agent.dir.join("journal.db")).unwrap();
    other.execute_batch("ALTER TABLE users RENAME TO away").unwrap();
    management.send(vec![User::new("alice").standby(1)]).await;

    let fault = management.last_fault(Option::is_some).await.unwrap();
    assert!(
        fault.starts_with("the journal cannot be read (") && fault.contains("restart the agent"),
        "{fault}"
    );

    other.execute_batch("ALTER TABLE away RENAME TO users").unwrap();
    management.last_fault(Option::is_none).await;
}

#[tokio::test]
async fn a_node_says_all_that_is_wrong_at_once() {
    let (management, mut agent) = fleet().await;
    agent.kill().await;
    agent.env = vec![("DISK_RESERVE", "1000000TiB".to_owned())];
    agent.start().await;
    agent.in_sync().await;
    let is_of_disk = |fault: &str| fault.starts_with("the disk of ");
    let alone = |fault: &Option<String>| fault.as_deref().is_some_and(is_of_disk);
    management.last_fault(alone).await;
    let other = rusqlite::Connection::open(agent.dir.join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    management.send(vec![User::new("alice").standby(1)]).await;

    let of_journal = |fault: &Option<String>| {
        let fault = fault.as_deref();
        fault.is_some_and(|fault| fault.starts_with("the journal /"))
    };
    let fault = management.last_fault(of_journal).await.unwrap();

    assert!(fault.contains("database is locked"), "{fault}");
    assert!(fault.split("; ").any(is_of_disk), "{fault}");
    other.execute_batch("ROLLBACK").unwrap();
    management.last_fault(alone).await;
}
