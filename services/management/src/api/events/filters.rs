//! The parameters of streams. A list is a text with commas: a parameter is given once, as everywhere in the API.

use std::str::FromStr;

use serde_json::Value;
use vpnmanager_nats::{ids::NodeId, username::Username};
use vpnmanager_openapi::scalar_impls;

use crate::domain::{audit_action::AuditAction, event_subject::EventSubject};

/// The most values of one list.
const MOST: usize = 100;

/// The id of an event, or 0 for the time before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventIdText(pub(super) i64);

/// The highest id that every reader of JSON keeps as it is, 2^53 - 1.
const HIGHEST_ID: i64 = 9_007_199_254_740_991;

scalar_impls! {
    EventIdText, "integer", "int64",
    |schema| {
        schema.minimum = Some(0.0);
        schema.maximum = Some(9_007_199_254_740_991.0);
        schema.example = Some(Value::from(42));
    },
    |text| EventIdText::from_str(text),
    |value| Value::from(value.0)
}

impl FromStr for EventIdText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<i64>() {
            // No sign, and no zeros before it.
            Ok(id) if (0..=HIGHEST_ID).contains(&id) && id.to_string() == text => Ok(Self(id)),
            Ok(_) | Err(_) => Err("must be the id of an event, such as 42, or 0"),
        }
    }
}

/// What events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct SubjectText(pub(in crate::api) EventSubject);

scalar_impls! {
    SubjectText, "string", "event-subject",
    |schema| {
        schema.enum_items = EventSubject::ALL.iter().map(|subject| Value::from(subject.as_str())).collect();
        schema.example = Some(Value::from(EventSubject::Users.as_str()));
    },
    |text| EventSubject::from_str(text).map(SubjectText),
    |value| Value::from(value.0.as_str())
}

/// Declares a comma list: its name, its format, what it is a list of, the pattern of one, and an example.
macro_rules! comma_list {
    ($(#[$docs:meta])* $name:ident, $format:literal, $item:ty, $pattern:expr, $example:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct $name(pub(super) Vec<$item>);

        scalar_impls! {
            $name, "string", $format,
            |schema| {
                schema.pattern = Some(pattern_of_list(&$pattern));
                schema.example = Some(Value::from($example));
            },
            |text| parsed(text).map($name),
            |value| Value::from(value.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
    };
}

comma_list! {
    /// Types of events.
    TypeList, "event-types", AuditAction, any_of(AuditAction::ALL.iter().map(|action| action.as_str())), "user_created,user_removed"
}

comma_list! {
    /// What events are about.
    SubjectList, "event-subjects", EventSubject, any_of(EventSubject::ALL.iter().map(|subject| subject.as_str())), "users,nodes"
}

comma_list! {
    /// Names of users.
    UsernameList, "usernames", Username, Username::PATTERN, "alice,bob"
}

comma_list! {
    /// Ids of servers.
    ServerIdList, "server-ids", NodeId, NodeId::PATTERN, "endnode-1,endnode-2"
}

fn any_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join("|")
}

fn pattern_of_list(one: &str) -> String {
    let one = one.trim_start_matches('^').trim_end_matches('$');
    format!("^(?:{one})(?:,(?:{one})){{0,{}}}$", MOST - 1)
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Vec<T>, String> {
    let entries: Vec<&str> = text.split(',').collect();
    if entries.len() > MOST {
        return Err(format!("must be a list of {MOST} entries at most"));
    }
    let entries = entries.into_iter().map(|entry| {
        let parsed = entry.parse::<T>();
        parsed.map_err(|error| format!("\"{entry}\": {error}"))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use vpnmanager_openapi::__regex::Regex;

    use super::*;

    #[test]
    fn a_list_is_described_as_it_is_read() {
        let types = any_of(AuditAction::ALL.iter().map(|action| action.as_str()));
        let pattern = Regex::new(&pattern_of_list(&types)).expect("a pattern");
        for (text, is_list) in [
            ("user_created", true),
            ("user_created,node_drained", true),
            ("user_created,", false),
            ("user_vanished", false),
            ("user_created,user_vanished", false),
            ("", false),
        ] {
            assert_eq!(parsed::<AuditAction>(text).is_ok(), is_list, "{text}");
            assert_eq!(pattern.is_match(text), is_list, "{text}");
        }
        let long = vec!["alice"; MOST + 1].join(",");
        let names = Regex::new(&pattern_of_list(Username::PATTERN)).expect("a pattern");
        assert!(parsed::<Username>(&long).is_err() && !names.is_match(&long));
    }

    #[test]
    fn an_id_is_written_in_one_way() {
        for (text, id) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("-1", None),
            ("042", None),
            ("x", None),
        ] {
            assert_eq!(text.parse::<EventIdText>().ok().map(|id| id.0), id, "{text}");
        }
    }
}
