//! How faults are healed.

use std::time::{Duration, Instant};

use chrono::Utc;
use vpnmanager_testbed::{stack::Part, wait};

use super::{Injector, Outage, Remedy, Wrong};
use crate::chaos::{
    clock,
    fault::{Fault, Harm},
    files,
};

/// How long PostgreSQL may take to be told that it takes changes again.
const THAW: Duration = Duration::from_secs(15);

impl Injector {
    /// Heals what is due by now.
    pub(super) async fn heal(&mut self, now: Instant) -> anyhow::Result<()> {
        let (due, lasting) = std::mem::take(&mut self.wrong)
            .into_iter()
            .partition(|wrong| wrong.until <= now);
        self.wrong = lasting;
        for Wrong {
            fault, remedy, began, ..
        } in due
        {
            if let Harm::AtLast(scope) | Harm::AtBothEnds(scope) = fault.harm() {
                self.reach.interrupt(scope);
            }
            match remedy {
                Remedy::Start(part @ (Part::Nats | Part::Postgres)) => self.stack.start_part(part).await?,
                Remedy::Start(part) => drop(self.stack.launch_part(part)?),
                Remedy::GoOn(paused) => paused.go_on(),
                Remedy::Plug(number) => self.stack.node(number)?.namespace()?.restore().await?,
                Remedy::Carry(number) => {
                    let namespace = self.stack.node(number)?.namespace()?;
                    namespace.run("nft delete table inet loss").await?;
                }
                Remedy::Hurry(number) => self.proxy.be_quick(self.stack.node(number)?.namespace()?.address),
                Remedy::MakeRoomForBus => {
                    files::empty_disk(&self.stack.state().bus_store())?;
                    self.stack.stop_part(Part::Nats).await?;
                    self.stack.start_part(Part::Nats).await?;
                }
                Remedy::Thaw => {
                    let url = self.stack.state().database_url();
                    let thawed = async || self.read_only.end(&url).await.map_err(|error| format!("{error:#}"));
                    wait::until_ok(THAW, "PostgreSQL to take changes again", thawed).await?;
                }
                Remedy::MakeRoom(number) => files::empty_disk(&self.stack.node(number)?.dir())?,
                Remedy::TrueTime(number) => {
                    self.stack.kill_part(Part::Node(number)).await?;
                    // An OpenVPN that this agent has started has the shifted time too.
                    if self.stack.process(Part::Openvpn(number)).is_some_and(clock::is_shifted) {
                        self.stack.kill_part(Part::Openvpn(number)).await?;
                    }
                    drop(self.stack.launch_part(Part::Node(number))?);
                    self.reach.set_on_time(number, true);
                }
                Remedy::UsualPort(number) => {
                    self.stack.stop_part(Part::Node(number)).await?;
                    drop(self.stack.launch_part(Part::Node(number))?);
                }
                Remedy::Time => {
                    self.let_go(fault);
                    continue;
                }
            }
            self.let_go(fault);
            if fault == Fault::BusOutage {
                let until = Utc::now();
                self.outages.push(Outage { from: began, until });
            }
            self.timeline.note(format!("healed {fault}"));
        }
        Ok(())
    }
}
