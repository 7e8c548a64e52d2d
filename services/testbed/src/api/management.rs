//! Management's routes by name. `wait` becomes `?wait=`: the answer then comes when all placed nodes have applied.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Api, ApiError};

impl Api {
    /// `POST /api/users`.
    pub async fn create_user(&self, username: &str, wait: Option<Duration>) -> Result<Answer, ApiError> {
        self.create_user_as(&json!({ "username": username }), wait).await
    }

    /// `POST /api/users` with any body.
    pub async fn create_user_as(&self, body: &Value, wait: Option<Duration>) -> Result<Answer, ApiError> {
        self.post(&format!("/api/users{}", query(wait)), body).await
    }

    /// `GET /api/users/{username}`.
    pub async fn user(&self, username: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/users/{username}")).await
    }

    /// `GET /api/users`, with a query such as `?active=true`.
    pub async fn users(&self, query: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/users{query}")).await
    }

    /// `PATCH /api/users/{username}`.
    pub async fn change_user(
        &self,
        username: &str,
        change: &Value,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.patch(&format!("/api/users/{username}{}", query(wait)), change)
            .await
    }

    /// `DELETE /api/users/{username}`.
    pub async fn delete_user(&self, username: &str, wait: Option<Duration>) -> Result<Answer, ApiError> {
        self.delete(&format!("/api/users/{username}{}", query(wait))).await
    }

    /// `POST /api/users/{username}/reissue`.
    pub async fn reissue_profile(
        &self,
        username: &str,
        body: &Value,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.post(&format!("/api/users/{username}/reissue{}", query(wait)), body)
            .await
    }

    /// `GET /api/users/{username}/devices`.
    pub async fn devices(&self, username: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/users/{username}/devices")).await
    }

    /// `POST /api/users/{username}/devices`.
    pub async fn create_device(
        &self,
        username: &str,
        device: &str,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.post(
            &format!("/api/users/{username}/devices{}", query(wait)),
            &json!({ "name": device }),
        )
        .await
    }

    /// `DELETE /api/users/{username}/devices/{device}`.
    pub async fn revoke_device(
        &self,
        username: &str,
        device: &str,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.delete(&format!("/api/users/{username}/devices/{device}{}", query(wait)))
            .await
    }

    /// `POST /api/users/{username}/devices/{device}/reissue`.
    pub async fn reissue_device(
        &self,
        (username, device): (&str, &str),
        body: &Value,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.post(
            &format!("/api/users/{username}/devices/{device}/reissue{}", query(wait)),
            body,
        )
        .await
    }

    /// `GET /api/users/{username}/devices/{device}/profile`.
    pub async fn device_profile(&self, username: &str, device: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/users/{username}/devices/{device}/profile"))
            .await
    }

    /// `PATCH /api/pools/{pool}` with a network, or `null`.
    pub async fn set_network(&self, pool: &str, network: &Value) -> Result<Answer, ApiError> {
        self.patch(&format!("/api/pools/{pool}"), &json!({ "network": network }))
            .await
    }

    /// `POST /api/groups`.
    pub async fn create_group(&self, group: &Value) -> Result<Answer, ApiError> {
        self.post("/api/groups", group).await
    }

    /// `GET /api/groups/{group}`.
    pub async fn group(&self, group: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/groups/{group}")).await
    }

    /// `PATCH /api/groups/{group}`.
    pub async fn change_group(&self, group: &str, change: &Value) -> Result<Answer, ApiError> {
        self.patch(&format!("/api/groups/{group}"), change).await
    }

    /// `DELETE /api/groups/{group}`.
    pub async fn delete_group(&self, group: &str) -> Result<Answer, ApiError> {
        self.delete(&format!("/api/groups/{group}")).await
    }

    /// `PATCH /api/users/{username}` with a group.
    pub async fn put_into_group(
        &self,
        username: &str,
        group: &str,
        wait: Option<Duration>,
    ) -> Result<Answer, ApiError> {
        self.change_user(username, &json!({ "group": group }), wait).await
    }

    /// The text of a user's `.ovpn` (`GET /api/users/{username}/profile`).
    ///
    /// # Errors
    /// [`ApiError`], also for an answer other than 200.
    pub async fn profile(&self, username: &str) -> Result<String, ApiError> {
        Ok(self
            .get(&format!("/api/users/{username}/profile"))
            .await?
            .expect(200)?
            .text)
    }

    /// `GET /api/users/{username}/devices/{device}`.
    pub async fn device(&self, username: &str, device: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/users/{username}/devices/{device}")).await
    }

    /// `GET /api/audit`, with a query such as `?username=alice`.
    pub async fn audit(&self, query: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/audit{query}")).await
    }

    /// `GET /api/endnodes`.
    pub async fn endnodes(&self) -> Result<Answer, ApiError> {
        self.get("/api/endnodes").await
    }

    /// `GET /api/endnodes/{node}`.
    pub async fn endnode(&self, node: &str) -> Result<Answer, ApiError> {
        self.get(&format!("/api/endnodes/{node}")).await
    }

    /// A new one-time token for this node (`POST /api/join-tokens`).
    ///
    /// # Errors
    /// [`ApiError`], also for an answer without a token.
    pub async fn join_token(&self, node: &str) -> Result<String, ApiError> {
        let answer = self
            .post("/api/join-tokens", &json!({ "server_id": node }))
            .await?
            .success()?;
        match answer.body["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(ApiError::Unexpected {
                request: answer.request,
                status: answer.status,
                text: answer.text,
            }),
        }
    }
}

fn query(wait: Option<Duration>) -> String {
    wait.map(|wait| format!("?wait={}", humantime::format_duration(wait)).replace(' ', "%20"))
        .unwrap_or_default()
}
