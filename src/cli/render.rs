//! The one renderer of errors, their causes and hints, and of text that others wrote.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;

use super::excerpt::excerpt;
use super::output::Style;
use crate::hint::Hint;
use crate::recipe::{Finding, Located, Note};

pub(super) const RED: u8 = 31;
pub(super) const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const CYAN: u8 = 36;

/// Asks an error of one concrete type for its hint; `None` when the error is of another type or has no hint.
pub(super) type HintOf = fn(&(dyn Error + 'static)) -> Option<String>;

/// Asks `error` for its hint if it is an `E`; a row of the table that [`errors`] takes.
pub(super) fn hint_of<E: Hint + 'static>(error: &(dyn Error + 'static)) -> Option<String> {
    // A `source: Box<E>` is in the chain as the box.
    error
        .downcast_ref::<E>()
        .or_else(|| error.downcast_ref::<Box<E>>().map(Box::as_ref))?
        .hint()
}

/// Asks an error of one concrete type for the words that caused it, as [`HintOf`] does for its hint.
pub(super) type FindingOf = fn(&(dyn Error + 'static)) -> Option<Finding>;

/// Asks `error` for its words if it is an `E`; a row of the table that [`errors`] takes.
pub(super) fn finding_of<E: Located + 'static>(error: &(dyn Error + 'static)) -> Option<Finding> {
    error.downcast_ref::<E>()?.finding()
}

/// What errors know besides their message, by their type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge {
    pub hints: &'static [HintOf],
    pub findings: &'static [FindingOf],
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Severity {
    Error,
    Warning,
}

impl Severity {
    fn colour(self) -> u8 {
        match self {
            Self::Error => RED,
            Self::Warning => YELLOW,
        }
    }

    fn label(self, style: Style) -> String {
        let word = match self {
            Self::Error => "error",
            Self::Warning => "warning",
        };
        style.paint(self.colour(), word)
    }
}

/// Nobody reads more lines than this, and each is looked for in its file.
const MOST_EXCERPTS: usize = 500;

/// Renders errors, each with its line, its chain of causes and the hints found along it; a hint is given once.
pub(super) fn errors<'a>(
    errors: impl IntoIterator<Item = (Severity, &'a (dyn Error + 'static))>,
    known: Knowledge,
    style: Style,
) -> String {
    let mut text = String::new();
    let mut given = Vec::new();
    let mut block_ended = false;
    for (index, (severity, error)) in errors.into_iter().enumerate() {
        if block_ended {
            text.push('\n');
        }
        block_ended = error.source().is_some();
        let chain = || std::iter::successors(Some(error), |&error| error.source());
        let mut findings = known.findings.iter();
        let found =
            findings.find_map(|finding_of| finding_of(error).filter(|_| index < MOST_EXCERPTS));
        match &found {
            Some(found) => {
                finding(&mut text, severity, found, style);
                block_ended = true;
            }
            None => message(&mut text, "", &severity.label(style), error, style),
        }
        for cause in chain().skip(1) {
            message(&mut text, "  ", "caused by", cause, style);
        }
        let is_remarked = found.is_some_and(|found| found.remark.is_some());
        let hints = chain()
            .skip(usize::from(is_remarked))
            .flat_map(|error| known.hints.iter().find_map(|hint_of| hint_of(error)));
        for hint in hints {
            if !given.contains(&hint) {
                let label = style.paint(CYAN, "hint");
                let _ = writeln!(text, "\n{label}: {}", indented(&hint, "", style));
                given.push(hint);
                block_ended = true;
            }
        }
    }
    text
}

/// Renders something to know about a value, with its words if they are in a file.
pub(super) fn note(note: &Note, style: Style) -> String {
    let Some(place) = note.origin.place() else {
        return warning("", &format!("{}: {}", note.origin, note.text), style);
    };
    let mut text = String::new();
    let found = Finding {
        place: place.clone(),
        message: note.text.clone(),
        remark: None,
    };
    finding(&mut text, Severity::Warning, &found, style);
    text
}

/// Renders what words of a file caused, with these words.
fn finding(text: &mut String, severity: Severity, found: &Finding, style: Style) {
    let place = &found.place;
    let message = format!("{place}:{}: {}", place.column(), found.message);
    let message = indented(&message, "", style);
    let _ = writeln!(text, "{}: {message}", severity.label(style));
    text.push_str(&excerpt(
        place,
        severity.colour(),
        found.remark.as_deref(),
        style,
    ));
}

