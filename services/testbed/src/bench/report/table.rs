//! The result as a table.

use std::fmt::Write;

use crate::bench::{
    load::Summary,
    measure::{Measured, Pair},
};

const TARGET_P50_MS: f64 = 25.0;
const TARGET_PER_SECOND: f64 = 300.0;

/// Everything that a person should know of the result.
pub(in crate::bench) fn table(measured: &Measured) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = conditions(&mut text, measured)
        .and_then(|()| latency(&mut text, measured))
        .and_then(|()| throughput(&mut text, measured))
        .and_then(|()| resources(&mut text, measured))
        .and_then(|()| the_rest(&mut text, measured))
        .and_then(|()| targets(&mut text, measured));
    text
}

fn conditions(text: &mut String, measured: &Measured) -> std::fmt::Result {
    let conditions = &measured.conditions;
    writeln!(text, "\nConditions")?;
    writeln!(
        text,
        "  machine     {}, {} cores, {:.0} GiB, Linux {}",
        conditions.cpu, conditions.cores, conditions.memory_gib, conditions.kernel
    )?;
    writeln!(
        text,
        "  disk        {}, a page written and synced in {:.2} ms (median)",
        conditions.file_system, conditions.fdatasync_ms
    )?;
    let settings: Vec<String> = conditions
        .postgres_settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    writeln!(text, "  PostgreSQL  {}, {}", conditions.postgres, settings.join(" "))?;
    writeln!(
        text,
        "  NATS        nats-server {}, streams in files, TLS",
        conditions.nats_server
    )?;
    let tunnels = if conditions.tunnels {
        "in network namespaces"
    } else {
        "on 127.0.0.1"
    };
    writeln!(
        text,
        "  nodes       {}, {tunnels}, OpenVPN {}",
        measured.options.nodes, conditions.openvpn
    )?;
    writeln!(
        text,
        "  build       {} {}, load average {} before, {} after",
        conditions.build,
        env!("CARGO_PKG_VERSION"),
        conditions.load_average_before,
        measured.load_average_after
    )
}

fn latency(text: &mut String, measured: &Measured) -> std::fmt::Result {
    let options = &measured.options;
    let (floor, ours) = (&measured.latency.floor.latency, &measured.latency.ours.latency);
    writeln!(
        text,
        "\nLatency at {}/s offered on a fixed schedule, {} x {} s, in ms",
        options.rate, options.rounds, options.seconds
    )?;
    writeln!(
        text,
        "  {:<52}{:>8}{:>9}{:>9}{:>9}{:>9}",
        "", "count", "p50", "p90", "p99", "max"
    )?;
    summary(text, "POST until applied on all nodes and recorded", ours)?;
    summary(text, "floor: the bare chain", floor)?;
    writeln!(
        text,
        "  {:<60}{:>9.1}{:>9.1}{:>9.1}{:>9.1}",
        "ours / floor",
        ours.p50_ms / floor.p50_ms,
        ours.p90_ms / floor.p90_ms,
        ours.p99_ms / floor.p99_ms,
        ours.max_ms / floor.max_ms
    )?;
    summary(text, "POST until answered, nobody waiting", &measured.answered.latency)?;
    steps(text, &measured.latency)
}

fn throughput(text: &mut String, measured: &Measured) -> std::fmt::Result {
    let options = &measured.options;
    let (floor, ours) = (&measured.throughput.floor, &measured.throughput.ours);
    writeln!(
        text,
        "\nThroughput with {} clients, each one create after the other, {} x {} s",
        options.clients, options.rounds, options.seconds
    )?;
    writeln!(text, "  {:<60}{:>9}{:>9}{:>9}", "", "users/s", "p50 ms", "p99 ms")?;
    let mut line = |what: &str, per_second: f64, latency: &Summary| {
        writeln!(
            text,
            "  {what:<60}{per_second:>9.0}{:>9.1}{:>9.1}",
            latency.p50_ms, latency.p99_ms
        )
    };
    line(
        "POST until applied on all nodes and recorded",
        ours.per_second,
        &ours.latency,
    )?;
    line(
        "floor: the bare chain, without batching",
        floor.per_second,
        &floor.latency,
    )?;
    let unwaited = &measured.unwaited;
    line(
        "POST until answered, nobody waiting",
        unwaited.answered.per_second,
        &unwaited.answered.latency,
    )?;
    writeln!(
        text,
        "  {:<60}{:>9.0}   (drained {:.2} s after the last answer)",
        "  and applied, from the first request until nothing pends",
        unwaited.applied_per_second,
        unwaited.drain_seconds
    )?;
    writeln!(
        text,
        "  {:<60}{:>9.0}",
        "floor: key, request, signature, files alone, all cores", measured.issue_alone_per_second
    )?;
    writeln!(
        text,
        "  {:<60}{:>9.2}",
        "ours / floor of the chain",
        ours.per_second / floor.per_second
    )?;
    let rounds: Vec<String> = ours
        .rounds
        .rounds
        .iter()
        .map(|round| format!("{:.0}", round.per_second))
        .collect();
    let others = ours
        .rounds
        .rounds
        .iter()
        .map(|round| format!("{:.0}%", round.usage.others_percent));
    writeln!(
        text,
        "  by round: {} users/s; other processes of this machine used {} of its CPU",
        rounds.join(", "),
        others.collect::<Vec<_>>().join(", ")
    )?;
    steps(text, &measured.throughput)
}

