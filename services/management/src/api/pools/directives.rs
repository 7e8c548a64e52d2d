//! The extra directives of clients in the API.

use vpnmanager_openapi::problem::ApiError;
use vpnmanager_profile::directive::{ClientDirective, InvalidDirective};

use crate::api::entries::entry;
use crate::api::faults::{Faults, contradictory};
use crate::domain::client_directives::ClientDirectives;

entry! {
    /// An extra directive of clients.
    pub(super) struct DirectiveText, "client-directive", ClientDirective::PATTERN, ClientDirective::MOST_LENGTH, "mssfix 1400"
}

const FIELD: &str = "client_directives";

/// The directives, or what is wrong with which entry: 400 where some have not the form of the description, otherwise 409.
pub(super) fn parsed(entries: &[DirectiveText]) -> Result<ClientDirectives, ApiError> {
    let mut faults = Faults::default();
    let texts = entries.iter().map(|text| text.0.as_str());
    let directives = faults.parsed(FIELD, texts, |text| {
        !matches!(text.parse::<ClientDirective>(), Err(InvalidDirective::Pauses { .. }))
    });
    if let Some(refusal) = faults.refusal() {
        return Err(refusal);
    }
    ClientDirectives::new(directives).map_err(|found| {
        let found = found.into_iter();
        contradictory(found.map(|found| (found.field(), found.reason)))
    })
}

/// An example for descriptions.
pub(super) fn example() -> Vec<DirectiveText> {
    ["block-outside-dns", "mssfix 1400"]
        .map(|text| DirectiveText(text.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_the_description_is_a_directive_and_what_does_not_is_none() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(ClientDirective::PATTERN).expect("a pattern");
        for name in [
            "auth-nocache",
            "block-outside-dns",
            "connect-retry",
            "disable-dco",
            "float",
            "mssfix",
            "mute",
            "persist-tun",
            "pull-filter",
            "pull-filter ignore dns",
            "rcvbuf",
            "server-poll-timeout",
            "setenv opt block-outside-dns",
            "setenv opt disable-dco",
            "sndbuf",
            "verb",
            "up",
            "FLOAT",
            "",
        ] {
            for arguments in [
                "",
                " ",
                " 0",
                " 1",
                " 2",
                " 4",
                " 5",
                " 6",
                " 01",
                " +1",
                " 10",
                " 11",
                " 575",
                " 576",
                " 599",
                " 1500",
                " 1501",
                " 9999",
                " 10000",
                " 9999999",
                " 10000000",
                " 1 1",
                " 1 10",
                " 2 29",
                " 2 30",
                " 1 31",
                " 3 10",
                " 0 10",
                " 1 0",
                " 1  10",
                " 1 10 30",
                " ignore dns",
                " ignore dhcp-option",
                " ignore block-outside-dns",
                " ignore route",
                " accept dns",
                "\n",
                "\nup x",
                " #",
            ] {
                let text = format!("{name}{arguments}");
                let is_directive = text.parse::<ClientDirective>().is_ok();
                assert_eq!(is_directive, pattern.is_match(&text), "{text:?}");
            }
        }
        // Of the right form, and refused because it contradicts itself.
        assert!(pattern.is_match("connect-retry 2 1") && "connect-retry 2 1".parse::<ClientDirective>().is_err());
        assert!(
            example()
                .iter()
                .all(|text| text.0.len() <= ClientDirective::MOST_LENGTH)
        );
    }
}
