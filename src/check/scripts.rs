//! The interpreters of scripts.

use super::Finding;
use super::merged::Merged;
use crate::extension::Severity;
use crate::tree::TreePath;

/// Where a command without a directory is looked for.
pub(super) const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// Examples are marked as programs too, and are of use without being started.
const DOCUMENTATION: &str = "usr/share/doc";
/// Where programs are that others start. What is elsewhere may as well be read by an interpreter that is there.
const PROGRAMS: [&str; 6] = [
    "usr/bin",
    "usr/games",
    "usr/libexec",
    "usr/local/bin",
    "usr/local/sbin",
    "usr/sbin",
];

/// Tells whether the interpreter of the script at `path` is missing, whose first line is `line`.
pub(super) fn check(merged: &Merged<'_>, path: &TreePath, line: &str) -> Option<Finding> {
    merged.base?;
    let mut words = line.split_whitespace();
    let interpreter = words.next()?;
    let name = interpreter.rsplit('/').next().unwrap_or(interpreter);
    let missing = if merged.find_text(interpreter).is_none() {
        interpreter.to_owned()
    } else if name == "env" {
        // Options and assignments come before the command.
        let command = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
        if is_command(merged, command) {
            return None;
        }
        command.to_owned()
    } else {
        return None;
    };
    let is_in = |directory: &str| {
        let directory = TreePath::new(directory).expect("a constant path is valid");
        path.starts_with(&directory)
    };
    let severity = if is_in(DOCUMENTATION) {
        Severity::Note
    } else if PROGRAMS.into_iter().any(is_in) {
        Severity::Error
    } else {
        Severity::Warning
    };
    let reason = format!("the interpreter `{missing}` is neither in the extension nor in its base");
    let remedy = "add the package that has it to the extension, or to the base";
    let finding = Finding::new("interpreter-missing", reason).severity(severity);
    Some(finding.remedy(remedy).at(path))
}

/// Tells whether a command can be started.
pub(super) fn is_command(merged: &Merged<'_>, command: &str) -> bool {
    if command.contains('/') {
        return merged.find_text(command).is_some();
    }
    let mut directories = PATH.iter();
    directories.any(|directory| {
        merged
            .find_text(&format!("{directory}/{command}"))
            .is_some()
    })
}

/// Makes one finding of those with the same interpreter.
pub(super) fn grouped(findings: Vec<Finding>) -> Vec<Finding> {
    let mut grouped: Vec<Finding> = Vec::new();
    for finding in findings {
        let same = grouped
            .iter_mut()
            .find(|other| other.reason == finding.reason && other.severity == finding.severity);
        match same {
            Some(other) => other.items.extend(finding.items),
            None => grouped.push(finding),
        }
    }
    grouped
}
