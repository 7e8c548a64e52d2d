mod listeners;
mod members;

use std::{
    collections::BTreeSet,
    fs::Permissions,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
};

use super::{folder::sibling, *};
use crate::{
    groups::{Draft, Layout},
    pushed_file::TARGET,
};

const FIRST: ListenerNumber = ListenerNumber::FIRST;

type Open = fn(PathBuf) -> Result<AllowList, AllowListError>;

/// What holds of both forms of entries, and of one listener and two.
const FORMS: [Open; 3] = [AllowList::open, pushing, pushing_at_two];

/// A folder of links: nobody has a fixed address.
fn pushing(dir: PathBuf) -> Result<AllowList, AllowListError> {
    AllowList::open_pushing(vec![dir], Places::new(layout()))
}

/// The same for two listeners.
fn pushing_at_two(dir: PathBuf) -> Result<AllowList, AllowListError> {
    AllowList::open_pushing(two(dir), Places::new(layout()))
}

/// This folder, and that of a second listener.
fn two(dir: PathBuf) -> Vec<PathBuf> {
    let second = sibling(&dir, ".tcp443");
    vec![dir, second]
}

/// What is there while an entry is made.
fn staged(list: &AllowList) -> usize {
    let staged = list.folders().map(|folder| fs::read_dir(&folder.staging));
    staged.map(|found| found.expect("staging").count()).sum()
}

fn layout() -> Layout {
    Layout::new("10.8.0.0/16".parse().expect("a network"), "fd00:8::/64".parse().ok())
}

/// Fixed addresses of these credentials, each with its group.
fn places(of: &[(&str, &str)]) -> Places {
    let places = Places::new(layout());
    sit(&places, of);
    places
}

/// Gives these credentials, and no others, fixed addresses in the order of their names, and says that the firewall holds their rules.
fn sit(places: &Places, of: &[(&str, &str)]) {
    let members = of.iter().map(|(of, group)| (name(of), group.parse().expect("a name")));
    places.load(members.collect(), Vec::new());
    let mut draft = Draft::of(places);
    for (name, group) in places.waiting() {
        draft.place(&name, &group);
    }
    draft.commit();
    places.set_enforced(true);
}

fn name(text: &str) -> CommonName {
    text.parse().expect("a valid common name")
}

fn names(texts: &[&str]) -> BTreeSet<CommonName> {
    texts.iter().map(|text| name(text)).collect()
}

fn made_right(list: &AllowList, wanted: &BTreeSet<CommonName>) -> Reconciled {
    let differing = list.compare(wanted).expect("compare");
    list.mend(&differing, wanted).expect("mend")
}

/// A state folder as the agent makes it: searchable by all, listable by the owner alone.
fn state_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("chmod");
    dir
}

#[test]
fn allow_then_deny_leaves_nothing_behind() {
    for open in FORMS {
        let state = state_dir();
        let list = open(state.path().join("allow")).expect("open");
        assert!(list.allow(&name("alice.x")).expect("allow"));
        assert!(!list.allow(&name("alice.x")).expect("allow again"));
        assert!(list.contains(&name("alice.x")).expect("contains"));
        assert!(list.deny(&name("alice.x")).expect("deny"));
        assert!(!list.deny(&name("alice.x")).expect("deny again"));
        assert_eq!(list.list().expect("list"), AllowListContents::default());
        assert_eq!(staged(&list), 0);
    }
}

#[test]
fn mending_undoes_what_was_edited_by_hand() {
    for open in FORMS {
        let state = state_dir();
        let list = open(state.path().join("allow")).expect("open");
        list.allow_all(&[name("kept.x"), name("altered.x"), name("lost.x")])
            .expect("allow");
        fs::remove_file(list.dir().join("altered.x")).expect("edit");
        fs::write(list.dir().join("altered.x"), "disable\n").expect("edit");
        fs::write(list.dir().join("smuggled.x"), "").expect("edit");
        fs::write(list.dir().join("DEFAULT"), "").expect("edit");
        fs::remove_file(list.dir().join("lost.x")).expect("edit");

        let wanted = names(&["kept.x", "altered.x", "lost.x"]);
        let changes = made_right(&list, &wanted);

        assert_eq!(
            changes,
            Reconciled {
                added: vec![name("lost.x")],
                removed: vec![name("smuggled.x")],
                repaired: vec![name("altered.x")],
            }
        );
        assert_eq!(list.list().expect("list").foreign, ["DEFAULT"], "left alone");
        assert!(made_right(&list, &wanted).is_unchanged());
        assert_eq!(fs::read(list.dir().join("altered.x")).expect("read"), b"");
    }
}

