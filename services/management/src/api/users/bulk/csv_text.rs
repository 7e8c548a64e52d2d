//! CSV as the body of a request.

use bytes::Bytes;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::ApiRequest;
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::types::Type;

/// The text of a CSV file.
#[derive(Debug)]
pub(super) struct CsvText(pub(super) Bytes);

/// The body of an import.
#[derive(Debug, ApiRequest)]
pub(super) enum CsvBody {
    /// CSV with a header.
    Csv(CsvText),
}

impl Payload for CsvText {
    const CONTENT_TYPE: &'static str = "text/csv";

    /// With any parameters: the names that are taken are ASCII in every charset.
    fn check_content_type(content_type: &str) -> bool {
        let kind = content_type.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(Self::CONTENT_TYPE)
    }

    fn schema_ref() -> MetaSchemaRef {
        <String as Type>::schema_ref()
    }
}

impl ParsePayload for CsvText {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(Bytes::from_request(request, body).await?))
    }
}
