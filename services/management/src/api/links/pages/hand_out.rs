//! The profile, as a file.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};

use super::frame::answer;
use crate::domain::device::profile_name;
use crate::ops::links::take::HandedOut;

const PROFILE: &str = "application/x-openvpn-profile";

/// The file.
pub(super) fn hand_out(handed_out: &HandedOut) -> Response {
    let name = profile_name(&handed_out.username, &handed_out.profile.device);
    let disposition = format!("attachment; filename=\"{name}.ovpn\"");
    answer(StatusCode::OK)
        .header(header::CONTENT_TYPE, PROFILE)
        .header(header::CONTENT_DISPOSITION, disposition)
        .body(handed_out.profile.text.expose().to_owned())
}

/// What is said of the file to somebody who only looks, in place of this page about the link.
pub(super) fn announced(mut page: Response) -> Response {
    if page.status().is_success() {
        page.headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROFILE));
    }
    page
}
