//! Limits that a user of a run has of its own, and what holds for it.
//!
//! Only the limit of devices refuses something. There are fewer devices than the least limit of sessions, and no client of a run transfers as
//! much as the least quota: these end nobody's access. A speed is for users whose nodes run OpenVPN, as groups with rules are, and is far beyond
//! what clients of a run transfer. There are few, because users with the same one share a group for nodes, of which a fleet has not many.

use fastrand::Rng;
use serde_json::{Value, json};

/// A run has four devices, so that these limits are reached.
const DEVICES: std::ops::RangeInclusive<u8> = 1..=3;
const SESSIONS: std::ops::RangeInclusive<u8> = 4..=16;
/// Bytes, in gigabytes.
const GIGABYTES: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;
const GIGABYTE: u64 = 1_000_000_000;
/// Kilobits in a second.
const SPEEDS: [u32; 3] = [50_000, 100_000, 200_000];

/// The own values of a user; `None`: what its group says holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnLimits {
    pub(super) devices: Option<u8>,
    pub(super) sessions: Option<u8>,
    pub(super) traffic: Option<Quota>,
    /// Kilobits in a second from the node.
    pub(super) down: Option<u32>,
}

/// So many bytes in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) bytes: u64,
    pub(super) period: Period,
}

/// How long a quota is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    Week,
    /// From its first day on.
    Month,
    Endless,
}

/// One change of own values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitsChange {
    Devices(Option<u8>),
    Sessions(Option<u8>),
    Traffic(Option<Quota>),
    Down(Option<u32>),
    /// All are taken away.
    TakeAll,
}

/// What a group says of the same. No group of a run has a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OfGroup {
    pub(super) devices: Option<i16>,
    pub(super) sessions: Option<i16>,
}

impl Period {
    const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Endless];

    /// As the API and the audit trail write it.
    fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Endless => "none",
        }
    }

    /// The period of this word.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.word() == word)
    }
}

impl Quota {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            bytes: rng.u64(GIGABYTES) * GIGABYTE,
            period: rng.choice(Period::ALL).unwrap_or(Period::Month),
        }
    }

    fn body(self) -> Value {
        json!({ "bytes": self.bytes, "period": self.period.word() })
    }

    /// As the API shows it: a month says on which day it begins.
    fn view(self) -> Value {
        let mut view = self.body();
        match self.period {
            Period::Month => view["reset_day"] = json!(1),
            Period::Day | Period::Week | Period::Endless => {}
        }
        view
    }

    /// Reads a quota of the API or of the audit trail. `None` if no run gives such a one.
    fn shown(quota: &Value) -> Option<Self> {
        let has_usual_day = quota["reset_day"].is_null() || quota["reset_day"] == 1;
        let shown = Self {
            bytes: quota["bytes"].as_u64()?,
            period: Period::named(quota["period"].as_str()?)?,
        };
        has_usual_day.then_some(shown)
    }
}

impl OwnLimits {
    /// Reads own values as the API shows them, or as the audit trail does. `None` if no run gives such ones.
    pub(super) fn shown(limits: &Value) -> Option<Self> {
        let fields = limits.as_object()?;
        let count = |name: &str| match fields.get(name) {
            Some(count) => Some(Some(u8::try_from(count.as_u64()?).ok()?)),
            None => Some(None),
        };
        if ["session_excess", "reach", "routes"]
            .into_iter()
            .any(|name| fields.contains_key(name))
        {
            return None;
        }
        Some(Self {
            devices: count("devices")?,
            sessions: count("sessions")?,
            traffic: match fields.get("traffic") {
                Some(quota) => Some(Quota::shown(quota)?),
                None => None,
            },
            down: match fields.get("speed") {
                Some(speed) => Some(u32::try_from(speed["down"].as_u64()?).ok()?),
                None => None,
            },
        })
    }

    /// Whether a user who holds so many devices gets no further one.
    pub(super) fn is_reached(self, held: usize) -> bool {
        self.devices.is_some_and(|allowed| held >= usize::from(allowed))
    }

