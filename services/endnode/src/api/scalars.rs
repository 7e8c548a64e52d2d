//! Text types of the API that follow the rules of the wire.

use vpnmanager_nats::{groups::GroupName, username::Username};

vpnmanager_openapi::text_scalar! {
    /// A username.
    pub struct UsernameText {
        format: "username",
        pattern: Username::PATTERN,
        length: 1..=64,
        example: "alice",
        check: |text| text.parse::<Username>().map(drop).map_err(|error| error.to_string()),
    }
}

vpnmanager_openapi::text_scalar! {
    /// The name of a group.
    pub struct GroupText {
        format: "group",
        pattern: GroupName::PATTERN,
        length: 1..=32,
        example: "engineering",
        check: |text| text.parse::<GroupName>().map(drop).map_err(|error| error.to_string()),
    }
}

impl GroupText {
    /// The wire's type. The text was checked when it was parsed, so there is no error.
    pub(super) fn to_group(&self) -> Result<GroupName, String> {
        self.as_str()
            .parse()
            .map_err(|error: vpnmanager_nats::ids::InvalidId| error.to_string())
    }
}

impl UsernameText {
    /// The wire's type. The text was checked when it was parsed.
    pub(super) fn to_username(&self) -> Result<Username, vpnmanager_openapi::problem::ApiError> {
        self.as_str()
            .parse()
            .map_err(|error: vpnmanager_nats::username::InvalidUsername| {
                vpnmanager_openapi::problem::ApiError::invalid("username", error.to_string())
            })
    }
}
