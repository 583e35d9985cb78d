//! What a person, or a program, sees of a running build.
//!
//! On a terminal every running step has a line that shows which package it is at and for how long it has run; elsewhere
//! a step is a line when it starts and one when it ends, or only the latter when its result was there already. `--json` writes one object an event to standard output.

mod json;
mod terminal;
mod text;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::terminal::Terminal;
use super::output::{self, Style};
use crate::build::{Event, Observer};

/// The observer of a build that shows its events.
#[derive(Debug)]
pub(super) struct Progress {
    display: Display,
    style: Style,
    detail: Detail,
    started: Instant,
    outputs: Mutex<Vec<Output>>,
}

/// How much of the running programs' output is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    /// The steps.
    Steps,
    /// Also each line that a program prints (`--debug`).
    ProgramOutput,
}

#[derive(Debug)]
enum Display {
    Terminal(Terminal),
    Lines,
    Json,
}

/// An output that the final table lists.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Output {
    image: String,
    path: PathBuf,
    size_bytes: u64,
    elapsed: Duration,
}

impl Progress {
    /// Returns the observer for people, which suits what standard error is.
    pub(super) fn people(style: Style, detail: Detail) -> Self {
        let display = if output::stderr_is_terminal() {
            Display::Terminal(Terminal::new())
        } else {
            Display::Lines
        };
        Self::new(display, style, detail)
    }

    /// Returns the observer that writes one JSON object an event to standard output.
    pub(super) fn json(style: Style, detail: Detail) -> Self {
        Self::new(Display::Json, style, detail)
    }

    fn new(display: Display, style: Style, detail: Detail) -> Self {
        Self {
            display,
            style,
            detail,
            started: Instant::now(),
            outputs: Mutex::new(Vec::new()),
        }
    }

    /// Takes the lines of running steps away, so that an error can be printed below what is done.
    pub(super) fn clear(&self) {
        if let Display::Terminal(terminal) = &self.display {
            terminal.clear();
        }
    }

    /// Ends the display of a build that succeeded with the table of its outputs.
    pub(super) fn finish(&self) {
        self.clear();
        let elapsed = self.started.elapsed();
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        match self.display {
            Display::Json => output::json(format_args!("{}", json::build_finished(elapsed))),
            Display::Terminal(_) | Display::Lines => {
                output::people(format_args!(
                    "{}",
                    text::outputs(&outputs, elapsed, self.style)
                ));
            }
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        if let Event::OutputWritten {
            image,
            path,
            size_bytes,
            elapsed,
        } = *event
        {
            let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
            outputs.push(Output {
                image: image.to_owned(),
                path: path.to_owned(),
                size_bytes,
                elapsed,
            });
        }
        match &self.display {
            Display::Terminal(terminal) => terminal.show(event, self.style, self.detail),
            Display::Lines => {
                if let Some(line) = text::line(event, self.style, self.detail) {
                    output::people(format_args!("{line}"));
                }
            }
            Display::Json => {
                if let Some(object) = json::object(event, self.detail) {
                    output::json(format_args!("{object}"));
                }
            }
        }
    }
}