/// Renders a warning as one line.
pub(super) fn warning(image: &str, text: &str, style: Style) -> String {
    let label = style.paint(YELLOW, "warning");
    let image = inert(image, style);
    let text = indented(text, "", style);
    if image.is_empty() {
        format!("{label}: {text}\n")
    } else {
        format!("{label}: {image}: {text}\n")
    }
}

fn message(text: &mut String, indent: &str, label: &str, error: &dyn Error, style: Style) {
    let message = indented(&error.to_string(), indent, style);
    let _ = writeln!(text, "{indent}{label}: {message}");
}

/// Makes every line inert and indents those after the first below their label.
pub(super) fn indented(text: &str, indent: &str, style: Style) -> String {
    let lines: Vec<_> = text
        .trim_end()
        .lines()
        .map(|line| inert(line, style))
        .collect();
    lines.join(&format!("\n{indent}    "))
}

/// Makes one line of text from elsewhere safe to show: it can neither drive the terminal nor command GitHub Actions.
///
/// Control characters appear in caret notation (`^[`), others that reorder or hide text as `<U+202E>`. On GitHub
/// Actions a workflow command (`::name::` first in a line, `##[name]` anywhere) loses its meaning to a backslash.
pub(super) fn inert(line: &str, style: Style) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    if line.chars().any(|c| c != '\t' && is_active(c)) {
        line = Cow::Owned(line.chars().fold(String::new(), push_visible));
    }
    if style.github_actions {
        // The runner trims a line before it looks for `::` (actions/runner, ActionCommand.TryParseV2).
        let command = line.trim_start();
        if command.starts_with("::") {
            line = Cow::Owned(format!("\\{command}"));
        }
        if line.contains("##[") {
            line = Cow::Owned(line.replace("##[", "#\\#["));
        }
    }
    line
}

