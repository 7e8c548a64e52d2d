//! What is wrong with entries of lists: each is named by its place, `network.routes.2`.

use std::{fmt::Display, str::FromStr};

use vpnmanager_openapi::problem::{ApiError, FieldError};

/// The most faults that are told of one request.
const MOST_FAULTS: usize = 20;

/// What is wrong with entries, as it is found.
#[derive(Default)]
pub(super) struct Faults {
    found: Vec<FieldError>,
    /// Some have not the form of the description.
    has_malformed: bool,
}

impl Faults {
    /// The entries of the list of this name; what is wrong with the others is noted.
    pub(super) fn parsed<'a, T: FromStr<Err: Display>>(
        &mut self,
        list: &str,
        texts: impl Iterator<Item = &'a str>,
        is_malformed: impl Fn(&str) -> bool,
    ) -> Vec<T> {
        let mut entries = Vec::new();
        for (entry, text) in texts.enumerate() {
            let parsed: Option<T> = self.parsed_one(format!("{list}.{entry}"), text, &is_malformed);
            entries.extend(parsed);
        }
        entries
    }

    /// The value of this field; what is wrong with it is noted.
    pub(super) fn parsed_one<T: FromStr<Err: Display>>(
        &mut self,
        field: String,
        text: &str,
        is_malformed: impl Fn(&str) -> bool,
    ) -> Option<T> {
        match text.parse::<T>() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.found.push(fault(field, error));
                self.has_malformed |= is_malformed(text);
                None
            }
        }
    }

    /// 400 where some have not the form of the description, otherwise 409; `None` if nothing is wrong.
    pub(super) fn refusal(mut self) -> Option<ApiError> {
        self.found.truncate(MOST_FAULTS);
        match (self.found.is_empty(), self.has_malformed) {
            (true, _) => None,
            (false, true) => Some(ApiError::invalid_fields(self.found)),
            (false, false) => Some(ApiError::conflicting_fields(self.found)),
        }
    }
}

/// 409: these fields, with what is wrong with each, have the right form and contradict others.
pub(super) fn contradictory(faults: impl Iterator<Item = (String, String)>) -> ApiError {
    let faults = faults.map(|(field, detail)| fault(field, detail));
    ApiError::conflicting_fields(faults.take(MOST_FAULTS).collect())
}

fn fault(field: String, detail: impl Display) -> FieldError {
    FieldError {
        field,
        detail: detail.to_string(),
    }
}
