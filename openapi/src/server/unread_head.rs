//! The answer to a head that hyper does not read: hyper writes one of its own, with a status and nothing else, and no setting of it says
//! more. It is given a body on its way to the socket.

use poem::http::{HeaderMap, StatusCode};
use poem_openapi::types::ToJSON as _;

use super::framing::{LONGEST_HEAD, MOST_HEADERS};
use crate::middleware::problems;
use crate::problem::Problem;

/// hyper's answer with the body that it lacks. `None` if it is none to a head that was not read: it goes out as it is.
pub(super) fn with_body(answer: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(answer).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1))?;
    let problem = problem_of(StatusCode::from_bytes(status.as_bytes()).ok()?)?;
    let body = problem.to_json_string();
    let refusal = problems::refuse(&problem);

    let mut text = format!("{first}\r\n");
    for line in lines.filter(|line| !repeats(line, refusal.headers())) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    for (name, value) in refusal.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().ok()?));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    Some(text.into_bytes())
}

fn problem_of(status: StatusCode) -> Option<Problem> {
    let detail = match status {
        StatusCode::BAD_REQUEST => "the head of the request is not HTTP/1.1".to_owned(),
        StatusCode::URI_TOO_LONG => "the target of the request is too long".to_owned(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            format!("the head of the request has more than {LONGEST_HEAD} bytes or {MOST_HEADERS} header lines")
        }
        _ => return None,
    };
    Some(Problem::of(status, detail))
}

/// Whether this line of hyper's says what one of ours says otherwise.
fn repeats(line: &str, ours: &HeaderMap) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("content-length") || ours.contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_an_unread_head_gets_a_body_and_keeps_the_rest() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let text = String::from_utf8(with_body(bare.as_bytes()).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\n"),
            "{head}"
        );
        for line in [
            "content-type: application/problem+json",
            "connection: close",
            "cache-control: no-store",
            &format!("content-length: {}", body.len()),
        ] {
            assert_eq!(head.lines().filter(|other| *other == line).count(), 1, "{line}: {head}");
        }
        assert!(!head.contains("content-length: 0"), "{head}");
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, 431);
        assert!(problem.detail.unwrap().contains("16384 bytes or 64 header lines"));
    }

    #[test]
    fn what_is_no_such_answer_goes_out_as_it_is() {
        for other in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            "{\"status\": 431}\r\n\r\n",
        ] {
            assert_eq!(with_body(other.as_bytes()), None, "{other}");
        }
    }
}
