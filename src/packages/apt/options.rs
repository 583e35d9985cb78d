//! The options of apt that a recipe may set (apt.conf(5)).
//!
//! apt's configuration can name programs to run, before and after it does anything, and directories to use instead of
//! ours. It is read in steps that have the network, in which nothing of a recipe runs. So a recipe's file is read here,
//! and what is known to be harmless is written anew; a name that is not in the table is refused.

use std::fmt::Write as _;

use super::listed::Problem;

/// What may be set, as apt spells it; `::` at the end takes a list.
const PERMITTED: [&str; 38] = [
    "APT::Install-Recommends",
    "APT::Install-Suggests",
    "APT::Default-Release",
    "APT::Cache-Limit",
    "APT::Cache-Start",
    "APT::Cache-Grow",
    "APT::NeverAutoRemove::",
    "APT::Never-MarkAuto-Sections::",
    "APT::Move-Autobit-Sections::",
    "APT::AutoRemove::RecommendsImportant",
    "APT::AutoRemove::SuggestsImportant",
    "APT::Get::AllowUnauthenticated",
    "APT::Get::Allow-Downgrades",
    "APT::Get::Assume-Yes",
    "Acquire::Retries",
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::Max-ValidTime",
    "Acquire::Min-ValidTime",
    "Acquire::Languages",
    "Acquire::Languages::",
    "Acquire::GzipIndexes",
    "Acquire::PDiffs",
    "Acquire::By-Hash",
    "Acquire::Queue-Mode",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::AllowInsecureRepositories",
    "Acquire::AllowWeakRepositories",
    "Acquire::AllowDowngradeToInsecureRepositories",
    "Acquire::http::Timeout",
    "Acquire::http::Pipeline-Depth",
    "Acquire::http::No-Cache",
    "Acquire::https::Timeout",
    "Acquire::https::Verify-Peer",
    "Acquire::https::Verify-Host",
    "DPkg::Lock::Timeout",
    "DPkg::Options::",
];

/// What may be passed on to dpkg; others of its options run programs or name directories.
const DPKG_OPTIONS: [&str; 6] = [
    "--force-",
    "--no-force-",
    "--refuse-",
    "--path-exclude=",
    "--path-include=",
    "--no-debsig",
];

/// How deep blocks may lie in each other; options have some parts.
const MAX_DEPTH: usize = 16;

/// Reads a configuration file of a recipe, and returns what it sets as text for apt.
///
/// # Errors
/// A [`Problem`] with the line, for what is not well-formed and for options that a recipe may not set.
pub fn permitted_options(text: &str) -> Result<String, Problem> {
    let mut parser = Parser {
        rest: text,
        line: 1,
        settings: Vec::new(),
    };
    parser.block("", 0)?;
    let mut rendered = String::new();
    for (line, name, value) in parser.settings {
        let found = PERMITTED
            .iter()
            .find(|permitted| permitted.eq_ignore_ascii_case(&name));
        let name = found.ok_or_else(|| Problem {
            line,
            text: format!("`{name}` is not among the options of apt that a recipe may set"),
        })?;
        let is_passed_on = |known: &&str| value.starts_with(known);
        if *name == "DPkg::Options::" && !DPKG_OPTIONS.iter().any(is_passed_on) {
            return Err(Problem {
                line,
                text: format!("`{value}` is not among the options of dpkg that a recipe may set"),
            });
        }
        let _ = writeln!(rendered, "{name} \"{value}\";");
    }
    Ok(rendered)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    settings: Vec<(usize, String, String)>,
}

enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    End,
    Nothing,
}