/// Makes JSON text safe to show, without changing what it means: where characters act, their escapes stand.
///
/// GitHub Actions finds `##[name]` within a line of standard output as well. Outside of strings JSON has neither these
/// characters nor that sequence.
pub(super) fn inert_json(json: &str) -> String {
    let escaped = json.chars().fold(String::new(), |mut text, c| {
        match c {
            '\n' | '\t' => text.push(c),
            c if is_active(c) => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
        text
    });
    escaped.replace("##[", "##\\u005b")
}

/// Makes each line of a text inert.
pub(super) fn inert_lines(text: &str, style: Style) -> String {
    let lines = text.lines().map(|line| inert(line, style) + "\n");
    lines.collect()
}

/// Tells whether a character acts on the terminal or on the text around it rather than showing itself.
fn is_active(c: char) -> bool {
    // Beyond the control characters: bidirectional controls, line separators and the byte order mark.
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Appends a character as it is shown.
pub(super) fn push_visible(mut text: String, c: char) -> String {
    match c {
        '\t' => text.push(c),
        '\u{7f}' => text.push_str("^?"),
        '\0'..='\u{1f}' => {
            text.push('^');
            // Caret notation: the control character's letter is 64 above it.
            text.extend(char::from_u32(u32::from(c) + 64));
        }
        c if is_active(c) => {
            let _ = write!(text, "<U+{:04X}>", u32::from(c));
        }
        c => text.push(c),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("mounting the overlay for `nginx.raw`")]
        Mount { source: Box<Sample> },
        #[error("`/nfs/build/upper` was refused as the upper directory")]
        Refused { source: Box<Sample> },
        #[error("invalid argument (EINVAL)")]
        Invalid,
        #[error("`mkosi.conf:3`: unknown setting `Pakages=`")]
        Unknown,
        #[error("`mkosi.conf:9`: unknown format `sysex`")]
        Format,
        #[error("`{0}` exited with status 1")]
        Program(&'static str),
    }

    impl Hint for Sample {
        fn hint(&self) -> Option<String> {
            match self {
                Self::Refused { .. } => Some("put the workspace on a local filesystem".to_owned()),
                Self::Unknown => Some("did you mean `Packages=`?".to_owned()),
                _ => None,
            }
        }
    }

    const KNOWN: Knowledge = Knowledge {
        hints: &[hint_of::<Sample>],
        findings: &[],
    };
    const PLAIN: Style = Style {
        colour: false,
        github_actions: false,
    };
    const ACTIONS: Style = Style {
        colour: false,
        github_actions: true,
    };

    fn rendered(list: &[Sample], style: Style) -> String {
        errors(
            list.iter()
                .map(|error| (Severity::Error, error as &(dyn Error + 'static))),
            KNOWN,
            style,
        )
    }

    fn chain() -> Sample {
        Sample::Mount {
            source: Box::new(Sample::Refused {
                source: Box::new(Sample::Invalid),
            }),
        }
    }

    #[test]
    fn chain_is_one_line_a_cause_and_the_hint_follows_a_blank_line() {
        assert_eq!(
            rendered(&[chain()], PLAIN),
            "error: mounting the overlay for `nginx.raw`\n  \
             caused by: `/nfs/build/upper` was refused as the upper directory\n  \
             caused by: invalid argument (EINVAL)\n\n\
             hint: put the workspace on a local filesystem\n"
        );
    }

    #[test]
    fn errors_without_more_stand_together_and_a_hint_is_given_once() {
        assert_eq!(
            rendered(
                &[Sample::Format, Sample::Unknown, Sample::Unknown, chain()],
                PLAIN
            ),
            "error: `mkosi.conf:9`: unknown format `sysex`\n\
             error: `mkosi.conf:3`: unknown setting `Pakages=`\n\n\
             hint: did you mean `Packages=`?\n\n\
             error: `mkosi.conf:3`: unknown setting `Pakages=`\n\
             error: mounting the overlay for `nginx.raw`\n  \
             caused by: `/nfs/build/upper` was refused as the upper directory\n  \
             caused by: invalid argument (EINVAL)\n\n\
             hint: put the workspace on a local filesystem\n"
        );
    }

    #[test]
    fn colour_is_on_the_labels_only() {
        let style = Style {
            colour: true,
            ..PLAIN
        };
        assert_eq!(
            rendered(&[Sample::Unknown], style),
            "\x1b[1;31merror\x1b[0m: `mkosi.conf:3`: unknown setting `Pakages=`\n\n\
             \x1b[1;36mhint\x1b[0m: did you mean `Packages=`?\n"
        );
    }

    #[test]
    fn further_lines_of_a_message_are_indented_and_inert() {
        assert_eq!(
            rendered(&[Sample::Program("apt\n::error::x\x1b[2J\n")], ACTIONS),
            "error: `apt\n    \\::error::x^[[2J\n    ` exited with status 1\n"
        );
    }

    #[test]
    fn text_from_elsewhere_is_inert() {
        let cases = [
            ("plain\ttext é 漢", "plain\ttext é 漢", "plain\ttext é 漢"),
            ("\x1b[31mred\x07", "^[[31mred^G", "^[[31mred^G"),
            ("50%\r100%\x7f", "50%^M100%^?", "50%^M100%^?"),
            (
                "a\u{9b}31m\u{202e}b",
                "a<U+009B>31m<U+202E>b",
                "a<U+009B>31m<U+202E>b",
            ),
            (
                "::set-env name=A::b",
                "::set-env name=A::b",
                "\\::set-env name=A::b",
            ),
            ("  ::error::x", "  ::error::x", "\\::error::x"),
            (
                "std::fs ##[group]",
                "std::fs ##[group]",
                "std::fs #\\#[group]",
            ),
        ];
        for (text, plain, actions) in cases {
            assert_eq!(inert(text, PLAIN), plain);
            assert_eq!(inert(text, ACTIONS), actions);
        }
    }

    #[test]
    fn json_from_elsewhere_is_inert_and_means_the_same() {
        let value = serde_json::json!({ "line": "\x1b[2J \u{9b}31m \u{202e}\x7f ##[add-mask]x" });
        let text = inert_json(&value.to_string());
        assert_eq!(
            text,
            r#"{"line":"\u001b[2J \u009b31m \u202e\u007f ##\u005badd-mask]x"}"#
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn warning_names_its_image() {
        assert_eq!(
            warning("btrfs", "no key", PLAIN),
            "warning: btrfs: no key\n"
        );
        assert_eq!(warning("", "no key", PLAIN), "warning: no key\n");
    }
}
