//! What a browser must not do with our answers.

use aws_lc_rs::digest;
use data_encoding::BASE64;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

/// For answers that are data: nothing may be loaded, run or framed (OWASP REST Security Cheat Sheet, "Security Headers").
const POLICY_OF_DATA: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds the headers that an answer does not have itself.
pub(crate) fn restrict(headers: &mut HeaderMap) {
    let defaults: [(HeaderName, &'static str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY_OF_DATA),
        // For browsers that know no `frame-ancestors`.
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A key in X-API-Key does not keep a shared cache from storing the answer (RFC 9111, section 3.5).
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The policy of a page of ours: it may run the scripts and use the styles that it holds, known by their hashes, talk to where it came
/// from, and show images of its own. Content Security Policy Level 3, sections 6.1 and 6.7.
pub(crate) fn policy_of_page(html: &str) -> HeaderValue {
    let scripts = hashes(html, "script");
    let styles = hashes(html, "style");
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_impossible| HeaderValue::from_static(POLICY_OF_DATA))
}

/// `'sha256-...'` of the content of each such element.
fn hashes(html: &str, element: &str) -> String {
    let (begin, end) = (format!("<{element}"), format!("</{element}>"));
    let mut rest = html;
    let mut hashes = Vec::new();
    while let Some((_, after)) = rest.split_once(&begin) {
        let Some((content, after)) = after.split_once('>').and_then(|(_, after)| after.split_once(&end)) else {
            break;
        };
        let hash = digest::digest(&digest::SHA256, content.as_bytes());
        hashes.push(format!("'sha256-{}'", BASE64.encode(hash.as_ref())));
        rest = after;
    }
    if hashes.is_empty() {
        "'none'".to_owned()
    } else {
        hashes.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inline_script_and_style_is_allowed_by_its_hash() {
        let page = "<style a=b>c</style><script>alert('Hello, world.');</script><script x>abc</script>";
        // The first is the example of CSP3, section 6.7.2.3.
        assert_eq!(
            hashes(page, "script"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=' 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"
        );
        assert_eq!(
            hashes(page, "style"),
            "'sha256-Ln0sA6lQeuJl7PW1NWiFpTOTogKdJBOUmXJloaJa78Y='"
        );
        assert_eq!(hashes("", "style"), "'none'");
    }
}
