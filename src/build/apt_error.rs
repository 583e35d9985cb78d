//! Reads what apt says when it fails, and tells the person what it means for the recipe.

use super::Error;
use crate::recipe::Recipe;

/// Replaces the failure of apt by what it means, where its messages tell; `setting` is what names the packages.
pub(super) fn classify(error: Error, recipe: &Recipe, setting: &'static str) -> Error {
    let Error::ProgramFailed { stderr_tail, .. } = &error else {
        return error;
    };
    if let Some(package) = stderr_tail.lines().find_map(unknown_package) {
        let target = format!("{} {}", recipe.distribution.name(), recipe.release);
        return Error::UnknownPackage {
            package: package.into(),
            origin: recipe.origin_of(setting, package),
            target,
        };
    }
    if let Some(repository) = stderr_tail.lines().find_map(untrusted) {
        return Error::RepositoryUntrusted {
            repository: repository.into(),
            reason: stderr_tail
                .lines()
                .find_map(|line| signature_problem(line, repository))
                .map(Into::into),
        };
    }
    if let Some(repository) = stderr_tail.lines().find_map(missing) {
        return Error::RepositoryMissing {
            repository: repository.into(),
        };
    }
    match stderr_tail.lines().find_map(unreachable) {
        Some((uri, message)) => Error::MirrorUnreachable {
            uri: uri.into(),
            message: match message {
                "" => "apt gives no reason".into(),
                message => message.into(),
            },
        },
        None => error,
    }
}

/// Tells whether apt gave up because it could not get a file.
pub(super) fn could_not_fetch(stderr: &str) -> bool {
    stderr
        .lines()
        .any(|line| unreachable(line).is_some() || missing(line).is_some())
}

/// Returns the package that `line` says is unknown.
pub(super) fn unknown_package(line: &str) -> Option<&str> {
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

/// Returns the address and suite of the repository that `line` says has no valid signature.
pub(super) fn untrusted(line: &str) -> Option<&str> {
    repository(line, "' is not signed.").or_else(|| repository(line, "' is no longer signed."))
}

/// Returns the address and suite of the repository that `line` says is not there.
pub(super) fn missing(line: &str) -> Option<&str> {
    repository(line, "' does not have a Release file.")
        .or_else(|| repository(line, "' no longer has a Release file."))
}

fn repository<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    let named = line
        .strip_prefix("E: The repository '")?
        .strip_suffix(end)?;
    // The name of the index file that apt looked at follows the suite.
    named.rsplit_once(' ').map(|(repository, _)| repository)
}

/// Returns what is wrong with the signature of `repository`, where `line` says it.
pub(super) fn signature_problem<'a>(line: &'a str, repository: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once("GPG error: ")?;
    let (_, reason) = rest.strip_prefix(repository)?.split_once(": ")?;
    Some(reason.trim())
}

/// Returns the address that `line` says cannot be read, and why.
pub(super) fn unreachable(line: &str) -> Option<(&str, &str)> {
    let message = line.strip_prefix("E: Failed to fetch ")?;
    let (uri, reason) = message
        .split_once("  ")
        .or_else(|| message.split_once(' '))?;
    Some((uri, reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::{missing, signature_problem, unknown_package, unreachable, untrusted};

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
    fn untrusted_repositories_are_told_from_missing_ones() {
        let unsigned = "E: The repository 'http://m/debian bookworm InRelease' is not signed.";
        let absent =
            "E: The repository 'http://m/debian odd Release' does not have a Release file.";
        assert_eq!(untrusted(unsigned), Some("http://m/debian bookworm"));
        assert_eq!(missing(unsigned), None);
        assert_eq!(missing(absent), Some("http://m/debian odd"));
        assert_eq!(untrusted(absent), None);
        let problem = "W: GPG error: http://m/debian bookworm InRelease: The public key is not available: NO_PUBKEY 6E";
        assert_eq!(
            signature_problem(problem, "http://m/debian bookworm"),
            Some("The public key is not available: NO_PUBKEY 6E")
        );
        assert_eq!(signature_problem(problem, "http://other bookworm"), None);
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
