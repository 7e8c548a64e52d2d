//! Figures and traces of a whole stack.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use vpnmanager_testbed::{
    api::Api,
    ports,
    stack::{Stack, StackOptions},
    wait,
};

const KEY: &str = "9f2c4b7e1a8d3f605be7c2914d06a8f3";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A span that came to the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    program: String,
    id: String,
    parent: String,
}

/// A collector of OpenTelemetry.
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let mut serving = JoinSet::new();
        let taken = Arc::clone(&bodies);
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Some(body) = take(stream).await {
                    taken.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                }
            }
        });
        Self {
            url,
            bodies,
            _serving: serving,
        }
    }

    /// The spans of the trace by name.
    fn spans(&self) -> BTreeMap<String, Seen> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = BTreeMap::new();
        for body in bodies.iter() {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("a request of OTLP");
            for of_resource in request.resource_spans {
                let resource = format!("{:?}", of_resource.resource);
                let programs = ["vpnmanager-management", "vpnmanager-endnode"];
                let program = programs.into_iter().find(|program| resource.contains(program));
                for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    if hex(&span.trace_id) == TRACE {
                        let found = Seen {
                            program: program.expect("a program of ours").to_owned(),
                            id: hex(&span.span_id),
                            parent: hex(&span.parent_span_id),
                        };
                        seen.insert(span.name, found);
                    }
                }
            }
        }
        seen
    }
}

/// Reads one request and answers it.
async fn take(mut stream: TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    assert!(text.starts_with("post /v1/traces "), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let length: usize = length.trim().parse().ok()?;
    while read.len() < head + length {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).await.ok()?;
    Some(read.split_off(head))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The API, each of whose requests belongs to the trace.
fn traced(stack: &Stack) -> Api {
    let mut headers = HeaderMap::new();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    headers.insert("traceparent", HeaderValue::from_str(&traceparent).expect("a header"));
    let http = reqwest::Client::builder().default_headers(headers).build();
    Api::with_client(
        stack.api().base(),
        Some(&stack.state().api_key),
        http.expect("a client"),
    )
}

#[tokio::test]
async fn one_trace_leads_from_a_request_to_the_node_and_back() {
    let collector = Collector::start().await;
    let env: Vec<(String, String)> = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let stack = Stack::start(StackOptions {
        nodes: 1,
        tunnels: Some(false),
        management_env: env.clone(),
        node_env: env,
        ..StackOptions::default()
    })
    .await
    .unwrap();

    let created = traced(&stack).create_user("alice", Some(wait::SOON)).await.unwrap();
    assert_eq!(created.body["synced"], true, "{}", created.text);

    let names = [
        "create_user",
        "publish command",
        "apply command",
        "publish ack",
        "record ack",
    ];
    let spans = wait::until_some(wait::SOON, "all spans of the trace", async || {
        let spans = collector.spans();
        names.iter().all(|name| spans.contains_key(*name)).then_some(spans)
    })
    .await
    .unwrap();
    let mut parent = CALLER.to_owned();
    for name in names {
        assert_eq!(spans[name].parent, parent, "{name}: {spans:?}");
        parent.clone_from(&spans[name].id);
    }
    let programs = names.map(|name| spans[name].program.as_str());
    let (management, node) = ("vpnmanager-management", "vpnmanager-endnode");
    assert_eq!(programs, [management, management, node, node, management]);
    stack.down().await;
}

/// The figures at an address, or the status without them.
async fn figures(port: u16, key: Option<&str>) -> Result<String, StatusCode> {
    let mut request = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/metrics"));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.expect("an answer");
    match answer.status() {
        StatusCode::OK => Ok(answer.text().await.expect("a text")),
        refused => Err(refused),
    }
}

#[tokio::test]
async fn both_programs_tell_figures_to_who_has_the_key() {
    let [management, node] = [(); 2].map(|()| ports::free().expect("a port"));
    let env = |port: u16| {
        let listen = format!("127.0.0.1:{port}");
        vec![
            ("METRICS_LISTEN".to_owned(), listen),
            ("METRICS_KEY".to_owned(), KEY.to_owned()),
        ]
    };
    let stack = Stack::start(StackOptions {
        nodes: 1,
        tunnels: Some(false),
        management_env: env(management),
        node_env: env(node),
        ..StackOptions::default()
    })
    .await
    .unwrap();
    let created = stack.api().create_user("alice", Some(wait::SOON)).await.unwrap();
    assert_eq!(created.body["synced"], true, "{}", created.text);

    let of_management = [
        "vpnmanager_nodes{state=\"healthy\"} 1.0",
        "vpnmanager_node_users{node=\"node-1\"} 1.0",
        "vpnmanager_node_placements_pending{node=\"node-1\"} 0.0",
        "vpnmanager_acks_total{outcome=\"applied\"} 1.0",
        "vpnmanager_ack_latency_seconds_count 1",
        "vpnmanager_http_requests_total{operation=\"create_user\",status=\"201\"} 1.0",
        "vpnmanager_bus_connected 1.0",
        "vpnmanager_bus_commands_undelivered{node=\"node-1\"} 0.0",
        "vpnmanager_database_up 1.0",
        "vpnmanager_panics_total 0",
    ];
    let of_node = [
        "vpnmanager_agent_users 1.0",
        "vpnmanager_agent_allow_list_entries 1.0",
        "vpnmanager_agent_commands_total{outcome=\"applied\"} 1.0",
        "vpnmanager_agent_bus_connected 1.0",
        "vpnmanager_agent_journal_ok 1.0",
        "vpnmanager_agent_acks_waiting 0.0",
    ];
    for (port, lines) in [(management, of_management.as_slice()), (node, of_node.as_slice())] {
        for wrong in [None, Some("another-key")] {
            assert_eq!(figures(port, wrong).await, Err(StatusCode::UNAUTHORIZED));
        }
        // What is looked at is shown for five seconds, and a heartbeat comes each five.
        wait::until_ok(wait::SOON, "the figures", async || {
            let text = figures(port, Some(KEY)).await.expect("figures");
            assert!(text.ends_with("# EOF\n") && !text.contains("alice"), "{text}");
            match lines.iter().find(|line| !text.lines().any(|found| found == **line)) {
                None => Ok(()),
                Some(line) => Err(format!("{line} is not in\n{text}")),
            }
        })
        .await
        .unwrap();
    }
    stack.down().await;
}