    /// Whether what is shown as what holds is that of the user where it has own values, and nobody's or the group's elsewhere.
    pub(super) fn comes_first_in(self, effective: &Value) -> bool {
        let comes_first = |own: Option<Value>, holds: &Value| match own {
            Some(own) => *holds == held(&own, "own"),
            None => holds.is_null() || holds["from"] == "group",
        };
        let mut own = self.own().into_iter();
        own.all(|(name, own)| comes_first(own, &effective[name]))
            && comes_first(self.down.map(Value::from), &effective["speed"]["down"])
    }

    /// What should hold for a member of a group, by the names of the API; what is null must be absent.
    pub(super) fn within(self, group: OfGroup) -> Vec<(&'static str, Value)> {
        let OfGroup { devices, sessions } = group;
        let of_group = [devices, sessions, None];
        let both = self.own().into_iter().zip(of_group);
        let within = both.map(|((name, own), of_group)| match (own, of_group) {
            (Some(own), _) => (name, held(&own, "own")),
            (None, Some(count)) => (name, held(&json!(count), "group")),
            (None, None) => (name, Value::Null),
        });
        within.collect()
    }

    fn own(self) -> [(&'static str, Option<Value>); 3] {
        [
            ("devices", self.devices.map(Value::from)),
            ("sessions", self.sessions.map(Value::from)),
            ("traffic", self.traffic.map(Quota::view)),
        ]
    }
}

fn held(value: &Value, from: &str) -> Value {
    json!({ "value": value, "from": from })
}

impl LimitsChange {
    /// A change that changes something. Without a speed where nodes hold nobody to one.
    pub(super) fn draw(rng: &mut Rng, held: OwnLimits, may_have_speed: bool) -> Self {
        match rng.u8(0..10) {
            0..2 if held != OwnLimits::default() => Self::TakeAll,
            2..4 => {
                let sessions = rng.u8(SESSIONS);
                Self::Sessions(other(rng, held.sessions, sessions))
            }
            4..6 => {
                let quota = Quota::draw(rng);
                Self::Traffic(other(rng, held.traffic, quota))
            }
            6..8 if may_have_speed => {
                let down = rng.choice(SPEEDS).unwrap_or(SPEEDS[0]);
                Self::Down(other(rng, held.down, down))
            }
            0..2 | 6.. => {
                let devices = rng.u8(DEVICES);
                Self::Devices(other(rng, held.devices, devices))
            }
        }
    }

    /// The body of the request, below `limits`.
    pub(super) fn body(self) -> Value {
        match self {
            Self::Devices(devices) => json!({ "devices": devices }),
            Self::Sessions(sessions) => json!({ "sessions": sessions }),
            Self::Traffic(traffic) => json!({ "traffic": traffic.map(Quota::body) }),
            Self::Down(down) => json!({ "speed": down.map(|down| json!({ "down": down })) }),
            Self::TakeAll => Value::Null,
        }
    }

