//! As much of Markdown as the documents use.

/// A piece of code: an inline span, or one command of a fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    /// The text. Lines that a backslash joins are one.
    pub(crate) text: String,
    /// Whether it stands in a fenced block.
    pub(crate) fenced: bool,
}

/// All code of a document, in order. Mermaid drawings are none.
pub(crate) fn code(document: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut fence: Option<String> = None;
    let mut command = String::new();
    for line in document.lines() {
        let opens = line.trim_start().strip_prefix("```");
        match (&fence, opens) {
            (Some(_), Some(_)) => fence = None,
            (None, Some(language)) => fence = Some(language.to_owned()),
            (Some(language), None) if language == "mermaid" => {}
            (Some(_), None) => {
                command.push_str(line.trim_end().trim_end_matches('\\'));
                if !line.trim_end().ends_with('\\') {
                    found.push(Code {
                        text: std::mem::take(&mut command),
                        fenced: true,
                    });
                }
            }
            (None, None) => found.extend(spans(line).into_iter().map(|text| Code { text, fenced: false })),
        }
    }
    found
}

/// The inline code of a line.
fn spans(line: &str) -> Vec<String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lines of a document outside its code, inline code blanked.
fn prose(document: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The targets of the links `[text](target)`.
pub(crate) fn links(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(document) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push(rest[..end].to_owned());
            }
        }
    }
    found
}

/// The anchors of the headings, as GitHub makes them.
pub(crate) fn anchors(document: &str) -> Vec<String> {
    let headings = prose(document);
    let headings = headings.iter().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len() && text.starts_with(' ')).then(|| anchor(text.trim()))
    });
    headings.collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// The rows of the tables below a heading of any level, without header and rule: their cells. Up to the next heading of
/// the same or a higher level.
pub(crate) fn rows_below<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let mut lines = document.lines().skip_while(|line| *line != heading);
    let own = lines.next().map(level).unwrap_or_default();
    let section = lines.take_while(|line| !(1..=own).contains(&level(line)));
    tables(section)
        .into_iter()
        .flat_map(|table| table.into_iter().skip(2))
        .collect()
}

/// The rows of the tables whose first header cell is this.
pub(crate) fn rows_of<'a>(document: &'a str, first_header: &str) -> Vec<Vec<&'a str>> {
    let mut found = tables(document.lines());
    found.retain(|table| table[0].first() == Some(&first_header));
    found.into_iter().flat_map(|table| table.into_iter().skip(2)).collect()
}

fn tables<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<Vec<&'a str>>> {
    let mut tables: Vec<Vec<Vec<&str>>> = Vec::new();
    let mut in_table = false;
    for line in lines {
        let row = line.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
        if let Some(row) = row {
            let cells = row.split('|').map(str::trim).collect();
            match tables.last_mut() {
                Some(table) if in_table => table.push(cells),
                Some(_) | None => tables.push(vec![cells]),
            }
        }
        in_table = row.is_some();
    }
    tables
}

#[test]
fn code_is_spans_and_whole_commands() {
    let document =
        "Run `make up` or `a`.\n```sh\nmake x \\\n  NAME=y\n# no\n```\n```mermaid\nA->>B: make z\n```\nThen `b`.\n";
    let texts: Vec<String> = code(document).into_iter().map(|code| code.text).collect();
    assert_eq!(texts, ["make up", "a", "make x   NAME=y", "# no", "b"]);
}

#[test]
fn links_and_anchors_are_read_outside_code() {
    let document = "# A `b` title, twice\n[x](docs/a.md#b-c) and [y](z)\n```\n# no\n[n](no)\n```\n";
    assert_eq!(links(document), ["docs/a.md#b-c", "z"]);
    assert_eq!(anchors(document), ["a-b-title-twice"]);
}

#[test]
fn rows_belong_to_their_heading_and_their_header() {
    let document =
        "## A\n| k | v |\n|---|---|\n| 1 | 2 |\n### C\n| k | v |\n|---|---|\n| 3 | 4 |\n## B\n| z |\n|---|\n| 9 |\n";
    assert_eq!(rows_below(document, "## A"), [["1", "2"], ["3", "4"]]);
    assert_eq!(rows_below(document, "## B"), [["9"]]);
    assert_eq!(rows_of(document, "k"), [["1", "2"], ["3", "4"]]);
}
