//! The allow-list, compared with the journal.

use std::{collections::BTreeSet, fs, io, path::Path, time::Duration};

use chrono::Utc;
use vpnmanager_nats::ids::CommonName;
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::chain,
};

use crate::{
    config::Config,
    enrolled::Enrolled,
    journal::{JournalError, peek},
    listening::ListenerNumber,
    some_of::some_of,
};

pub(super) const ALLOW_LIST: Check =
    Check::new("allow-list", "Those are let in whom the journal lets in, and no others").after(&["identity"]);

/// The agent may be changing it at this moment.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const MEND: &str = "systemctl restart vpnmanager-endnode";

/// Who is let in and should not be, and the other way round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    unwanted: BTreeSet<CommonName>,
    missing: BTreeSet<CommonName>,
}

/// Compares it, twice where it differs.
pub(super) async fn look((config, enrolled): (&Config, &Enrolled)) -> Seen {
    let first = compare(config, enrolled);
    if first
        .as_ref()
        .is_ok_and(|(difference, _)| *difference == Difference::default())
    {
        return judge(first);
    }
    tokio::time::sleep(LOOK_AGAIN).await;
    judge(compare(config, enrolled))
}

fn compare(config: &Config, enrolled: &Enrolled) -> Result<(Difference, usize), Trouble> {
    let wanted = wanted(enrolled).map_err(|error| {
        let journal = enrolled.dir.journal();
        Trouble::new(
            format!("{} cannot be read", journal.display()),
            chain(&error).to_string(),
            format!("ls -l {}", journal.display()),
        )
    })?;
    let mut difference = Difference::default();
    for (number, one) in config.listening().iter().enumerate() {
        let dir = enrolled.dir.allow_of(ListenerNumber(number).beside(one.listener));
        let listed = names_in(&dir).map_err(|error| {
            let found = format!("the allow-list {} cannot be read: {error}", dir.display());
            Trouble::new(found, "the agent makes it when it starts", MEND)
        })?;
        difference.unwanted.extend(listed.difference(&wanted).cloned());
        difference.missing.extend(wanted.difference(&listed).cloned());
    }
    Ok((difference, wanted.len()))
}

/// Nobody, where management said that this node must not serve.
fn wanted(enrolled: &Enrolled) -> Result<BTreeSet<CommonName>, JournalError> {
    peek(&enrolled.dir.journal(), |records| {
        Ok(match records.snapshot()?.refused {
            Some(_) => BTreeSet::new(),
            None => records.wanted(Utc::now())?,
        })
    })
}

fn names_in(dir: &Path) -> io::Result<BTreeSet<CommonName>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        // What is no name of a credential lets in nobody.
        if let Some(Ok(name)) = entry?.file_name().to_str().map(str::parse) {
            names.insert(name);
        }
    }
    Ok(names)
}

fn judge(compared: Result<(Difference, usize), Trouble>) -> Seen {
    let (difference, count) = match compared {
        Ok(compared) => compared,
        Err(trouble) => return Seen::failed(trouble),
    };
    let Difference { unwanted, missing } = difference;
    if !unwanted.is_empty() {
        return Seen::failed(Trouble::new(
            format!(
                "{} are let in whom the journal does not let in: {}",
                unwanted.len(),
                named(&unwanted)
            ),
            "somebody put them there by hand, or the agent does not run",
            MEND,
        ));
    }
    if !missing.is_empty() {
        let trouble = Trouble::new(
            format!(
                "{} are not let in whom the journal lets in: {}",
                missing.len(),
                named(&missing)
            ),
            "the agent does not run, or it holds back members of groups until the firewall has their rules",
            MEND,
        );
        return Seen::warning(trouble, ());
    }
    Seen::fine(format!("{count} credentials are let in, as the journal says"), ())
}

fn named(names: &BTreeSet<CommonName>) -> String {
    let names: Vec<&str> = names.iter().map(CommonName::as_str).collect();
    some_of(&names)
}
