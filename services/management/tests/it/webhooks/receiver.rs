//! A receiver of webhooks that answers what it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use vpnmanager_testbed::wait;

/// What came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Listens until it is dropped.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Book {
    received: Vec<Received>,
    /// The next answers, as their first line after `HTTP/1.1 `, with further headers; 204 when there is none left.
    answers: VecDeque<String>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let book: Arc<Mutex<Book>> = Arc::default();
        let mut tasks = JoinSet::new();
        let of_task = book.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(exchange(stream, of_task.clone()));
            }
        });
        Self {
            address,
            book,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn answer_next(&self, answers: &[&str]) {
        let answers = answers.iter().map(|answer| (*answer).to_owned());
        self.book.lock().expect("unpoisoned").answers.extend(answers);
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.book.lock().expect("unpoisoned").received.clone()
    }

    /// Waits until so many messages have come.
    pub(super) async fn has(&self, count: usize) -> Vec<Received> {
        let came = wait::until_some(wait::SOON, format!("{count} messages"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        });
        came.await.expect("in time")
    }
}

async fn exchange(stream: TcpStream, book: Arc<Mutex<Book>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.expect("a head");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers["content-length"].parse().expect("a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    let answer = {
        let mut book = book.lock().expect("unpoisoned");
        book.received.push(Received {
            path,
            headers,
            body: String::from_utf8(body).expect("text"),
        });
        book.answers.pop_front()
    };
    let answer = answer.unwrap_or_else(|| "204 No Content".to_owned());
    let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsorry\n");
    let text = if answer.starts_with("204") {
        format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n")
    } else {
        text
    };
    // Whoever has enough of it may have gone.
    let _gone = stream.write_all(text.as_bytes()).await;
}
