//! A table as nft prints it, without what packets change of it.

/// Without the elements of sets that packets fill: they come and go.
pub(super) fn without_counted(printed: &str) -> String {
    let mut kept = String::with_capacity(printed.len());
    // A set, a map and a chain each end with such a line.
    for block in printed.split_inclusive("\n\t}\n") {
        match is_counted(block) {
            true => push_without_elements(block, &mut kept),
            false => kept.push_str(block),
        }
    }
    kept
}

/// Whether packets fill it. Sets that only rules fill have no such flag.
fn is_counted(block: &str) -> bool {
    let mut words = block.lines().map(str::trim_start);
    words.any(|line| line.starts_with("flags ") && line.contains("dynamic"))
}

/// Some releases of nft say in a comment how many elements there are.
fn push_without_elements(block: &str, kept: &mut String) {
    let mut is_inside = false;
    for line in block.lines() {
        is_inside |= line.trim_start().starts_with("elements = {");
        if !is_inside {
            let (said, _) = line.split_once('#').unwrap_or((line, ""));
            kept.push_str(said.trim_end());
            kept.push('\n');
        }
        is_inside &= !line.ends_with('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 prints it with `--stateless`.
    fn table(up: &str, size: &str, routes: &str) -> String {
        format!(
            "table inet vpnmanager {{\n\
             \tset g0_up4 {{\n\t\ttype ipv4_addr\n\t\tsize 65535{size}\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n{up}\t}}\n\n\
             \tset routes4 {{\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n\t\telements = {{ {routes} }}\n\t}}\n\n\
             \tchain g0 {{\n\t\tupdate @g0_up4 {{ ip saddr limit rate over 125000 bytes/second burst 15625 bytes }} drop\n\t}}\n}}\n"
        )
    }

    #[test]
    fn whoever_was_heard_of_lately_makes_no_difference_and_everything_else_does() {
        let limit = "limit rate over 125000 bytes/second burst 15625 bytes";
        let empty = table("", "", "10.20.0.0/16");
        assert_eq!(without_counted(&empty), empty);
        let one = format!("\t\telements = {{ 10.8.0.2 {limit} }}\n");
        let some = format!("\t\telements = {{ 10.8.0.2 {limit}, 10.8.0.11 {limit},\n\t\t\t     10.8.0.12 {limit} }}\n");
        for (up, size) in [(one.as_str(), ""), (some.as_str(), "\t# count 3")] {
            assert_eq!(without_counted(&table(up, size, "10.20.0.0/16")), empty, "{up}");
        }
        let other = table(&one, "", "10.20.0.0/16, 10.30.0.0/16");
        assert_eq!(without_counted(&other), table("", "", "10.20.0.0/16, 10.30.0.0/16"));
    }
}
