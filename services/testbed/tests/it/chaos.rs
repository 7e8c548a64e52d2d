//! A short run of the fault suite: everything breaks for a while, and all that was answered comes true. `make chaos` runs longer ones.

use std::process::Command;

use vpnmanager_testbed::net::require_tunnels;

/// The first fault that this seed draws is a shifted clock, which is rare.
const SEED: &str = "127";
/// `make chaos`, with the machine to itself, asks for one second. Here other tests run beside it, and whoever is slow is not wrong.
const PROMISED: &str = "5s";

#[test]
fn what_was_answered_comes_true_after_half_a_minute_of_faults() {
    if require_tunnels("chaos").is_none() {
        return;
    }
    let run = Command::new(env!("CARGO_BIN_EXE_vpnmanager-testbed"))
        .args(["chaos", "--seed", SEED, "--duration", "20s", "--promised", PROMISED])
        .args(["--out", env!("CARGO_TARGET_TMPDIR")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    eprintln!("{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(
        run.status.success() && last.contains(" 0 violations, converged in "),
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        text.contains("shift clock"),
        "no clock was shifted: is the package `faketime` missing, or is another seed needed?\n{text}"
    );
}
