//! What two trees, and two images, differ in.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use serde::Serialize;

use super::CompareError;
use crate::cli::images::{kind_of, path_of, time_of};
use crate::ddi::read::Image;
use crate::digest::hexadecimal;
use crate::format::file_system::Description;
use crate::tree::{
    Content, ContentError, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, TreePath,
};

/// How much of two files is held to compare them.
const CHUNK_BYTES: usize = 128 << 10;

/// What is not compared.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Ignored {
    pub(in crate::cli) times: bool,
    pub(in crate::cli) owners: bool,
}

/// A name that is in one tree only, or is not the same in both.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct EntryDifference {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    #[serde(rename = "in")]
    place: Place,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    First,
    Second,
    Both,
}

/// One thing that differs, with both its values; `None` where one has nothing of it.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Difference {
    what: String,
    first: Option<String>,
    second: Option<String>,
    /// Where contents start to differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

impl Difference {
    /// Returns a difference if there is one.
    fn of(what: impl Into<String>, first: impl ToString, second: impl ToString) -> Option<Self> {
        let (first, second) = (first.to_string(), second.to_string());
        (first != second).then(|| Self {
            what: what.into(),
            first: Some(first),
            second: Some(second),
            offset: None,
        })
    }

    pub(in crate::cli) fn text(&self) -> String {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        match self.offset {
            Some(offset) => format!("{} from byte {offset} on", self.what),
            None => format!(
                "{} {} / {}",
                self.what,
                value(&self.first),
                value(&self.second)
            ),
        }
    }
}

impl EntryDifference {
    fn new(path: &TreePath, place: Place, differences: Vec<Difference>) -> Self {
        let is_text = std::str::from_utf8(path.as_bytes()).is_ok();
        Self {
            path: path_of(path),
            path_hex: (!is_text).then(|| hexadecimal(path.as_bytes())),
            place,
            differences,
        }
    }

    pub(in crate::cli) fn text(&self) -> String {
        match self.place {
            Place::First => format!("< {}", self.path),
            Place::Second => format!("> {}", self.path),
            Place::Both => {
                let differences: Vec<_> = self.differences.iter().map(Difference::text).collect();
                format!("! {}: {}", self.path, differences.join("; "))
            }
        }
    }
}

/// Compares two trees name by name.
pub(in crate::cli) fn trees(
    first: &FileTree,
    second: &FileTree,
    ignored: Ignored,
) -> Result<Vec<EntryDifference>, CompareError> {
    let mut found = Vec::new();
    let links = (first_names(first), first_names(second));
    let names: BTreeSet<&TreePath> = first
        .iter()
        .chain(second.iter())
        .map(|(path, _)| path)
        .collect();
    for path in names {
        let difference = match (first.get(path), second.get(path)) {
            (Some(one), Some(other)) => {
                let mut differences = metadata(one, other, ignored);
                let link = |names: &HashMap<HardLinkGroup, &TreePath>, entry: &Entry| {
                    let first = names.get(&entry.hard_link?)?;
                    (*first != path).then(|| path_of(first))
                };
                let (one_link, other_link) = (link(&links.0, one), link(&links.1, other));
                if one_link != other_link {
                    differences.push(Difference {
                        what: "hard link to".to_owned(),
                        first: one_link,
                        second: other_link,
                        offset: None,
                    });
                }
                if let (EntryKind::Regular(one), EntryKind::Regular(other)) =
                    (&one.kind, &other.kind)
                {
                    let failed = |source| CompareError {
                        path: path.clone(),
                        source,
                    };
                    let offset = first_difference(one, other).map_err(failed)?;
                    differences.extend(offset.map(|offset| Difference {
                        what: "content differs".to_owned(),
                        first: None,
                        second: None,
                        offset: Some(offset),
                    }));
                }
                if differences.is_empty() {
                    continue;
                }
                EntryDifference::new(path, Place::Both, differences)
            }
            (Some(_), None) => EntryDifference::new(path, Place::First, Vec::new()),
            (None, _) => EntryDifference::new(path, Place::Second, Vec::new()),
        };
        found.push(difference);
    }
    Ok(found)
}

/// Returns the first name of each group: how groups are numbered has no meaning.
fn first_names(tree: &FileTree) -> HashMap<HardLinkGroup, &TreePath> {
    let mut names = HashMap::new();
    for (path, entry) in tree.iter() {
        if let Some(group) = entry.hard_link {
            names.entry(group).or_insert(path);
        }
    }
    names
}

fn metadata(one: &Entry, other: &Entry, ignored: Ignored) -> Vec<Difference> {
    let mut found = Vec::new();
    found.extend(Difference::of(
        "type",
        kind_of(&one.kind),
        kind_of(&other.kind),
    ));
    // The mode of a symbolic link means nothing, and a directory cannot hold another one.
    let is_link = matches!(one.kind, EntryKind::Symlink(_));
    if !is_link {
        let mode = |entry: &Entry| format!("{:04o}", entry.mode);
        found.extend(Difference::of("mode", mode(one), mode(other)));
    }
    if !ignored.owners {
        let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
        found.extend(Difference::of("owner", owner(one), owner(other)));
    }
    if !ignored.times {
        found.extend(Difference::of(
            "time",
            time_of(one.modified),
            time_of(other.modified),
        ));
    }
    match (&one.kind, &other.kind) {
        (EntryKind::Symlink(mine), EntryKind::Symlink(others)) if mine != others => {
            let text = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            found.push(Difference {
                what: "target".to_owned(),
                first: Some(text(mine)),
                second: Some(text(others)),
                offset: None,
            });
        }
        (EntryKind::CharacterDevice(mine), EntryKind::CharacterDevice(others))
        | (EntryKind::BlockDevice(mine), EntryKind::BlockDevice(others)) => {
            let text = |device: &DeviceNumber| format!("{}:{}", device.major, device.minor);
            found.extend(Difference::of("device", text(mine), text(others)));
        }
        (EntryKind::Regular(mine), EntryKind::Regular(others)) => {
            found.extend(Difference::of(
                "size",
                mine.size_bytes(),
                others.size_bytes(),
            ));
        }
        _ => {}
    }
    let names: BTreeSet<_> = one.xattrs.keys().chain(other.xattrs.keys()).collect();
    for name in names {
        let (mine, others) = (one.xattrs.get(name), other.xattrs.get(name));
        if mine != others {
            found.push(Difference {
                what: format!("attribute {}", String::from_utf8_lossy(name)),
                first: mine.map(|value| hexadecimal(value)),
                second: others.map(|value| hexadecimal(value)),
                offset: None,
            });
        }
    }
    found
}

