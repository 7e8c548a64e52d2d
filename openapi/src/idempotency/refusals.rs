//! What a caller is told whose request is not worked on because of its key.

use super::key::NAME;
use crate::problem::ApiError;

/// 422: the key was given to another request.
pub(crate) fn another_request() -> ApiError {
    ApiError::unprocessable(
        NAME,
        "was used for another request within the last 24 hours: repeat that one exactly, with its query and its body, or take another key",
    )
}

/// 409: the first request with this key has not been answered.
pub(crate) fn under_way() -> ApiError {
    ApiError::conflict(
        NAME,
        "names a request that is still being worked on: repeat it when the time of Retry-After is over",
    )
}

/// 409: nobody knows how the first request ended.
pub(crate) fn unknown() -> ApiError {
    ApiError::conflict(
        NAME,
        "names a request that was begun, and it is not known whether it was done: the service stopped, or lost its database, before it \
         recorded the answer. Look whether it was done; if not, send it with another key",
    )
}

/// 409: it was done, and its answer was too long to be kept.
pub(crate) fn too_large() -> ApiError {
    ApiError::conflict(
        NAME,
        "names a request that was answered, and the answer was too long to be kept: read what it changed",
    )
}

/// 409: it was done, and its answer was kept for another API key of the same name.
pub(crate) fn of_another_secret() -> ApiError {
    ApiError::conflict(
        NAME,
        "names a request that was answered; only the API key that sent it can read the answer, and this is another one",
    )
}
