//! The files that each image is read from, with their text, in the order they are read.

use std::path::Path;

use super::exit;
use super::failure::Failure;
use crate::beneath::Inode;
use crate::recipe::{MAX_FILE_BYTES, Project};

/// A file that was there when the recipe was read.
#[derive(Debug, thiserror::Error)]
#[error("reading `{path}` again")]
struct ReadAgain {
    path: String,
    source: std::io::Error,
}

/// Returns the text of all files.
pub(super) fn text(project: &Project) -> Result<String, Failure> {
    let mut text = String::new();
    for image in project.configured() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("### image {}\n", image.name));
        for file in &image.files {
            let shown = file.strip_prefix(&project.directory).unwrap_or(file);
            let shown = shown.display().to_string();
            let content = content(file).map_err(|source| {
                let path = shown.clone();
                Failure::new(ReadAgain { path, source }, exit::BUILD_FAILED)
            })?;
            text.push_str(&format!("\n# {shown}\n{}\n", content.trim_end()));
        }
    }
    Ok(text)
}

fn content(file: &Path) -> std::io::Result<String> {
    let real = fs_err::canonicalize(file)?;
    let bytes = Inode::open_real(&real)?.read(MAX_FILE_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
