use std::time::Duration;

use vpnmanager_testbed::{
    process::{Process, Spec},
    scratch::{Medium, Scratch},
};

#[tokio::test]
async fn a_dropped_folder_takes_its_processes_with_it() {
    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    let dir = scratch.dir().to_path_buf();
    let sleeper = Process::spawn(&Spec::new("sleep", "sleep", &dir, dir.join("sleep.log")).args(["600"])).unwrap();
    scratch.stop_at_end(sleeper.identity(), "TERM");
    scratch.run_at_end(&format!("echo done >{}.marker", dir.display()));

    drop(scratch);

    let marker = dir.with_extension("marker");
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "done\n");
    std::fs::remove_file(marker).unwrap();
    assert!(!dir.exists());
    sleeper.exited(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_nobody_registered_goes_too() {
    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    let dir = scratch.sub("deep", 0o755).unwrap();
    let sleeper = Process::spawn(&Spec::new("sleep", "sleep", &dir, dir.join("sleep.log")).args(["600"])).unwrap();
    assert!(sleeper.alive());

    drop(scratch);

    sleeper.exited(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_ignores_the_polite_signal_is_killed() {
    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    let spec = Spec::new("stubborn", "sh", scratch.dir(), scratch.dir().join("stubborn.log"));
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let stubborn = Process::spawn(&spec.args(["-c", script])).unwrap();
    stubborn
        .log()
        .wait_for("ready", 1, Duration::from_secs(5))
        .await
        .unwrap();

    stubborn.stop(Duration::from_millis(300)).await;

    assert!(!stubborn.alive());
}

#[tokio::test]
async fn what_a_killed_machine_left_is_swept_by_the_next() {
    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    let abandoned = scratch.dir().with_file_name("vpnmanager-abandoned");
    std::fs::create_dir(&abandoned).unwrap();
    std::fs::write(
        abandoned.join("cleanup"),
        format!("touch {}/swept\n", scratch.dir().display()),
    )
    .unwrap();
    std::fs::write(
        abandoned.join("keepers"),
        r#"[{"pid":1,"started":1},{"pid":2,"started":1}]"#,
    )
    .unwrap();

    let _next = Scratch::guarded(Medium::Memory).unwrap();

    assert!(!abandoned.exists());
    assert!(scratch.dir().join("swept").exists());
}
