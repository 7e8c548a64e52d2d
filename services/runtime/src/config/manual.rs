//! Manual pages and completions of shells, made of what the command line is made of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, Subcommand};
use clap_complete::aot::{Shell, generate};
use clap_mangen::Man;

use super::command_line::Service;

/// Of system administration (man-pages(7)).
const SECTION: &str = "8";
/// A shell, where it looks below `/usr/share`, and what the file of a program is called there.
type Completion = (Shell, &'static str, fn(&str) -> String);

const COMPLETIONS: [Completion; 3] = [
    (Shell::Bash, "bash-completion/completions", str::to_owned),
    (Shell::Zsh, "zsh/vendor-completions", |name| format!("_{name}")),
    (Shell::Fish, "fish/vendor_completions.d", |name| format!("{name}.fish")),
];

/// The flags of the command that writes them.
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Folder for the files, laid out as /usr/share is; made when it is absent
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

impl Service {
    /// Writes the manual pages and the completions into a folder that is laid out as `/usr/share` is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_manual<S: Subcommand>(&self, folder: &Path) -> io::Result<()> {
        let pages = folder.join("man").join(format!("man{SECTION}"));
        fs::create_dir_all(&pages)?;
        for page in self.pages::<S>() {
            page.section(SECTION).manual("VPN Manager").generate_to(&pages)?;
        }
        let mut command = self.whole::<S>();
        for (shell, place, file_name) in COMPLETIONS {
            let place = folder.join(place);
            fs::create_dir_all(&place)?;
            let mut script = Vec::new();
            generate(shell, &mut command, self.name, &mut script);
            fs::write(place.join(file_name(self.name)), script)?;
        }
        Ok(())
    }

    /// One of the program with every setting, and one of each subcommand with what it alone takes.
    fn pages<S: Subcommand>(&self) -> impl Iterator<Item = Man> {
        let bare = S::augment_subcommands(Command::new(self.name).version(self.version)).disable_help_subcommand(true);
        let of_subcommands: Vec<Man> = bare
            .get_subcommands()
            .map(|subcommand| {
                let words = format!("{} {}", self.name, subcommand.get_name());
                let name = words.replace(' ', "-");
                let alone = subcommand.clone().version(self.version);
                Man::new(alone.name(name.clone()).display_name(name).bin_name(words))
            })
            .collect();
        std::iter::once(Man::new(self.whole::<S>())).chain(of_subcommands)
    }

    fn whole<S: Subcommand>(&self) -> Command {
        S::augment_subcommands(self.command()).disable_help_subcommand(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    const SERVICE: Service = Service {
        name: "example",
        version: "1.0.0",
        about: "An example",
        file_name: "example-config.json",
        settings: &[&[Setting::new("database.port", "DB_PORT", "Port", "a number")]],
    };

    #[derive(Debug, Subcommand)]
    enum Commands {
        /// Run it
        Serve,
    }

    #[test]
    fn there_is_a_page_of_the_program_and_one_of_each_command() {
        let folder = tempfile::tempdir().unwrap();
        SERVICE.write_manual::<Commands>(folder.path()).unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        let (whole, part) = (read("man/man8/example.8"), read("man/man8/example-serve.8"));
        assert!(
            whole.contains("DB_PORT") && whole.contains("example\\-serve(8)"),
            "{whole}"
        );
        assert!(part.contains("Run it") && !part.contains("DB_PORT"), "{part}");
        for script in [
            "bash-completion/completions/example",
            "zsh/vendor-completions/_example",
            "fish/vendor_completions.d/example.fish",
        ] {
            assert!(read(script).contains("db-port"), "{script}");
        }
    }
}
