//! Own values in an item of a batch. Their bounds are checked with the item, so that a value that is not good fails no other one.

use poem_openapi::Object;
use vpnmanager_openapi::Clearable;

use super::limits::{Said, SaidLimits, SaidQuota, SaidReach};
use crate::api::entries::PrefixText;
use crate::api::limits::PortsText;

/// Own values of a user. What is left out stays as it is; `null`: that of the group holds.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkLimits")]
pub(super) struct BatchLimits {
    /// The most devices of the user, 1 to 16.
    devices: Clearable<i64>,
    /// The most devices of the user that are connected at the same time, over the whole fleet, 1 to 16.
    sessions: Clearable<i64>,
    /// What happens beyond the number of sessions that holds: `oldest_ends` or `newest_ends`.
    session_excess: Clearable<String>,
    /// The traffic of the user in a period, as a whole.
    traffic: Clearable<BatchQuota>,
    /// What the user may reach of what the network of its pool and `routes` lead to, as a whole, 32 entries at most. An empty list: nothing; one
    /// entry that says nothing: all of it.
    reach: Clearable<Vec<BatchReach>>,
    /// Prefixes that the user sends into the tunnel besides the routes of its pool, in the place of those of the group, as a whole, 32 at most.
    routes: Clearable<Vec<String>>,
    /// The speed of each device of the user, as a whole.
    speed: Clearable<BatchSpeed>,
}

/// How much traffic the user may have in a period.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkQuota")]
struct BatchQuota {
    /// Bytes in both directions together, on all servers and with all devices: 1 to 10^15.
    bytes: i64,
    /// How long a period is: `day`, `week`, `month`, which is meant when it is left out, or `none`.
    period: Option<String>,
    /// The day on which a `month` begins, 1 to 28; 1 when it is left out. Other periods have none.
    reset_day: Option<i64>,
}

/// Something that the user may reach.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkReach")]
struct BatchReach {
    /// Where, such as `10.20.0.0/16` or `2001:db8:20::/48`. Left out: wherever the network of the pool and `routes` lead, over IPv4 and IPv6.
    to: Option<String>,
    /// With which protocol: `tcp`, `udp` or `icmp`; every one when it is left out.
    protocol: Option<String>,
    /// On which ports, such as `443` or `8000-8100`, 16 entries at most; every one when there is none. They need the protocol `tcp` or `udp`. No two
    /// overlap.
    #[oai(default)]
    ports: Vec<String>,
}

/// The speed of each device of the user, in kilobits (1,000 bits) in a second: 64 to 10,000,000.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkSpeed")]
struct BatchSpeed {
    /// Towards the server; that of the group holds when it is left out.
    up: Option<i64>,
    /// From the server; that of the group holds when it is left out.
    down: Option<i64>,
}

impl BatchLimits {
    /// What an item says, if the whole object is said: `null` takes every own value away.
    pub(super) fn said(field: Clearable<Self>) -> SaidLimits {
        match field.said() {
            None => SaidLimits::default(),
            Some(None) => SaidLimits::all_taken(),
            Some(Some(limits)) => limits.into_said(),
        }
    }

    fn into_said(self) -> SaidLimits {
        let number = |own: Option<i64>| own.map(|number| number.to_string());
        let (up, down) = BatchSpeed::said(self.speed.said());
        SaidLimits {
            devices: self.devices.said().map(number),
            sessions: self.sessions.said().map(number),
            session_excess: self.session_excess.said(),
            traffic: self.traffic.said().map(|own| own.map(BatchQuota::into_said)),
            reach: self.reach.said().map(|own| own.map(BatchReach::all_said)),
            routes: self.routes.said().map(|own| own.map(prefixes)),
            up,
            down,
            has_untold_lists: false,
        }
    }
}

impl BatchReach {
    fn all_said(entries: Vec<Self>) -> Vec<SaidReach> {
        let said = entries.into_iter().map(|Self { to, protocol, ports }| SaidReach {
            to: to.map(PrefixText),
            protocol,
            ports: ports.into_iter().map(PortsText).collect(),
        });
        said.collect()
    }
}

fn prefixes(texts: Vec<String>) -> Vec<PrefixText> {
    texts.into_iter().map(PrefixText).collect()
}

impl BatchSpeed {
    /// Each way by itself: what a speed that is said leaves out is taken away.
    fn said(speed: Said<Self>) -> (Said<String>, Said<String>) {
        let Some(speed) = speed else {
            return (None, None);
        };
        let way = |way: fn(&Self) -> Option<i64>| {
            let kilobits = speed.as_ref().and_then(way);
            Some(kilobits.map(|kilobits| kilobits.to_string()))
        };
        (way(|speed| speed.up), way(|speed| speed.down))
    }
}

impl BatchQuota {
    fn into_said(self) -> SaidQuota {
        SaidQuota {
            bytes: Some(self.bytes.to_string()),
            period: self.period,
            reset_day: self.reset_day.map(|day| day.to_string()),
        }
    }
}
