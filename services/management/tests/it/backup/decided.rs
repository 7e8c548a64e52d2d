//! What the fleet knows and the file does not, and what becomes of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use futures_util::StreamExt as _;
use sea_orm::EntityTrait as _;
use vpnmanager_entities::{credential, user};
use vpnmanager_management::{
    domain::{audit_action::AuditAction, restoration::Fate},
    ops::restoration::{
        assess::{Assessment, assess},
        decide::{DecideError, Decided, Keep, decide},
        look::{Found, look},
        mark::{Undecided, undecided},
        review::Review,
    },
};
use vpnmanager_nats::{
    connect::Bus,
    envelope::Envelope,
    holdings::{HeldAccess, HeldUser},
    ids::{CommonName, NodeId, Revision, UserKey},
    node_requests::{NodeAnswer, NodeRequest},
    subjects,
    username::Username,
};
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::wait;

use crate::bus_node::connect_as;
use crate::database::{number, run};
use crate::ops::{audited, only_credential};
use crate::stack::Stack;
use crate::trail::text;

/// No heartbeats come in these tests.
pub(super) const LISTEN: Duration = Duration::from_millis(1);

pub(super) type Held = Arc<Mutex<BTreeMap<UserKey, HeldUser>>>;

/// A node that tells what it holds, until the test ends.
async fn answering(stack: &Stack, id: &str, bus: Bus) -> Held {
    let held = Held::default();
    let holds = Arc::clone(&held);
    let node: NodeId = id.parse().expect("a node");
    let mut requests = bus
        .client
        .subscribe(subjects::node_requests_of(&node))
        .await
        .expect("subscribed");
    bus.client.flush().await.expect("flushed");
    // Not among the tasks of the stack, which have ended.
    Tasks::new().spawn_job(id, async move {
        while let Some(message) = requests.next().await {
            let NodeRequest::Users { after } = Envelope::<NodeRequest>::decode(&message.payload)?.body else {
                anyhow::bail!("it is asked for nothing else")
            };
            let after = after.map(|key| key.0);
            let answer = NodeAnswer::Users {
                users: holds
                    .lock()
                    .expect("unpoisoned")
                    .values()
                    .filter(|held| Some(held.user_key.0) > after)
                    .cloned()
                    .collect(),
                more: false,
                complete: true,
            };
            let reply = message.reply.ok_or_else(|| anyhow::anyhow!("no reply subject"))?;
            bus.client.publish(reply, Envelope::new(answer).encode()).await?;
        }
        Ok(())
    });
    // A node that has just connected hears requests of management a moment later.
    let request = NodeRequest::Users { after: None };
    let subject = subjects::node_request(&node, &request);
    let asked = Envelope::new(request).encode();
    let heard = async || {
        stack
            .app
            .bus
            .client
            .request(subject.clone(), asked.clone())
            .await
            .is_ok()
    };
    wait::until(wait::SOON, "the node to be heard", heard)
        .await
        .expect("in time");
    held
}

/// A database that was restored, a bus that lost its store, and a node that serves on.
pub(super) struct Site {
    pub(super) stack: Stack,
    node: Held,
    users: BTreeMap<String, user::Model>,
}

impl Site {
    /// These users are on the node, as the file says.
    pub(super) async fn start(names: &[&str]) -> Self {
        let (stack, bus) = Self::begin(names).await;
        Self::restored(stack, bus, names).await
    }

    /// The same, and a second node that nobody runs.
    async fn start_beside(names: &[&str], silent: &str) -> Self {
        let (stack, bus) = Self::begin(names).await;
        stack.enrol(silent).await;
        Self::restored(stack, bus, names).await
    }

    /// The same, and a second node, which has none of these users and tells what the test has it tell.
    pub(super) async fn start_beside_another(names: &[&str]) -> (Self, Held) {
        let (stack, bus) = Self::begin(names).await;
        let other = connect_as(&stack, "node-2").await;
        let site = Self::restored(stack, bus, names).await;
        run(&site.stack.app.db, "DELETE FROM placements WHERE server_id = 'node-2'").await;
        let tells = answering(&site.stack, "node-2", other).await;
        (site, tells)
    }

    async fn begin(names: &[&str]) -> (Stack, Bus) {
        let stack = Stack::start().await;
        let bus = connect_as(&stack, "node-1").await;
        for name in names {
            stack.create_user(name).await;
        }
        (stack, bus)
    }

