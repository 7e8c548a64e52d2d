//! Keys of the API: `X-API-Key` or `Authorization: Bearer`, whichever the caller prefers.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use poem::http::HeaderMap;
use poem::{Request, RequestBody};
use poem_openapi::auth::{ApiKey, Bearer};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, SecurityScheme};

use crate::problem::ApiError;
use crate::server::{LocalCaller, Source};

/// What the name of a security scheme begins with that is none, but says which role an operation needs: `role:viewer`. A caller type of a service
/// has one among its schemes. [`Spec`](crate::spec::Spec) takes it out, and states the role in `x-required-role` and in words.
pub const ROLE_MARK: &str = "role:";

/// What follows the role in such a name, behind a space, where keys that are narrowed are refused.
pub const WHOLE_MARK: &str = " whole";

/// Finds the owner of a key. A service puts one into its request data:
/// `app.data(Arc::new(keys) as Arc<dyn Authenticator<Operator>>)`.
pub trait Authenticator<Identity>: Send + Sync {
    /// The owner of the key.
    ///
    /// The future gives [`ApiError::Unauthorized`] for an unknown key, and [`ApiError::Unavailable`] if the key cannot be looked up.
    /// `from` is who presents it, where that is known: whoever presents many wrong keys may be slowed down.
    fn identify<'a>(&'a self, key: &'a str, from: Option<Source>) -> Identified<'a, Identity>;

    /// Who asks without a key at the local socket of the service ([`LocalSocket`](crate::server::LocalSocket)). `None`: a key is needed there too.
    fn local(&self) -> Option<Identity> {
        None
    }
}

/// An identity that has a name which no other one has: requests are counted, and answers kept, by it.
pub trait Named {
    /// The name.
    fn name(&self) -> &str;
}

/// The answer of an [`Authenticator`].
pub type Identified<'a, Identity> = Pin<Box<dyn Future<Output = Result<Identity, ApiError>> + Send + 'a>>;

/// The caller of an operation that needs a key: take it as a parameter of the operation, and both ways to present one are documented.
#[derive(Debug)]
pub struct Caller<Identity>(pub Identity);

/// The caller of an operation that also answers without a key. An unknown key is refused nevertheless.
#[derive(Debug)]
pub struct OptionalCaller<Identity>(pub Option<Identity>);

/// The owner of the key that a request presents, found before its body was read.
#[derive(Debug, Clone)]
struct Checked<Identity>(Identity);

/// The key, in its own header.
#[derive(SecurityScheme)]
#[oai(ty = "api_key", key_name = "X-API-Key", key_in = "header", rename = "ApiKey")]
struct HeaderKey(#[expect(dead_code, reason = "read from the headers, so that both ways share one rule")] ApiKey);

/// The same key as a bearer token.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "BearerKey")]
struct BearerKey(#[expect(dead_code, reason = "read from the headers, so that both ways share one rule")] Bearer);

/// The key that a request presents: `X-API-Key` first, then `Authorization: Bearer`.
#[must_use]
pub fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || {
        let (scheme, token) = text("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    text("x-api-key")
        .map(str::trim)
        .or_else(bearer)
        .filter(|key| !key.is_empty())
}

/// The SHA-256 of a key, which is stored in its place. Keys are long and random, so no slow hash is needed.
#[must_use]
pub fn hash_key(key: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Compares two secrets in a time that depends neither on where they differ nor on their lengths.
#[must_use]
pub fn same_key(left: &str, right: &str) -> bool {
    constant_time::verify_slices_are_equal(&hash_key(left), &hash_key(right)).is_ok()
}

impl<Identity> Deref for Caller<Identity> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl<'a, Identity: Clone + Send + Sync + 'static> ApiExtractor<'a> for Caller<Identity> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_schemes(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        schemes()
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match presented_key(request.headers()) {
            Some(key) => Ok(Self(identify(request, key).await?)),
            None => Ok(Self(local(request).ok_or_else(no_key)?)),
        }
    }
}

impl<'a, Identity: Clone + Send + Sync + 'static> ApiExtractor<'a> for OptionalCaller<Identity> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_schemes(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        schemes()
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match presented_key(request.headers()) {
            Some(key) => Ok(Self(Some(identify(request, key).await?))),
            None => Ok(Self(local(request))),
        }
    }
}

/// Finds the owner of the key that a request presents, and keeps it for the operation. Nothing happens without a key.
pub(crate) async fn check_key<Identity: Clone + Send + Sync + 'static>(request: &mut Request) -> Result<(), ApiError> {
    let Some(key) = presented_key(request.headers()) else {
        return Ok(());
    };
    let owner = identify::<Identity>(request, key).await?;
    request.set_data(Checked(owner));
    Ok(())
}

/// The name of who presented a key, once [`check_key`] has found it, or of who asks without one at the local socket.
pub(crate) fn name_of<Identity: Clone + Named + Send + Sync + 'static>(request: &Request) -> Option<String> {
    if presented_key(request.headers()).is_none() {
        return local::<Identity>(request).map(|owner| owner.name().to_owned());
    }
    let Checked(owner) = request.data::<Checked<Identity>>()?;
    Some(owner.name().to_owned())
}

/// The refusal of a request without a key.
pub(crate) fn no_key() -> ApiError {
    ApiError::unauthorized("a key is needed, as X-API-Key or as a bearer token")
}

/// Who asks without a key, where the system says that he may.
fn local<Identity: Clone + Send + Sync + 'static>(request: &Request) -> Option<Identity> {
    request.data::<LocalCaller>()?;
    request.data::<Arc<dyn Authenticator<Identity>>>()?.local()
}

/// Whether a request came over the local socket.
pub(crate) fn is_local(request: &Request) -> bool {
    request.data::<LocalCaller>().is_some()
}

async fn identify<Identity: Clone + Send + Sync + 'static>(request: &Request, key: &str) -> Result<Identity, ApiError> {
    if let Some(Checked(owner)) = request.data::<Checked<Identity>>() {
        return Ok(owner.clone());
    }
    let from = request.remote_addr().as_socket_addr();
    match request.data::<Arc<dyn Authenticator<Identity>>>() {
        Some(authenticator) => {
            let from = from.map(|address| Source::of(address.ip()));
            authenticator.identify(key, from).await
        }
        None => {
            tracing::error!("The service has no authenticator in its request data");
            Err(ApiError::unavailable("keys cannot be checked"))
        }
    }
}

fn register_schemes(registry: &mut Registry) {
    <HeaderKey as ApiExtractor>::register(registry);
    <BearerKey as ApiExtractor>::register(registry);
}

fn schemes() -> Vec<&'static str> {
    let mut names = <HeaderKey as ApiExtractor>::security_schemes();
    names.extend(<BearerKey as ApiExtractor>::security_schemes());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_either_header() {
        let cases = [
            (vec![("x-api-key", "k")], Some("k")),
            (vec![("authorization", "Bearer k")], Some("k")),
            (vec![("authorization", "bearer k")], Some("k")),
            (
                vec![("x-api-key", "first"), ("authorization", "Bearer second")],
                Some("first"),
            ),
            (vec![("authorization", "Basic k")], None),
            (vec![("x-api-key", " ")], None),
            (vec![], None),
        ];
        for (headers, expected) in cases {
            let map = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(presented_key(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn keys_compare_by_content() {
        assert!(same_key("secret", "secret"));
        assert!(!same_key("secret", "secreT"));
        assert!(!same_key("secret", "secret "));
        assert_eq!(data_encoding::HEXLOWER.encode(&hash_key("abc"))[..8], *"ba7816bf");
    }
}
