//! What a kernel module says that it needs.
//!
//! A module is an ELF object with a section `.modinfo` of `KEY=VALUE` strings, each with a NUL at its end
//! (include/linux/module.h). Of the modules in the kernel itself the same strings are in one file, each after `NAME.`
//! (scripts/Makefile.modinst, `modules.builtin.modinfo`).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use super::name_of;
use crate::build::Error;
use crate::format::elf::{Elf, NotElf};
use crate::tree::{Content, EntryKind, FileTree, TreePath};

/// The largest modules have some tens of megabytes; ones with what debuggers want have more.
const MODULE_LIMIT_BYTES: u64 = 512 << 20;
/// The strings of all modules in a kernel are less than a megabyte.
const LIST_LIMIT_BYTES: u64 = 16 << 20;
/// What unpacking may take; the window of what is packed for a kernel is some megabytes.
const XZ_MEMORY_LIMIT_BYTES: u64 = 128 << 20;
const ZSTD_WINDOW_LOG: u32 = 27;

/// A kernel module cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    #[error("it is longer than {limit_bytes} bytes")]
    TooLong { limit_bytes: u64 },
    #[error("unpacking it")]
    Unpack { source: std::io::Error },
    #[error(transparent)]
    NotElf(NotElf),
}

/// What one module needs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Needs {
    /// Names of modules, with hyphens.
    pub(super) modules: Vec<String>,
    /// Names of files, which may be patterns.
    pub(super) firmware: Vec<String>,
}

impl Needs {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        match key {
            b"depends" => {
                let names = value.split(',').filter(|name| !name.is_empty());
                self.modules.extend(names.map(name_of));
            }
            b"softdep" => {
                // `pre:` and `post:` say when.
                let names = value.split_whitespace().filter(|word| !word.ends_with(':'));
                self.modules.extend(names.map(name_of));
            }
            b"firmware" => self.firmware.push(value.into_owned()),
            _ => {}
        }
    }
}

/// Returns what the module `file` needs.
pub(super) fn of_module(tree: &FileTree, file: &TreePath) -> Result<Needs, Error> {
    let Some(place) = tree.resolve(file) else {
        return Ok(Needs::default());
    };
    let Some(EntryKind::Regular(content)) = tree.get(&place).map(|entry| &entry.kind) else {
        return Ok(Needs::default());
    };
    let invalid = |source| Error::KernelModule {
        path: PathBuf::from("/").join(file.as_path()),
        source,
    };
    let bytes = unpacked(content, file.file_name())?.map_err(invalid)?;
    let section = modinfo(&bytes).map_err(|error| invalid(ModuleError::NotElf(error)))?;
    Ok(needs_of(section))
}

/// Returns what the strings of a section `.modinfo` say.
pub(super) fn needs_of(section: &[u8]) -> Needs {
    let mut needs = Needs::default();
    for string in section.split(|byte| *byte == 0) {
        if let Some((key, value)) = split_once(string, b'=') {
            needs.add(key, value);
        }
    }
    needs
}

/// Returns what the modules in the kernel itself need.
pub(super) fn of_builtin(
    tree: &FileTree,
    kernel: &TreePath,
) -> Result<BTreeMap<String, Needs>, Error> {
    let file = kernel
        .join(b"modules.builtin.modinfo")
        .expect("a constant name is valid");
    let mut needs: BTreeMap<String, Needs> = BTreeMap::new();
    let Some(EntryKind::Regular(content)) = tree.get(&file).map(|entry| &entry.kind) else {
        return Ok(needs);
    };
    if content.size_bytes() > LIST_LIMIT_BYTES {
        return Ok(needs);
    }
    for string in content.read_all()?.split(|byte| *byte == 0) {
        let Some((name, rest)) = split_once(string, b'.') else {
            continue;
        };
        if let Some((key, value)) = split_once(rest, b'=') {
            let name = name_of(&String::from_utf8_lossy(name));
            needs.entry(name).or_default().add(key, value);
        }
    }
    Ok(needs)
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

/// Returns the bytes of a module, which may be packed.
fn unpacked(content: &Content, name: &[u8]) -> Result<Result<Vec<u8>, ModuleError>, Error> {
    let reader = content.open()?;
    Ok(match name.rsplit(|byte| *byte == b'.').next() {
        Some(b"gz") => read(flate2::read::GzDecoder::new(reader)),
        Some(b"xz") => {
            match liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_LIMIT_BYTES, 0) {
                Ok(stream) => read(liblzma::read::XzDecoder::new_stream(reader, stream)),
                Err(error) => Err(ModuleError::Unpack {
                    source: error.into(),
                }),
            }
        }
        Some(b"zst") => zstd::stream::read::Decoder::new(reader)
            .and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            })
            .map_err(|source| ModuleError::Unpack { source })
            .and_then(read),
        _ => read(reader),
    })
}

fn read(reader: impl Read) -> Result<Vec<u8>, ModuleError> {
    let mut bytes = Vec::new();
    let limit_bytes = MODULE_LIMIT_BYTES;
    reader
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ModuleError::Unpack { source })?;
    if bytes.len() as u64 > limit_bytes {
        return Err(ModuleError::TooLong { limit_bytes });
    }
    Ok(bytes)
}

/// Returns the section `.modinfo` of an ELF object; empty when it has none.
pub(super) fn modinfo(bytes: &[u8]) -> Result<&[u8], NotElf> {
    Elf::new(bytes)?.section(b".modinfo")
}
