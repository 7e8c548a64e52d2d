//! What entries say that are told so, each by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::ids::CommonName;

/// What the entry of each credential says. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<HashMap<CommonName, String>>>);

impl Told {
    /// The entry of this credential says this once it is let in or mended, and is never empty.
    pub fn set(&self, name: CommonName, text: String) {
        self.texts().insert(name, text);
    }

    /// Nothing is told of this credential any more.
    pub fn forget(&self, name: &CommonName) {
        self.texts().remove(name);
    }

    /// What was told of this credential.
    pub(super) fn of(&self, name: &CommonName) -> Option<String> {
        self.texts().get(name).cloned()
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<CommonName, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::allow_list::AllowList;

    fn name(text: &str) -> CommonName {
        text.parse().expect("a name")
    }

    #[test]
    fn an_entry_says_what_was_told_and_nobody_is_let_in_of_whom_nothing_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (dir, told) = (folder.path().join("allow.old"), Told::default());
        let list = AllowList::open_telling(&dir, told.clone()).expect("a list");
        let (alice, bob) = (name("alice"), name("bob"));
        told.set(alice.clone(), "# hers\niroute 10.1.0.0 255.255.0.0\n".to_owned());

        assert!(list.allow(&alice).expect("let in"));
        list.allow(&bob).expect_err("nothing was told");

        let says = |name: &CommonName| fs::read_to_string(dir.join(name.as_str())).ok();
        assert_eq!(says(&alice).as_deref(), Some("# hers\niroute 10.1.0.0 255.255.0.0\n"));
        assert_eq!(says(&bob), None);
        assert!(!list.contains(&bob).expect("looked"));

        told.set(alice.clone(), "# another\n".to_owned());
        let wanted = BTreeSet::from([alice.clone()]);
        let differing = list.compare(&wanted).expect("compared");
        assert_eq!(differing, wanted);
        let mended = list.mend(&differing, &wanted).expect("mended");
        assert_eq!(
            (mended.repaired, says(&alice).as_deref()),
            (vec![alice.clone()], Some("# another\n"))
        );

        assert!(list.deny(&alice).expect("refused"));
        assert_eq!(says(&alice), None);
    }
}
