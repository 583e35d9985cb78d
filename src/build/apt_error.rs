//! Reads what apt says when it fails, and tells the person what it means for the recipe.

use super::Error;
use crate::recipe::Recipe;

/// Replaces the failure of apt by what it means, where its messages tell.
pub(super) fn classify(error: Error, recipe: &Recipe) -> Error {
    let Error::ProgramFailed { stderr_tail, .. } = &error else {
        return error;
    };
    if let Some(package) = stderr_tail.lines().find_map(unknown_package) {
        let origin = recipe.origin_text("Packages");
        let target = format!("{} {}", recipe.distribution.name(), recipe.release);
        return Error::UnknownPackage {
            package: package.into(),
            origin,
            target,
        };
    }
    match stderr_tail.lines().find_map(unreachable) {
        Some((uri, message)) => Error::MirrorUnreachable {
            uri: uri.into(),
            message: message.into(),
        },
        None => error,
    }
}

/// Returns the package that `line` says is unknown.
fn unknown_package(line: &str) -> Option<&str> {
    let message = line.strip_prefix("E: ")?;
    if let Some(name) = message.strip_prefix("Unable to locate package ") {
        return Some(name.trim());
    }
    // Each message has the name between quotes, before or behind other quoted text.
    let forms = [
        ("Couldn't find any package by regex '", "'"),
        ("Couldn't find any package by glob '", "'"),
        ("Package '", "' has no installation candidate"),
        ("Version '", "' was not found"),
        ("Release '", "' was not found"),
    ];
    let quoted = forms
        .iter()
        .find_map(|(start, end)| message.strip_prefix(start)?.strip_suffix(end))?;
    Some(
        quoted
            .rsplit_once("' for '")
            .map_or(quoted, |(_, package)| package),
    )
}

/// Returns the address that `line` says cannot be read, and why.
fn unreachable(line: &str) -> Option<(&str, &str)> {
    let message = line.strip_prefix("E: Failed to fetch ")?;
    let (uri, reason) = message
        .split_once("  ")
        .or_else(|| message.split_once(' '))?;
    Some((uri, reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::{unknown_package, unreachable};

    #[test]
    fn unknown_packages_are_named() {
        for (line, package) in [
            ("E: Unable to locate package btrfs-prog", Some("btrfs-prog")),
            ("E: Couldn't find any package by regex 'x.y'", Some("x.y")),
            ("E: Couldn't find any package by glob 'x*'", Some("x*")),
            (
                "E: Package 'tzdata-legacy' has no installation candidate",
                Some("tzdata-legacy"),
            ),
            ("E: Version '9' for 'bash' was not found", Some("bash")),
            ("W: chmod 0700 of directory failed", None),
        ] {
            assert_eq!(unknown_package(line), package, "{line}");
        }
    }

    #[test]
    fn unreachable_mirrors_are_named_with_the_reason() {
        let line = "E: Failed to fetch http://m/debian/dists/x/InRelease  Could not resolve 'm'";
        assert_eq!(
            unreachable(line),
            Some(("http://m/debian/dists/x/InRelease", "Could not resolve 'm'"))
        );
    }
}
