//! Compares trees entry by entry, and tells known differences from those that nobody explained.

use std::collections::BTreeSet;
use std::fmt;

use globset::GlobBuilder;

use super::tree::Tree;

/// The field of an entry that only one tree has.
const ENTRY: &str = "entry";

/// One field of one entry that two trees do not agree on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) field: String,
    expected: Option<String>,
    found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, field, .. } = self;
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => {
                write!(formatter, "{path}: {field} is {found}, expected {expected}")
            }
            (Some(expected), None) => {
                write!(formatter, "{path}: {field} is missing, expected {expected}")
            }
            (None, found) => {
                let found = found.as_deref().unwrap_or_default();
                write!(formatter, "{path}: {field} is {found}, expected none")
            }
        }
    }
}

/// A difference that says nothing of ownership, and why it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Known {
    /// A pattern; `*` stays within one directory.
    pub(super) path: &'static str,
    pub(super) field: &'static str,
    pub(super) reason: &'static str,
}

impl Known {
    fn excuses(&self, difference: &Difference) -> bool {
        let glob = GlobBuilder::new(self.path).literal_separator(true).build();
        let matcher = glob.expect("the pattern is valid").compile_matcher();
        self.field == difference.field && matcher.is_match(&difference.path)
    }
}

/// Returns everything in which `found` is not as `expected`, sorted by path and field.
pub(super) fn differences(expected: &Tree, found: &Tree) -> Vec<Difference> {
    let mut differences = Vec::new();
    let paths: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for path in paths {
        let mut differ = |field: &str, expected: Option<String>, found: Option<String>| {
            if expected != found {
                differences.push(Difference {
                    path: path.clone(),
                    field: field.to_owned(),
                    expected,
                    found,
                });
            }
        };
        match (expected.get(path), found.get(path)) {
            (Some(expected), Some(found)) => {
                let (expected, found) = (expected.fields(), found.fields());
                let fields: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
                for field in fields {
                    differ(
                        field,
                        expected.get(field).cloned(),
                        found.get(field).cloned(),
                    );
                }
            }
            (expected, found) => {
                let kind = |node: &super::tree::Node| node.kind.to_owned();
                differ(ENTRY, expected.map(kind), found.map(kind));
            }
        }
    }
    differences
}

/// Returns the lines that fail a comparison: each difference that no row of `known` excuses, and each row that
/// excuses none.
pub(super) fn complaints(found: &[(String, Difference)], known: &[Known]) -> Vec<String> {
    let mut complaints: Vec<_> = found
        .iter()
        .filter(|(_, difference)| !known.iter().any(|row| row.excuses(difference)))
        .map(|(place, difference)| format!("{place}: {difference}"))
        .collect();
    complaints.extend(
        known
            .iter()
            .filter(|row| !found.iter().any(|(_, difference)| row.excuses(difference)))
            .map(|row| {
                format!(
                    "{}: {} does not differ, but is known to: {}",
                    row.path, row.field, row.reason
                )
            }),
    );
    complaints
}

#[cfg(test)]
mod tests;
