//! A disk that the system has mounted read-only, as it does after an error: no file goes from the allow-list.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use serde_json::json;
use vpnmanager_testbed::{
    stack::{Part, Stack},
    wait,
};

use crate::main_job::{profile, site::Site};

/// A folder that takes no changes, as a node's agent and its OpenVPN see it, until this is dropped.
struct ReadOnly {
    agent: i32,
    folder: PathBuf,
}

impl ReadOnly {
    fn over(stack: &Stack, node: u8, folder: &Path) -> Self {
        let agent = stack.state().process(Part::Node(node)).unwrap().pid;
        let disk = Self {
            agent,
            folder: folder.to_owned(),
        };
        assert!(disk.mount(&["--bind"], Some(folder)));
        assert!(disk.mount(&["-o", "remount,ro,bind"], None));
        disk
    }

    fn mount(&self, options: &[&str], source: Option<&Path>) -> bool {
        let mut mount = Command::new("nsenter");
        mount.args(["--mount", "--target", &self.agent.to_string(), "mount"]);
        let mounted = mount.args(options).args(source).arg(&self.folder).status();
        mounted.is_ok_and(|status| status.success())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let mut unmount = Command::new("nsenter");
        unmount.args(["--mount", "--target", &self.agent.to_string(), "umount", "--lazy"]);
        let _unmounted = unmount.arg(&self.folder).status();
    }
}

/// OpenVPN itself lets in whose file is there. The agent cuts the session as soon as it begins.
#[tokio::test]
async fn whom_a_read_only_disk_keeps_on_the_allow_list_is_cut_at_once_and_after_each_login() {
    let Some(site) = Site::with_tunnels("read-only disk").await else {
        return;
    };
    let text = site.create_at("alice", "node-1").await;
    let text = profile::with_only(&text, profile::remotes(&text)[0]);
    let mut visitor = site.visit(&text).await;
    let allow = site.stack.node(1).unwrap().allow_dir();
    let listed = || std::fs::read_dir(&allow).unwrap().count();
    let disk = ReadOnly::over(&site.stack, 1, &allow);

    let (api, began) = (site.stack.api(), SystemTime::now());
    let suspended = api.change_user("alice", &json!({ "active": false }), None).await;
    suspended.unwrap().success().unwrap();
    visitor.is_cut(began, "the suspension").await;
    assert_eq!(listed(), 1, "the disk is not read-only");

    for _again in 0..2 {
        let client = &mut visitor.connection.client;
        client.restart().await.unwrap();
        client
            .log()
            .wait_for("Peer Connection Initiated", 1, wait::SOON)
            .await
            .unwrap();
        let ended = client.exited(wait::SOON).await.unwrap();
        eprintln!(
            "measured: the client was told to end {} ms after its login",
            ended.as_millis()
        );
    }

    drop(disk);
    wait::until(wait::SOON, "the allow-list to be mended", async || listed() == 0)
        .await
        .unwrap();
    site.refuses(&text).await;
}
