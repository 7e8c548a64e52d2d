//! Flags for what a group says of its members, and a user has of her own: limits, speed, routes, reach.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::values::{reach, size, speed};

/// The flags. Each of them is one rule, as a whole.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RuleArgs {
    /// The most devices of one user
    #[arg(long, value_name = "NUMBER")]
    devices: Option<u64>,
    /// The most devices of one user that are connected at the same time
    #[arg(long, value_name = "NUMBER")]
    sessions: Option<u64>,
    /// What happens beyond that number of sessions
    #[arg(long, value_parser = ["oldest_ends", "newest_ends"])]
    session_excess: Option<String>,
    /// Traffic in a period, such as 50GB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    quota: Option<u64>,
    /// How long a period is [default: month]
    #[arg(long, requires = "quota", value_parser = ["day", "week", "month", "none"])]
    quota_period: Option<String>,
    /// The day on which a month begins, 1 to 28
    #[arg(long, requires = "quota", value_name = "DAY")]
    quota_reset_day: Option<u64>,
    /// Speed from the server, such as 10Mbit
    #[arg(long, value_name = "SPEED", value_parser = speed)]
    speed_down: Option<u64>,
    /// Speed towards the server
    #[arg(long, value_name = "SPEED", value_parser = speed)]
    speed_up: Option<u64>,
    /// A prefix that goes into the tunnel, such as 10.20.0.0/16; repeat it for each
    #[arg(long = "route", value_name = "PREFIX")]
    routes: Vec<String>,
    /// What may be reached: a prefix or any, then protocol and ports, such as 10.20.0.0/16,tcp,443; repeat it for each; or nothing
    #[arg(long = "reach", value_name = "RULE")]
    reach: Vec<String>,
}

/// A rule that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rule {
    /// The most devices
    Devices,
    /// The most sessions
    Sessions,
    /// What happens beyond the sessions
    SessionExcess,
    /// The traffic in a period
    Quota,
    /// The speed
    Speed,
    /// The routes
    Routes,
    /// What may be reached
    Reach,
}

impl Rule {
    /// Its name in the API.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Sessions => "sessions",
            Self::SessionExcess => "session_excess",
            Self::Quota => "traffic",
            Self::Speed => "speed",
            Self::Routes => "routes",
            Self::Reach => "reach",
        }
    }
}

impl RuleArgs {
    /// The rules that are given, by their names in the API; those that are taken away are `null`.
    pub(crate) fn rules(&self, cleared: &[Rule]) -> Result<Map<String, Value>, Failure> {
        let mut rules: Map<String, Value> = cleared
            .iter()
            .map(|rule| (rule.member().to_owned(), Value::Null))
            .collect();
        let mut set = |rule: Rule, value: Option<Value>| {
            if let Some(value) = value {
                rules.insert(rule.member().to_owned(), value);
            }
        };
        set(Rule::Devices, self.devices.map(Value::from));
        set(Rule::Sessions, self.sessions.map(Value::from));
        set(Rule::SessionExcess, self.session_excess.clone().map(Value::from));
        set(Rule::Quota, self.quota());
        set(Rule::Speed, self.speed());
        set(Rule::Routes, (!self.routes.is_empty()).then(|| json!(self.routes)));
        set(Rule::Reach, self.reach()?);
        Ok(rules)
    }

    fn quota(&self) -> Option<Value> {
        let mut quota = json!({ "bytes": self.quota? });
        if let Some(period) = &self.quota_period {
            quota["period"] = json!(period);
        }
        if let Some(day) = self.quota_reset_day {
            quota["reset_day"] = json!(day);
        }
        Some(quota)
    }

    fn speed(&self) -> Option<Value> {
        let both = [("down", self.speed_down), ("up", self.speed_up)];
        let given = both
            .into_iter()
            .filter_map(|(way, speed)| Some((way.to_owned(), Value::from(speed?))));
        let given: Map<String, Value> = given.collect();
        (!given.is_empty()).then_some(Value::Object(given))
    }

    fn reach(&self) -> Result<Option<Value>, Failure> {
        let rules = self.reach.iter().map(|text| reach(text)).collect::<Result<Vec<_>, _>>();
        let rules = rules.map_err(Failure::usage)?;
        if rules.len() > 1 && rules.contains(&None) {
            return Err(Failure::usage("--reach nothing stands alone"));
        }
        let is_given = !rules.is_empty();
        let rules: Vec<Value> = rules.into_iter().flatten().collect();
        Ok(is_given.then_some(Value::Array(rules)))
    }
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches as _, error::Result};

    use super::*;

    fn parsed(args: &[&str]) -> Result<RuleArgs> {
        let command = RuleArgs::augment_args(clap::Command::new("test").no_binary_name(true));
        RuleArgs::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    #[test]
    fn rules_are_what_the_api_takes() {
        let args = [
            "--quota=50GB",
            "--quota-period=week",
            "--speed-down=10Mbit",
            "--route=10.0.0.0/8",
            "--reach=any,tcp,443",
        ];
        let rules = parsed(&args).unwrap().rules(&[Rule::Devices]).unwrap();
        let expected = json!({
            "devices": null,
            "traffic": { "bytes": 50_000_000_000_u64, "period": "week" },
            "speed": { "down": 10_000 },
            "routes": ["10.0.0.0/8"],
            "reach": [{ "protocol": "tcp", "ports": ["443"] }]
        });
        assert_eq!(Value::Object(rules), expected);
    }

    #[test]
    fn to_reach_nothing_is_an_empty_list_and_stands_alone() {
        let rules = parsed(&["--reach=nothing"]).unwrap().rules(&[]).unwrap();
        assert_eq!(Value::Object(rules), json!({ "reach": [] }));
        assert!(
            parsed(&["--reach=nothing", "--reach=10.0.0.0/8"])
                .unwrap()
                .rules(&[])
                .is_err()
        );
        assert!(parsed(&["--quota-period=week"]).is_err());
        assert!(parsed(&["--quota=much"]).is_err());
    }

    #[test]
    fn no_rule_is_no_member() {
        assert!(parsed(&[]).unwrap().rules(&[]).unwrap().is_empty());
    }
}