impl Parser<'_> {
    /// Reads statements to the end of the block, whose options' names start with `prefix`.
    fn block(&mut self, prefix: &str, depth: usize) -> Result<(), Problem> {
        if depth > MAX_DEPTH {
            return Err(self.problem("blocks lie too deep in each other"));
        }
        loop {
            self.skip()?;
            let line = self.line;
            match self.token()? {
                Token::End => {}
                Token::Nothing if depth == 0 => return Ok(()),
                Token::Close if depth > 0 => return Ok(()),
                // A value alone is one of a list.
                Token::Quoted(value) => self.set(line, format!("{prefix}::"), value),
                Token::Word(name) => {
                    let name = match prefix {
                        "" => name,
                        prefix => format!("{prefix}::{name}"),
                    };
                    self.statement(line, name, depth)?;
                }
                Token::Nothing => return Err(self.problem("a block has no end")),
                Token::Open | Token::Close => {
                    return Err(self.problem("expected the name of an option"));
                }
            }
        }
    }

    /// Reads what follows the name of an option.
    fn statement(&mut self, line: usize, name: String, depth: usize) -> Result<(), Problem> {
        let mut value = None;
        loop {
            match self.token()? {
                Token::Quoted(text) | Token::Word(text) if value.is_none() => value = Some(text),
                Token::Open => {
                    if let Some(value) = value.take() {
                        self.set(line, name.clone(), value);
                    }
                    return self.block(&name, depth + 1);
                }
                Token::End => {
                    self.set(line, name, value.unwrap_or_default());
                    return Ok(());
                }
                _ => return Err(self.problem("expected a value and `;` after an option's name")),
            }
        }
    }

    fn set(&mut self, line: usize, name: String, value: String) {
        self.settings.push((line, name, value));
    }

    fn token(&mut self) -> Result<Token, Problem> {
        self.skip()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::Nothing);
        };
        let token = match first {
            '{' => Token::Open,
            '}' => Token::Close,
            ';' => Token::End,
            '"' => return self.quoted(),
            _ => {
                let is_end = |c: char| c.is_whitespace() || "{};\"".contains(c);
                let end = self.rest.find(is_end).unwrap_or(self.rest.len());
                let word = &self.rest[..end];
                if !word.chars().all(|c| c.is_ascii_graphic()) {
                    return Err(self.problem("expected printable ASCII"));
                }
                self.rest = &self.rest[end..];
                return Ok(Token::Word(word.to_owned()));
            }
        };
        self.rest = &self.rest[first.len_utf8()..];
        Ok(token)
    }

    fn quoted(&mut self) -> Result<Token, Problem> {
        let inside = &self.rest[1..];
        let end = inside.find(['"', '\n']);
        let Some(end) = end.filter(|end| inside[*end..].starts_with('"')) else {
            return Err(self.problem("a quoted value has no end in its line"));
        };
        let value = &inside[..end];
        if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(self.problem("expected printable ASCII"));
        }
        let value = value.to_owned();
        self.rest = &inside[end + 1..];
        Ok(Token::Quoted(value))
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), Problem> {
        loop {
            let skipped = if self.rest.starts_with(char::is_whitespace) {
                let end = self.rest.find(|c: char| !c.is_whitespace());
                end.unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").map(|end| end + 2);
                end.ok_or_else(|| self.problem("a comment has no end"))?
            } else if self.rest.starts_with("#clear") || self.rest.starts_with("#include") {
                return Err(self.problem("`#clear` and `#include` are not for recipes"));
            } else if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else {
                return Ok(());
            };
            let (passed, rest) = self.rest.split_at(skipped);
            self.line += passed.matches('\n').count();
            self.rest = rest;
        }
    }

    fn problem(&self, text: &str) -> Problem {
        Problem {
            line: self.line,
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PERMITTED, permitted_options};

    #[test]
    fn harmless_options_are_written_anew_in_every_form() {
        let text = "// a comment\nacquire::retries 7; # another\nAPT { Install-Suggests \"true\"; };\n\
                    /* of\nlines */ DPkg::Options { \"--force-overwrite\"; \"--path-exclude=/usr/share/man/*\"; };\n\
                    DPkg::Options:: \"--no-debsig\"; Acquire::http { Timeout \"5\"; No-Cache; }\n";
        assert_eq!(
            permitted_options(text).unwrap(),
            "Acquire::Retries \"7\";\nAPT::Install-Suggests \"true\";\n\
             DPkg::Options:: \"--force-overwrite\";\nDPkg::Options:: \"--path-exclude=/usr/share/man/*\";\n\
             DPkg::Options:: \"--no-debsig\";\nAcquire::http::Timeout \"5\";\nAcquire::http::No-Cache \"\";\n"
        );
    }

    #[test]
    fn options_that_run_programs_or_lead_elsewhere_are_refused() {
        for (text, name) in [
            (
                "APT::Update::Pre-Invoke {\"id\";};",
                "APT::Update::Pre-Invoke::",
            ),
            (
                "APT::Update { Post-Invoke-Success:: \"id\"; };",
                "APT::Update::Post-Invoke-Success::",
            ),
            (
                "DPkg::Pre-Install-Pkgs:: \"id\";",
                "DPkg::Pre-Install-Pkgs::",
            ),
            ("dpkg { post-invoke { \"id\"; }; };", "dpkg::post-invoke::"),
            ("DPkg::Path \"/x\";", "DPkg::Path"),
            ("Dir::Bin::dpkg \"/x\";", "Dir::Bin::dpkg"),
            ("Dir::Bin::Methods \"/x\";", "Dir::Bin::Methods"),
            ("Dir \"/x\";", "Dir"),
            ("Dir { Bin { gpg \"/x\"; }; };", "Dir::Bin::gpg"),
            ("RootDir \"/x\";", "RootDir"),
            ("APT::Solver \"x\";", "APT::Solver"),
            (
                "APT::Compressor::x::Binary \"x\";",
                "APT::Compressor::x::Binary",
            ),
            (
                "Acquire::http::Proxy-Auto-Detect \"x\";",
                "Acquire::http::Proxy-Auto-Detect",
            ),
            (
                "Acquire::http::ProxyAutoDetect \"x\";",
                "Acquire::http::ProxyAutoDetect",
            ),
            ("Acquire::http::Proxy \"http://x\";", "Acquire::http::Proxy"),
            ("Acquire::ssh::x \"x\";", "Acquire::ssh::x"),
            ("APT::Sandbox::User \"x\";", "APT::Sandbox::User"),
            (
                "Binary::apt-get::Dir::Bin::dpkg \"/x\";",
                "Binary::apt-get::Dir::Bin::dpkg",
            ),
            (
                "Acquire::Retries::x { y { z; } };",
                "Acquire::Retries::x::y::z",
            ),
            ("\"x\";", "::"),
        ] {
            let problem = permitted_options(&format!("\n{text}\n")).unwrap_err();
            assert_eq!(
                (problem.line, problem.text),
                (
                    2,
                    format!("`{name}` is not among the options of apt that a recipe may set")
                )
            );
        }
        for value in [
            "--pre-invoke=id",
            "--root=/",
            "--admindir=/x",
            "-D",
            "--status-logger=id",
            "",
        ] {
            let problem =
                permitted_options(&format!("DPkg::Options {{ \"{value}\"; }}")).unwrap_err();
            let expected =
                format!("`{value}` is not among the options of dpkg that a recipe may set");
            assert_eq!(problem.text, expected);
        }
    }

    #[test]
    fn what_is_not_well_formed_says_where() {
        for (text, line, expected) in [
            (
                "#include \"/x\";",
                1,
                "`#clear` and `#include` are not for recipes",
            ),
            (
                "\n #clear APT;",
                2,
                "`#clear` and `#include` are not for recipes",
            ),
            ("A { \n", 2, "a block has no end"),
            ("}", 1, "expected the name of an option"),
            ("A \"b\n\";", 1, "a quoted value has no end in its line"),
            (
                "A b c;",
                1,
                "expected a value and `;` after an option's name",
            ),
            ("A b", 1, "expected a value and `;` after an option's name"),
            ("/* x", 1, "a comment has no end"),
            ("A \"\u{1b}\";", 1, "expected printable ASCII"),
            (&"A {".repeat(20), 1, "blocks lie too deep in each other"),
        ] {
            let problem = permitted_options(text).unwrap_err();
            assert_eq!(
                (problem.line, problem.text.as_str()),
                (line, expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same() {
        let text: String = PERMITTED
            .iter()
            .map(|name| format!("{name} \"--force-x\";\n"))
            .collect();
        assert_eq!(permitted_options(&text).unwrap(), text);
    }
}