#[test]
fn a_link_that_leads_elsewhere_or_has_content_in_its_place_is_mended() {
    let state = state_dir();
    let list = pushing(state.path().join("allow")).expect("open");
    let wanted = names(&["elsewhere.x", "content.x"]);
    list.allow_all(&[name("elsewhere.x"), name("content.x")])
        .expect("allow");
    for name in &wanted {
        fs::remove_file(list.dir().join(name.as_str())).expect("edit");
    }
    symlink("/etc/passwd", list.dir().join("elsewhere.x")).expect("edit");
    fs::write(list.dir().join("content.x"), "push \"route 10.0.0.0 255.0.0.0\"\n").expect("edit");

    let changes = made_right(&list, &wanted);

    assert_eq!(changes.repaired, [name("content.x"), name("elsewhere.x")]);
    assert!(made_right(&list, &wanted).is_unchanged());
    for name in &wanted {
        assert_eq!(
            fs::read_link(list.dir().join(name.as_str())).expect("a link"),
            Path::new(TARGET)
        );
    }
}

#[test]
fn what_an_earlier_release_or_another_mode_left_lets_in_and_becomes_what_it_should_be_without_a_word() {
    let state = state_dir();
    let wanted = names(&["alice.x", "bob.x"]);
    let files = AllowList::open(state.path().join("allow")).expect("open");
    files.allow_all(&[name("alice.x"), name("bob.x")]).expect("allow");

    let links = pushing(files.dir().to_owned()).expect("open");
    assert!(links.contains(&name("alice.x")).expect("look"));
    assert_eq!(links.compare(&wanted).expect("compare"), wanted);
    assert!(made_right(&links, &wanted).is_unchanged());
    assert_eq!(links.compare(&wanted).expect("compare"), BTreeSet::new());
    assert_eq!(
        fs::read_link(links.dir().join("bob.x")).expect("a link"),
        Path::new(TARGET)
    );

    assert!(files.contains(&name("alice.x")).expect("look"));
    assert!(made_right(&files, &wanted).is_unchanged());
    assert!(files.dir().join("bob.x").symlink_metadata().expect("look").is_file());
}

#[test]
fn what_links_lead_to_is_there_before_them_and_again_after_it_was_lost() {
    let state = state_dir();
    let list = pushing(state.path().join("allow")).expect("open");
    let pushed = list.pushed().expect("links lead somewhere").clone();
    pushed.set("push \"redirect-gateway def1\"\n".to_owned()).expect("set");
    list.allow(&name("alice.x")).expect("allow");
    let said = || fs::read_to_string(list.dir().join("alice.x")).unwrap_or_default();
    assert_eq!(said(), "push \"redirect-gateway def1\"\n");

    fs::remove_file(pushed.path()).expect("lost");
    list.allow_all(&[name("bob.x")]).expect("allow");
    assert_eq!(said(), "push \"redirect-gateway def1\"\n");

    fs::remove_file(pushed.path()).expect("lost");
    assert!(made_right(&list, &names(&["alice.x", "bob.x"])).is_unchanged());
    assert_eq!(said(), "push \"redirect-gateway def1\"\n");
}

#[test]
fn a_lost_folder_is_an_error_until_it_is_compared() {
    for open in FORMS {
        let state = state_dir();
        let list = open(state.path().join("allow")).expect("open");
        list.allow(&name("alice.x")).expect("allow");
        for dir in list.dirs() {
            fs::remove_dir_all(dir).expect("remove");
        }
        assert!(matches!(
            list.contains(&name("alice.x")),
            Err(AllowListError::List { .. })
        ));
        assert!(list.welcome(FIRST, &name("alice.x"), "", "").is_err());
        assert_eq!(made_right(&list, &names(&["alice.x"])).added, [name("alice.x")]);
    }
}

#[test]
fn what_a_crash_left_in_staging_is_dropped_at_open() {
    let state = state_dir();
    let list = AllowList::open(state.path().join("allow")).expect("open");
    fs::write(list.first.staging.join("alice.x.0"), "").expect("a torn write");
    let list = AllowList::open(list.dir()).expect("open again");
    assert_eq!(staged(&list), 0);
    assert_eq!(list.list().expect("list").names, BTreeSet::new());
}

#[test]
fn openvpns_account_can_read_the_folder_below_a_closed_state_folder() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another account");
        return;
    }
    for open in FORMS {
        is_readable_by_nobody(open);
    }
}

