//! The result as a table.

use super::measured::{Beside, Ended, Further, Measured, Resyncs};

/// Everything that a person should know of the result.
pub(super) fn table(measured: &Measured) -> String {
    let conditions = &measured.conditions;
    let mut lines = vec![
        String::new(),
        format!(
            "{} users on two nodes; {}, {} cores, {:.0} GiB, a page synced in {:.2} ms; {} build",
            measured.options.users,
            conditions.cpu,
            conditions.cores,
            conditions.memory_gib,
            conditions.fdatasync_ms,
            conditions.build
        ),
        format!("created and applied: {:.0} users/s", measured.created_per_second),
        beside("look at one node", &measured.views),
    ];
    for (what, row) in &measured.endings {
        let Ended {
            refused,
            answered,
            floor,
        } = *row;
        for (until, ours) in [("refused everywhere", refused), ("answered", answered)] {
            lines.push(beside(
                &format!("suspend, delete or revoke until {until}; beside: {what}"),
                &Beside { ours, floor },
            ));
        }
    }
    let Resyncs {
        rounds,
        floor_seconds,
        users,
    } = &measured.resyncs;
    for round in rounds {
        lines.push(format!(
            "a node without journal holds its {users} users again after {:.1} s, management knows it after {:.1} s; floor {floor_seconds:.1} s",
            round.held_seconds, round.known_seconds
        ));
    }
    lines.push(format!(
        "a node with all users is deregistered after {:.1} s",
        measured.deregistered_seconds
    ));
    let named = |values: &[(String, f64)], unit: &str| {
        let values = values.iter().map(|(name, value)| format!("{name} {value:.1}{unit}"));
        values.collect::<Vec<_>>().join(", ")
    };
    lines.push(format!("idle, of one core: {}", named(&measured.idle_percent, " %")));
    if let Some(Further { views, idle_percent }) = &measured.further {
        let users = measured.options.further;
        lines.push(beside(
            &format!("with {users} further users, look at the node that has them"),
            views,
        ));
        lines.push(format!(
            "with {users} further users, idle, of one core: {}",
            named(idle_percent, " %")
        ));
    }
    lines.push(format!("memory afterwards: {}", named(&measured.memory_mib, " MiB")));
    lines.join("\n")
}

fn beside(what: &str, row: &Beside) -> String {
    let (ours, floor) = (row.ours, row.floor);
    format!(
        "{what}: p50 {:.1}, p99 {:.1}, max {:.1} ms ({}); floor p50 {:.1}, p99 {:.1} ms; ratio of p50 {:.1}",
        ours.p50_ms,
        ours.p99_ms,
        ours.max_ms,
        ours.count,
        floor.p50_ms,
        floor.p99_ms,
        ours.p50_ms / floor.p50_ms
    )
}
