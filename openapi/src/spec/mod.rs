//! The generated description: polished, served, committed, checked.

mod committed;
mod lint;
mod yaml;

use bytes::Bytes;
use poem::http::header;
use poem::middleware::Middleware as _;
use poem::{Endpoint, Response, Route, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService, Webhook};
use serde_json::Value;

use crate::middleware::Conventions;

pub use committed::assert_committed;
pub use lint::lint;
pub(crate) use lint::{operations, resolve};

/// The description of a service's HTTP interface (OpenAPI 3.0).
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    document: Value,
}

impl Spec {
    /// The description of a service.
    ///
    /// # Panics
    /// Never: the generator writes JSON.
    #[must_use]
    pub fn of<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> Self {
        let document = serde_json::from_str(&service.spec()).expect("poem-openapi writes JSON");
        Self {
            document: sorted(document),
        }
    }

    /// The document as a value.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Pretty JSON with a newline at its end, the same for the same interface.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{:#}\n", self.document)
    }

    /// The same as YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        yaml::to_yaml(&self.document)
    }

    /// What the description lacks; see [`lint()`].
    #[must_use]
    pub fn lint(&self) -> Vec<String> {
        lint(&self.document)
    }
}

/// The whole application: the service at `/`, its description at `/openapi.json` and `/openapi.yaml`, Swagger UI (without any
/// outside reference) at `/docs`, all of it under the [`Conventions`].
pub fn application<T, W>(service: OpenApiService<T, W>) -> impl Endpoint<Output = Response> + 'static
where
    T: OpenApi + 'static,
    W: Webhook + 'static,
{
    let spec = Spec::of(&service);
    let conventions = Conventions::new(&spec);
    conventions.transform(documents(&service, &spec).nest("/", service))
}

fn documents<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>, spec: &Spec) -> Route {
    Route::new()
        .at("/openapi.json", poem::get(text("application/json", spec.json())))
        .at("/openapi.yaml", poem::get(text("application/yaml", spec.yaml())))
        .at(
            "/docs",
            poem::get(text("text/html; charset=utf-8", service.swagger_ui_html())),
        )
}

fn text(content_type: &'static str, body: String) -> impl Endpoint<Output = Response> + 'static {
    // Shared, so that 1.5 MB of Swagger UI are not copied for each request.
    let body = Bytes::from(body);
    make_sync(move |_| {
        Response::builder()
            .header(header::CONTENT_TYPE, content_type)
            .body(body.clone())
    })
}

/// Members in alphabetical order at every level, so that the same interface always gives the same text.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(
                members
                    .into_iter()
                    .map(|(name, member)| (name, sorted(member)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}