/// Returns where two contents start to differ.
fn first_difference(one: &Content, other: &Content) -> Result<Option<u64>, ContentError> {
    let (mut mine, mut others) = (one.open()?, other.open()?);
    let (mut my_chunk, mut other_chunk) = (Vec::new(), Vec::new());
    let mut offset = 0;
    loop {
        fill(one, &mut mine, &mut my_chunk)?;
        fill(other, &mut others, &mut other_chunk)?;
        if my_chunk != other_chunk {
            let same = my_chunk.iter().zip(&other_chunk);
            let same = same.take_while(|(mine, others)| mine == others).count();
            return Ok(Some(offset + same as u64));
        }
        if my_chunk.is_empty() {
            return Ok(None);
        }
        offset += my_chunk.len() as u64;
    }
}

fn fill(
    content: &Content,
    reader: &mut impl Read,
    chunk: &mut Vec<u8>,
) -> Result<(), ContentError> {
    chunk.clear();
    let limit = CHUNK_BYTES as u64;
    reader
        .take(limit)
        .read_to_end(chunk)
        .map(drop)
        .map_err(|source| ContentError::Read {
            path: content.location(),
            source,
        })
}

/// Compares partitions, file systems and root hashes.
pub(in crate::cli) fn partitions(first: &Image, second: &Image) -> Vec<Difference> {
    let mut found = Vec::new();
    match (first.table(), second.table()) {
        (Some(one), Some(other)) => {
            found.extend(Difference::of(
                "sector size",
                one.sector.bytes(),
                other.sector.bytes(),
            ));
            found.extend(Difference::of("disk", one.disk, other.disk));
            let count = one.partitions.len().max(other.partitions.len());
            for index in 0..count {
                let (Some(mine), Some(others)) =
                    (one.partitions.get(index), other.partitions.get(index))
                else {
                    let name = |partitions: &[crate::ddi::read::FoundPartition]| {
                        let found = partitions.get(index);
                        found.map(|found| found.partition.name.clone())
                    };
                    found.push(Difference {
                        what: format!("partition {}", index + 1),
                        first: name(&one.partitions),
                        second: name(&other.partitions),
                        offset: None,
                    });
                    continue;
                };
                let (mine_is, others_is) = (&mine.partition, &others.partition);
                let number = index + 1;
                let what = |what: &str| format!("partition {number}: {what}");
                found.extend(
                    [
                        Difference::of(what("name"), &mine_is.name, &others_is.name),
                        Difference::of(
                            what("type"),
                            mine_is.partition_type,
                            others_is.partition_type,
                        ),
                        Difference::of(what("UUID"), mine_is.uuid, others_is.uuid),
                        Difference::of(what("start"), mine_is.offset_bytes, others_is.offset_bytes),
                        Difference::of(what("size"), mine_is.size_bytes, others_is.size_bytes),
                        Difference::of(what("attributes"), mine.attributes, others.attributes),
                    ]
                    .into_iter()
                    .flatten(),
                );
            }
        }
        (one, other) => {
            let text = |is_there: bool| if is_there { "GPT" } else { "none" };
            let (one, other) = (text(one.is_some()), text(other.is_some()));
            found.extend(Difference::of("partition table", one, other));
        }
    }
    if let (Ok(one), Ok(other)) = (first.file_system(), second.file_system()) {
        found.extend(descriptions(&one.description(), &other.description()));
    }
    let root_hash = |image: &Image| {
        let payloads = image.payloads();
        let protection = payloads
            .first()
            .and_then(|payload| image.protection(payload));
        match protection {
            None => "none".to_owned(),
            Some(Ok(protection)) => protection.root_hash.to_string(),
            Some(Err(error)) => error.to_string(),
        }
    };
    found.extend(Difference::of(
        "root hash",
        root_hash(first),
        root_hash(second),
    ));
    found
}

fn descriptions(one: &Description, other: &Description) -> Vec<Difference> {
    let features = |description: &Description| {
        let names = description.features.iter().map(|feature| feature.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let uuid = |description: &Description| {
        description
            .uuid
            .map_or_else(|| "none".to_owned(), |uuid| uuid.to_string())
    };
    let compression = |description: &Description| match description.compression.as_slice() {
        [] => "none".to_owned(),
        used => used.join(", "),
    };
    [
        Difference::of("file system", one.file_system, other.file_system),
        Difference::of(
            "file system's compression",
            compression(one),
            compression(other),
        ),
        Difference::of("file system's features", features(one), features(other)),
        Difference::of("file system's size", one.size_bytes, other.size_bytes),
        Difference::of(
            "file system's block size",
            one.block_size_bytes,
            other.block_size_bytes,
        ),
        Difference::of("file system's UUID", uuid(one), uuid(other)),
        Difference::of("file system's label", &one.label, &other.label),
        Difference::of(
            "file system's time",
            time_of(one.created),
            time_of(other.created),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
