use std::{fs, path::PathBuf};

use tokio::sync::watch;

use super::*;
use crate::{old_server::revoked::OwnRefusals, openvpn::OldOpenVpn};

struct Place {
    root: tempfile::TempDir,
    user: UserKey,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().expect("a folder"),
            user: UserKey::new(),
        };
        fs::create_dir(place.at("ccd")).expect("made");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// An old listener at whose management socket nobody answers.
    fn listener(&self) -> OldListener {
        self.listener_of(OwnRefusals::Nowhere)
    }

    /// The same of an old server that refuses some itself.
    fn listener_of(&self, own: OwnRefusals) -> OldListener {
        let told = Told::default();
        let list = AllowList::open_telling(self.at("allow.old"), told.clone()).expect("a list");
        let listener: Listener = "udp:1194".parse().expect("a listener");
        let old = OldOpenVpn {
            listener,
            socket: self.at("none.sock"),
            run: None,
        };
        let (backend, _task) = OpenVpnBackend::old(list.clone(), old, watch::Sender::default());
        let parts = OldParts {
            listener,
            backend,
            list,
            told,
            clients: OldClients::new(Some(self.at("ccd")), false),
            revoked: RevokedFolder::open(self.at("revoked.old"), own).expect("a folder"),
            check: None,
            left_out: Vec::new(),
        };
        OldListener::new(parts).expect("a listener")
    }

    fn grant(&self, text: &str, revoked: &[&str]) -> OldGrant {
        OldGrant {
            common_name: name(text),
            user_key: self.user,
            revoked: revoked.iter().map(|serial| serial.parse().expect("a number")).collect(),
        }
    }

    fn entry(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at("allow.old").join(name)).ok()
    }

    fn is_revoked(&self, serial: &str) -> bool {
        self.at("revoked.old").join(serial).exists()
    }
}

fn name(text: &str) -> CommonName {
    text.parse().expect("a name")
}

#[tokio::test]
async fn an_entry_says_whose_it_is_and_what_the_old_server_says_to_its_client() {
    let place = Place::new();
    fs::write(place.at("ccd/gz"), "iroute 172.16.0.0 255.255.255.0\n").expect("written");
    let old = place.listener();

    old.allow(vec![place.grant("gz", &["7"]), place.grant("alice", &[])])
        .await
        .expect("let in");

    let owner = format!("# user {}\n", place.user);
    assert_eq!(
        place.entry("gz"),
        Some(format!("{owner}iroute 172.16.0.0 255.255.255.0\n"))
    );
    assert_eq!(place.entry("alice"), Some(owner));
    assert!(place.is_revoked("7"));
    let both = BTreeSet::from(["alice", "gz"].map(name));
    assert_eq!(old.names_of(&[place.user]), both);
    // The next run of the agent knows it from the entries.
    assert_eq!(place.listener().names_of(&[place.user]), both);

    old.deny(&[name("gz")]).await.expect("refused");
    assert_eq!(place.entry("gz"), None);
    assert_eq!(old.names_of(&[place.user]), BTreeSet::from([name("alice")]));
}

#[tokio::test]
async fn who_may_be_connected_with_what_is_revoked_is_to_log_in_again_until_that_is_done() {
    let place = Place::new();
    let old = place.listener();
    let (before, more) = (place.grant("alice", &["7"]), place.grant("alice", &["7", "258"]));
    old.allow(vec![before]).await.expect("let in");
    assert!(old.to_renew().is_empty(), "nobody was connected");

    old.allow(vec![more.clone()]).await.expect("let in");
    old.allow(vec![more]).await.expect("let in");

    assert!(place.is_revoked("258"));
    let cut = old.renew().await.expect("asked");
    assert_eq!(cut.rest, Rest::Pending, "its OpenVPN cannot be asked");
    assert_eq!(*old.to_renew(), BTreeSet::from([name("alice")]), "so it is tried again");
    let certificate = OldCertificate {
        common_name: name("alice"),
        expires_at: None,
        revoked: vec!["9".parse().expect("a number")],
    };
    old.revoke(&certificate).expect("refused");
    assert!(place.is_revoked("9"));
}

