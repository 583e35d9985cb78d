//! Programs and libraries of the merged system, each read once, and the way in which the loader finds them.

use std::collections::{BTreeMap, HashMap};

use super::Error;
use super::merged::{Found, Merged, Origin, readable_text, walked};
use crate::format::elf::{Elf, Linkage, MAGIC, Machine, NotElf};
use crate::tree::{Content, ContentError, Entry, EntryKind, FileTree, TreePath};

/// Browsers have libraries of two hundred megabytes; they are read into memory, one at a time.
const OBJECT_LIMIT_BYTES: u64 = 512 << 20;
/// The kernel reads as much of a script's first line.
const LINE_LIMIT_BYTES: usize = 256;
/// Lists of directories may include each other.
const LIST_LIMIT: usize = 64;

/// What a file is to those who start it.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Linked(Box<Linkage>),
    Damaged(NotElf),
    /// With what follows `#!`.
    Script(String),
    Other,
}

/// Those that were read.
pub(super) struct Objects<'a> {
    pub(super) merged: Merged<'a>,
    read: HashMap<TreePath, Object>,
    /// The directories of which the host's cache of libraries lists all.
    cached: Vec<String>,
    /// Libraries by name, wherever they are.
    elsewhere: BTreeMap<Vec<u8>, TreePath>,
}

/// Where a library was found.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    Found(TreePath, Origin, Box<Linkage>),
    /// The loader finds it when the host's cache was made again.
    NeedsCache(TreePath),
    /// The loader finds it only if something else has loaded it, or tells where it is.
    Elsewhere(TreePath),
    Missing,
}

impl<'a> Objects<'a> {
    pub(super) fn new(merged: Merged<'a>) -> Result<Self, Error> {
        let is_library = |path: &TreePath| {
            let name = path.file_name();
            name.windows(3).any(|part| part == b".so")
        };
        let of_base = merged.base.into_iter().flat_map(FileTree::iter);
        let entries = of_base.chain(merged.shipped());
        let files = entries.filter(|(path, entry)| is_library(path) && !entry.is_directory());
        let elsewhere = files.map(|(path, _)| (path.file_name().to_vec(), path.clone()));
        Ok(Self {
            elsewhere: elsewhere.collect(),
            cached: cached_directories(&merged)?,
            read: HashMap::new(),
            merged,
        })
    }

    /// Reads what a file is.
    pub(super) fn read(&mut self, path: &TreePath, entry: &Entry) -> Result<Object, Error> {
        if let Some(object) = self.read.get(path) {
            return Ok(object.clone());
        }
        let object = read(entry)?;
        self.read.insert(path.clone(), object.clone());
        Ok(object)
    }

    /// Finds the library `name` as the loader does for the object at `path`.
    pub(super) fn find(
        &mut self,
        path: &TreePath,
        linkage: &Linkage,
        name: &str,
    ) -> Result<Lookup, Error> {
        if name.contains('/') {
            let found = self.library(&format!("/{name}"), linkage.machine)?;
            return Ok(found.unwrap_or(Lookup::Missing));
        }
        let origin = path.parent().unwrap_or_else(TreePath::root);
        let listed = linkage.runpath.as_ref().or(linkage.rpath.as_ref());
        let listed = listed.map(String::as_str).unwrap_or_default().split(':');
        let defaults = defaults(linkage.machine);
        let own: Vec<String> = listed
            .filter(|directory| !directory.is_empty())
            .map(|directory| expanded(directory, &origin, linkage.machine))
            .collect();
        for directory in own.iter().chain(&defaults) {
            if let Some(found) = self.library(&format!("{directory}/{name}"), linkage.machine)? {
                return Ok(found);
            }
        }
        for directory in self.cached.clone() {
            match self.library(&format!("{directory}/{name}"), linkage.machine)? {
                Some(Lookup::Found(path, Origin::Payload, _)) => {
                    return Ok(Lookup::NeedsCache(path));
                }
                Some(found) => return Ok(found),
                None => {}
            }
        }
        let elsewhere = self.elsewhere.get(name.as_bytes()).cloned();
        let is_same_machine = match &elsewhere {
            Some(path) => self.library(&path.to_string(), linkage.machine)?.is_some(),
            None => false,
        };
        Ok(match elsewhere {
            Some(path) if is_same_machine => Lookup::Elsewhere(path),
            _ => Lookup::Missing,
        })
    }

    /// Returns the library at a path; what is for another machine is passed over, as the loader does.
    fn library(&mut self, path: &str, machine: Machine) -> Result<Option<Lookup>, Error> {
        let Some(Found {
            path,
            origin,
            entry,
        }) = self.merged.find_text(path)
        else {
            return Ok(None);
        };
        Ok(match self.read(&path, entry)? {
            Object::Linked(linkage) if linkage.machine == machine => {
                Some(Lookup::Found(path, origin, linkage))
            }
            _ => None,
        })
    }
}

