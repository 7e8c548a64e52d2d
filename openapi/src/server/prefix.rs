//! The path below which a proxy offers the service: it takes that off each request, and says so.

use poem::http::{HeaderMap, StatusCode};

use crate::problem::Problem;

/// The header that a proxy says it with. Like `X-Forwarded-For` it counts from trusted proxies only.
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// Longer ones are refused: it goes into answers.
const LONGEST: usize = 128;

/// A path that callers put before those of the service, such as `/vpn`; a request finds it in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardedPrefix(String);

impl ForwardedPrefix {
    /// What a trusted proxy says; `None`: nothing, or that there is none.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Box<Problem>> {
        let mut lines = headers.get_all(FORWARDED_PREFIX).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let text = line.to_str().unwrap_or("?").trim_end_matches('/');
        if text.is_empty() {
            return Ok(None);
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let fits = text.len() <= LONGEST
            && text.starts_with('/')
            && !text.contains("//")
            && text.bytes().all(is_plain)
            && lines.next().is_none();
        if fits {
            Ok(Some(Self(text.to_owned())))
        } else {
            Err(unreadable())
        }
    }

    /// The path of the service as callers have it: without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn unreadable() -> Box<Problem> {
    let detail = "must be one path such as /vpn, of letters, digits and -._~, from the proxy";
    let problem = Problem::of(StatusCode::BAD_REQUEST, format!("X-Forwarded-Prefix: {detail}"));
    Box::new(problem.with_field("X-Forwarded-Prefix", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_plain_path() {
        let of = |lines: &[&str]| {
            let lines = lines
                .iter()
                .map(|line| (FORWARDED_PREFIX.parse().unwrap(), line.parse().unwrap()));
            let headers: HeaderMap = lines.collect();
            ForwardedPrefix::of(&headers).map(|prefix| prefix.map(|prefix| prefix.0))
        };
        for (lines, expected) in [
            ([].as_slice(), None),
            (&[""], None),
            (&["/"], None),
            (&["/vpn"], Some("/vpn")),
            (&["/vpn/"], Some("/vpn")),
            (&["/a/b-c.d_e~f"], Some("/a/b-c.d_e~f")),
        ] {
            assert_eq!(of(lines).unwrap().as_deref(), expected, "{lines:?}");
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        for lines in [
            &["vpn"][..],
            &["//evil.example"],
            &["/a//b"],
            &["/a\"b"],
            &["/a b"],
            &["/a?b"],
            &["https://evil.example"],
            &["/a", "/b"],
            &[long.as_str()],
        ] {
            assert_eq!(of(lines).unwrap_err().status, 400, "{lines:?}");
        }
    }
}
