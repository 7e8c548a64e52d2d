//! Operations whose path ends with a verb of its own, such as `/api/users:batch` (AIP-136).
//!
//! poem takes a colon in a route for the beginning of a parameter. So the route has two dashes in its place, and nobody outside sees that.

use std::collections::HashMap;

use poem::error::NotFoundError;
use poem::http::Uri;
use poem::{Endpoint, Request, Result};
use serde_json::Value;

const IN_ROUTE: &str = "--";

/// The path that the description has for a route; `None` where it is the route.
pub(crate) fn described(route: &str) -> Option<String> {
    let (folder, last) = route.rsplit_once('/')?;
    let (noun, verb) = last.split_once(IN_ROUTE)?;
    Some(format!("{folder}/{noun}:{verb}"))
}

/// Finds the routes of an application for the paths that its description has.
#[derive(Debug)]
pub(crate) struct Verbs<E> {
    inner: E,
    /// By the paths of the description.
    routes: HashMap<String, String>,
}

impl<E> Verbs<E> {
    /// For the paths of this description.
    pub(crate) fn new(document: &Value, inner: E) -> Self {
        let paths = document.get("paths").and_then(Value::as_object);
        let routes = paths.into_iter().flatten().filter_map(|(path, _)| {
            let (noun, verb) = path.rsplit_once('/')?.1.split_once(':')?;
            let folder = &path[..path.len() - noun.len() - 1 - verb.len()];
            Some((path.clone(), format!("{folder}{noun}{IN_ROUTE}{verb}")))
        });
        Self {
            inner,
            routes: routes.collect(),
        }
    }
}

impl<E: Endpoint> Endpoint for Verbs<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        let path = request.uri().path();
        if let Some(route) = self.routes.get(path) {
            let uri = with_path(request.uri(), route);
            *request.uri_mut() = uri.ok_or(NotFoundError)?;
        } else if self.routes.values().any(|route| route == path) {
            return Err(NotFoundError.into());
        }
        self.inner.call(request).await
    }
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;
    use poem::http::StatusCode;
    use poem::test::TestClient;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_last_segment_has_a_verb() {
        assert_eq!(described("/api/users--batch"), Some("/api/users:batch".to_owned()));
        assert_eq!(described("/api/a--b/users"), None);
        assert_eq!(described("/api/users"), None);
    }

    #[tokio::test]
    async fn a_path_of_the_description_leads_to_its_route_and_the_route_alone_to_nobody() {
        let document = json!({"paths": {"/api/users:batch": {}, "/api/users/{username}": {}}});
        let echo = make_sync(|request: Request| request.uri().to_string());
        let client = TestClient::new(Verbs::new(&document, echo));
        let answer = client.post("/api/users:batch?a=1").send().await;
        answer.assert_text("/api/users--batch?a=1").await;
        let answer = client.get("/api/users/al--ice").send().await;
        answer.assert_text("/api/users/al--ice").await;
        let answer = client.post("/api/users--batch").send().await;
        answer.assert_status(StatusCode::NOT_FOUND);
    }
}
