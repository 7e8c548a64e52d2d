//! Chaos test: a seed decides a mix of operations through the API and a mix of faults that are injected meanwhile. Afterwards it checks
//! that everything the API has answered is true on every node.
//!
//! [`work`] changes users and records the answers in [`model`]; a [`rush`] ends access while much else is under way; a [`commuter`] logs in
//! again and again; a [`steward`] changes the groups, an [`engineer`] the networks of the pools, which both note in [`answered`], and a [`renewer`] has all users
//! of a node get new profiles. [`injector`] injects faults and heals them. [`endings`] measures how long it takes
//! until access has ended, wherever a node [can be reached](reach); [`totals`] compares what management counts. When all faults are healed,
//! [`agreement`] compares PostgreSQL, journals and allow-lists until they agree, with the [addresses](place) that members of groups have,
//! the rules that nodes [hold them to](held), the [networks of nodes](networked) and [what is new](renewed) after a node's reissue. Then
//! [`promises`], [`homes`], [`told`], [`issued`], [`effective`] and [`trail`] compare the result with the model, [`logins`] tries real logins, and
//! [`history`] compares what is recorded of sessions.

mod options;
mod run;

mod answered;
mod asking;
mod being;
mod commuter;
mod credential;
mod device;
mod endings;
mod engineer;
mod group;
mod model;
mod operation;
mod own_limits;
mod renewer;
mod request;
mod rush;
mod steward;
mod timeline;
mod work;

mod bus_proxy;
mod clock;
mod fault;
mod files;
mod injector;
mod limits;
mod pause;
mod reach;
mod read_only;

mod inventory;
mod listed;
mod node_journal;
mod node_view;
mod place;
mod placed;

mod accounts;
mod agreement;
mod effective;
mod held;
mod history;
mod homes;
mod issued;
mod logins;
mod networked;
mod promises;
mod renewed;
mod told;
mod totals;
mod trail;

#[cfg(test)]
mod planted;

mod evidence;
mod report;

use anyhow::bail;
use vpnmanager_testbed::net::has_tunnels;

pub(crate) use options::Chaos;

use crate::{interrupt::unless_interrupted, screen::say};

impl Chaos {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if let Err(reason) = has_tunnels() {
            say(format_args!(
                "No tunnels here ({reason}): no links are cut, no disk is filled and nobody logs in."
            ));
        }
        if clock::library().is_none() {
            say("No libfaketime here (package faketime): no clocks are shifted.");
        }
        unless_interrupted(self.all_seeds()).await?
    }

    async fn all_seeds(&self) -> anyhow::Result<()> {
        let (mut reports, mut broken_off) = (Vec::new(), 0);
        for seed in self.seeds() {
            // If the stack of one seed cannot be built, the other seeds still run.
            match run::run(self, seed).await {
                Ok(report) => {
                    report.tell();
                    reports.push(report);
                }
                Err(error) => {
                    say(format_args!("seed {seed} was broken off: {error:#}"));
                    broken_off += 1;
                }
            }
        }
        if reports.len() > 1 {
            report::tell_all(&reports);
        }
        let violations: usize = reports.iter().map(|report| report.violations.len()).sum();
        if violations + broken_off > 0 {
            bail!("{violations} violations, {broken_off} seeds broken off");
        }
        Ok(())
    }
}
