//! A database with the two roles of docs/deployment.md.

use sea_orm::DatabaseConnection;
use tokio::process::Command;
use vpnmanager_testbed::postgres;

use crate::database::{connect, run};

const DEPLOYMENT: &str = include_str!("../../../../../../docs/deployment.md");

/// A database with two roles, and nothing in it yet.
pub(super) struct Site {
    pub(super) owner: String,
    pub(super) service: String,
    port: u16,
    pub(super) admin: DatabaseConnection,
}

impl Site {
    /// Follows the recipe of the page, with names of its own: tests share a cluster.
    pub(super) async fn make() -> Self {
        let cluster = postgres::shared().await.expect("PostgreSQL");
        let id = uuid::Uuid::now_v7().simple();
        let (owner, service) = (format!("owner_{id}"), format!("service_{id}"));
        let recipe = DEPLOYMENT
            .split("CREATE ROLE vpnmanager_owner")
            .nth(1)
            .expect("the recipe");
        let recipe = recipe.split("```").next().expect("its end");
        let recipe = format!("CREATE ROLE vpnmanager_owner{recipe}");
        let recipe = recipe
            .replace("vpnmanager_owner", &owner)
            .replace("vpnmanager", &service);
        let (before, after) = recipe
            .split_once(&format!("\\connect {service}\n"))
            .expect("a line that connects");
        let admin = cluster.connect("postgres").await.expect("connected");
        statements(&admin, before).await;
        let admin = cluster.connect(&service).await.expect("connected");
        statements(&admin, after).await;
        Self {
            owner,
            service,
            port: cluster.port(),
            admin,
        }
    }

    pub(super) fn url(&self, role: &str) -> String {
        format!(
            "postgres://{role}@127.0.0.1:{}/{}?sslmode=disable",
            self.port, self.service
        )
    }

    pub(super) async fn connect(&self, role: &str) -> DatabaseConnection {
        connect(&self.url(role)).await
    }

    /// Runs a command of the program with both roles in its settings.
    pub(super) async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let command = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
            .args(arguments)
            .env_clear()
            .env("DB_HOST", "127.0.0.1")
            .env("DB_PORT", self.port.to_string())
            .env("DB_NAME", &self.service)
            .env("DB_USER", &self.service)
            .env("DB_OWNER_USER", &self.owner)
            .env("DB_SSLMODE", "disable")
            .current_dir("/")
            .output();
        let output = command.await.expect("runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    }

    pub(super) async fn migrate(&self) {
        let (code, said) = self.command(&["migrate"]).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

/// CREATE DATABASE must be alone.
async fn statements(db: &DatabaseConnection, text: &str) {
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        run(db, statement).await;
    }
}
