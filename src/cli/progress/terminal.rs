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
    running: Mutex<BTreeMap<(String, String), ProgressBar>>,
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
            } => self.update(image, step, &text::position(item, done, total), style),
            Event::StepOutput { image, step, line } if detail == Detail::Steps => {
                self.update(image, step, line.trim_end(), style);
            }
            Event::StepFinished { image, step, .. } => {
                self.stop(image, step);
                self.print(event, style, detail);
            }
            _ => self.print(event, style, detail),
        }
    }

    pub(super) fn clear(&self) {
        for bar in std::mem::take(&mut *self.running()).into_values() {
            bar.finish_and_clear();
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
        self.running()
            .insert((image.to_owned(), step.to_owned()), bar);
    }

    fn update(&self, image: &str, step: &str, at: &str, style: Style) {
        if let Some(bar) = self.running().get(&(image.to_owned(), step.to_owned())) {
            bar.set_message(inert(&text::running(image, step, Some(at)), style).into_owned());
        }
    }

    fn stop(&self, image: &str, step: &str) {
        if let Some(bar) = self.running().remove(&(image.to_owned(), step.to_owned())) {
            bar.finish_and_clear();
        }
    }

    fn print(&self, event: &Event<'_>, style: Style, detail: Detail) {
        if let Some(line) = text::line(event, style, detail) {
            // The terminal is gone when this fails, and with it whom to tell.
            let _ = self.bars.println(line.trim_end());
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), ProgressBar>> {
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
                .map(ProgressBar::message)
                .collect()
        };

        show(Event::StepStarted { image, step });
        assert_eq!(messages(), ["base: install packages"]);
        show(Event::StepProgress {
            image,
            step,
            item: "udev\x1b[2J",
            done: 3,
            total: 9,
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