    async fn restored(stack: Stack, bus: Bus, names: &[&str]) -> Self {
        // Nobody publishes, records acks or answers nodes from here on.
        stack.end_tasks().await;
        stack.app.topology.commands().purge().await.expect("purged");
        run(
            &stack.app.db,
            "UPDATE bus_streams SET created_at = created_at - interval '1 day';
             UPDATE placements SET published_revision = wanted_revision, applied_revision = wanted_revision;
             INSERT INTO restorations (made_at, source) VALUES (now() - interval '1 day', 'yesterday.age')",
        )
        .await;
        let found = user::Entity::find().all(&stack.app.db).await.expect("read");
        let site = Self {
            node: answering(&stack, "node-1", bus).await,
            users: found
                .into_iter()
                .map(|user| (user.username.to_string(), user))
                .collect(),
            stack,
        };
        for name in names {
            let held = site.held(name, 1).await;
            site.holds(held);
        }
        site
    }

    /// What the file says of a user, at this revision.
    pub(super) async fn held(&self, name: &str, revision: i64) -> HeldUser {
        let user = &self.users[name];
        HeldUser {
            user_key: user.key,
            username: user.username.clone(),
            revision: Revision(revision),
            access: Some(HeldAccess {
                active: true,
                expires_at: None,
                credentials: vec![only_credential(&self.stack, user.id).await],
                old_certificates: Vec::new(),
                cut: false,
            }),
        }
    }

    pub(super) fn holds(&self, held: HeldUser) {
        self.node.lock().expect("unpoisoned").insert(held.user_key, held);
    }

    pub(super) fn forgets(&self, name: &str) {
        self.node.lock().expect("unpoisoned").remove(&self.users[name].key);
    }

    pub(super) async fn look(&self) -> (Undecided, Found, Assessment) {
        let app = &self.stack.app;
        let undecided = undecided(&app.db).await.expect("read").expect("a mark");
        let found = look(&app.db, &app.bus, &app.topology, LISTEN).await.expect("looked");
        let assessment = assess(&app.db, &found).await.expect("assessed");
        (undecided, found, assessment)
    }

    pub(super) async fn decide(&self, keep: Keep) -> Decided {
        let (undecided, _, assessment) = self.look().await;
        let decided = decide(&self.stack.app.db, "test", &undecided, keep, &assessment.judged).await;
        let decided = decided.expect("decided");
        let again = decide(&self.stack.app.db, "test", &undecided, keep, &assessment.judged).await;
        assert!(matches!(again, Err(DecideError::Decided)), "{again:?}");
        decided
    }

    pub(super) async fn user(&self, name: &str) -> user::Model {
        let found = user::Entity::find_by_id(self.users[name].id)
            .one(&self.stack.app.db)
            .await;
        found.expect("read").expect("the user")
    }

    async fn credentials(&self, name: &str) -> Vec<CommonName> {
        let valid = credential::Entity::find_valid_of([self.users[name].id]);
        let valid = valid.all(&self.stack.app.db).await.expect("read");
        valid.into_iter().map(|credential| credential.common_name).collect()
    }

    /// Since the backup bob was suspended, carol was removed, erin got an end and a new profile in place of hers, and dave was created.
    async fn changed() -> (Self, CommonName) {
        let site = Self::start(&["alice", "bob", "carol", "erin"]).await;
        let mut bob = site.held("bob", 3).await;
        bob.access.as_mut().expect("access").active = false;
        site.holds(bob);
        site.forgets("carol");
        let mut erin = site.held("erin", 5).await;
        let renewed = CommonName::for_user(&erin.username);
        let access = erin.access.as_mut().expect("access");
        access.expires_at = Some(Utc::now() + TimeDelta::days(1));
        access.credentials = vec![renewed];
        site.holds(erin);
        let dave: Username = "dave".parse().expect("a username");
        let of_dave = CommonName::for_user(&dave);
        site.holds(HeldUser {
            user_key: UserKey::new(),
            username: dave,
            revision: Revision(1),
            access: Some(HeldAccess {
                active: true,
                expires_at: None,
                credentials: vec![of_dave.clone()],
                old_certificates: Vec::new(),
                cut: false,
            }),
        });
        (site, of_dave)
    }
}