    /// The own values after it.
    pub(super) fn effect(self, on: OwnLimits) -> OwnLimits {
        match self {
            Self::Devices(devices) => OwnLimits { devices, ..on },
            Self::Sessions(sessions) => OwnLimits { sessions, ..on },
            Self::Traffic(traffic) => OwnLimits { traffic, ..on },
            Self::Down(down) => OwnLimits { down, ..on },
            Self::TakeAll => OwnLimits::default(),
        }
    }
}

/// The drawn value, or none where there is one: in any case something else than is held.
fn other<T: PartialEq>(rng: &mut Rng, held: Option<T>, drawn: T) -> Option<T> {
    let is_kept = rng.bool();
    match held {
        None => Some(drawn),
        Some(held) => Some(drawn).filter(|drawn| is_kept && *drawn != held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(period: Period) -> Quota {
        Quota {
            bytes: 1_000_000_000_000,
            period,
        }
    }

    #[test]
    fn every_change_that_is_drawn_changes_something_and_can_be_read_again() {
        let mut rng = Rng::with_seed(1);
        let mut limits = OwnLimits::default();
        for _ in 0..1000 {
            let change = LimitsChange::draw(&mut rng, limits, true);
            let after = change.effect(limits);
            assert_ne!(after, limits, "{change:?}");
            let own = after.own().into_iter();
            let mut shown: Value = own.filter_map(|(name, own)| Some((name.to_owned(), own?))).collect();
            if let Some(down) = after.down {
                shown["speed"] = json!({ "down": down });
            }
            assert_eq!(OwnLimits::shown(&shown), Some(after), "{shown}");
            limits = after;
        }
    }

    #[test]
    fn what_no_run_gives_is_not_read() {
        let empty = OwnLimits::default();
        assert_eq!(OwnLimits::shown(&json!({})), Some(empty));
        for wrong in [
            json!(null),
            json!({ "devices": "2" }),
            json!({ "session_excess": "newest_ends" }),
            json!({ "speed": { "up": 64 } }),
            json!({ "reach": [] }),
            json!({ "traffic": { "bytes": 1, "period": "year" } }),
            json!({ "traffic": { "bytes": 1, "period": "month", "reset_day": 7 } }),
        ] {
            assert_eq!(OwnLimits::shown(&wrong), None, "{wrong}");
        }
        // The audit trail has a day for each period.
        let day = json!({ "traffic": { "bytes": 1_000_000_000_000_u64, "period": "day", "reset_day": 1 } });
        let read = OwnLimits::shown(&day).and_then(|limits| limits.traffic);
        assert_eq!(read, Some(quota(Period::Day)));
    }

    #[test]
    fn null_takes_away() {
        assert_eq!(LimitsChange::Devices(None).body(), json!({ "devices": null }));
        assert_eq!(LimitsChange::Traffic(None).body(), json!({ "traffic": null }));
        assert_eq!(LimitsChange::Down(None).body(), json!({ "speed": null }));
        assert_eq!(LimitsChange::TakeAll.body(), Value::Null);
        let body = LimitsChange::Traffic(Some(quota(Period::Endless))).body();
        assert_eq!(
            body,
            json!({ "traffic": { "bytes": 1_000_000_000_000_u64, "period": "none" } })
        );
    }

    #[test]
    fn an_own_value_comes_before_that_of_the_group() {
        let own = OwnLimits {
            devices: Some(2),
            traffic: Some(quota(Period::Month)),
            ..OwnLimits::default()
        };
        let effective = json!({
            "devices": { "value": 2, "from": "own" },
            "sessions": { "value": 7, "from": "group" },
            "session_excess": { "value": "oldest_ends", "from": "group" },
            "traffic": { "value": { "bytes": 1_000_000_000_000_u64, "period": "month", "reset_day": 1 }, "from": "own" },
        });
        let of_group = OfGroup {
            devices: Some(9),
            sessions: Some(7),
        };
        assert!(own.comes_first_in(&effective));
        for (name, should) in own.within(of_group) {
            assert_eq!(effective[name], should, "{name}");
        }
        assert!(!OwnLimits::default().comes_first_in(&effective));
        let slow = OwnLimits {
            down: Some(SPEEDS[0]),
            ..own
        };
        assert!(!slow.comes_first_in(&effective));
        let mut with_speed = effective.clone();
        with_speed["speed"] = json!({ "down": { "value": SPEEDS[0], "from": "own" } });
        assert!(slow.comes_first_in(&with_speed) && !own.comes_first_in(&with_speed));
        let fewer = OwnLimits {
            devices: Some(1),
            ..own
        };
        assert!(!fewer.comes_first_in(&effective));
        let nobody = OwnLimits::default().within(OfGroup::default());
        assert!(nobody.iter().all(|(_, should)| should.is_null()), "{nobody:?}");
    }

    #[test]
    fn a_limit_is_reached_by_as_many_devices_as_it_says() {
        let two = OwnLimits {
            devices: Some(2),
            ..OwnLimits::default()
        };
        assert!(!two.is_reached(1));
        assert!(two.is_reached(2) && two.is_reached(3));
        assert!(!OwnLimits::default().is_reached(16));
    }
}
