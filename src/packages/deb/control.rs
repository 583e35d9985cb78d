//! The `control` file of a package, and what becomes of it in an index (deb-control(5)).

use std::fmt::Write as _;

use super::{Error, shown};

/// What a package says about itself, in fields that an index can have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Control {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Every field, each with the lines that continue it, in the order of the file.
    text: String,
}

/// What an index says of a file, and a file must not say of itself.
const OF_INDEX: [&str; 8] = [
    "Filename",
    "Size",
    "MD5sum",
    "SHA1",
    "SHA256",
    "SHA512",
    "Status",
    "Conffiles",
];

impl Control {
    /// Reads a `control` file: one paragraph of fields.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refused = |line: &str, expected| Error::Line {
            line: shown(line.as_bytes()),
            expected,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| refused(&shown(bytes), "UTF-8"))?;
        let mut kept = String::new();
        let mut is_kept = false;
        let mut seen: Vec<String> = Vec::new();
        for line in text.trim_end().lines() {
            let line = line.trim_end();
            if line.contains(|c: char| c.is_control() && c != '\t') {
                return Err(refused(line, "text without control characters"));
            }
            if line.starts_with([' ', '\t']) {
                if seen.is_empty() {
                    return Err(refused(line, "the name of a field"));
                }
                if is_kept {
                    let _ = writeln!(kept, "{line}");
                }
                continue;
            }
            if line.is_empty() {
                return Err(refused(line, "one paragraph of fields"));
            }
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_field(name))
            else {
                return Err(refused(line, "the name of a field and a colon"));
            };
            if seen.iter().any(|seen| seen.eq_ignore_ascii_case(name)) {
                return Err(refused(line, "each field once"));
            }
            seen.push(name.to_owned());
            is_kept = !OF_INDEX.iter().any(|own| own.eq_ignore_ascii_case(name));
            if is_kept {
                let _ = writeln!(kept, "{name}: {}", value.trim());
            }
        }
        let field = |name: &'static str, is_valid: fn(&str) -> bool| {
            let fields = kept.lines().filter(|line| !line.starts_with([' ', '\t']));
            let mut fields = fields.filter_map(|line| line.split_once(": "));
            let (_, value) = fields
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .filter(|(_, value)| is_valid(value))
                .ok_or(Error::Field { field: name })?;
            Ok::<_, Error>(value.to_owned())
        };
        Ok(Self {
            name: field("Package", is_name)?,
            version: field("Version", is_version)?,
            architecture: field("Architecture", is_architecture)?,
            text: kept,
        })
    }

    /// Returns the argument by which apt takes this package in this version, and no other.
    pub fn exact_name(&self) -> String {
        format!("{}:{}={}", self.name, self.architecture, self.version)
    }

    /// Returns the name that the file has in a package cache, in which a colon would be taken for something else.
    pub fn file_name(&self) -> String {
        format!(
            "{}_{}_{}.deb",
            self.name,
            self.version.replace(':', "%3a"),
            self.architecture
        )
    }

    /// Returns the paragraph of an index for this package, whose file has this size and digest.
    pub fn index_entry(&self, size_bytes: u64, sha256: &str) -> String {
        format!(
            "{}Filename: ./{}\nSize: {size_bytes}\nSHA256: {sha256}\n\n",
            self.text,
            self.file_name()
        )
    }
}

fn is_field(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Names become arguments of apt's and names of files.
fn is_name(text: &str) -> bool {
    is_of(text, "+.-")
}

fn is_version(text: &str) -> bool {
    is_of(text, "+.-~:")
}

fn is_architecture(text: &str) -> bool {
    is_of(text, "-")
}

fn is_of(text: &str, others: &str) -> bool {
    // The three together are the name of a file, which has 255 bytes at most.
    const MOST_BYTES: usize = 80;
    text.len() <= MOST_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}
