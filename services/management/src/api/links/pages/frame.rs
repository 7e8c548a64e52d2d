//! What all pages have: the frame, the style, and what a browser must not do with them.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use data_encoding::BASE64;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Response, ResponseBuilder};

/// Search engines list neither the page nor what it hands out.
const ROBOTS: (&str, &str) = ("x-robots-tag", "noindex, nofollow");

/// For answers with a token in their URL, or a private key in their body.
const NO_STORE: &str = "no-store";

const STYLE: &str = "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:40em;padding:0 1em;color:#222;background:#fff}\
    button{font:inherit;padding:.5em 1em;cursor:pointer}code{background:#eee;padding:.1em .3em;overflow-wrap:anywhere}\
    svg{max-width:100%;height:auto}";

/// No scripts, nothing from elsewhere; the one style is known by its hash, and forms go to where the page came from. Content Security Policy
/// Level 3, sections 6.1 and 6.3.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()).as_ref());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_impossible| HeaderValue::from_static("default-src 'none'"))
});

/// The beginning of an answer that nobody keeps.
pub(super) fn answer(status: StatusCode) -> ResponseBuilder {
    Response::builder()
        .status(status)
        .header(header::CACHE_CONTROL, NO_STORE)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(ROBOTS.0, ROBOTS.1)
}

/// A page with this heading. `content` is HTML: whatever comes from outside was [escaped].
pub(super) fn page(status: StatusCode, heading: &str, content: &str) -> Response {
    let heading = escaped(heading);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{heading}</title><style>{STYLE}</style></head>\n<body>\n<h1>{heading}</h1>\n{content}</body></html>\n"
    );
    answer(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY.clone())
        .body(html)
}

/// The text as it stands in HTML, in an attribute too.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let text = "\"><script>alert('x')</script>&";
        assert_eq!(
            escaped(text),
            "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;"
        );
    }

    #[tokio::test]
    async fn a_page_holds_its_heading_as_text_and_the_style_that_the_policy_knows() {
        let response = page(StatusCode::OK, "<b>", "");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .to_owned();
        let html = response.into_body().into_string().await.expect("text");
        assert!(html.contains("<h1>&lt;b&gt;</h1>") && !html.contains("<b>"), "{html}");
        let style = html
            .split("<style>")
            .nth(1)
            .and_then(|rest| rest.split("</style>").next());
        let hash = BASE64.encode(digest::digest(&digest::SHA256, style.expect("a style").as_bytes()).as_ref());
        assert!(policy.contains(&hash) && !policy.contains("script-src"), "{policy}");
    }
}
