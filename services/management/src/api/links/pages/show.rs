//! The page of a link: what it is, the button, and what to do with the file on each system.

use poem::Response;
use poem::http::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;

use super::frame::{escaped, page};
use crate::config::PublicUrl;
use crate::domain::device::profile_name;
use crate::domain::link_token::LinkToken;
use crate::ops::links::look::OpenLink;

/// The side of the code for phones, in pixels, at least.
const CODE_SIZE: u32 = 200;

/// What sets the DNS servers of the VPN where systemd-resolved answers: Debian and Ubuntu have it there.
const RESOLVED: &str = "/etc/openvpn/update-systemd-resolved";

/// The page of an open link. Without a public URL it has nothing for phones: what the request says of its host is not believed.
pub(super) fn show(link: &OpenLink, token: &LinkToken, public_url: Option<&PublicUrl>) -> Response {
    let user = escaped(link.username.as_str());
    let file = escaped(&profile_name(&link.username, &link.device));
    let until = link.expires_at.format("%Y-%m-%d %H:%M UTC");
    let uses = match link.uses_left {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    let url = public_url.map(|public_url| public_url.with(&token.path()));
    let (import, code) = match &url {
        Some(url) => (import_link(url), code_of(url)),
        None => (String::new(), String::new()),
    };
    let content = format!(
        "<p>With this file a device connects to the VPN as <strong>{user}</strong>. It holds a private key: keep it to yourself, and \
         pass on neither the file nor this link.</p>\n\
         <form method=\"post\"><button type=\"submit\">Get {file}.ovpn</button></form>\n\
         <p>The link works until {until}, and hands out the file {uses}. Looking at this page uses up nothing.</p>\n\
         {code}\
         <h2>Windows</h2>\n<p>Install OpenVPN Connect or OpenVPN GUI. Get the file with the button above, and import it there.</p>\n\
         <h2>macOS</h2>\n<p>Install OpenVPN Connect or Tunnelblick. Get the file, and open it.</p>\n\
         <h2>Linux with NetworkManager</h2>\n<p>Install its plugin for OpenVPN. Get the file, then \
         <code>nmcli connection import type openvpn file {file}.ovpn</code> and <code>nmcli connection up {file}</code>. \
         NetworkManager sends everything through the VPN. If only some networks shall go through it: \
         <code>nmcli connection modify {file} ipv4.never-default yes ipv6.never-default yes</code> before you connect.</p>\n\
         <h2>Linux on the command line</h2>\n<p>Install OpenVPN. Get the file, then <code>sudo openvpn --config {file}.ovpn</code>. \
         OpenVPN up to 2.6 does not use the DNS servers of the VPN by itself. If you need names of the VPN: with systemd-resolved \
         install the package <code>openvpn-systemd-resolved</code>, then <code>sudo openvpn --config {file}.ovpn --script-security 2 \
         --up {RESOLVED} --down {RESOLVED} --down-pre</code>.</p>\n\
         <h2>Android, iPhone and iPad</h2>\n<p>Install OpenVPN Connect, and open this page on the phone. {import}\
         Or get the file with the button above, and open it with OpenVPN Connect.</p>\n"
    );
    page(StatusCode::OK, "Your VPN profile", &content)
}

/// OpenVPN Connect fetches what follows `import-profile/`.
fn import_link(url: &str) -> String {
    format!(
        "<a href=\"openvpn://import-profile/{}/profile\">Import the profile into OpenVPN Connect</a>, which uses up the link once. ",
        escaped(url)
    )
}

/// The page's own URL for the camera of a phone; nothing where it is too long for a code.
fn code_of(url: &str) -> String {
    let Ok(code) = QrCode::new(url) else {
        return String::new();
    };
    let image = code
        .render::<svg::Color<'_>>()
        .min_dimensions(CODE_SIZE, CODE_SIZE)
        .build();
    // A declaration of XML has no place inside a page.
    let drawing = image.split_once("?>").map_or(image.as_str(), |(_, drawing)| drawing);
    format!("<p>To get it on a phone, point its camera here:</p>\n<p>{drawing}</p>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn html(public_url: Option<&PublicUrl>) -> String {
        let link = OpenLink {
            id: 7,
            user_id: 1,
            username: "alice".parse().expect("a name"),
            device: "laptop".parse().expect("the name of a device"),
            expires_at: chrono::DateTime::from_timestamp(1_795_000_000, 0).expect("a time"),
            uses_left: 2,
        };
        let response = show(&link, &LinkToken::of([7; 32]), public_url);
        response.into_body().into_string().await.expect("text")
    }

    #[tokio::test]
    async fn the_page_leads_phones_to_the_public_url_and_runs_nothing() {
        let url = PublicUrl::try_from("https://vpn.example/x".to_owned()).expect("a URL");
        let page = html(Some(&url)).await;
        assert!(
            page.contains("href=\"openvpn://import-profile/https://vpn.example/x/p/vpnlink-"),
            "{page}"
        );
        assert!(page.contains("<svg ") && page.contains("</svg>"), "{page}");
        assert!(
            page.contains("until 2026-11-18 11:06 UTC, and hands out the file 2 times"),
            "{page}"
        );
        assert!(
            page.contains("Get alice+laptop.ovpn") && page.contains("nmcli connection up alice+laptop"),
            "{page}"
        );
        assert!(
            page.contains("nmcli connection modify alice+laptop ipv4.never-default yes ipv6.never-default yes"),
            "{page}"
        );
        let resolved = "/etc/openvpn/update-systemd-resolved";
        assert!(
            page.contains(&format!(
                "--config alice+laptop.ovpn --script-security 2 --up {resolved} --down {resolved} --down-pre"
            )),
            "{page}"
        );
        for never in ["<script", "<?xml", "src=", "style=", "onclick"] {
            assert!(!page.contains(never), "{never}: {page}");
        }
    }

    #[tokio::test]
    async fn without_a_public_url_the_page_has_the_button_only() {
        let page = html(None).await;
        assert!(page.contains("<form method=\"post\">"), "{page}");
        assert!(!page.contains("openvpn://") && !page.contains("<svg"), "{page}");
    }
}