#[tokio::test]
async fn nobody_is_let_in_whose_revoked_certificates_cannot_be_refused() {
    let place = Place::new();
    let old = place.listener();
    old.allow(vec![place.grant("alice", &[]), place.grant("bob", &[])])
        .await
        .expect("let in");
    fs::remove_dir(place.at("revoked.old")).expect("removed");
    fs::write(place.at("revoked.old"), "").expect("no folder");

    let outcome = old
        .allow(vec![place.grant("alice", &["7"]), place.grant("carol", &[])])
        .await;

    outcome.expect_err("it cannot be refused");
    assert_eq!(place.entry("alice"), None);
    assert!(
        place.entry("bob").is_some() && place.entry("carol").is_some(),
        "others are"
    );
    let grants = vec![place.grant("alice", &["7"]), place.grant("bob", &["8"])];
    old.mend(&BTreeSet::from([name("alice")]), grants)
        .await
        .expect_err("nor can it now");
    assert_eq!((place.entry("alice"), place.entry("bob")), (None, None));
}

#[tokio::test]
async fn what_others_do_to_its_files_is_found_and_undone() {
    let place = Place::new();
    let old = place.listener();
    let wanted = vec![place.grant("alice", &["7"]), place.grant("bob", &[])];
    old.allow(wanted.clone()).await.expect("let in");
    assert!(old.compare(wanted.clone()).await.expect("looked").is_right());

    fs::remove_file(place.at("allow.old/alice")).expect("removed");
    fs::write(place.at("allow.old/mallory"), "").expect("written");
    fs::write(place.at("revoked.old/258"), "").expect("written");
    fs::remove_file(place.at("revoked.old/7")).expect("removed");
    // The operator says something to bob from now on.
    fs::write(place.at("ccd/bob"), "push \"route 10.1.0.0 255.255.0.0\"\n").expect("written");

    let looked = old.compare(wanted.clone()).await.expect("looked");
    let all = BTreeSet::from(["alice", "bob", "mallory"].map(name));
    assert_eq!((looked.differing.clone(), looked.revoked_differ), (all, true));
    let mended = old.mend(&looked.differing, wanted.clone()).await.expect("mended");

    assert_eq!(mended.removed, [name("mallory")]);
    assert_eq!(
        (mended.added, mended.repaired),
        (vec![name("alice")], vec![name("bob")])
    );
    let of_bob = place.entry("bob").expect("an entry");
    assert!(of_bob.ends_with("\npush \"route 10.1.0.0 255.255.0.0\"\n"), "{of_bob}");
    assert!(place.is_revoked("7") && !place.is_revoked("258"));
    assert!(old.compare(wanted).await.expect("looked").is_right());
}

#[tokio::test]
async fn what_is_revoked_by_the_tools_of_before_is_refused_and_stays_so() {
    let place = Place::new();
    let serials = place.at("serials");
    fs::create_dir(&serials).expect("made");
    let old = place.listener_of(OwnRefusals::Folder(serials.clone()));
    let wanted = vec![place.grant("alice", &["7"])];
    old.allow(wanted.clone()).await.expect("let in");
    fs::write(serials.join("258"), "").expect("revoked");

    let looked = old.compare(wanted.clone()).await.expect("looked");

    assert!(looked.is_right() && place.is_revoked("258"), "{looked:?}");
    // Somebody takes it away, and adds another one.
    fs::remove_file(place.at("revoked.old/258")).expect("removed");
    fs::write(place.at("revoked.old/9"), "").expect("written");
    let looked = old.compare(wanted.clone()).await.expect("looked");
    old.mend(&looked.differing, wanted).await.expect("mended");
    let are_revoked = ["7", "9", "258"].map(|serial| place.is_revoked(serial));
    assert_eq!(are_revoked, [true, false, true]);
}

#[tokio::test]
async fn whom_the_old_server_disables_is_not_let_in_also_from_when_it_does() {
    let place = Place::new();
    let old = place.listener();
    let wanted = vec![place.grant("alice", &[]), place.grant("bob", &[])];
    fs::write(place.at("ccd/alice"), "disable\n").expect("written");
    let (let_in, disabled) = old.without_disabled(wanted.clone());
    assert_eq!(disabled, [name("alice")]);
    old.allow(let_in).await.expect("let in");
    assert_eq!(place.entry("alice"), None);

    fs::write(place.at("ccd/bob"), "disable\n").expect("written");
    let looked = old.compare(wanted.clone()).await.expect("looked");
    assert_eq!(looked.differing, BTreeSet::from([name("bob")]));
    let mended = old.mend(&looked.differing, wanted).await.expect("mended");

    assert_eq!(mended.removed, [name("bob")]);
    assert!(!old.lets_in_anybody());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_fault_of_the_old_listener() {
    let place = Place::new();
    let health = place.listener().health().await;
    let fault = health.fault.expect("a fault");
    assert!(fault.starts_with("the old listener udp:1194: "), "{fault}");
    assert_eq!(health.detail, None);
}
