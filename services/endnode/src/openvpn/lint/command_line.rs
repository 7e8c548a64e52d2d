//! What OpenVPN was started with: its command line counts as lines of a file do (`parse_argv` of its options.c).

use std::{fmt, fs};

/// Words of one option, itself among them; what follows is taken for another one.
const MOST_WORDS: usize = 16;

/// The options of a running OpenVPN's command line, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    options: Vec<Vec<String>>,
}

impl CommandLine {
    /// Of the process with this id. `None` where it cannot be seen, and where that is no OpenVPN: one in another container says an id
    /// that means something else here.
    pub fn of(pid: u32) -> Option<Self> {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<&str> = text.strip_suffix('\0')?.split('\0').collect();
        let (program, arguments) = words.split_first()?;
        is_openvpn(program).then(|| Self::parse(arguments))
    }

    /// A single argument that is no option is a file.
    pub(super) fn parse(arguments: &[&str]) -> Self {
        if let [file] = arguments
            && !is_option(file)
        {
            return Self {
                options: vec![owned("config", arguments)],
            };
        }
        let (mut options, mut rest) = (Vec::new(), arguments);
        while let [name, more @ ..] = rest {
            let parameters = more.iter().take(MOST_WORDS - 1).take_while(|word| !is_option(word));
            let (parameters, next) = more.split_at(parameters.count());
            options.push(owned(name.strip_prefix("--").unwrap_or(name), parameters));
            rest = next;
        }
        Self { options }
    }

    /// Each with its parameters, without the dashes.
    pub(super) fn options(&self) -> &[Vec<String>] {
        &self.options
    }
}

/// All but the files that it names, each with its first parameter: further ones may be secrets, such as those of a plugin.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.iter().filter(|words| words[0] != "config");
        let shown: Vec<String> = options
            .map(|words| format!("--{}", words.get(..2).unwrap_or(words).join(" ")))
            .collect();
        f.write_str(&shown.join(" "))
    }
}

fn is_openvpn(program: &str) -> bool {
    program.rsplit('/').next().is_some_and(|name| name.contains("openvpn"))
}

fn is_option(word: &str) -> bool {
    word.starts_with("--")
}

fn owned(name: &str, parameters: &[&str]) -> Vec<String> {
    let words = [name].into_iter().chain(parameters.iter().copied());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt as _,
        process::{Command, Stdio},
        time::Duration,
    };

    use vpnmanager_testbed::wait;

    use super::*;

    #[test]
    fn arguments_are_parted_as_openvpn_parts_them() {
        let cases: [(&[&str], &[&[&str]]); 5] = [
            (&["a.conf"], &[&["config", "a.conf"]]),
            (
                &["--config", "a.conf", "--daemon", "--log", "my log"],
                &[&["config", "a.conf"], &["daemon"], &["log", "my log"]],
            ),
            (
                &["--management", "m.sock", "unix", "--verb", "-1"],
                &[&["management", "m.sock", "unix"], &["verb", "-1"]],
            ),
            (&["--version"], &[&["version"]]),
            (&[], &[]),
        ];
        for (arguments, expected) in cases {
            assert_eq!(CommandLine::parse(arguments).options(), expected, "{arguments:?}");
        }
        let line = CommandLine::parse(&["--config", "a.conf", "--plugin", "duo.so", "secret", "--daemon"]);
        assert_eq!(line.to_string(), "--plugin duo.so --daemon");
    }

    #[tokio::test]
    async fn only_an_openvpns_own_is_read() {
        let start = |name: &str| {
            let mut command = Command::new("sh");
            command.arg0(name).args(["-c", "read line", "--config", "a.conf", ""]);
            command.stdin(Stdio::piped()).spawn().expect("sh")
        };
        let (mut server, mut other) = (start("/usr/sbin/openvpn"), start("sh"));
        let read = async || CommandLine::of(server.id());
        let line = wait::until_some(Duration::from_secs(5), "the command line", read)
            .await
            .expect("read");
        assert_eq!(line.options().last(), Some(&owned("config", &["a.conf", ""])));
        assert_eq!(CommandLine::of(other.id()), None);
        for child in [&mut server, &mut other] {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
        assert_eq!(CommandLine::of(u32::MAX), None);
    }
}
