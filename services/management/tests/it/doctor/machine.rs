//! What can be wrong with the machine and the settings.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::site::{Site, path};

#[tokio::test]
async fn a_wrong_setting_is_named_and_nothing_else_is_looked_at() {
    let site = Site::start().await;
    let examined = site.examine(&[("LISTEN", "nonsense")]).await;
    let failed = examined.fails_alone("configuration");
    assert!(failed["found"].as_str().expect("text").contains("LISTEN"), "{failed:#}");
    examined.skips(
        &["names", "database", "bus", "service"],
        "the check configuration failed",
    );
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told() {
    let site = Site::start().await;
    let told = "tls://no-such-bus.invalid:4222";
    site.examine(&[("BUS_PUBLIC_URLS", told)]).await.fails_alone("names");
}

#[tokio::test]
async fn a_port_of_another_program_is_told() {
    let site = Site::start().await;
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = other.local_addr().expect("bound").to_string();
    let both = format!("{},{taken}", site.listen);
    let examined = site.examine(&[("LISTEN", &both)]).await;
    assert_eq!(examined.fails_alone("ports")["of"], taken.as_str());
}

#[tokio::test]
async fn a_management_that_does_not_run_is_told() {
    let site = Site::start().await;
    let nobody = vpnmanager_testbed::ports::free().expect("a port");
    let nobody = format!("127.0.0.1:{nobody}");
    let examined = site.examine(&[("LISTEN", &nobody)]).await;
    assert_eq!(examined.fails_alone("service")["why"], "Connection refused");
}

#[tokio::test]
async fn a_clock_that_nothing_keeps_is_a_warning() {
    let site = Site::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("timedatectl");
    fs::write(&program, "#!/bin/sh\necho no\n").expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    let examined = site.examine(&[("PATH", path(folder.path()))]).await;
    assert!(
        examined.ids("warning").contains(&"time-service"),
        "{:#}",
        examined.report
    );
    assert_eq!(examined.code, Some(0));
}

#[tokio::test]
async fn errors_in_the_log_are_a_warning() {
    let site = Site::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("management.log");
    let line = format!(
        "{} ERROR management: The bus is not connected\n",
        chrono::Utc::now().to_rfc3339()
    );
    fs::write(&file, line).expect("written");
    let examined = site.examine(&[("LOG_FILE", path(&file))]).await;
    assert!(examined.ids("warning").contains(&"log"), "{:#}", examined.report);
    assert_eq!(examined.code, Some(0));
}

#[tokio::test]
async fn a_disk_without_room_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(small) = SmallDisk::mount(folder.path()) else {
        eprintln!("skipped a_disk_without_room_is_told: a small disk cannot be mounted here");
        return;
    };
    let site = Site::start().await;
    let examined = site.examine(&[("PACKAGES_DIR", path(folder.path()))]).await;
    let failed = examined.fails_alone("disk");
    assert!(
        failed["found"].as_str().expect("text").contains("MiB are free"),
        "{failed:#}"
    );
    drop(small);
}

/// A disk of 8 MiB, until it is dropped.
struct SmallDisk<'a> {
    place: &'a Path,
}

impl<'a> SmallDisk<'a> {
    /// `None` where this account may not mount.
    fn mount(place: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(place);
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then_some(Self { place })
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // The machine of the test would keep it for ever.
        _ = Command::new("umount").arg(self.place).status();
    }
}
