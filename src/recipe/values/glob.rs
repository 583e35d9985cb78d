//! Patterns of paths, as Python's `glob` expands them.

use std::path::PathBuf;

use super::paths::normal;
use super::vantage::{Outlook, Refused, Vantage};
use crate::recipe::matching::glob;

/// Returns the paths that a word stands for: itself if it is no pattern and is there, else what it matches, sorted.
pub(super) fn expand(word: &str, vantage: &Vantage<'_>) -> Result<Vec<PathBuf>, Refused> {
    let is_pattern = |text: &str| text.contains(['*', '?', '[']);
    if !is_pattern(word) {
        let path = normal(&vantage.directory.join(word));
        let is_there = !vantage.sees(&path) || fs_err::symlink_metadata(&path).is_ok();
        return Ok(if is_there { vec![path] } else { Vec::new() });
    }
    let start = match word.starts_with('/') {
        true => PathBuf::from("/"),
        false => vantage.directory.to_owned(),
    };
    let mut found = vec![start];
    let parts: Vec<&str> = word.split('/').filter(|part| !part.is_empty()).collect();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let mut below = Vec::new();
        for directory in &found {
            if is_pattern(part) {
                below.extend(matching(directory, part, vantage)?);
            } else {
                below.push(directory.join(part));
            }
        }
        below.retain(|path| match is_last {
            true => fs_err::symlink_metadata(path).is_ok(),
            false => path.is_dir(),
        });
        found = below;
    }
    // As text, not part by part: `a-b` comes before `a/b`.
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(found.iter().map(|path| normal(path)).collect())
}

fn matching(
    directory: &std::path::Path,
    pattern: &str,
    vantage: &Vantage<'_>,
) -> Result<Vec<PathBuf>, Refused> {
    if !vantage.sees(directory) {
        return Err(Refused::Outside {
            path: directory.to_owned(),
        });
    }
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    let entries: Vec<_> = entries.collect();
    // Two links that lead back stand for twice as many paths with each part of a pattern.
    let may_list = |outlook: &dyn Outlook| outlook.may_list(entries.len() + 1);
    if !vantage.outlook.is_none_or(may_list) {
        return Err(Refused::new(
            pattern,
            "patterns for which fewer files have to be looked at",
        ));
    }
    Ok(entries
        .into_iter()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A dot at the start has to be written.
            name.starts_with('.') == pattern.starts_with('.') && glob(pattern, &name)
        })
        .map(|entry| entry.path())
        .collect())
}
