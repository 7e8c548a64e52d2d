//! Links of answers, as callers behind a proxy need them.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::server::ForwardedPrefix;

/// Puts the prefix before the paths that an answer leads to.
pub(super) fn apply(prefix: &ForwardedPrefix, headers: &mut HeaderMap) {
    let prefix = prefix.as_str();
    rewrite(headers, header::LOCATION, |path| {
        (path.starts_with('/') && !path.starts_with("//")).then(|| format!("{prefix}{path}"))
    });
    rewrite(headers, header::LINK, |links| {
        Some(links.replace("</", &format!("<{prefix}/")))
    });
}

fn rewrite(headers: &mut HeaderMap, name: HeaderName, change: impl Fn(&str) -> Option<String>) {
    let changed = headers.get(&name).and_then(|value| change(value.to_str().ok()?));
    if let Some(value) = changed.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(name, value);
    }
}
