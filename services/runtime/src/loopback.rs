//! What stays on this machine: nobody on the way hears it, and no proxy that leads out of the machine has to do with it.

use std::net::IpAddr;

use reqwest::{ClientBuilder, Url};

/// Whether a host is this machine itself. An IPv6 address may stand in brackets, as it does in a URL.
///
/// Of names `localhost` alone is. With a dot at its end it is a question to DNS, and nobody knows what that answers.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether whoever listens on the way reads what is sent to a URL: HTTP without TLS, to another machine.
#[must_use]
pub fn is_in_the_clear(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !leads_here(&url))
}

/// A client for this URL that takes the proxies of the environment, unless what it sends stays here.
pub fn past_proxies(builder: ClientBuilder, url: &str) -> ClientBuilder {
    match stays_here(url) {
        true => builder.no_proxy(),
        false => builder,
    }
}

/// Whether nothing of what is sent to a URL leaves this machine. The URL is read as the client of HTTP reads it.
fn stays_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| leads_here(&url))
}

fn leads_here(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_this_machine_however_it_is_spelled() {
        for (host, here) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.255.9.9", true),
            ("::1", true),
            ("[::1]", true),
            ("[0:0:0:0:0:0:0:1]", true),
            ("::ffff:127.0.0.1", true),
            ("[::ffff:7f00:1]", true),
            ("localhost.", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org", false),
            ("128.0.0.1", false),
            ("0.0.0.0", false),
            ("::", false),
            ("[::ffff:192.0.2.7]", false),
            // Of the IPv4-compatible addresses nobody says where they lead.
            ("[::127.0.0.1]", false),
            ("[::1", false),
            ("[localhost", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), here, "{host}");
        }
    }

    #[test]
    fn what_is_sent_in_plain_http_is_in_the_clear_unless_it_stays_on_the_machine() {
        for (url, here, clear) in [
            ("http://management.example.org:8080", false, true),
            ("https://management.example.org", false, false),
            ("http://127.0.0.1:8080", true, false),
            ("http://127.8.8.8", true, false),
            // So clients of HTTP read an address.
            ("http://127.1", true, false),
            ("http://0x7f.0.0.1", true, false),
            ("http://127.0.0.1.", true, false),
            ("http://localhost:8080/vpn", true, false),
            ("https://LOCALHOST", true, false),
            ("HTTP://LocalHost", true, false),
            ("http://localhost.:8080", false, true),
            ("http://somebody:secret@localhost", true, false),
            ("http://192.0.2.7@127.0.0.1", true, false),
            ("http://[::1]:8080", true, false),
            ("http://[::ffff:127.0.0.1]:8080", true, false),
            ("http://[2001:db8::1]:8080", false, true),
            ("http://127.0.0.1.example.org", false, true),
            ("http://localhost.example.org", false, true),
            ("http://127.0.0.1@192.0.2.7", false, true),
            ("http://localhost:x@192.0.2.7", false, true),
            ("http://192.0.2.7/@localhost", false, true),
            ("http://192.0.2.7#@localhost", false, true),
            (" http://192.0.2.7", false, true),
            ("http:\\\\192.0.2.7", false, true),
            ("http://192.0.2.7\\@localhost", false, true),
            ("HTTP://192.0.2.7", false, true),
            ("localhost:8080", false, false),
            ("nonsense", false, false),
        ] {
            assert_eq!((stays_here(url), is_in_the_clear(url)), (here, clear), "{url}");
        }
    }
}
