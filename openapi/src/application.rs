//! A whole application: a service with its description and the conventions.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use poem::http::{HeaderValue, header};
use poem::middleware::Middleware as _;
use poem::{Endpoint, Request, Response, Route, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService, Webhook};

use crate::middleware::{Conventions, browsers, verbs::Verbs};
use crate::server::ForwardedPrefix;
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
    let shown = spec.clone();
    Route::new()
        .at(
            "/openapi.json",
            poem::get(text("application/json", spec.clone(), Spec::json)),
        )
        .at(
            "/openapi.yaml",
            poem::get(text("application/yaml", spec.clone(), Spec::yaml)),
        )
        .at(
            "/docs",
            poem::get(page(docs(service, spec), move |prefix| Replacement {
                from: shown.json(),
                to: shown.below(prefix).json(),
            })),
        )
}

/// Swagger UI for the description. It keeps the key in the browser until its user logs out, so that a reload does not lose it.
fn docs<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>, spec: &Spec) -> String {
    let page = service.swagger_ui_html().replace(&service.spec(), &spec.json());
    page.replace("deepLinking: true,", "deepLinking: true, persistAuthorization: true,")
}

/// What another path before those of the operations changes in a page.
struct Replacement {
    from: String,
    to: String,
}

/// A page and its policy.
#[derive(Clone)]
struct Page {
    body: Bytes,
    policy: HeaderValue,
}

impl Page {
    fn of(html: String) -> Self {
        Self {
            policy: browsers::policy_of_page(&html),
            body: html.into(),
        }
    }
}

/// A page that may run what it holds and talk to where it came from, and nothing else.
fn page(
    html: String,
    below: impl Fn(&str) -> Replacement + Send + Sync + 'static,
) -> impl Endpoint<Output = Response> + 'static {
    let html = Arc::new(html);
    let plain = html.clone();
    // Most processes never show it, and the page has 1.5 MB to hash.
    let unprefixed = LazyLock::new(move || Page::of(plain.to_string()));
    // A fleet has one proxy, with one prefix.
    let latest: Mutex<Option<(ForwardedPrefix, Page)>> = Mutex::default();
    make_sync(move |request: Request| {
        let shown = match request.data::<ForwardedPrefix>() {
            None => unprefixed.clone(),
            Some(prefix) => {
                let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                match &*latest {
                    Some((known, page)) if known == prefix => page.clone(),
                    Some(_) | None => {
                        let Replacement { from, to } = below(prefix.as_str());
                        let page = Page::of(html.replace(&from, &to));
                        *latest = Some((prefix.clone(), page.clone()));
                        page
                    }
                }
            }
        };
        Response::builder()
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, shown.policy)
            .body(shown.body)
    })
}

fn text(
    content_type: &'static str,
    spec: Spec,
    write: fn(&Spec) -> String,
) -> impl Endpoint<Output = Response> + 'static {
    // Shared, so that it is not copied for each request.
    let unprefixed = Bytes::from(write(&spec));
    make_sync(move |request: Request| {
        let body = match request.data::<ForwardedPrefix>() {
            None => unprefixed.clone(),
            Some(prefix) => write(&spec.below(prefix.as_str())).into(),
        };
        Response::builder()
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
    })
}
