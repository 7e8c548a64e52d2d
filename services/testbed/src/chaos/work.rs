//! Workers that create, change and remove users through the API. Each has its own usernames.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::api::{self, Api, ApiError};

use super::{
    asking::{ask, brief, judge, judge_failure},
    being::{Being, Living},
    credential::By,
    device::{Device, Devices, devices_shown},
    endings::{Begun, Ended, Endings, Lists},
    group::Group,
    model::{Answer, Person},
    operation::{OldProfiles, Operation},
    own_limits::LimitsChange,
    read_only::ReadOnly,
    timeline::Timeline,
};

/// An operation without an answer within this time counts as open.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_NAMES: usize = 400;

/// One worker.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) number: u8,
    /// The APIs of all managements; each operation uses one of them.
    pub(super) apis: Vec<Api>,
    /// The groups that it puts users into.
    pub(super) groups: Vec<Group>,
    pub(super) rng: Rng,
    pub(super) timeline: Timeline,
    pub(super) lists: Lists,
    pub(super) read_only: ReadOnly,
}

/// What a worker has done.
#[derive(Debug, Default)]
pub(super) struct Worked {
    pub(super) people: Vec<Person>,
    /// The number of operations by kind and result.
    pub(super) counts: BTreeMap<(&'static str, &'static str), usize>,
    pub(super) endings: Endings,
    /// How often access was ended while something else was under way.
    pub(super) rushes: BTreeMap<&'static str, usize>,
    pub(super) violations: Vec<String>,
}

impl Worked {
    /// Adds what others have done.
    pub(super) fn add(&mut self, others: Self) {
        self.people.extend(others.people);
        self.violations.extend(others.violations);
        self.endings.add(others.endings);
        for (kind, times) in others.counts {
            *self.counts.entry(kind).or_default() += times;
        }
        for (kind, times) in others.rushes {
            *self.rushes.entry(kind).or_default() += times;
        }
    }
}

