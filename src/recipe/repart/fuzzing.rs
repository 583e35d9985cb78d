//! What must hold of any definition.

use std::path::Path;

use super::parse::{self, Context};
use super::{Definition, GRAIN_BYTES, MOST_BYTES, VerityPart, load, text};
use crate::ddi::PartitionArchitecture;
use crate::format::file_system::KernelVersion;
use crate::recipe::bounds::Bounds;
use crate::recipe::file_system::{FileCompression, FileSystem, Payload};
use crate::recipe::findings::Findings;

/// Reads definitions, each with the name of its file, and returns what is wrong with them.
pub(super) fn read(files: &[(&str, &[u8])]) -> (Vec<Definition>, Vec<String>) {
    let mut findings = Findings::default();
    let bounds = Bounds::default();
    let context = Context {
        architecture: PartitionArchitecture::named("x86-64").ok(),
        bounds: &bounds,
        lookup: &|letter| match letter {
            'A' => Ok("1.2".to_owned()),
            'M' => Err(Some("ImageId")),
            _ => Err(None),
        },
        payload: Payload {
            file_system: FileSystem::Erofs,
            codec: None,
            oldest_kernel: KernelVersion::new(5, 4),
        },
        automatic: &|_| FileCompression::Zstd,
    };
    let mut parsed = Vec::new();
    for (name, bytes) in files {
        let (assignments, problems) = text::read(Path::new(name), bytes);
        for (place, problem) in problems {
            let origin = crate::recipe::Origin::File(place);
            findings.refuse(crate::recipe::RecipeError::Syntax { origin, problem });
        }
        let found = parse::definition(Path::new(name), &assignments, &context, &mut findings);
        parsed.extend(found);
    }
    let definitions = load::finish(parsed, &mut findings);
    let settled = findings.settle().map_or_else(
        |errors| vec![errors.to_string()],
        |settled| {
            let found = settled.refusals.iter().chain(&settled.warnings);
            let notes = settled.notes.iter().map(|note| note.text.clone());
            found.map(ToString::to_string).chain(notes).collect()
        },
    );
    (definitions, settled)
}

/// Up to eight definitions, from a line `@@` to the next: whatever they say, sizes are whole and bounded, sets are whole
/// and names stay in their directory.
pub fn partition_definitions(bytes: &[u8]) {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if files.is_empty() || (line == b"@@\n" && files.len() < 8) {
            files.push((format!("{}.conf", files.len()), Vec::new()));
        } else if let Some((_, text)) = files.last_mut() {
            text.extend_from_slice(line);
        }
    }
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_slice()))
        .collect();
    let (definitions, _) = read(&files);
    for definition in &definitions {
        assert!(definition.least_bytes().is_multiple_of(GRAIN_BYTES));
        assert!(definition.least_bytes() <= MOST_BYTES);
        assert!(definition.padding_min_bytes <= MOST_BYTES);
        if let VerityPart::Hash { of } | VerityPart::Signature { of } = definition.verity {
            assert_eq!(definitions[of].verity, VerityPart::Data);
        }
        if let Some(name) = &definition.split_name {
            assert!(!name.is_empty() && !name.contains('/') && !name.contains('\0'));
        }
    }
}