fn is_readable_by_nobody(open: Open) {
    let state = state_dir();
    let list = open(state.path().join("allow")).expect("open");
    list.allow(&name("alice.x")).expect("allow");
    let nobody = Account::look_up("nobody", "nogroup").expect("the account nobody");
    let as_nobody = |program: &str, path: &Path| {
        std::process::Command::new(program)
            .arg(path)
            .uid(nobody.uid())
            .gid(nobody.gid())
            .output()
            .expect(program)
            .status
    };

    list.check_reachable(&nobody).expect("reachable");
    assert!(as_nobody("cat", &list.dir().join("alice.x")).success());
    assert!(
        !as_nobody("ls", state.path()).success(),
        "the state folder itself stays unlisted"
    );

    fs::set_permissions(state.path(), Permissions::from_mode(0o700)).expect("chmod");
    let refused = list.check_reachable(&nobody).expect_err("closed folder");
    assert!(
        refused.to_string().contains(&state.path().display().to_string()),
        "{refused}"
    );
    assert!(!as_nobody("cat", &list.dir().join("alice.x")).success());

    fs::set_permissions(state.path(), Permissions::from_mode(0o711)).expect("chmod");
    let last = list.dirs().last().expect("a folder");
    assert!(as_nobody("cat", &last.join("alice.x")).success());
    fs::set_permissions(last, Permissions::from_mode(0o700)).expect("chmod");
    assert!(matches!(
        list.check_reachable(&nobody),
        Err(AllowListError::Unreachable { .. })
    ));
}

#[test]
fn whose_file_cannot_be_removed_is_not_contained() {
    for open in FORMS {
        is_stuck(open);
    }
}

fn is_stuck(open: Open) {
    let state = state_dir();
    let list = open(state.path().join("allow")).expect("open");
    let (stuck, other) = (name("alice.x"), name("bob.x"));
    list.allow(&other).expect("allow");
    // A folder cannot be removed as a file is.
    fs::create_dir(list.dir().join(stuck.as_str())).expect("a folder");
    assert!(list.contains(&stuck).expect("look"));

    let refused = list.mend(&names(&["alice.x", "bob.x"]), &BTreeSet::new());

    assert!(matches!(refused, Err(AllowListError::Deny { .. })), "{refused:?}");
    assert!(!list.contains(&stuck).expect("look"));
    assert!(!list.dir().join(other.as_str()).exists(), "the others are refused");
    fs::remove_dir(list.dir().join(stuck.as_str())).expect("removed");
    assert!(!list.deny(&stuck).expect("deny"), "it is gone");
    assert!(list.allow(&stuck).expect("allow"));
    assert!(list.contains(&stuck).expect("look"));
}

#[test]
fn one_entry_that_cannot_be_made_or_removed_keeps_no_other_from_it() {
    for open in FORMS {
        let state = state_dir();
        let list = open(state.path().join("allow")).expect("open");
        let is_in = |of: &str| list.welcome(FIRST, &name(of), "", "").expect("look") == Welcome::Here;
        // Neither can an entry take the place of a folder, nor is a folder removed as a file is.
        for of in ["bob.x", "mallory.x"] {
            fs::create_dir(list.dir().join(of)).expect("a folder");
        }

        let let_in = list.allow_all(&[name("alice.x"), name("bob.x"), name("carol.x")]);

        assert!(matches!(let_in, Err(AllowListError::Allow { .. })), "{let_in:?}");
        assert!(is_in("alice.x") && is_in("carol.x") && !is_in("bob.x"));
        fs::remove_file(list.dir().join("carol.x")).expect("edit");
        let all = names(&["alice.x", "bob.x", "carol.x", "mallory.x"]);
        let mended = list.mend(&all, &names(&["alice.x", "bob.x", "carol.x"]));
        assert!(matches!(mended, Err(AllowListError::Deny { .. })), "{mended:?}");
        assert!(is_in("alice.x") && is_in("carol.x") && !is_in("mallory.x"));
        assert_eq!(staged(&list), 0);
    }
}

#[test]
fn an_entry_that_lets_in_with_more_goes_if_the_right_one_cannot_be_made() {
    let state = state_dir();
    let places = places(&[("eve.x", "engineering")]);
    let list = AllowList::open_pushing(vec![state.path().join("allow")], places).expect("open");
    let entry = |of: &str| list.dir().join(of);
    // She was in the group default before, and another mode of the agent has let alice in.
    symlink(TARGET, entry("eve.x")).expect("a link");
    fs::write(entry("alice.x"), "").expect("a file");
    fs::set_permissions(entry("alice.x"), Permissions::from_mode(0o644)).expect("chmod");
    fs::remove_dir(&list.first.staging).expect("removed");
    fs::write(&list.first.staging, "no entry can be made").expect("a file");

    let let_in = list.allow_all(&[name("alice.x"), name("eve.x")]);

    assert!(matches!(let_in, Err(AllowListError::Allow { .. })), "{let_in:?}");
    assert!(list.contains(&name("alice.x")).expect("look"));
    let welcome = list.welcome(FIRST, &name("eve.x"), "10.8.0.2", "").expect("look");
    assert_eq!(welcome, Welcome::HeldBack);
    fs::remove_file(&list.first.staging).expect("removed");
    let wanted = names(&["alice.x", "eve.x"]);
    assert!(made_right(&list, &wanted).is_unchanged(), "nobody had edited it");
    assert!(entry("alice.x").is_symlink() && !entry("eve.x").is_symlink());
    assert_eq!(list.compare(&wanted).expect("compare"), BTreeSet::new());
}
