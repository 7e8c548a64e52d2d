//! A whole application: a service with its description and the conventions.

use std::sync::LazyLock;

use bytes::Bytes;
use poem::http::header;
use poem::middleware::Middleware as _;
use poem::{Endpoint, Response, Route, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService, Webhook};

use crate::middleware::{Conventions, browsers, verbs::Verbs};
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
    application_with_pages(service, |documents| documents, adapt)
}

/// The same with pages for people, which are no operations: `pages` adds their routes. No key is asked for and no body is read there.
pub fn application_with_pages<T, W>(
    service: OpenApiService<T, W>,
    pages: impl FnOnce(Route) -> Route,
    adapt: impl FnOnce(Conventions) -> Conventions,
) -> impl Endpoint<Output = Response> + 'static
where
    T: OpenApi + 'static,
    W: Webhook + 'static,
{
    let spec = Spec::of(&service);
    let conventions = adapt(Conventions::new(&spec));
    let routes = pages(documents(&service, &spec)).nest("/", service);
    conventions.transform(Verbs::new(spec.document(), routes))
}

fn documents<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>, spec: &Spec) -> Route {
    Route::new()
        .at("/openapi.json", poem::get(text("application/json", spec.json())))
        .at("/openapi.yaml", poem::get(text("application/yaml", spec.yaml())))
        .at("/docs", poem::get(page(docs(service, spec))))
}

/// Swagger UI for the description. It keeps the key in the browser until its user logs out, so that a reload does not lose it.
fn docs<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>, spec: &Spec) -> String {
    let page = service.swagger_ui_html().replace(&service.spec(), &spec.json());
    page.replace("deepLinking: true,", "deepLinking: true, persistAuthorization: true,")
}

/// A page that may run what it holds and talk to where it came from, and nothing else.
fn page(html: String) -> impl Endpoint<Output = Response> + 'static {
    let body = Bytes::from(html);
    let page = body.clone();
    // Most processes never show it, and the page has 1.5 MB to hash.
    let policy = LazyLock::new(move || browsers::policy_of_page(&String::from_utf8_lossy(&page)));
    make_sync(move |_| {
        Response::builder()
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, policy.clone())
            .body(body.clone())
    })
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
