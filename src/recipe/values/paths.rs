//! Paths of the host, and trees.

use std::path::{Component, Path, PathBuf};

use super::kind::{PathRule, TreeRule};
use super::value::TreeSource;
use super::vantage::{Refused, Vantage};

/// `PATH_MAX`, which counts the NUL at the end.
pub(in crate::recipe) const PATH_LIMIT_BYTES: usize = 4096;

/// Reads a path that follows `rule`.
pub(super) fn path(text: &str, rule: PathRule, vantage: &Vantage<'_>) -> Result<PathBuf, Refused> {
    let expanded = expanded(text, vantage)?;
    let path = absolute(&expanded, vantage)?;
    present(text, &path, rule.required, vantage)?;
    if rule.absolute && !expanded.starts_with('/') {
        return Err(Refused::new(text, "an absolute path"));
    }
    if let Some(directory) = rule.outside
        && path.starts_with(directory)
    {
        return Err(Refused::new(
            text,
            format!("a path that does not lie in `{directory}`"),
        ));
    }
    Ok(path)
}

fn present(text: &str, path: &Path, required: bool, vantage: &Vantage<'_>) -> Result<(), Refused> {
    match required && vantage.lacks(path) {
        true => Err(Refused::new(text, "the path of something that is there")),
        false => Ok(()),
    }
}

/// Returns the mode of a file that everybody may open or write.
pub(super) fn open_mode(path: &Path, vantage: &Vantage<'_>) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = vantage.sees(path).then(|| fs_err::metadata(path).ok())??;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

/// Makes an absolute path of text as it is written, with what was granted expanded.
pub(super) fn written(text: &str, vantage: &Vantage<'_>) -> Result<PathBuf, Refused> {
    absolute(&expanded(text, vantage)?, vantage)
}

fn absolute(text: &str, vantage: &Vantage<'_>) -> Result<PathBuf, Refused> {
    if text.chars().any(char::is_control) {
        return Err(Refused::new(text, "a path without control characters"));
    }
    let path = vantage.directory.join(text);
    if path.as_os_str().len() >= PATH_LIMIT_BYTES {
        return Err(Refused::new(text, "a path of less than 4096 bytes"));
    }
    Ok(normal(&path))
}

/// Resolves `.` and `..` by their spelling.
pub(in crate::recipe) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            _ => normal.push(component),
        }
    }
    normal
}

/// Spells a path as Python's `pathlib` does: without `.` and double slashes, but with `..`.
pub(in crate::recipe) fn python_path(text: &str) -> String {
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let path = parts.join("/");
    match (text.starts_with('/'), path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".to_owned(),
        (false, false) => path,
    }
}

/// Expands `~` and `$VARIABLE` where they were granted. As in Python, a variable that is not set stays as it is.
fn expanded(text: &str, vantage: &Vantage<'_>) -> Result<String, Refused> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((name, length)) = variable(rest) else {
            expanded.push('$');
            rest = &rest[1..];
            continue;
        };
        match lookup(text, name, vantage)? {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    expanded.push_str(rest);
    let Some(after) = expanded.strip_prefix('~') else {
        return Ok(expanded);
    };
    if !after.is_empty() && !after.starts_with('/') {
        return Err(Refused::new(
            text,
            "a path without `~USER`, which is not expanded",
        ));
    }
    match lookup(text, "HOME", vantage)? {
        Some(home) => Ok(format!("{home}{after}")),
        None => Err(Refused::new(
            text,
            "a path without `~`, as `HOME` is not set",
        )),
    }
}

fn lookup(text: &str, name: &str, vantage: &Vantage<'_>) -> Result<Option<String>, Refused> {
    let denied = || Refused::Variable {
        value: text.to_owned(),
        name: name.to_owned(),
    };
    match vantage.outlook {
        Some(outlook) => outlook.variable(name).map_err(|_| denied()),
        None => Err(denied()),
    }
}

/// Returns the name of the variable that `text`, which starts with `$`, starts with, and how long that is.
fn variable(text: &str) -> Option<(&str, usize)> {
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let after = &text[1..];
    let (name, length) = match after.strip_prefix('{') {
        Some(braced) => {
            let end = braced.find('}')?;
            (&braced[..end], end + 3)
        }
        None => {
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            (&after[..end], end + 1)
        }
    };
    let is_variable = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(is_name);
    is_variable.then_some((name, length))
}

/// Reads `SOURCE[:TARGET]`.
pub(super) fn tree(
    text: &str,
    rule: TreeRule,
    vantage: &Vantage<'_>,
) -> Result<TreeSource, Refused> {
    let (source, target) = match text.split_once(':') {
        Some((source, target)) => (source, Some(target)),
        None => (text, None),
    };
    let from = written(source, vantage)?;
    present(source, &from, rule.required, vantage)?;
    if rule.directory && vantage.sees(&from) && !from.is_dir() {
        return Err(Refused::new(source, "a directory"));
    }
    let target = match target {
        Some(target) => {
            let target = expanded_target(target, vantage)?;
            if rule.absolute && !target.starts_with('/') {
                return Err(Refused::new(
                    text,
                    "`SOURCE` or `SOURCE:TARGET` with an absolute target",
                ));
            }
            Some(python_path(&target).into())
        }
        None => None,
    };
    Ok(TreeSource {
        source: from,
        target,
    })
}

/// Expands variables only: a home directory of the host is none of the image's.
fn expanded_target(text: &str, vantage: &Vantage<'_>) -> Result<String, Refused> {
    match text.strip_prefix('~') {
        Some(rest) => Ok(format!("~{}", expanded(rest, vantage)?)),
        None => expanded(text, vantage),
    }
}
