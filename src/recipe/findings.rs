//! What is found while a recipe is read, by how much it stops.

use std::collections::BTreeSet;

use super::error::{RecipeError, RecipeErrors, in_order_of_lines};
use super::origin::Origin;

/// What a finding stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Severity {
    /// Everything: text that is no value, images that depend on each other in a circle.
    Error,
    /// Builds only: the recipe is well-formed, but asks for what a build cannot or may not do.
    Refusal,
    /// Nothing, unless a person wants it to: what mkosi passes over, or accepts with a warning.
    Warning,
}

/// Something a person should know that is not a mistake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    pub text: String,
    pub origin: Origin,
}

/// Collects what is found, in the order it is found in.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(Severity, RecipeError)>,
    /// The messages of what was found.
    said: BTreeSet<String>,
    /// What no build does, by the setting: it counts if the value is still there in the end.
    unsupported: Vec<(&'static str, RecipeError)>,
    pub(super) notes: Vec<Note>,
}

impl Findings {
    /// Adds what stops everything.
    pub(super) fn error(&mut self, problem: RecipeError) {
        self.add(Severity::Error, problem);
    }

    /// Adds what stops builds.
    pub(super) fn refuse(&mut self, problem: RecipeError) {
        self.add(Severity::Refusal, problem);
    }

    /// Adds a value that stops builds unless another one takes its place.
    pub(super) fn refuse_value(&mut self, setting: &'static str, problem: RecipeError) {
        self.unsupported.push((setting, problem));
    }

    /// Settles which values stop builds: those of settings that still have a value from that place.
    pub(super) fn keep_values(&mut self, is_there: impl Fn(&'static str, &Origin) -> bool) {
        // All values of one assignment may be wrong, and asking takes time.
        let mut last: Option<(&'static str, Origin, bool)> = None;
        for (setting, problem) in std::mem::take(&mut self.unsupported) {
            let Some(origin) = problem.origin().cloned() else {
                continue;
            };
            let is_kept = match &last {
                Some((name, of, is_kept)) if *name == setting && *of == origin => *is_kept,
                _ => is_there(setting, &origin),
            };
            last = Some((setting, origin, is_kept));
            if is_kept {
                self.refuse(problem);
            }
        }
    }

    /// Takes what was found in an image that is not built over: it refuses nothing.
    pub(super) fn take_over(&mut self, other: Self) {
        for (severity, problem) in other.found {
            if severity != Severity::Refusal {
                self.add(severity, problem);
            }
        }
    }

    /// Adds what stops nothing.
    pub(super) fn warn(&mut self, problem: RecipeError) {
        self.add(Severity::Warning, problem);
    }

    /// Adds a finding, unless the same was already found: what all images are given is looked at for each.
    fn add(&mut self, severity: Severity, problem: RecipeError) {
        if self.said.insert(problem.to_string()) {
            self.found.push((severity, problem));
        }
    }

    /// Adds a note, unless the same was already said elsewhere.
    pub(super) fn note(&mut self, origin: &Origin, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.iter().any(|note| note.text == text) {
            self.notes.push(Note {
                text,
                origin: origin.clone(),
            });
        }
    }

    /// Returns whether nothing was found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.unsupported.is_empty()
    }

    /// Gives the refusals, the warnings and the notes away, unless there are errors.
    pub(super) fn settle(self) -> Result<Settled, RecipeErrors> {
        let mut severities = self.found.iter().map(|(severity, _)| severity);
        let stops = severities.any(|severity| *severity == Severity::Error);
        let (warnings, obstacles): (Vec<_>, Vec<_>) = self
            .found
            .into_iter()
            .partition(|(severity, _)| *severity == Severity::Warning);
        let problems = |found: Vec<(Severity, RecipeError)>| {
            let problems = found.into_iter().map(|(_, problem)| problem);
            let mut problems: Vec<RecipeError> = problems.collect();
            in_order_of_lines(&mut problems, |problem| problem);
            problems
        };
        if stops {
            return Err(RecipeErrors::new(problems(obstacles), problems(warnings)));
        }
        Ok(Settled {
            refusals: problems(obstacles),
            warnings: problems(warnings),
            notes: self.notes,
        })
    }
}

/// What was found in a recipe that can be read.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) refusals: Vec<RecipeError>,
    pub(super) warnings: Vec<RecipeError>,
    pub(super) notes: Vec<Note>,
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn values_of_an_assignment_are_asked_for_once() {
        let mut findings = Findings::default();
        for (option, value) in [("--a", "1"), ("--a", "2"), ("--b", "3"), ("--b", "4")] {
            let problem = RecipeError::Unsupported {
                origin: Origin::CommandLine {
                    option: option.to_owned(),
                },
                setting: "Packages",
                value: value.to_owned(),
                reason: String::new(),
            };
            findings.refuse_value("Packages", problem);
        }
        let asked = Cell::new(0);
        findings.keep_values(|_, origin| {
            asked.set(asked.get() + 1);
            origin.to_string() == "--b"
        });
        assert_eq!(asked.get(), 2);
        assert_eq!(findings.settle().unwrap().refusals.len(), 2);
    }
}
