//! What one server left, as the body of a request.

use bytes::Bytes;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::ApiRequest;
use poem_openapi::payload::{Binary, ParsePayload, Payload};
use poem_openapi::registry::MetaSchemaRef;

use crate::ops::import::source::Sent;

/// Declares a kind of body: what it is called, and what else it may be called.
macro_rules! payload {
    ($(#[$docs:meta])* $name:ident, $content_type:literal $(, $other:literal)*) => {
        $(#[$docs])*
        #[derive(Debug)]
        pub(super) struct $name(Bytes);

        impl Payload for $name {
            const CONTENT_TYPE: &'static str = $content_type;

            /// With any parameters.
            fn check_content_type(content_type: &str) -> bool {
                let kind = content_type.split(';').next().unwrap_or_default().trim();
                [$content_type $(, $other)*].iter().any(|known| kind.eq_ignore_ascii_case(known))
            }

            fn schema_ref() -> MetaSchemaRef {
                <Binary<Vec<u8>> as Payload>::schema_ref()
            }
        }

        impl ParsePayload for $name {
            const IS_REQUIRED: bool = true;

            async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
                Ok(Self(Bytes::from_request(request, body).await?))
            }
        }
    };
}

payload! {
    /// A tar.
    Tar, "application/x-tar"
}
payload! {
    /// A tar that is compressed by gzip.
    CompressedTar, "application/gzip", "application/x-gzip"
}
payload! {
    /// An SQLite database.
    Sqlite, "application/vnd.sqlite3", "application/x-sqlite3"
}
payload! {
    /// A list.
    Csv, "text/csv"
}

/// The body of an import.
#[derive(Debug, ApiRequest)]
pub(super) enum SourceBody {
    /// A tar of a folder.
    Tar(Tar),
    /// The same, compressed by gzip.
    CompressedTar(CompressedTar),
    /// An SQLite database with a table `users`.
    Sqlite(Sqlite),
    /// CSV with a header.
    Csv(Csv),
}

impl SourceBody {
    /// What it is, and its bytes.
    pub(super) fn into_parts(self) -> (Sent, Bytes) {
        match self {
            Self::Tar(Tar(bytes)) => (Sent::Tar, bytes),
            Self::CompressedTar(CompressedTar(bytes)) => (Sent::CompressedTar, bytes),
            Self::Sqlite(Sqlite(bytes)) => (Sent::Sqlite, bytes),
            Self::Csv(Csv(bytes)) => (Sent::Csv, bytes),
        }
    }
}
