//! Which events somebody wants to hear of.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, Condition};
use vpnmanager_entities::audit_log;

use super::event::Event;
use crate::domain::{audit_action::AuditAction, event_subject::EventSubject};

/// An event must match all that is asked for, and one of the values of each. Nothing is asked for by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// `None`: of any type, also those that this release does not know.
    actions: Option<BTreeSet<&'static str>>,
    usernames: Vec<String>,
    server_ids: Vec<String>,
}

impl EventFilter {
    /// Events of one of these types, about one of these subjects; an empty list asks for nothing.
    pub fn new(types: &[AuditAction], subjects: &[EventSubject]) -> Self {
        let asks = !types.is_empty() || !subjects.is_empty();
        let wanted = AuditAction::ALL.iter().filter(|action| {
            (types.is_empty() || types.contains(action))
                && (subjects.is_empty() || subjects.contains(&EventSubject::of(**action)))
        });
        Self {
            actions: asks.then(|| wanted.map(|action| action.as_str()).collect()),
            ..Self::default()
        }
    }

    /// Those about one of these users.
    #[must_use]
    pub fn about(self, usernames: Vec<String>) -> Self {
        Self { usernames, ..self }
    }

    /// Those about one of these nodes, or recorded by one of these replicas.
    #[must_use]
    pub fn of_servers(self, server_ids: Vec<String>) -> Self {
        Self { server_ids, ..self }
    }

    /// Whether it matches.
    pub(crate) fn matches(&self, event: &Event) -> bool {
        let is_one_of = |wanted: &[String], found: Option<&String>| {
            wanted.is_empty() || found.is_some_and(|found| wanted.contains(found))
        };
        self.actions
            .as_ref()
            .is_none_or(|actions| actions.contains(event.kind.as_str()))
            && is_one_of(&self.usernames, event.username.as_ref())
            && is_one_of(&self.server_ids, Some(&event.server_id))
    }

    /// The same, for the database.
    pub(crate) fn condition(&self) -> Condition {
        let among = |column: audit_log::Column, values: &[String]| {
            (!values.is_empty()).then(|| column.is_in(values.iter().map(String::as_str)))
        };
        let actions = self.actions.as_ref();
        Condition::all()
            .add_option(actions.map(|actions| audit_log::Column::Action.is_in(actions.iter().copied())))
            .add_option(among(audit_log::Column::Username, &self.usernames))
            .add_option(among(audit_log::Column::ServerId, &self.server_ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::events::event::tests::entry;

    #[test]
    fn an_event_matches_all_that_is_asked_for() {
        let created = Event::of(&entry(1, "user_created"));
        let drained = Event::of(&entry(2, "node_drained"));
        let unknown = Event::of(&entry(3, "moon_landed"));
        let matched = |filter: &EventFilter| [&created, &drained, &unknown].map(|event| filter.matches(event));
        assert_eq!(matched(&EventFilter::default()), [true, true, true]);
        let types = EventFilter::new(&[AuditAction::UserCreated, AuditAction::UserRemoved], &[]);
        assert_eq!(matched(&types), [true, false, false]);
        let nodes = EventFilter::new(&[], &[EventSubject::Nodes]);
        assert_eq!(matched(&nodes), [false, true, false]);
        let nothing = EventFilter::new(&[AuditAction::UserCreated], &[EventSubject::Nodes]);
        assert_eq!(matched(&nothing), [false, false, false]);
        let bob = EventFilter::default().about(vec!["bob".to_owned()]);
        assert_eq!(matched(&bob), [false, false, false]);
        let node = EventFilter::default().of_servers(vec!["node-1".to_owned(), "node-2".to_owned()]);
        assert_eq!(matched(&node), [true, true, true]);
    }
}
