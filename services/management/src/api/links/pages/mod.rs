//! `/p/{token}`: what a link to a profile leads to. Pages for people, no operations: they need no key, and are not in the description.
//!
//! `GET /p/{token}` shows a page and uses up nothing, whoever looks. Its button sends `POST /p/{token}`, which hands out the profile. OpenVPN
//! Connect fetches with a GET what an `openvpn://import-profile/` link names, so `GET /p/{token}/profile` hands it out too; HEAD does not.

mod frame;
mod hand_out;
mod refusal;
mod show;

use poem::http::Method;
use poem::{Endpoint, Request, Response, Route};

use crate::api::access::Origin;
use crate::api::failure;
use crate::app::App;
use crate::domain::link_token::{LinkToken, NoLinkToken};
use crate::ops::links::look::{LookAtLinkError, OpenLink, look_at_link};
use crate::ops::links::take::{TakeProfileError, take_profile};

/// Adds the pages to the routes.
pub(in crate::api) fn add_to(routes: Route, app: &App) -> Route {
    let page = |kind| Page { app: app.clone(), kind };
    routes
        .at("/p/:token", page(Kind::Instructions))
        .at("/p/:token/profile", page(Kind::Profile))
}

/// What is at a path.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Instructions,
    Profile,
}

struct Page {
    app: App,
    kind: Kind,
}

/// Who asks with which token.
struct Visit {
    origin: Origin,
    token: Result<LinkToken, NoLinkToken>,
}

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let visit = Visit {
            origin: Origin::of(&request),
            token: request.raw_path_param("token").unwrap_or_default().parse(),
        };
        let (method, app) = (request.method().clone(), &self.app);
        drop(request);
        if let Err(wait) = app.gatekeeper.admit_keyless(visit.origin.source()) {
            return Ok(refusal::of_problem(&failure::too_many_keyless(wait)));
        }
        Ok(match (self.kind, &method) {
            (Kind::Instructions, &Method::GET) => look(app, &visit).await,
            (Kind::Instructions, &Method::HEAD) => without_body(look(app, &visit).await),
            (Kind::Profile, &Method::HEAD) => without_body(hand_out::announced(look(app, &visit).await)),
            (Kind::Instructions, &Method::POST) | (Kind::Profile, &Method::GET) => take(app, visit).await,
            (Kind::Instructions, _) => refusal::of_method("GET, HEAD, POST"),
            (Kind::Profile, _) => refusal::of_method("GET, HEAD"),
        })
    }
}

async fn look(app: &App, visit: &Visit) -> Response {
    let found: Result<(OpenLink, &LinkToken), LookAtLinkError> = match &visit.token {
        Ok(token) => look_at_link(app, token).await.map(|link| (link, token)),
        Err(NoLinkToken) => Err(LookAtLinkError::Unknown),
    };
    match found {
        Ok((link, token)) => show::show(&link, token, app.config.public_url()),
        Err(error) => of_look(app, &visit.origin, error),
    }
}

async fn take(app: &App, visit: Visit) -> Response {
    let taken = match &visit.token {
        Ok(token) => take_profile(app, visit.origin.visitor(), token).await,
        Err(NoLinkToken) => Err(LookAtLinkError::Unknown.into()),
    };
    match taken {
        Ok(handed_out) => hand_out::hand_out(&handed_out),
        Err(TakeProfileError::Link(error)) => of_look(app, &visit.origin, error),
        Err(TakeProfileError::Fetch(error)) => refusal::of_problem(&failure::users::of_fetch_profile(app, error)),
        Err(TakeProfileError::Database(error)) => refusal::of_problem(&failure::database(app, error)),
    }
}

/// A token that no link has may be a guess. One whose link has ended is none.
fn of_look(app: &App, origin: &Origin, error: LookAtLinkError) -> Response {
    match error {
        LookAtLinkError::Unknown => {
            app.gatekeeper.refused(origin.source());
            refusal::unknown()
        }
        LookAtLinkError::Used => refusal::ended("This link was used already."),
        LookAtLinkError::Expired => refusal::ended("The time of this link is over."),
        LookAtLinkError::Revoked => refusal::ended("This link was taken back."),
        LookAtLinkError::Closed => refusal::closed(),
        LookAtLinkError::Database(error) => refusal::of_problem(&failure::database(app, error)),
    }
}

fn without_body(mut response: Response) -> Response {
    response.set_body(());
    response
}
