//! Attacks on a fleet, with the stolen credential of one node and with none, and what they do to everybody else.
//!
//! [`catalogue`] lists the attacks. [`scene`] is the fleet that is attacked; [`operator`] are its honest callers, who are measured
//! meanwhile; [`wrong`] finds what changed although it is not the attacker's; [`run`] puts them together.

mod options;
mod run;

mod gauge;
mod operator;
mod scene;
mod size;
mod stored;
mod wrong;

mod catalogue;
mod credential;
mod flood;
mod wire;

mod stranger;
mod thief;

mod table;

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, bail};
use vpnmanager_testbed::stack::Part;

pub(crate) use options::AttackFleet;

use self::{
    catalogue::Attack,
    run::Result,
    scene::{Scene, Setting},
    size::Size,
};
use crate::{
    bench::Latencies,
    interrupt::unless_interrupted,
    screen::{self, say},
};

/// Users on each node before an attack, in the full and in the short form.
const RESIDENTS: (u32, u32) = (20, 6);

impl AttackFleet {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.list {
            for attack in self.attacks() {
                say(format_args!("{:<26} {}", attack.name, attack.what));
            }
            return Ok(());
        }
        unless_interrupted(self.all()).await?
    }

    async fn all(&self) -> anyhow::Result<()> {
        let attacks = self.attacks();
        if attacks.is_empty() {
            bail!("no attack has that name: --list shows them");
        }
        let (mut results, mut broken_off) = (Vec::new(), 0);
        let mut stage = Stage::default();
        for (round, attack) in attacks.into_iter().enumerate() {
            let begun = Instant::now();
            match stage.play(attack, self, round).await {
                Ok(result) => {
                    let how = if result.holds() { "holds" } else { "DOES NOT HOLD" };
                    screen::done(attack.name, how, begun.elapsed());
                    results.push(result);
                }
                // If one cannot be played, the others still are.
                Err(error) => {
                    say(format_args!("{} was broken off: {error:#}", attack.name));
                    stage.clear().await;
                    broken_off += 1;
                }
            }
        }
        stage.clear().await;
        say(table::table(&results));
        let file = table::store(&self.out, &results)?;
        say(format_args!("Result: {}", file.display()));
        let fallen = results.iter().filter(|result| !result.holds()).count();
        let wrong: usize = results.iter().map(|result| result.wrong.len()).sum();
        say(format_args!(
            "attack: {} attacks, {fallen} not held, {wrong} wrong states, {broken_off} broken off",
            results.len() + broken_off
        ));
        if fallen + broken_off > 0 {
            bail!("{fallen} attacks are not held, {broken_off} were broken off");
        }
        Ok(())
    }
}

/// The scene that stands, if any. In the short form one attack follows the other on it, as long as they hold.
#[derive(Default)]
struct Stage {
    calm_creates: Latencies,
    scene: Option<(Setting, Arc<Scene>)>,
}

impl Stage {
    async fn play(&mut self, attack: &Attack, options: &AttackFleet, round: usize) -> anyhow::Result<Result> {
        let size = options.size();
        let stands = self
            .scene
            .as_ref()
            .is_some_and(|(setting, _)| *setting == attack.setting);
        if !stands {
            self.clear().await;
            let scene = Scene::build(attack.setting, size, size.pick(RESIDENTS.0, RESIDENTS.1)).await?;
            self.scene = Some((attack.setting, Arc::new(scene)));
        }
        let Some((_, scene)) = &self.scene else {
            bail!("there is no scene");
        };
        let result = run::attack(attack, scene, (size, round), &mut self.calm_creates).await?;
        if !result.holds() {
            keep_logs(scene, &options.out, attack.name)?;
        }
        if size == Size::Full || !result.holds() || attack.setting.spare || !scene.is_fresh().await {
            self.clear().await;
        }
        Ok(result)
    }

    async fn clear(&mut self) {
        if let Some((_, scene)) = self.scene.take() {
            // If closing fails, the server ends the connection.
            let _ = scene.db.clone().close().await;
            if let Some(scene) = Arc::into_inner(scene) {
                scene.stack.down().await;
            }
        }
    }
}

/// Copies the logs of management and nats-server to where the result goes.
fn keep_logs(scene: &Scene, out: &Path, attack: &str) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    for part in [Part::Management, Part::Nats] {
        fs::copy(scene.stack.log(part).path(), out.join(format!("{attack}.{part}.log")))
            .with_context(|| format!("cannot keep the log of {part}"))?;
    }
    Ok(())
}
