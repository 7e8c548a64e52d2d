//! A node's parts without a process: journal, applier, and a VPN server in memory.

use chrono::{DateTime, Utc};
use vpnmanager_endnode::{
    apply::Applier, backend::FakeBackend, journal::Journal, node::Node, state_dir::StateDir, vpn::Vpn,
};
use vpnmanager_nats::{
    commands::{Command, Issue, Protocol, PutUser, Remote, RemoveUser, Role},
    ids::{CommonName, NodeId, Revision, UserKey},
    username::Username,
};
use vpnmanager_runtime::tasks::Tasks;

pub(crate) struct Parts {
    pub(crate) tasks: Tasks,
    pub(crate) node: Node,
    pub(crate) dir: StateDir,
    pub(crate) journal: Journal,
    pub(crate) vpn: FakeBackend,
    pub(crate) applier: Applier,
    _folder: tempfile::TempDir,
}

impl Parts {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path().join("state"));
        dir.prepare().unwrap();
        let tasks = Tasks::new();
        let journal = Journal::open(&dir.journal(), &tasks).unwrap();
        let node = Node::new(node_id());
        let vpn = FakeBackend::default();
        let applier = Applier::new(node.clone(), journal.clone(), Vpn::Fake(vpn.clone()), dir.profiles());
        Self {
            tasks,
            node,
            dir,
            journal,
            vpn,
            applier,
            _folder: folder,
        }
    }

    pub(crate) async fn apply(&self, command: Command) -> vpnmanager_endnode::apply::Handled {
        self.applier.apply(vec![command], 0).await.unwrap().remove(0)
    }
}

pub(crate) fn node_id() -> NodeId {
    "n1".parse().unwrap()
}

/// A user for commands.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) node: NodeId,
    pub(crate) key: UserKey,
    pub(crate) username: Username,
    pub(crate) credential: CommonName,
}

impl User {
    pub(crate) fn new(username: &str) -> Self {
        let username: Username = username.parse().unwrap();
        Self {
            node: node_id(),
            key: UserKey::new(),
            credential: CommonName::for_user(&username),
            username,
        }
    }

    /// For one more device.
    pub(crate) fn another_credential(&self) -> CommonName {
        CommonName::for_user(&self.username)
    }

    pub(crate) fn put(&self, revision: i64) -> PutUser {
        PutUser {
            credentials: vec![self.credential.clone()],
            ..PutUser::new(self.node.clone(), self.key, self.username.clone(), Revision(revision))
        }
    }

    /// Let in, as a standby.
    pub(crate) fn standby(&self, revision: i64) -> Command {
        Command::PutUser(self.put(revision))
    }

    /// Let in, with a profile to make.
    pub(crate) fn home(&self, revision: i64) -> Command {
        self.home_for(revision, &[])
    }

    /// The same for further devices of the user too.
    pub(crate) fn home_for(&self, revision: i64, further: &[CommonName]) -> Command {
        let remote = Remote {
            host: "198.18.0.11".parse().unwrap(),
            port: 1194,
            protocol: Protocol::Udp,
        };
        let issue = Issue {
            common_name: self.credential.clone(),
            further: further.to_vec(),
            remotes: vec![remote],
        };
        let credentials = issue.common_names().cloned().collect();
        Command::PutUser(PutUser {
            role: Role::Home,
            credentials,
            issue: Some(issue),
            ..self.put(revision)
        })
    }

    pub(crate) fn suspended(&self, revision: i64) -> Command {
        Command::PutUser(PutUser {
            active: false,
            ..self.put(revision)
        })
    }

    pub(crate) fn expiring(&self, revision: i64, at: DateTime<Utc>) -> Command {
        Command::PutUser(PutUser {
            expires_at: Some(at),
            ..self.put(revision)
        })
    }

    pub(crate) fn removed(&self, revision: i64) -> Command {
        Command::RemoveUser(RemoveUser {
            node: self.node.clone(),
            user_key: self.key,
            username: self.username.clone(),
            revision: Revision(revision),
        })
    }
}