impl Worker {
    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Worked {
        let mut worked = Worked::default();
        while !stop.is_cancelled() {
            let Some(at) = self.choose_person(&mut worked.people) else {
                break;
            };
            let Some(being) = worked.people[at].certain().cloned() else {
                continue;
            };
            let operation = self.choose_operation(&being);
            let management = self.choose_management();
            if let Some(device) = operation.ends_device()
                && !worked.people[at].has_only(device)
            {
                // Only an answer says which names on the allow-lists are those of the device.
                self.operate(&mut worked, at, &Operation::ListDevices, management).await;
                if worked.people[at].certain().is_none() {
                    continue;
                }
            }
            self.operate(&mut worked, at, &operation, management).await;
            let pause = Duration::from_millis(self.rng.u64(10..150));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        worked
    }

    /// Chooses mostly a known user. A user whose state is not certain is not chosen.
    fn choose_person(&mut self, people: &mut Vec<Person>) -> Option<usize> {
        let certain: Vec<usize> = (0..people.len()).filter(|at| people[*at].certain().is_some()).collect();
        let room = people.len() < MOST_NAMES;
        if room && (certain.len() < 3 || self.rng.f32() < 0.2) {
            people.push(Person::new(format!("w{}.{}", self.number, people.len())));
            return Some(people.len() - 1);
        }
        self.rng.choice(certain)
    }

    fn choose_operation(&mut self, being: &Being) -> Operation {
        let Being::Living(living, devices) = being else {
            let short = self.rng.f32() < 0.2;
            let expires_at = short.then(|| self.soon());
            let group = self.rng.choice(&self.groups).copied().unwrap_or(Group::Default);
            return Operation::Create { expires_at, group };
        };
        match self.rng.u8(0..100) {
            0..18 => Operation::ReadProfile {
                device: self.choose_device(devices),
            },
            18..24 => Operation::Limit {
                change: LimitsChange::draw(&mut self.rng, living.limits, living.group.has_rules()),
            },
            24..44 if living.active => Operation::Suspend,
            24..44 => Operation::Resume,
            44..54 if living.expires_at.is_some() => Operation::Expire { at: None },
            44..54 => Operation::Expire { at: Some(self.soon()) },
            54..66 => Operation::Delete,
            66..74 => Operation::Reissue {
                device: self.choose_device(devices),
                old: self.choose_fate(),
            },
            74..82 => {
                let missing: Vec<Device> = Device::ALL
                    .into_iter()
                    .filter(|device| !devices.contains(device))
                    .collect();
                Operation::AddDevice {
                    device: self.mostly(missing),
                }
            }
            82..88 => Operation::RevokeDevice {
                device: self.choose_device(devices),
            },
            88..92 => self.shorten(),
            92..97 => Operation::Move {
                to: living.group.other(),
            },
            97..99 => Operation::ListDevices,
            99.. => Operation::Look,
        }
    }

    /// Mostly a device that the user has.
    fn choose_device(&mut self, devices: &Devices) -> Device {
        self.mostly(devices.iter().copied().collect())
    }

    /// Mostly one of these, and now and then another one: it must be refused.
    fn mostly(&mut self, these: Vec<Device>) -> Device {
        let any = self.rng.choice(Device::ALL).unwrap_or(Device::Default);
        if self.rng.f32() < 0.1 {
            return any;
        }
        self.rng.choice(these).unwrap_or(any)
    }

    fn choose_fate(&mut self) -> OldProfiles {
        if self.rng.f32() < 0.4 {
            OldProfiles::Keep
        } else {
            OldProfiles::Revoke
        }
    }

    /// A time in a few seconds.
    fn soon(&mut self) -> DateTime<Utc> {
        within(&mut self.rng, 1500..9000)
    }

    /// The user's time is over as soon as it can be: a time in the past is refused.
    pub(super) fn shorten(&mut self) -> Operation {
        Operation::Shorten {
            at: within(&mut self.rng, 200..900),
        }
    }

    /// The place of one of the managements.
    pub(super) fn choose_management(&mut self) -> usize {
        self.rng.usize(0..self.apis.len())
    }

    /// Carries out one operation on one person through this management, records what it says and, where it ends access, how long that
    /// takes. Returns whether it was answered that it is done.
    pub(super) async fn operate(
        &mut self,
        worked: &mut Worked,
        at: usize,
        operation: &Operation,
        management: usize,
    ) -> bool {
        let api = self.apis[management].clone();
        let wait = (self.rng.f32() < 0.15).then_some(Duration::from_secs(2));
        let person = &mut worked.people[at];
        let username = person.username.clone();
        let whose = match operation.device() {
            Some(device) => format!("{username}+{}", device.name()),
            None => username.clone(),
        };
        let told = format!("{} {whose} at {}", operation.kind(), api.base());
        self.timeline.note(format!("{told} ..."));
        let frozen = self.read_only.since();
        let begun = operation.ends_access().then(|| {
            let begun = self.lists.begin(&username, management).due(operation.due());
            match operation.ends_device() {
                Some(device) if !person.has_only(device) => begun.only(&person.names_of(device)),
                Some(_) | None => begun,
            }
        });
        let held = begun.as_ref().map(Begun::names).unwrap_or_default();
        let mut watch = pin!(async {
            match begun {
                Some(begun) => self.lists.watch(begun, &told).await,
                None => Ended::default(),
            }
        });
        let mut asking = pin!(tokio::time::timeout(PATIENCE, ask(&api, &username, operation, wait)));
        let mut ended = None;
        let asked = tokio::select! {
            asked = &mut asking => asked,
            so_far = &mut watch => {
                ended = Some(so_far);
                asking.await
            }
        };
        let (answer, in_words) = match &asked {
            Ok(Ok(answered)) => (
                judge(answered),
                format!("{} {}", answered.status, brief(operation, answered)),
            ),
            Ok(Err(error)) => (judge_failure(error), error.to_string()),
            Err(_elapsed) => (Some(Answer::Open), "no answer in time".to_owned()),
        };
        self.timeline.note(format!("{told}: {in_words}"));
        let was_frozen = frozen.is_some() && self.read_only.since() == frozen;
        if was_frozen && operation.writes() && promises_what_it_cannot(&asked) {
            let wrong = format!("{told} was answered {in_words} while the database took no changes");
            worked.violations.push(wrong);
        }
        if answer == Some(Answer::ReadOnly) && !operation.writes() {
            worked
                .violations
                .push(format!("{told} changes nothing and was answered {in_words}"));
        }
        let Some(answer) = answer else {
            *worked.counts.entry((operation.kind(), "refused")).or_default() += 1;
            worked.violations.push(format!("{told} was answered {in_words}"));
            return false;
        };
        // Without an answer it may have been carried out.
        if operation.ends_credentials() && matches!(answer, Answer::Done | Answer::Open) {
            self.lists.end(held);
        }
        let how = match answer {
            Answer::Done => "answered",
            Answer::Unknown | Answer::Taken | Answer::NoDevice | Answer::Refused => "refused",
            Answer::BeyondLimit => "beyond the limit",
            Answer::ReadOnly => "read-only",
            Answer::Open if matches!(&asked, Ok(Ok(answered)) if answered.status == 500) => "failed inside",
            Answer::Open => "open",
            Answer::NotSent => "not sent",
        };
        *worked.counts.entry((operation.kind(), how)).or_default() += 1;
        if let Err(contradiction) = person.note(operation, &answer) {
            worked.violations.push(format!("{contradiction} ({in_words})"));
            return false;
        }
        let Ok(Ok(answered)) = asked else { return false };
        if answer != Answer::Done {
            return false;
        }
        let ended = match ended {
            Some(ended) => ended,
            None => watch.await,
        };
        worked.endings.excused += ended.excused;
        for ending in &ended.judged {
            worked.endings.note_list(ending);
            self.timeline.note(format!(
                "{told}: off the allow-list of node-{} after {} ms",
                ending.node,
                ending.took.as_millis()
            ));
        }
        if let Err(should) = learn(person, operation, &answered) {
            worked.violations.push(format!(
                "{told} was answered {}, and should show {should}",
                answered.text
            ));
        }
        true
    }
}

/// Takes what the answer to an operation that is done tells of the user. The error says what it should show.
fn learn(person: &mut Person, operation: &Operation, answered: &api::Answer) -> Result<(), String> {
    match operation {
        Operation::ReadProfile { device } => {
            person.learn(*device, By::Profile(answered.text.clone()));
            Ok(())
        }
        Operation::AddDevice { device } => match Device::shown(&answered.body) {
            Some((shown, name)) if shown == *device => {
                person.learn(*device, By::Name(name));
                Ok(())
            }
            Some(_) | None => Err(format!("the device {}", device.name())),
        },
        Operation::ListDevices => {
            let items = answered.items();
            match person.certain() {
                Some(Being::Living(_, known)) if devices_shown(items).as_ref() != Some(known) => {
                    return Err(format!("{known:?}"));
                }
                Some(_) | None => {}
            }
            for (device, name) in items.iter().filter_map(Device::shown) {
                person.learn(device, By::Name(name));
            }
            Ok(())
        }
        Operation::Create { .. }
        | Operation::Suspend
        | Operation::Resume
        | Operation::Expire { .. }
        | Operation::Shorten { .. }
        | Operation::Move { .. }
        | Operation::Limit { .. }
        | Operation::Delete
        | Operation::Reissue { .. }
        | Operation::RevokeDevice { .. } => shows(person, &answered.body),
        Operation::Look => {
            shows(person, &answered.body)?;
            match person.certain() {
                Some(Being::Living(known, _)) if !known.limits.comes_first_in(&answered.body["effective_limits"]) => {
                    Err(format!("what holds with {:?}", known.limits))
                }
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// Whether a user is shown as it is known to be.
fn shows(person: &Person, user: &Value) -> Result<(), String> {
    match person.certain() {
        Some(Being::Living(known, _)) if Living::shown(user).as_ref() != Some(known) => Err(format!("{known:?}")),
        Some(_) | None => Ok(()),
    }
}

/// A time in so many milliseconds. It has whole ones, because every part stores these exactly.
fn within(rng: &mut Rng, milliseconds: std::ops::Range<i64>) -> DateTime<Utc> {
    let at = Utc::now() + TimeDelta::milliseconds(rng.i64(milliseconds));
    at.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(at)
}

/// Whether a write was answered as done, or as an inner failure, although the database takes no changes.
fn promises_what_it_cannot<E>(asked: &Result<Result<api::Answer, ApiError>, E>) -> bool {
    matches!(asked, Ok(Ok(answered)) if (200..300).contains(&answered.status) || answered.status == 500)
}
