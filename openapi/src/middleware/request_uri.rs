//! The request's URL as the caller sent it, whatever the routes in between cut off.

use std::ops::Deref;

use poem::http::Uri;
use poem::{FromRequest, Request, RequestBody};

/// The whole path and query; an operation takes it as a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestUri(pub Uri);

impl Deref for RequestUri {
    type Target = Uri;

    fn deref(&self) -> &Uri {
        &self.0
    }
}

impl<'a> FromRequest<'a> for RequestUri {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(request
            .data::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(request.original_uri().clone())))
    }
}
