//! Acks: of own users, of users that nobody knows, of users of others, with revisions from the future, with long notes.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde_json::json;

use crate::attack::{
    flood::{Flood, Offered},
    scene::Scene,
    size::Size,
    thief::messages::{REPORT, ack, fresh, text},
};

/// The largest revision that JSON carries exactly.
const HUGE: i64 = (1 << 53) - 9;
/// So much above the wanted revision that it could be true.
const NEAR: i64 = 5;
/// A text that fits into an ack, which has 16 KiB at most.
const FITTING: usize = 7_000;
/// The most characters of a text that answers of the API show.
const SHOWN: usize = 500;
/// How long the notes may take to come out.
const COMES_OUT: Duration = Duration::from_secs(5);

/// 200,000 of own users, over and over.
pub(in crate::attack) fn own(scene: &Scene, size: Size) -> Flood {
    let applied = json!({ "outcome": "applied" });
    let messages = scene
        .own()
        .map(|person| ack(scene, &person.key, person.revision, applied.clone()));
    Flood::at_once(messages.collect(), size.count(200_000, 5_000))
}

/// 200,000 of users that do not exist.
pub(in crate::attack) fn unknown(scene: &Scene, size: Size) -> Flood {
    let count = size.count(200_000, 5_000);
    let failed = json!({ "outcome": "failed", "error": "no" });
    let messages = (0..count.min(20_000)).map(|_| ack(scene, &fresh(), 1, failed.clone()));
    Flood::at_once(messages.collect(), count)
}

/// That own users hold a revision far in the future, each time another one.
pub(in crate::attack) fn superseded(scene: &Scene, size: Size) -> Flood {
    let count = size.count(2_000, 200);
    let own: Vec<_> = scene.own().collect();
    let messages = (0..count).zip(own.iter().cycle()).map(|(number, person)| {
        let holds = HUGE - i64::try_from(count - number).unwrap_or_default();
        ack(
            scene,
            &person.key,
            person.revision,
            json!({ "outcome": "superseded", "holds": holds }),
        )
    });
    Flood::at_once(messages.collect(), count)
}

/// That users of the honest node, for whom the stolen one is the standby, hold such a revision, or one just above the wanted one, which an
/// honest standby could hold; and that users hold it who are not on the stolen node at all.
pub(in crate::attack) fn superseded_others(scene: &Scene, size: Size) -> Flood {
    let messages = scene.others().flat_map(|person| {
        [HUGE, person.revision + NEAR].map(|holds| {
            let superseded = json!({ "outcome": "superseded", "holds": holds });
            ack(scene, &person.key, person.revision, superseded)
        })
    });
    Flood::at_once(messages.collect(), size.count(400, 100))
}

/// In the name of users who are on the honest node only, and of revisions that nobody wants.
pub(in crate::attack) fn others(scene: &Scene, size: Size) -> Flood {
    let issued = json!({ "outcome": "applied", "issued": {
        "common_name": "a.aaaaaaaaaaaaaaaa", "profile_path": "/x", "profile_checksum": "00".repeat(32) }, "further": [{
        "common_name": "a.bbbbbbbbbbbbbbbb", "profile_checksum": "00".repeat(32) }] });
    let refused = json!({ "outcome": "refused", "error": "no" });
    let people: Vec<_> = scene.others().collect();
    let messages = people.iter().flat_map(|person| {
        [issued.clone(), refused.clone()].into_iter().flat_map(|outcome| {
            [person.revision, person.revision + 1, 0, -1, i64::MAX]
                .map(|revision| ack(scene, &person.key, revision, outcome.clone()))
        })
    });
    Flood::at_once(messages.collect(), size.count(4_000, 800))
}

/// Notes and errors that must not come out of the API: of 48 kB, more than an ack may have, and of 7 kB, which it may.
pub(in crate::attack) fn notes(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let outcomes: Vec<_> = [REPORT, FITTING]
            .map(text)
            .into_iter()
            .flat_map(|long| {
                [
                    json!({ "outcome": "applied", "note": long }),
                    json!({ "outcome": "failed", "error": long }),
                    json!({ "outcome": "refused", "error": long }),
                ]
            })
            .collect();
        let held = scene.people.iter().filter(|person| person.on_stolen);
        let messages: Vec<_> = held
            .zip(outcomes.iter().cycle())
            .map(|(person, outcome)| ack(scene, &person.key, person.revision, outcome.clone()))
            .collect();
        let flood = Flood::at_once(messages, size.count(60, 30)).sized(size);
        let mut offered = flood.send(scene.bus(), &scene.thief).await?;
        let (begun, too_long) = (Instant::now(), text(SHOWN + 1));
        while begun.elapsed() < COMES_OUT {
            let list = scene.stack.api().users("?limit=200").await?;
            if list.text.contains(&too_long) {
                let what = format!("a list of users shows a note of more than {SHOWN} characters");
                offered.wrong.push(what);
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(offered)
    }
    .boxed_local()
}