fn steps(text: &mut String, pair: &Pair) -> std::fmt::Result {
    for (step, latency) in &pair.floor_steps {
        summary(text, &format!("  floor's step: {}", step.describe()), latency)?;
    }
    let sum: f64 = pair.floor_steps.iter().map(|(_, latency)| latency.p50_ms).sum();
    writeln!(text, "  {:<60}{sum:>9.2}", "  floor's steps, sum of the medians")
}

fn resources(text: &mut String, measured: &Measured) -> std::fmt::Result {
    let (paced, busy) = (&measured.latency.ours, &measured.throughput.ours);
    writeln!(text, "\nCPU-milliseconds per user, and memory at the end")?;
    let at_rate = format!("at {}/s", measured.options.rate);
    let at_full = format!("{} clients", measured.options.clients);
    writeln!(text, "  {:<20}{at_rate:>12}{at_full:>14}{:>14}", "", "MiB")?;
    let rows = paced
        .cpu_ms_each
        .iter()
        .zip(&busy.cpu_ms_each)
        .zip(&measured.memory_mib);
    for (((name, paced), (_, busy)), (_, memory)) in rows {
        writeln!(text, "  {name:<20}{paced:>12.2}{busy:>14.2}{memory:>14.1}")?;
    }
    let sum = |each: &[(String, f64)]| each.iter().map(|(_, used)| used).sum::<f64>();
    writeln!(
        text,
        "  {:<20}{:>12.2}{:>14.2}",
        "sum",
        sum(&paced.cpu_ms_each),
        sum(&busy.cpu_ms_each)
    )?;
    writeln!(
        text,
        "  {:<20}{:>12.2}{:>14.2}   (nats, postgres and this program)",
        "the floor's sum",
        sum(&measured.latency.floor.cpu_ms_each),
        sum(&measured.throughput.floor.cpu_ms_each)
    )
}

fn the_rest(text: &mut String, measured: &Measured) -> std::fmt::Result {
    match measured.easyrsa {
        Some(found) => writeln!(
            text,
            "\neasyrsa build-client-full: {:.3} s per user (EC P-256), {:.3} s (RSA 2048)",
            found.ec_seconds_per_user, found.rsa_seconds_per_user
        )?,
        None => writeln!(
            text,
            "\neasyrsa build-client-full: easy-rsa not installed, not measured"
        )?,
    }
    let verified = &measured.verified;
    writeln!(
        text,
        "Verified: {} users synced, {} distinct certificates, {} whole profiles, {} allow-list entries; none broken",
        verified.users, verified.distinct_certificates, verified.whole_profiles, verified.allow_list_entries
    )
}

fn targets(text: &mut String, measured: &Measured) -> std::fmt::Result {
    let verdict = |reached: bool| if reached { "reached" } else { "MISSED" };
    let p50 = measured.latency.ours.latency.p50_ms;
    let per_second = measured.throughput.ours.per_second;
    writeln!(
        text,
        "Target p50 <= {TARGET_P50_MS} ms: {} ({p50:.1} ms)",
        verdict(p50 <= TARGET_P50_MS)
    )?;
    write!(
        text,
        "Target >= {TARGET_PER_SECOND} users/s: {} ({per_second:.0}/s)",
        verdict(per_second >= TARGET_PER_SECOND)
    )
}

fn summary(text: &mut String, what: &str, latency: &Summary) -> std::fmt::Result {
    writeln!(
        text,
        "  {what:<52}{:>8}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        latency.count, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
    )
}
