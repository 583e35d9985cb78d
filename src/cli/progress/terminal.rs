//! The lines of running steps at the foot of a terminal; what is done scrolls by above them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Detail, text};
use crate::build::Event;
use crate::cli::output::Style;
use crate::cli::render::inert;

/// Often enough to see that the program lives, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Terminal {
    bars: MultiProgress,
    running: Mutex<BTreeMap<(String, String), Running>>,
}

/// A step that has a line.
#[derive(Debug)]
struct Running {
    bar: ProgressBar,
    /// Once a step counts, what its program prints would only make the line flicker.
    counts: bool,
}

/// What is known of how far a step is.
enum At<'a> {
    Count(&'a str),
    Output(&'a str),
}

impl Terminal {
    pub(super) fn new() -> Self {
        Self {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            running: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn show(&self, event: &Event<'_>, style: Style, detail: Detail) {
        match *event {
            Event::StepStarted { image, step } => self.start(image, step, style),
            Event::StepProgress {
                image,
                step,
                item,
                done,
                total,
            } => {
                let at = text::position(item, done, total);
                self.update(image, step, &At::Count(&at), style);
            }
            Event::StepOutput { image, step, line } if detail == Detail::Steps => {
                self.update(image, step, &At::Output(line.trim()), style);
            }
            Event::StepFinished { image, step, .. } => {
                self.stop(image, step);
                self.print(event, style, detail);
            }
            _ => self.print(event, style, detail),
        }
    }

    pub(super) fn clear(&self) {
        for running in std::mem::take(&mut *self.running()).into_values() {
            running.bar.finish_and_clear();
        }
    }

    fn start(&self, image: &str, step: &str, style: Style) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}")
                .expect("the template is a constant that parses"),
        );
        bar.set_message(inert(&text::running(image, step, None), style).into_owned());
        bar.enable_steady_tick(TICK);
        let running = Running { bar, counts: false };
        self.running()
            .insert((image.to_owned(), step.to_owned()), running);
    }

    fn update(&self, image: &str, step: &str, at: &At<'_>, style: Style) {
        let mut steps = self.running();
        let Some(running) = steps.get_mut(&(image.to_owned(), step.to_owned())) else {
            return;
        };
        let at = match at {
            At::Count(at) => {
                running.counts = true;
                at
            }
            At::Output(_) if running.counts => return,
            At::Output(line) => line,
        };
        let message = text::running(image, step, Some(at));
        running.bar.set_message(inert(&message, style).into_owned());
    }

    fn stop(&self, image: &str, step: &str) {
        let stopped = self.running().remove(&(image.to_owned(), step.to_owned()));
        if let Some(running) = stopped {
            running.bar.finish_and_clear();
        }
    }

    fn print(&self, event: &Event<'_>, style: Style, detail: Detail) {
        if let Some(line) = text::line(event, style, detail) {
            // The terminal is gone when this fails, and with it whom to tell.
            let _ = self.bars.println(line.trim_end());
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_exists_while_its_step_runs() {
        let terminal = Terminal::new();
        let (image, step) = ("base", "install packages");
        let show = |event| terminal.show(&event, Style::default(), Detail::Steps);
        let messages = || -> Vec<_> {
            terminal
                .running()
                .values()
                .map(|running| running.bar.message())
                .collect()
        };

        show(Event::StepStarted { image, step });
        assert_eq!(messages(), ["base: install packages"]);
        show(Event::StepOutput {
            image,
            step,
            line: "Reading package lists...",
        });
        assert_eq!(
            messages(),
            ["base: install packages: Reading package lists..."]
        );
        show(Event::StepProgress {
            image,
            step,
            item: "udev\x1b[2J",
            done: 3,
            total: 9,
        });
        assert_eq!(messages(), ["base: install packages: 3 of 9: udev^[[2J"]);
        show(Event::StepOutput {
            image,
            step,
            line: "Setting up udev",
        });
        assert_eq!(messages(), ["base: install packages: 3 of 9: udev^[[2J"]);
        show(Event::StepFinished {
            image,
            step,
            elapsed: Duration::ZERO,
            cached: false,
        });
        assert_eq!(messages(), Vec::<String>::new());
    }
}
