//! How each fault is injected, and what heals it.

use std::time::{Duration, Instant};

use chrono::Utc;
use vpnmanager_testbed::stack::{NodeMode, Part};

use super::{Injector, OTHER_PORT, Remedy, Wrong};
use crate::chaos::{
    clock, commuter,
    fault::{Fault, Harm},
    files,
    pause::Paused,
};

const DELAY: Duration = Duration::from_millis(200);
const HOUR: i32 = 3600;
/// An agent starts a dead OpenVPN again within this time.
const REVIVE: Duration = Duration::from_secs(8);

impl Injector {
    pub(super) async fn inject(&mut self, fault: Fault) -> anyhow::Result<()> {
        let mut until = Instant::now() + fault.lasts(&mut self.rng);
        let mut detail = String::new();
        let began = Utc::now();
        match fault.harm() {
            Harm::None | Harm::AtLast(_) => {}
            Harm::AtFirst(scope) | Harm::AtBothEnds(scope) => self.reach.interrupt(scope),
            Harm::Throughout(scope) => self.reach.hold(scope),
        }
        let remedy = match fault {
            Fault::Kill(part) => {
                self.stack.kill_part(part).await?;
                if matches!(part, Part::Openvpn(number) if self.stack.state().mode(number) == NodeMode::Managed) {
                    until = Instant::now() + REVIVE;
                    Remedy::Time
                } else {
                    Remedy::Start(part)
                }
            }
            Fault::Pause(part) => match self.stack.process(part) {
                Some(process) => Remedy::GoOn(Paused::pause(process)),
                None => {
                    self.let_go(fault);
                    return Ok(());
                }
            },
            Fault::WipeBus => {
                self.stack.kill_part(Part::Nats).await?;
                files::empty_folder(&self.stack.state().bus_store())?;
                self.losses.note_bus();
                Remedy::Start(Part::Nats)
            }
            Fault::BusOutage => {
                self.stack.stop_part(Part::Nats).await?;
                Remedy::Start(Part::Nats)
            }
            Fault::FillBusDisk => {
                detail = files::fill_disk(&self.stack.state().bus_store())?;
                Remedy::MakeRoomForBus
            }
            Fault::ReadOnly => {
                let url = self.stack.state().database_url();
                if let Err(error) = self.read_only.begin(&url).await {
                    // It may have heard of it all the same: it is told the contrary when the fault ends.
                    detail = format!("PostgreSQL did not hear of it in time: {error:#}");
                }
                Remedy::Thaw
            }
            Fault::DeleteJournal(number) => {
                self.stack.kill_part(Part::Node(number)).await?;
                detail = files::delete_journal(&self.stack.node(number)?.dir())?;
                self.note_lost_journal(number);
                Remedy::Start(Part::Node(number))
            }
            Fault::TruncateJournal(number) => {
                self.stack.kill_part(Part::Node(number)).await?;
                detail = files::truncate_journal(&self.stack.node(number)?.dir(), &mut self.rng)?;
                self.note_lost_journal(number);
                Remedy::Start(Part::Node(number))
            }
            Fault::AddAllowed(number) => {
                detail = files::add_allowed(&self.stack.node(number)?.allow_dir(), &mut self.rng)?;
                Remedy::Time
            }
            Fault::RemoveAllowed(number) => {
                detail = files::remove_allowed(&self.stack.node(number)?.allow_dir(), commuter::NAME, &mut self.rng)?;
                Remedy::Time
            }
            Fault::CutLink(number) => {
                self.stack.node(number)?.namespace()?.cut().await?;
                Remedy::Plug(number)
            }
            Fault::LosePackets(number) => {
                let namespace = self.stack.node(number)?.namespace()?;
                namespace.run("nft add table inet loss").await?;
                for hook in ["input", "output"] {
                    let chain = format!("nft add chain inet loss {hook} {{ type filter hook {hook} priority 0 ; }}");
                    namespace.run(&chain).await?;
                    let rule =
                        format!("nft add rule inet loss {hook} meta oifname != lo numgen random mod 100 < 20 drop");
                    let rule = if hook == "input" {
                        rule.replace("oifname", "iifname")
                    } else {
                        rule
                    };
                    namespace.run(&rule).await?;
                }
                Remedy::Carry(number)
            }
            Fault::Delay(number) => {
                let node = self.stack.node(number)?.namespace()?.address;
                self.proxy.delay(node, DELAY);
                Remedy::Hurry(number)
            }
            Fault::FillDisk(number) => {
                detail = files::fill_disk(&self.stack.node(number)?.dir())?;
                Remedy::MakeRoom(number)
            }
            Fault::MoveBus => {
                let port = self.proxy.move_away().await?;
                detail = format!("to port {port}");
                self.stack.tell_nodes_bus_port(port)?;
                for part in self.managements() {
                    // One that was killed hears of it when it is started again.
                    if self.stack.process(part).is_some() {
                        self.stack.kill_part(part).await?;
                        drop(self.stack.launch_part(part)?);
                    }
                }
                Remedy::Time
            }
            Fault::ChangePort(number) => {
                self.stack.stop_part(Part::Node(number)).await?;
                self.stack
                    .launch_part_with(Part::Node(number), &[("PUBLIC_PORT", OTHER_PORT)])?;
                Remedy::UsualPort(number)
            }
            Fault::ShiftClock(number) => {
                let Some(library) = clock::library() else {
                    self.let_go(fault);
                    return Ok(());
                };
                let seconds = if self.rng.bool() { HOUR } else { -HOUR };
                detail = format!("by {seconds} s");
                self.reach.set_on_time(number, false);
                self.stack.kill_part(Part::Node(number)).await?;
                let env = clock::environment(&library, seconds);
                let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.stack.launch_part_with(Part::Node(number), &env)?;
                Remedy::TrueTime(number)
            }
        };
        // Whoever answered before the part was stopped is not reached.
        if let Harm::AtFirst(scope) | Harm::AtBothEnds(scope) = fault.harm() {
            self.reach.interrupt(scope);
        }
        let lasts = until.saturating_duration_since(Instant::now()).as_secs_f64();
        self.timeline.note(format!("FAULT {fault} for {lasts:.1} s {detail}"));
        *self.faults.entry(fault.kind()).or_default() += 1;
        self.wrong.push(Wrong {
            fault,
            until,
            remedy,
            began,
        });
        Ok(())
    }

    fn note_lost_journal(&mut self, number: u8) {
        let node = format!("node-{number}");
        self.losses.note_node(&node);
        self.lost_keys.insert(node);
    }
}
