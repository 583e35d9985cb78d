//! The files of definitions, in their order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::parse::{self, Context, Parsed};
use super::{Definition, MOST_DEFINITIONS, text, verity};
use crate::recipe::bounds::NextFile;
use crate::recipe::error::RecipeError;
use crate::recipe::findings::Findings;
use crate::recipe::grants::Access;
use crate::recipe::image::{Image, Surroundings};
use crate::recipe::origin::Origin;

/// Reads the definitions of `directories`: of files of one name the first directory's counts, and all are sorted by
/// name.
pub(in crate::recipe) fn load(
    directories: &[PathBuf],
    image: &Image,
    around: &Surroundings,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Vec<Definition> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut drop_ins: BTreeMap<(String, String), PathBuf> = BTreeMap::new();
    for directory in directories {
        for found in entries(directory, around, findings) {
            let file = found.name.strip_suffix(".d");
            let Some(file) = file.filter(|_| found.is_directory) else {
                files.entry(found.name).or_insert(found.path);
                continue;
            };
            for below in entries(&found.path, around, findings) {
                let key = (file.to_owned(), below.name);
                drop_ins.entry(key).or_insert(below.path);
            }
        }
    }
    files.retain(|name, _| name.ends_with(".conf"));
    drop_ins.retain(|(_, name), _| name.ends_with(".conf"));
    let mut reader = Reader {
        image,
        around,
        findings,
    };
    let mut parsed = Vec::new();
    for (name, path) in &files {
        let mut assignments = Vec::new();
        let mut all_text = String::new();
        let of_file = drop_ins
            .iter()
            .filter(|((file, _), _)| file == name)
            .map(|(_, path)| path);
        for path in std::iter::once(path).chain(of_file) {
            let Some(bytes) = reader.read(path) else {
                continue;
            };
            let (found, problems) = text::read(&around.shown(path), &bytes);
            for (place, problem) in problems {
                let origin = Origin::File(place);
                let error = RecipeError::Syntax { origin, problem };
                reader.findings.refuse(error);
            }
            assignments.extend(found);
            all_text.push_str(&String::from_utf8_lossy(&bytes));
            if !all_text.ends_with('\n') {
                all_text.push('\n');
            }
        }
        // An empty file takes the place of one in a later directory.
        if assignments.is_empty() {
            continue;
        }
        let shown = around.shown(path);
        let found = parse::definition(&shown, &assignments, context, reader.findings);
        parsed.extend(found.map(|mut found| {
            found.definition.text = all_text;
            found
        }));
    }
    finish(parsed, findings)
}

/// Says what only all definitions together say.
pub(super) fn finish(mut parsed: Vec<Parsed>, findings: &mut Findings) -> Vec<Definition> {
    if let Some(found) = parsed.get(MOST_DEFINITIONS) {
        findings.refuse(RecipeError::Unsupported {
            origin: found.definition.origin.clone(),
            setting: "Type",
            value: found.definition.kind.name.clone(),
            reason: format!("a partition table has room for {MOST_DEFINITIONS} partitions"),
        });
        parsed.truncate(MOST_DEFINITIONS);
    }
    verity::connect(&mut parsed, findings);
    for (index, found) in parsed.iter_mut().enumerate() {
        let origin = &found.definition.origin;
        let (template, origin) = match &found.split_name {
            Some((template, _)) if template == "-" => continue,
            Some((template, origin)) => (template.as_str(), origin),
            None => ("%t", origin),
        };
        let name = match split_name(template, index, &found.definition) {
            Ok(name) => name,
            Err(reason) => {
                findings.refuse(RecipeError::Unsupported {
                    origin: origin.clone(),
                    setting: "SplitName",
                    value: template.to_owned(),
                    reason,
                });
                continue;
            }
        };
        found.definition.split_name = Some(name);
    }
    parsed.into_iter().map(|found| found.definition).collect()
}

/// Returns the part of a file's name that stands for a partition.
fn split_name(template: &str, index: usize, definition: &Definition) -> Result<String, String> {
    let mut name = String::new();
    let mut characters = template.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            name.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => name.push('%'),
            Some('t') => name.push_str(&definition.kind.name),
            Some('T') => name.push_str(&definition.kind.uuid.to_string()),
            Some('n') => name.push_str(&(index + 1).to_string()),
            other => {
                let letter = other.map(String::from).unwrap_or_default();
                return Err(format!("`%{letter}` is not known; `%t`, `%T` and `%n` are"));
            }
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    match !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain) {
        true => Ok(name),
        false => Err("a name of at most 100 letters, digits and `._-+@` was expected".to_owned()),
    }
}

struct Reader<'a> {
    image: &'a Image,
    around: &'a Surroundings,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        match self.around.bounds.next_file() {
            NextFile::Permitted => {}
            NextFile::TooMany => {
                let path = self.around.shown(path);
                self.findings.error(RecipeError::TooManyFiles { path });
                return None;
            }
            NextFile::Ended => return None,
        }
        let shown = self.around.shown(path);
        let real = match fs_err::canonicalize(path) {
            Ok(real) => real,
            Err(source) => {
                let path = shown;
                self.findings.refuse(RecipeError::Read { path, source });
                return None;
            }
        };
        // A link to nothing hides a file of a later directory.
        if real == Path::new("/dev/null") {
            return Some(Vec::new());
        }
        if !self.image.permits(&real, Access::Read, self.around) {
            self.findings.refuse(RecipeError::Outside {
                origin: Origin::Magic { path: shown },
                path: path.to_owned(),
                problem: crate::recipe::outside::Reach::Leads,
                real,
                access: Access::Read,
                option: None,
            });
            return None;
        }
        match self.around.bounds.read(&real) {
            Ok(bytes) => Some(bytes),
            Err(source) => {
                let path = shown;
                self.findings.refuse(RecipeError::Read { path, source });
                None
            }
        }
    }
}

/// A name in a directory.
struct Found {
    name: String,
    path: PathBuf,
    /// A link to one is none.
    is_directory: bool,
}

/// Returns what is in a directory.
fn entries(directory: &Path, around: &Surroundings, findings: &mut Findings) -> Vec<Found> {
    let mut found = Vec::new();
    let refuse = |source, findings: &mut Findings| {
        let path = around.shown(directory);
        findings.refuse(RecipeError::Read { path, source });
    };
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(source) => {
            refuse(source, findings);
            return found;
        }
    };
    for entry in entries {
        match entry {
            Ok(_) if !around.bounds.list(1) => break,
            Ok(entry) => {
                found.push(Found {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    path: entry.path(),
                    is_directory: entry.file_type().is_ok_and(|kind| kind.is_dir()),
                });
            }
            Err(source) => refuse(source, findings),
        }
    }
    found
}
