//! A whole application: a service with its description and the conventions.

use bytes::Bytes;
use poem::http::header;
use poem::middleware::{Middleware as _, SetHeader};
use poem::{Endpoint, EndpointExt as _, Response, Route, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService, Webhook};

use crate::middleware::{Conventions, browsers};
use crate::spec::Spec;

/// The whole application: the service at `/`, its description at `/openapi.json` and `/openapi.yaml`, Swagger UI (without any
/// outside reference) at `/docs`, all of it under the [`Conventions`], which `adapt` may change.
pub fn application<T, W>(
    service: OpenApiService<T, W>,
    adapt: impl FnOnce(Conventions) -> Conventions,
) -> impl Endpoint<Output = Response> + 'static
where
    T: OpenApi + 'static,
    W: Webhook + 'static,
{
    let spec = Spec::of(&service);
    let conventions = adapt(Conventions::new(&spec));
    conventions.transform(documents(&service, &spec).nest("/", service))
}

fn documents<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>, spec: &Spec) -> Route {
    Route::new()
        .at("/openapi.json", poem::get(text("application/json", spec.json())))
        .at("/openapi.yaml", poem::get(text("application/yaml", spec.yaml())))
        .at("/docs", poem::get(page(service.swagger_ui_html())))
}

/// A page that may run what it holds and talk to where it came from, and nothing else.
fn page(html: String) -> impl Endpoint<Output = Response> + 'static {
    let policy = browsers::policy_of_page(&html);
    let page = text("text/html; charset=utf-8", html);
    page.with(SetHeader::new().overriding(header::CONTENT_SECURITY_POLICY, policy))
        .map_to_response()
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