/// Reads what a file is.
pub(super) fn read(entry: &Entry) -> Result<Object, Error> {
    match &entry.kind {
        EntryKind::Regular(content) => read_content(content).map_err(|source| Error::Read {
            path: content.location(),
            source,
        }),
        _ => Ok(Object::Other),
    }
}

fn read_content(content: &Content) -> Result<Object, ContentError> {
    let mut head = [0; LINE_LIMIT_BYTES];
    let count = content.read_part(0, &mut head)?;
    let head = &head[..count];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
        return Ok(Object::Script(
            String::from_utf8_lossy(line).trim().to_owned(),
        ));
    }
    if !head.starts_with(MAGIC) {
        return Ok(Object::Other);
    }
    if content.size_bytes() > OBJECT_LIMIT_BYTES {
        return Ok(Object::Damaged(NotElf {
            reason: "it is longer than 512 MiB",
        }));
    }
    let bytes = content.read_all()?;
    Ok(match Elf::new(&bytes).and_then(Elf::linkage) {
        Ok(linkage) => Object::Linked(Box::new(linkage)),
        Err(error) => Object::Damaged(error),
    })
}

/// Returns Debian's name of a machine, which is that of a directory of libraries.
fn triplet(machine: Machine) -> &'static str {
    match machine.architecture() {
        Some("arm") => "arm-linux-gnueabihf",
        Some("arm64") => "aarch64-linux-gnu",
        Some("loongarch64") => "loongarch64-linux-gnu",
        Some("mips64-le") => "mips64el-linux-gnuabi64",
        Some("ppc64-le") => "powerpc64le-linux-gnu",
        Some("riscv64") => "riscv64-linux-gnu",
        Some("s390x") => "s390x-linux-gnu",
        Some("x86") => "i386-linux-gnu",
        Some("x86-64") => "x86_64-linux-gnu",
        _ => "none",
    }
}

/// Returns where loaders look without being told: glibc's, with and without Debian's changes, and musl's.
fn defaults(machine: Machine) -> Vec<String> {
    let triplet = triplet(machine);
    let of_triplet = ["/lib", "/usr/lib"].map(|directory| format!("{directory}/{triplet}"));
    let plain = match machine.is_64_bit {
        true => ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].as_slice(),
        false => &["/lib", "/usr/lib", "/lib32", "/usr/lib32"],
    };
    let plain = plain.iter().map(|directory| (*directory).to_owned());
    of_triplet.into_iter().chain(plain).collect()
}

/// Puts in what stands for something in a list of directories (ld.so(8)).
fn expanded(directory: &str, origin: &TreePath, machine: Machine) -> String {
    let origin = format!("/{origin}");
    let library = format!("lib/{}", triplet(machine));
    let mut text = directory.to_owned();
    for (name, value) in [("ORIGIN", &origin), ("LIB", &library)] {
        text = text.replace(&format!("${{{name}}}"), value);
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// Returns the directories that `/etc/ld.so.conf` lists (ldconfig(8)).
fn cached_directories(merged: &Merged<'_>) -> Result<Vec<String>, Error> {
    let mut files = vec!["/etc/ld.so.conf".to_owned()];
    let mut directories = Vec::new();
    for index in 0..LIST_LIMIT {
        let Some(file) = files.get(index).cloned() else {
            break;
        };
        let Some(found) = merged.find_text(&file) else {
            continue;
        };
        let text = readable_text(found.entry)?.unwrap_or_default();
        for line in text.lines().map(str::trim) {
            if let Some(pattern) = line.strip_prefix("include ") {
                files.extend(included(merged, pattern.trim()));
            } else if line.starts_with('/') {
                directories.push(line.to_owned());
            }
        }
    }
    directories.truncate(LIST_LIMIT);
    Ok(directories)
}

/// Returns the files that `include` names: all of a directory that have an end, as every distribution has it.
fn included(merged: &Merged<'_>, pattern: &str) -> Vec<String> {
    let absolute = match pattern.starts_with('/') {
        true => pattern.to_owned(),
        false => format!("/etc/{pattern}"),
    };
    let Some((directory, name)) = absolute.rsplit_once('/') else {
        return Vec::new();
    };
    let Some(end) = name.strip_prefix('*') else {
        return walked(&absolute)
            .map(|path| path.to_string())
            .into_iter()
            .collect();
    };
    let children = merged.children(directory).into_keys();
    let names = children.filter(|name| name.ends_with(end.as_bytes()));
    names
        .map(|name| format!("{directory}/{}", String::from_utf8_lossy(&name)))
        .collect()
}
