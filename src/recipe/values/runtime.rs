//! What matters only when an image is run: credentials and drives.

use super::kind::PathRule;
use super::paths;
use super::scalars::size;
use super::value::{Credential, Drive, Value};
use super::vantage::{Refused, Vantage};
use super::words::quoted;

/// Reads `NAME=VALUE` words, or the path of a file or of a directory of files.
pub(super) fn credentials(text: &str, vantage: &Vantage<'_>) -> Result<Vec<Value>, Refused> {
    if !text.contains('=') {
        return credential_files(text, vantage);
    }
    let words = quoted(text).ok_or_else(|| Refused::new(text, "words with every quote closed"))?;
    Ok(words
        .iter()
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            Value::Credential(Credential {
                name: name.trim().to_owned(),
                value: Some(value.trim().to_owned()),
                path: None,
            })
        })
        .collect())
}

/// Reads the path of a file or of a directory of files.
pub(super) fn credential_files(text: &str, vantage: &Vantage<'_>) -> Result<Vec<Value>, Refused> {
    let path = paths::written(text, vantage)?;
    if !vantage.sees(&path) && vantage.outlook.is_some() {
        return Err(Refused::Outside { path });
    }
    let missing = || Refused::new(text, "`NAME=VALUE`, or the path of a file or directory");
    if !path.is_dir() {
        return match vantage.lacks(&path) {
            true => Err(missing()),
            false => Ok(vec![file(path)]),
        };
    }
    let read = || -> std::io::Result<Vec<_>> {
        let entries = fs_err::read_dir(&path)?.map(|entry| Ok(entry?.path()));
        entries.collect()
    };
    let mut files = read().map_err(|_| missing())?;
    files.retain(|file| !file.is_dir());
    files.sort();
    Ok(files.into_iter().map(file).collect())
}

fn file(path: std::path::PathBuf) -> Value {
    let name = path.file_name().unwrap_or_default();
    Value::Credential(Credential {
        name: name.to_string_lossy().into_owned(),
        value: None,
        path: Some(path),
    })
}

/// Reads `ID:SIZE[:DIRECTORY[:OPTIONS[:FILE[:FLAGS]]]]`.
pub(super) fn drive(text: &str, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    let parts: Vec<&str> = text.split(':').collect();
    let part = |index: usize| parts.get(index).copied().filter(|part| !part.is_empty());
    let id = parts[0];
    if parts.len() < 2 || parts.len() > 6 || matches!(id.trim(), "." | "..") || id.contains('/') {
        return Err(Refused::new(
            text,
            "`ID:SIZE[:DIRECTORY[:OPTIONS[:FILE[:FLAGS]]]]`",
        ));
    }
    let flags: Vec<String> = part(5)
        .map(|flags| flags.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    if flags.iter().any(|flag| flag != "persist") {
        return Err(Refused::new(text, "`persist` as the only flag"));
    }
    Ok(Value::Drive(Drive {
        id: id.to_owned(),
        size_bytes: size(parts[1])?,
        directory: part(2)
            .map(|directory| paths::path(directory, PathRule::PRESENT, vantage))
            .transpose()?,
        options: part(3).map(str::to_owned),
        file_id: part(4).unwrap_or(id).to_owned(),
        flags,
    }))
}
