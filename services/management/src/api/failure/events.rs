//! The errors of listening to events as HTTP problems.

use std::time::Duration;

use vpnmanager_openapi::problem::ApiError;

use super::database;
use crate::{app::App, ops::events::listener::ListenError};

/// Streams stay open, so there is no moment at which there is room.
const TRY_AGAIN: Duration = Duration::from_secs(10);

pub(in crate::api) fn of_listen(app: &App, error: ListenError) -> ApiError {
    match error {
        ListenError::Full(full) => ApiError::too_many_requests(full.to_string(), TRY_AGAIN),
        ListenError::TooEarly => ApiError::unavailable(error.to_string()),
        ListenError::Database(error) => database(app, error),
    }
}
