//! In which form answers are shown, and to whom.

use clap::{Args, ValueEnum};
use console::Term;
use serde_json::Value;

use super::details::details;
use super::rows::{as_csv, as_line, as_names, as_record};
use super::shape::Shape;
use super::table::table;
use crate::failure::Failure;

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table that fits the terminal
    Table,
    /// JSON, as management answers
    Json,
    /// The same as YAML
    Yaml,
    /// The columns of the table, with a header
    Csv,
    /// Names only, one a line
    Name,
}

/// Flags of output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Form of the answer
    #[arg(short, long, global = true, value_enum, value_name = "FORM", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Print nothing beside what was asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// Shows answers.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    /// Of the terminal; `None`: it is none.
    width: Option<u16>,
    quiet: bool,
}

impl Output {
    /// For this process's standard output.
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let terminal = Term::stdout();
        Self {
            format: args.output,
            width: terminal.is_term().then(|| terminal.size().1),
            quiet: args.quiet,
        }
    }

    /// Whether an answer is for people.
    pub(crate) fn is_for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether somebody sees it come.
    pub(crate) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Whether a line beside the answer is welcome.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A list.
    pub(crate) fn list(&self, shape: &Shape, items: &[Value]) -> Result<String, Failure> {
        match self.format {
            Format::Table => Ok(table(shape, items, self.width)),
            Format::Json => json(&items),
            Format::Yaml => yaml(&items),
            Format::Csv => as_csv(shape, items).map_err(|error| Failure::failed(error.to_string())),
            Format::Name => Ok(as_names(shape, items)),
        }
    }

    /// One thing, with all that is known of it.
    pub(crate) fn one(&self, shape: &Shape, item: &Value) -> Result<String, Failure> {
        match self.format {
            Format::Table => Ok(details(item)),
            Format::Json => json(item),
            Format::Yaml => yaml(item),
            Format::Csv | Format::Name => self.list(shape, std::slice::from_ref(item)),
        }
    }

    /// Several things that are told together: the whole, or a line for each.
    pub(crate) fn several(&self, shape: &Shape, whole: &Value, items: &[Value]) -> Result<String, Failure> {
        match self.format {
            Format::Json | Format::Yaml => self.one(shape, whole),
            Format::Table | Format::Csv | Format::Name => self.list(shape, items),
        }
    }

    /// One of many that come one after the other: a line, or a document of YAML.
    pub(crate) fn line(&self, shape: &Shape, item: &Value) -> Result<String, Failure> {
        match self.format {
            Format::Table => Ok(as_line(shape, item)),
            Format::Json => Ok(format!("{item}\n")),
            Format::Yaml => Ok(format!("---\n{}", yaml(item)?)),
            Format::Csv => as_record(shape, item).map_err(|error| Failure::failed(error.to_string())),
            Format::Name => Ok(as_names(shape, std::slice::from_ref(item))),
        }
    }

    /// One thing that was made or changed, in as few lines as possible.
    pub(crate) fn brief(&self, shape: &Shape, item: &Value) -> Result<String, Failure> {
        match self.format {
            Format::Table => self.list(shape, std::slice::from_ref(item)),
            Format::Json | Format::Yaml | Format::Csv | Format::Name => self.one(shape, item),
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(text + "\n")
}

fn yaml(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shape::column;
    use super::*;

    const SHAPE: Shape = Shape {
        name: "/name",
        columns: &[column("NAME", "/name")],
    };

    fn shown(format: Format, items: &[Value]) -> String {
        let output = Output {
            format,
            width: None,
            quiet: false,
        };
        output.list(&SHAPE, items).unwrap()
    }

    #[test]
    fn an_empty_list_is_one_in_every_form() {
        assert_eq!(shown(Format::Table, &[]).trim(), "NAME");
        assert_eq!(shown(Format::Json, &[]), "[]\n");
        assert_eq!(shown(Format::Yaml, &[]), "[]\n");
        assert_eq!(shown(Format::Csv, &[]), "name\n");
        assert_eq!(shown(Format::Name, &[]), "");
    }

    #[test]
    fn yaml_is_read_as_what_json_says() {
        let text = shown(Format::Yaml, &[json!({ "name": "yes", "nested": { "a": [1, "2"] } })]);
        assert!(text.contains("name:") && text.contains("nested:"), "{text}");
        // A bare yes would be a switch to a reader of YAML 1.1.
        assert!(text.contains("\"yes\"") || text.contains("'yes'"), "{text}");
    }
}
