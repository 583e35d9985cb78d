//! The two streams: standard output for data, standard error for people.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};

use super::render::inert_json;

/// How text for people is written, decided once from where standard error goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Style {
    /// Escape codes for colour may be written.
    pub colour: bool,
    /// Standard error is read by GitHub Actions, which obeys commands in it.
    pub github_actions: bool,
}

impl Style {
    /// Returns the style that suits this process's standard error.
    pub(super) fn of_stderr() -> Self {
        // https://no-color.org: any value but the empty one.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: stderr_is_terminal() && !no_color && !dumb,
            github_actions: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
        }
    }

    /// Returns `text` in bold and the colour of an ANSI code, or as it is.
    pub(crate) fn paint(self, code: u8, text: &str) -> String {
        if self.colour {
            format!("\x1b[1;{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Tells whether a person watches standard error.
pub(super) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes text to standard output.
///
/// A closed pipe is the reader's decision and no error of ours.
pub(super) fn data(text: Arguments<'_>) {
    let _ = io::stdout().lock().write_fmt(text);
}

/// Writes a JSON text as a line, or several, of standard output.
pub(super) fn json(text: Arguments<'_>) {
    data(format_args!("{}\n", inert_json(&text.to_string())));
}

/// Writes a part of a JSON text.
pub(super) fn json_part(text: Arguments<'_>) {
    data(format_args!("{}", inert_json(&text.to_string())));
}

/// Writes text to standard error.
pub(super) fn people(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}
