//! Management, asked over HTTP.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Response, header::DATE};
use vpnmanager_nats::security::standing::{Question, Standing};
use vpnmanager_runtime::{
    doctor::{
        Check, Seen, Trouble,
        clock::{ahead_of_date, difference},
    },
    error_chain::{chain, innermost},
};

use crate::{config::Config, enrolled::Enrolled, management::ManagementPlace, standing::ask_standing};

pub(super) const MANAGEMENT: Check = Check::new("management", "Management answers").after(&["configuration"]);
pub(super) const CLOCK: Check = Check::new("clock", "The clock agrees with that of management").after(&["management"]);
pub(super) const STANDING: Check =
    Check::new("standing", "Management knows the key of this node").after(&["identity", "management"]);

const PATIENCE: Duration = Duration::from_secs(4);
/// Management refuses a question that is more than 5 minutes old; long before that its heartbeats count as odd.
const MOST: Duration = Duration::from_secs(60);

/// How far this clock is ahead of management's, in milliseconds; `None`: management did not say what time it is.
pub(super) type Ahead = Option<i64>;

/// Asks whether it is well, and believes whom the agent believes.
pub(super) async fn look((config, enrolled): (&Config, Option<&Enrolled>)) -> Seen<Ahead> {
    let Some(place) = ManagementPlace::of(config) else {
        return Seen::skipped(
            "MANAGEMENT_URL is not set: a node that has enrolled needs it only when the bus has moved",
        );
    };
    let trust = match enrolled {
        Some(enrolled) => place.trust_of(&enrolled.identity),
        None => place.trust_to_enrol(config),
    };
    let client = match trust.and_then(|trust| trust.client(&place, PATIENCE)) {
        Ok(client) => client,
        Err(error) => {
            return Seen::failed(Trouble::new(
                format!("the agent asks nobody at {}", place.url),
                chain(&error).to_string(),
                "${EDITOR:-vi} /etc/vpnmanager/endnode-config.json",
            ));
        }
    };
    let url = format!("{}/health", place.url.trim_end_matches('/'));
    let asked = Utc::now();
    match client.get(&url).send().await {
        Ok(answer) => judge(&url, &answer, asked),
        Err(error) => Seen::failed(Trouble::new(
            format!("nobody answers at {url} whom the agent believes to be management"),
            innermost(&error),
            format!("curl -v {url}"),
        )),
    }
}

fn judge(url: &str, answer: &Response, asked: DateTime<Utc>) -> Seen<Ahead> {
    let told = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
    let ahead = told.and_then(|date| ahead_of_date(date, asked, Utc::now()));
    let status = answer.status();
    if status.is_success() {
        return Seen::fine(format!("management answers at {url}"), ahead);
    }
    let trouble = Trouble::new(
        format!("{url} answers {status}"),
        "management is there and cannot work, or another program answers in its place",
        format!("curl -s {url}"),
    );
    match status.is_server_error() {
        // The node goes on without it.
        true => Seen::warning(trouble, ahead),
        false => Seen::failed(trouble),
    }
}

/// Judges how far the clocks differ.
pub(super) async fn clock(ahead: Ahead) -> Seen {
    match ahead {
        Some(ahead) => difference("management", ahead, MOST).into(),
        None => Seen::skipped("management does not say what time it is"),
    }
}

/// Asks what it thinks of this node. The answer is signed.
pub(super) async fn standing((config, enrolled): (&Config, &Enrolled)) -> Seen {
    let Some(place) = ManagementPlace::of(config) else {
        return Seen::skipped("MANAGEMENT_URL is not set");
    };
    let identity = &enrolled.identity;
    let question = Question::new(identity.server_id.clone(), identity.bus_public_key.clone());
    let standing = match ask_standing(&place, &question, &enrolled.keys.bus, identity).await {
        Ok(reply) => reply.standing,
        Err(error) => {
            return Seen::failed(Trouble::new(
                "management does not say how this node stands",
                chain(&error).to_string(),
                "timedatectl set-ntp true; journalctl -u vpnmanager-endnode -n 50",
            ));
        }
    };
    match standing {
        Standing::Registered => Seen::fine("management knows the key of this node", ()),
        Standing::Deregistered | Standing::Unknown => Seen::failed(Trouble::new(
            format!("management says of the key of this node: {standing}"),
            "it was deregistered or enrolled again elsewhere, or MANAGEMENT_URL leads to another fleet",
            "vpnmanager join-tokens create",
        )),
    }
}
