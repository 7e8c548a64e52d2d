//! How large a head may be, and requests whose head leaves open whom it is for: a server behind a proxy must not read them in another way
//! than the proxy.

use hyper::Request;
use poem::http::uri::Authority;
use poem::http::{HeaderMap, HeaderValue, StatusCode, Version, header};

use crate::problem::{FieldError, Problem};

/// The longest head of a request, in bytes; a longer one is answered with 431.
pub const LONGEST_HEAD: usize = 16 * 1024;

/// The most header lines of a request; more are answered with 431.
pub const MOST_HEADERS: usize = 64;

/// Refuses a missing, double or senseless `Host` (RFC 9112, section 3.2). A length beside a transfer coding is hyper's to deal with:
/// it ignores the length and closes the connection after the answer (section 6.3).
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Box<Problem>> {
    check_host(request.headers(), request.version())
}

/// The same of a head alone.
pub(super) fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Box<Problem>> {
    let hosts: Vec<&HeaderValue> = headers.get_all(header::HOST).iter().collect();
    match hosts.as_slice() {
        [host] if is_host(host.as_bytes()) => Ok(()),
        [_] => Err(wrong("is not a host name or an address, with or without a port")),
        [] if version <= Version::HTTP_10 => Ok(()),
        [] => Err(wrong("is required")),
        [_, _, ..] => Err(wrong("must not occur more than once")),
    }
}

/// Whether the value of `Host` is `host` or `host:port`, without a user; it may be empty. A comma is how proxies join two of them.
#[must_use]
pub fn is_host(bytes: &[u8]) -> bool {
    bytes.is_empty() || (!bytes.iter().any(|byte| b"@,".contains(byte)) && Authority::try_from(bytes).is_ok())
}

/// The refusal of a request for what is wrong with its `Host`.
pub(super) fn wrong(detail: &str) -> Box<Problem> {
    let error = FieldError {
        field: "Host".to_owned(),
        detail: detail.to_owned(),
    };
    Box::new(Problem::of_fields(StatusCode::BAD_REQUEST, vec![error]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (host, fits) in [
            ("vpn.example", true),
            ("vpn.example:8080", true),
            ("192.0.2.7:80", true),
            ("[2001:db8::1]:80", true),
            ("", true),
            ("a b", false),
            ("user@vpn.example", false),
            ("vpn.example/path", false),
            ("a,b", false),
        ] {
            assert_eq!(is_host(host.as_bytes()), fits, "{host}");
        }
    }
}
