//! Sends operations to the API, and judges what is answered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::api::{self, Api, ApiError};

use super::{device::Device, group::HELD, model::Answer, operation::Operation};

/// What a write is answered while the database is read-only.
const TAKES_NO_CHANGES: &str = "the database takes no changes";

/// What a further device beyond an own limit is answered. No group of a run allows too few.
const BEYOND_LIMIT: &str = "the most devices that the user is allowed is ";

/// Sends one operation on this user. With `wait` the answer comes when all nodes have applied it.
pub(super) async fn ask(
    api: &Api,
    username: &str,
    operation: &Operation,
    wait: Option<Duration>,
) -> Result<api::Answer, ApiError> {
    match operation {
        Operation::Create { expires_at, group } => {
            let mut body = json!({ "username": username, "group": group.name() });
            if let Some(at) = expires_at {
                body["expires_at"] = text(*at);
            }
            api.create_user_as(&body, wait).await
        }
        Operation::Suspend => api.change_user(username, &json!({ "active": false }), wait).await,
        Operation::Resume => api.change_user(username, &json!({ "active": true }), wait).await,
        Operation::Expire { at } => {
            let change = json!({ "expires_at": at.map(text) });
            api.change_user(username, &change, wait).await
        }
        Operation::Shorten { at } => {
            let change = json!({ "expires_at": text(*at) });
            api.change_user(username, &change, wait).await
        }
        Operation::Move { to } => api.put_into_group(username, to.name(), wait).await,
        Operation::Limit { change } => {
            let change = json!({ "limits": change.body() });
            api.change_user(username, &change, wait).await
        }
        Operation::Delete => api.delete_user(username, wait).await,
        Operation::Reissue { device, old } => {
            let body = json!({ "old_profiles": old.as_str() });
            match device {
                Device::Default => api.reissue_profile(username, &body, wait).await,
                Device::Laptop | Device::Phone | Device::Tablet => {
                    api.reissue_device((username, device.name()), &body, wait).await
                }
            }
        }
        Operation::AddDevice { device } => api.create_device(username, device.name(), wait).await,
        Operation::RevokeDevice { device } => api.revoke_device(username, device.name(), wait).await,
        Operation::ReadProfile { device } => match device {
            Device::Default => api.get(&format!("/api/users/{username}/profile")).await,
            Device::Laptop | Device::Phone | Device::Tablet => api.device_profile(username, device.name()).await,
        },
        Operation::ListDevices => api.devices(username).await,
        Operation::Look => api.user(username).await,
    }
}

fn text(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into()
}

/// How the operation ended. `None` for an answer that must never happen.
pub(super) fn judge(answered: &api::Answer) -> Option<Answer> {
    let is_taken = ["is taken", "the user has a device "]
        .iter()
        .any(|words| answered.text.contains(words));
    let conflict = answered.request.starts_with("POST") && is_taken;
    match answered.status {
        200..300 => Some(Answer::Done),
        404 if answered.text.contains("there is no device ") => Some(Answer::NoDevice),
        404 => Some(Answer::Unknown),
        // The time had passed when the request was read.
        409 if answered.text.contains("must be in the future") => Some(Answer::Refused),
        409 if conflict => Some(Answer::Taken),
        409 if answered.text.contains(BEYOND_LIMIT) => Some(Answer::BeyondLimit),
        // The only node of that pool was away for too long.
        409 if answered.text.contains("takes users") && answered.text.contains(HELD) => Some(Answer::Refused),
        // The profile is not made yet, or its home has lost it.
        409 if answered.request.contains("/profile") => Some(Answer::Refused),
        503 if answered.text.contains(TAKES_NO_CHANGES) => Some(Answer::ReadOnly),
        500..600 => Some(Answer::Open),
        _ => None,
    }
}

pub(super) fn judge_failure(error: &ApiError) -> Option<Answer> {
    match error {
        ApiError::NoAnswer { source, .. } if source.is_connect() => Some(Answer::NotSent),
        ApiError::NoAnswer { .. } => Some(Answer::Open),
        ApiError::Unexpected { .. } => None,
    }
}

/// The text of the answer for the timeline, but never a profile.
pub(super) fn brief(operation: &Operation, answered: &api::Answer) -> String {
    if matches!(operation, Operation::ReadProfile { .. }) && answered.status == 200 {
        return String::new();
    }
    answered.text.chars().take(400).collect()
}
