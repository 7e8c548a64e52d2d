//! What becomes of every request of the generated client: some have more time, one that was put off is sent later, and a POST whose answer was
//! lost is sent again.

use std::time::Duration;

use progenitor_client::{ClientHooks, ClientInfo as _, OperationInfo};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::client::Client;

/// Operations whose answers come in parts for as long as it takes; src/parts.rs looks whether anything comes.
const IN_PARTS: [&str; 3] = ["export_audit", "export_audit_csv", "stream_events"];
const LONG: Duration = Duration::from_secs(7 * 86_400);

/// With a key management works on to the end. Without one Ctrl-C ends a batch, whose items may be sent again anyway.
const STOPPABLE: &str = "batch_users";
/// By it management knows a request that it was sent before.
const KEY: &str = "idempotency-key";

/// Answers to what was not begun, because this key or all callers ask too much: a list of many pages must not end in the middle for that.
const PUT_OFF: [StatusCode; 1] = [StatusCode::TOO_MANY_REQUESTS];
/// The same, and the answer to a request that is still being worked on, where it was sent before.
const PUT_OFF_OR_WORKED_ON: [StatusCode; 2] = [StatusCode::TOO_MANY_REQUESTS, StatusCode::CONFLICT];

/// A replica that died is not asked at the same moment again.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that management waits in one request is a minute; so long it may still be working on the first.
const PATIENCE: Duration = Duration::from_secs(70);

impl ClientHooks<()> for Client {
    async fn exec(&self, mut request: Request, info: &OperationInfo) -> reqwest::Result<Response> {
        if IN_PARTS.contains(&info.operation_id) {
            *request.timeout_mut() = Some(LONG);
            return self.client().execute(request).await;
        }
        if *request.method() != Method::POST || info.operation_id == STOPPABLE {
            return patiently(self.client(), request, &PUT_OFF).await;
        }
        let key = HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is visible ASCII");
        request.headers_mut().insert(KEY, key);
        send(self.client(), request).await
    }
}

/// Sends it, and once more where the connection was lost before the answer came.
async fn send(http: &reqwest::Client, request: Request) -> reqwest::Result<Response> {
    let again = request.try_clone();
    match (patiently(http, request, &PUT_OFF).await, again) {
        (Err(error), Some(again)) if is_lost(&error) => {
            sleep(PAUSE).await;
            patiently(http, again, &PUT_OFF_OR_WORKED_ON).await
        }
        (outcome, _) => outcome,
    }
}

/// Whether the request may have been taken, and nobody will answer it.
fn is_lost(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

/// Sends it again and again, as long as the answer has one of these statuses and says when to.
async fn patiently(http: &reqwest::Client, mut request: Request, statuses: &[StatusCode]) -> reqwest::Result<Response> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let again = request.try_clone();
        let answer = http.execute(request).await?;
        match (again, pause(&answer, statuses)) {
            (Some(again), Some(pause)) if Instant::now() + pause < deadline => {
                sleep(pause).await;
                request = again;
            }
            _ => return Ok(answer),
        }
    }
}

/// How long management wants to be left alone.
fn pause(answer: &Response, statuses: &[StatusCode]) -> Option<Duration> {
    if !statuses.contains(&answer.status()) {
        return None;
    }
    let seconds: u16 = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use serde_json::{Value, json};

    use super::*;
    use crate::api::Api;
    use crate::client::types;
    use crate::connection::Connection;

    /// The connection ends instead.
    const NOTHING: &str = "";
    const STILL_WORKED_ON: &str =
        "HTTP/1.1 409 Conflict\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const TOO_MUCH: &str =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const MADE: &str = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
        connection: close\r\n\r\n{\"id\": 7}";
    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
        connection: close\r\n\r\n{\"id\": 7}";

    /// A management that answers so, one request after the other, and then tells the keys that they had.
    fn serve(answers: &'static [&'static str]) -> (Api, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let connection = Connection {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            key: None,
            authorities: None,
            timeout: Duration::from_secs(30),
        };
        let keys = thread::spawn(move || answers.iter().map(|answer| answer_one(&listener, answer)).collect());
        (Api::new(&connection).expect("a client"), keys)
    }

    fn answer_one(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = BufReader::new(stream.try_clone().expect("a socket"));
        let (mut key, mut length) = (String::new(), 0_usize);
        loop {
            let mut line = String::new();
            request.read_line(&mut line).expect("a line");
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("idempotency-key: ") {
                value.clone_into(&mut key);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
        }
        request.read_exact(&mut vec![0; length]).expect("a body");
        stream.write_all(answer.as_bytes()).expect("somebody who reads");
        key
    }

    async fn create(api: &Api) -> Value {
        let body = types::NewJoinToken::builder();
        let made = api.answer(api.create_join_token().body(body).send()).await;
        made.expect("an answer")
    }

    #[tokio::test]
    async fn a_lost_answer_is_asked_for_with_the_same_key() {
        let (api, keys) = serve(&[NOTHING, STILL_WORKED_ON, MADE]);
        assert_eq!(create(&api).await, json!({ "id": 7 }));
        let keys = keys.join().unwrap();
        assert_eq!(keys[0].len(), 36, "{keys:?}");
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[tokio::test]
    async fn a_request_that_was_put_off_is_sent_again_as_the_same_one() {
        let (api, keys) = serve(&[TOO_MUCH, MADE, TOO_MUCH, DONE]);
        assert_eq!(create(&api).await, json!({ "id": 7 }));
        assert_eq!(api.answer(api.list_pools().send()).await.unwrap(), json!({ "id": 7 }));
        let keys = keys.join().unwrap();
        assert_eq!((keys[0].len(), &keys[0]), (36, &keys[1]));
        assert_eq!((keys[2].as_str(), keys[3].as_str()), ("", ""));
    }

    #[tokio::test]
    async fn each_request_has_a_key_of_its_own_and_a_batch_has_none() {
        let (api, keys) = serve(&[MADE, MADE, DONE]);
        create(&api).await;
        create(&api).await;
        let body = types::UserBatch::builder().items(json!([]));
        api.answer(api.batch_users().body(body).send()).await.unwrap();
        let keys = keys.join().unwrap();
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[2], "");
    }
}
