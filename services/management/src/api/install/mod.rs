//! `/install.sh` and `/packages/{name}`: how a machine becomes a node with one line. No operations: they need no key, hold no secret, and are
//! not in the description.

mod script;

use poem::http::header;
use poem::{Body, Endpoint, Request, Response, Route, get};
use tokio::io::BufReader;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::remembered::Remembered;

use crate::api::access::Origin;
use crate::api::failure;
use crate::app::App;
use crate::domain::agent_package::{AgentPackage, RELEASE};
use crate::ops::packages::offer::{OfferError, Offered, offer};
use crate::ops::packages::open::open;

/// Bytes that are read from a package at once.
const PIECE: usize = 64 * 1024;

/// Adds them to the routes.
pub(in crate::api) fn add_to(routes: Route, app: &App) -> Route {
    let script = InstallScript {
        app: app.clone(),
        offered: Remembered::default(),
    };
    let packages = Packages { app: app.clone() };
    routes
        .at("/install.sh", get(script))
        .at("/packages/:name", get(packages))
}

/// The script. Who asks for it at about the same time gets what was read from the packages once.
struct InstallScript {
    app: App,
    offered: Remembered<Vec<Offered>>,
}

/// The packages that the script fetches.
struct Packages {
    app: App,
}

impl Endpoint for InstallScript {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        admit(&self.app, &request)?;
        drop(request);
        let folder = &self.app.config.packages_dir;
        let offered = self.offered.try_get::<OfferError>(offer(folder)).await;
        let offered = offered.map_err(ApiError::internal)?;
        if offered.is_empty() {
            return Err(no_package().into());
        }
        let text = script::render(&offered, self.app.config.public_url());
        Ok(answer("text/x-shellscript; charset=utf-8", Body::from_string(text)))
    }
}

impl Endpoint for Packages {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        admit(&self.app, &request)?;
        let named = request
            .raw_path_param("name")
            .unwrap_or_default()
            .parse::<AgentPackage>();
        drop(request);
        let package = named.map_err(|error| ApiError::not_found(error.to_string()))?;
        let opened = open(&self.app.config.packages_dir, package).await;
        let file = opened.map_err(ApiError::internal)?.ok_or_else(no_package)?;
        let body = Body::from_async_read(BufReader::with_capacity(PIECE, file));
        Ok(answer("application/vnd.debian.binary-package", body))
    }
}

/// Within the budget of those without a key.
fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    let admitted = app.gatekeeper.admit_keyless(Origin::of(request).source());
    admitted.map_err(failure::too_many_keyless)
}

fn no_package() -> ApiError {
    ApiError::not_found(format!(
        "management has no package of the agent of release {RELEASE} to hand out: put it into PACKAGES_DIR"
    ))
}

/// A release has the same name for other bytes when it is packed anew.
fn answer(content_type: &'static str, body: Body) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .body(body)
}