#[tokio::test]
async fn the_review_names_what_the_fleet_knows_and_the_file_does_not() {
    let (site, of_dave) = Site::changed().await;
    let (undecided, found, assessment) = site.look().await;
    let review = Review::of(&undecided, &found, &assessment);
    let shown = review.to_string();
    let json = serde_json::to_value(&review).expect("JSON");

    assert_eq!(
        (json["users"].as_u64(), &json["bus_is_the_same"]),
        (Some(4), &false.into())
    );
    assert_eq!(json["removed"], serde_json::json!(["carol"]));
    assert_eq!(json["ended"][0]["username"], "bob");
    assert_eq!(json["ended"][1]["username"], "erin");
    assert_eq!(json["unknown_users"][0]["credentials"][0], of_dave.as_str());
    assert_eq!(json["new_profiles"][0]["username"], "erin");
    assert_eq!(json["silent_servers"], serde_json::json!([]));
    for told in ["carol", "bob (suspended)", "dave", "yesterday.age"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(!shown.contains("alice"), "{shown}");
    assert_eq!(number(&site.stack.app.db, "SELECT count(*) FROM users").await, 4);
}

#[tokio::test]
async fn what_ended_since_stays_ended_when_the_fleet_is_kept() {
    let (site, _) = Site::changed().await;
    let old = site.credentials("erin").await;
    run(
        &site.stack.app.db,
        "INSERT INTO join_tokens (hash, created_by, expires_at) VALUES ('x', 'test', now() + interval '1 day')",
    )
    .await;
    let decided = site.decide(Keep::Fleet).await;
    let expected = Decided {
        ended: 2,
        removed: 1,
        reissued: 1,
        closed: 1,
        ..Decided::default()
    };
    assert_eq!(decided, expected);

    let (alice, bob, carol, erin) = (
        site.user("alice").await,
        site.user("bob").await,
        site.user("carol").await,
        site.user("erin").await,
    );
    assert!(
        alice.active && alice.removed_at.is_none() && alice.revision == 1,
        "{alice:?}"
    );
    assert!(!bob.active && bob.revision > 3, "{bob:?}");
    assert!(carol.removed_at.is_some(), "{carol:?}");
    assert!(
        erin.active && erin.expires_at.is_some() && erin.revision > 5,
        "{erin:?}"
    );
    let new = site.credentials("erin").await;
    assert!(new.len() == 1 && new != old, "{new:?}");
    assert!(site.credentials("carol").await.is_empty());

    let db = &site.stack.app.db;
    let told =
        "SELECT string_agg(action || ' ' || COALESCE(username, ''), ', ' ORDER BY action, username) FROM audit_log
                WHERE actor = 'command'";
    assert_eq!(
        text(db, told).await,
        "database_restoration_decided , user_changed erin, user_removed carol, user_suspended bob"
    );
    // The nodes are told at once, of carol that nothing of her shall be there.
    let due = "SELECT string_agg(u.username || ' ' || p.wanted_present, ', ' ORDER BY u.username) FROM placements p JOIN users u ON u.id = p.user_id
               WHERE p.wanted_revision = u.revision AND u.revision > 1 AND p.urgent_since IS NOT NULL";
    assert_eq!(text(db, due).await, "bob true, carol false, erin true");
    assert_eq!(undecided(db).await.expect("read"), None);
}

#[tokio::test]
async fn all_is_as_the_file_says_when_the_file_is_kept() {
    let (site, _) = Site::changed().await;
    let old = site.credentials("erin").await;
    let decided = site.decide(Keep::File).await;
    let expected = Decided {
        raised: 2,
        ..Decided::default()
    };
    assert_eq!(decided, expected);
    for (name, above) in [("bob", 3), ("erin", 5)] {
        let user = site.user(name).await;
        assert!(
            user.active && user.expires_at.is_none() && user.revision > above,
            "{user:?}"
        );
    }
    let carol = site.user("carol").await;
    assert!(carol.removed_at.is_none() && carol.active, "{carol:?}");
    assert_eq!(site.credentials("erin").await, old);
    assert_eq!(audited(&site.stack, AuditAction::UserRevisionRaised).await.len(), 2);
}

#[tokio::test]
async fn whoever_may_be_on_a_silent_server_is_suspended_and_not_removed() {
    let site = Site::start_beside(&["alice"], "node-2").await;
    site.forgets("alice");
    let (undecided, found, assessment) = site.look().await;
    let expected = Fate::Removed {
        revision: None,
        is_certain: false,
    };
    assert_eq!(assessment.judged[0].fate, expected);
    let review = Review::of(&undecided, &found, &assessment).to_string();
    assert!(review.contains("node-2 (it does not answer)"), "{review}");

    let decided = site.decide(Keep::Fleet).await;
    assert_eq!((decided.suspended, decided.removed), (1, 0));
    let alice = site.user("alice").await;
    assert!(!alice.active && alice.removed_at.is_none(), "{alice:?}");
}
