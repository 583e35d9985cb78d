//! The text of events and of the final table, without any printing.

use std::time::Duration;

use super::{Detail, Output};
use crate::build::Event;
use crate::cli::output::Style;
use crate::cli::render::{self, inert};
use crate::cli::table::{Align, size, table, time};
use crate::extension::Severity;

/// Returns the line of an event, for where lines stay.
pub(super) fn line(event: &Event<'_>, style: Style, detail: Detail) -> Option<String> {
    let shown = |text: &str| inert(text, style).into_owned();
    match *event {
        Event::ImageUpToDate { image } => Some(format!("{}: up to date\n", shown(image))),
        Event::ImageDue { image, changes } => {
            let first = changes.first()?.to_string();
            let others = match changes.len() - 1 {
                0 => String::new(),
                1 => ", and one other change".to_owned(),
                others => format!(", and {others} other changes"),
            };
            Some(format!("{}: {}{others}\n", shown(image), shown(&first)))
        }
        Event::StepStarted { image, step } => {
            Some(format!("{}: {} ...\n", shown(image), shown(step)))
        }
        Event::StepFinished {
            image,
            step,
            elapsed,
            cached,
        } => {
            let result = if cached {
                "cached".to_owned()
            } else {
                time(elapsed)
            };
            Some(format!("{}: {}: {result}\n", shown(image), shown(step)))
        }
        Event::StepOutput { image, line, .. } if detail == Detail::ProgramOutput => {
            Some(format!("{} | {}\n", shown(image), shown(line.trim_end())))
        }
        // What is as it should be is for programs.
        Event::Finding { image, finding } if finding.severity > Severity::Note => {
            let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}"));
            let text = format!("{}{}", finding.reason, remedy.unwrap_or_default());
            Some(render::warning(image, &text, style))
        }
        Event::Warning { image, text } => Some(render::warning(image, text, style)),
        _ => None,
    }
}

/// Returns the text of a running step's line.
pub(super) fn running(image: &str, step: &str, at: Option<&str>) -> String {
    match at {
        Some(at) => format!("{image}: {step}: {at}"),
        None => format!("{image}: {step}"),
    }
}

/// Returns how far a step got.
pub(super) fn position(item: &str, done: u64, total: u64) -> String {
    match item {
        "" => format!("{done} of {total}"),
        item => format!("{done} of {total}: {item}"),
    }
}

/// Returns the table of a successful build's outputs.
pub(super) fn outputs(outputs: &[Output], elapsed: Duration, style: Style) -> String {
    let header = ["image", "output", "size", "time"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header)
        .chain(outputs.iter().map(|output| {
            [
                inert(&output.image, style).into_owned(),
                inert(&output.path.to_string_lossy(), style).into_owned(),
                size(output.size_bytes),
                time(output.elapsed),
            ]
        }))
        .collect();
    let mut text = String::new();
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&table(
            [Align::Left, Align::Left, Align::Right, Align::Right],
            &rows,
        ));
    }
    text.push_str(&format!("done in {}\n", time(elapsed)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Change;

    const ACTIONS: Style = Style {
        colour: false,
        github_actions: true,
    };

    #[test]
    fn image_that_is_made_again_says_why() {
        let told = |changes: &[Change]| {
            let event = Event::ImageDue {
                image: "base",
                changes,
            };
            line(&event, Style::default(), Detail::Steps)
        };
        let change = Change::Value {
            name: "Format".to_owned(),
            before: Some("tar".to_owned()),
            after: Some("cpio\x1b".to_owned()),
        };
        assert_eq!(told(&[]), None);
        assert_eq!(
            told(std::slice::from_ref(&change)).as_deref(),
            Some("base: Format: `tar` became `cpio^[`\n")
        );
        assert_eq!(
            told(&[change.clone(), Change::Metadata, change]).as_deref(),
            Some("base: Format: `tar` became `cpio^[`, and 2 other changes\n")
        );
    }

    #[test]
    fn step_is_a_line_when_it_starts_and_when_it_ends() {
        let image = "base";
        let step = "install packages";
        let elapsed = Duration::from_millis(12_345);
        let finished = |cached| Event::StepFinished {
            image,
            step,
            elapsed,
            cached,
        };
        let output = Event::StepOutput {
            image,
            step,
            line: "::error::x\x1b[2J",
        };
        let progress = Event::StepProgress {
            image,
            step,
            item: "udev",
            done: 1,
            total: 2,
        };
        let cases = [
            (
                Event::StepStarted { image, step },
                Some("base: install packages ...\n"),
            ),
            (finished(false), Some("base: install packages: 12.3 s\n")),
            (finished(true), Some("base: install packages: cached\n")),
            (progress, None),
            (output, None),
        ];
        for (event, expected) in cases {
            assert_eq!(
                line(&event, Style::default(), Detail::Steps).as_deref(),
                expected
            );
        }
        assert_eq!(
            line(&output, ACTIONS, Detail::ProgramOutput).as_deref(),
            Some("base | \\::error::x^[[2J\n")
        );
    }

    #[test]
    fn running_step_says_which_package_of_how_many() {
        let at = position("libsystemd0", 12, 83);
        assert_eq!(
            running("base", "install packages", Some(&at)),
            "base: install packages: 12 of 83: libsystemd0"
        );
        assert_eq!(
            running("base", "install packages", None),
            "base: install packages"
        );
        assert_eq!(position("", 3, 9), "3 of 9");
    }

    #[test]
    fn final_table_lists_outputs_with_sizes_and_times() {
        let rows = [
            Output {
                image: "base".to_owned(),
                path: "mkosi.output/base".into(),
                size_bytes: 300 << 20,
                elapsed: Duration::from_secs(41),
            },
            Output {
                image: "btrfs".to_owned(),
                path: "mkosi.output/btrfs.raw".into(),
                size_bytes: 4 << 20,
                elapsed: Duration::from_secs(3),
            },
        ];
        assert_eq!(
            outputs(&rows, Duration::from_secs(65), Style::default()),
            "\n\
             image  output                       size    time\n\
             base   mkosi.output/base       300.0 MiB  41.0 s\n\
             btrfs  mkosi.output/btrfs.raw    4.0 MiB   3.0 s\n\
             done in 1 min 05 s\n"
        );
        assert_eq!(
            outputs(&[], Duration::ZERO, Style::default()),
            "done in 0.0 s\n"
        );
    }
}
