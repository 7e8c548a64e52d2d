//! Sends spans to a collector: the only file that knows OpenTelemetry.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::kind::Kind;
use super::trace_parent::TraceParent;
use crate::log_limit::LogLimit;
use crate::loopback::past_proxies;
use crate::tasks::Tasks;

/// Standard variables, each of which names a collector; the first comes before the other.
const COLLECTOR: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How long the collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last spans may take at the end of the process.
const LAST: Duration = Duration::from_secs(2);

/// Of the run of the service that goes on.
static TRACER: RwLock<Option<SdkTracer>> = RwLock::new(None);

static UNSENT: LogLimit = LogLimit::new("spans were not taken by the collector");

/// Begins to send spans, where a variable of OpenTelemetry names a collector (OTLP over HTTP, protobuf). Its other variables hold too:
/// headers, sampling, attributes. `program` is the service's name and `instance` that of the replica or node.
///
/// # Errors
/// When what the variables say cannot be used.
pub fn start(tasks: &Tasks, program: &'static str, instance: &str) -> anyhow::Result<()> {
    let Some(url) = collector() else {
        return Ok(());
    };
    let client = Collector {
        http: past_proxies(reqwest::Client::builder().timeout(PATIENCE), &url)
            .build()
            .context("the client for traces cannot be made")?,
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = exporter.context("traces cannot be sent as the variables of OpenTelemetry say")?;
    let resource = Resource::builder()
        .with_service_name(program)
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    set_tracer(Some(provider.tracer("vpnmanager")));
    info!("Spans are sent to a collector of OpenTelemetry");
    let ending = tasks.draining();
    tasks.spawn_worker("traces", async move {
        ending.cancelled().await;
        set_tracer(None);
        // It waits for its own thread.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST)).await;
        if let Ok(Err(error)) = ended {
            warn!(error = %error, "The last spans were not sent");
        }
        Ok(())
    });
    Ok(())
}

fn set_tracer(tracer: Option<SdkTracer>) {
    *TRACER.write().unwrap_or_else(PoisonError::into_inner) = tracer;
}

/// Where spans go, if they are wanted.
#[expect(
    clippy::disallowed_methods,
    reason = "the variables are OpenTelemetry's own, whose library reads them too"
)]
fn collector() -> Option<String> {
    let is_disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if is_disabled {
        return None;
    }
    let mut named = COLLECTOR.iter().filter_map(|name| std::env::var(name).ok());
    named.find(|url| !url.is_empty())
}

/// A span that is recorded; it ends when it is dropped.
pub(super) struct Recording(opentelemetry_sdk::trace::Span);

impl Recording {
    /// Begins one, where there is a collector.
    pub(super) fn begin(name: &str, kind: Kind, parent: Option<TraceParent>) -> Option<Self> {
        let tracer = TRACER.read().unwrap_or_else(PoisonError::into_inner);
        let tracer = tracer.as_ref()?;
        let builder = SpanBuilder::from_name(name.to_owned()).with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        });
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(context_of(parent)),
            None => Context::new(),
        };
        Some(Self(tracer.build_with_context(builder, &context)))
    }

    pub(super) fn traceparent(&self) -> TraceParent {
        let context = self.0.span_context();
        TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        }
    }

    pub(super) fn note(&mut self, key: &'static str, value: String) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    pub(super) fn fail(&mut self, why: String) {
        self.0.set_status(Status::error(why));
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recording").field(&self.traceparent()).finish()
    }
}

fn context_of(parent: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(parent.trace.to_be_bytes()),
        SpanId::from_bytes(parent.span.to_be_bytes()),
        TraceFlags::new(parent.flags),
        true,
        TraceState::default(),
    )
}

/// Sends batches with the HTTP client of the tree. The library asks from a thread of its own, which has no runtime.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sent<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        Box::pin(async move {
            let answer = sending.await.map_err(HttpError::from).flatten();
            let fault = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it answered {}", answer.status())),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = fault
                && let Some(times) = UNSENT.admit()
            {
                warn!(error, times, "The collector did not take spans, they are lost");
            }
            answer
        })
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let answer = http.execute(request.try_into()?).await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    Ok(Response::builder().status(status).body(body)?)
}
