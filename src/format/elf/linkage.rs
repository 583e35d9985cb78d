//! What the dynamic loader reads of an object: the libraries that it needs, which versions of their symbols, and which it
//! defines itself.

use std::collections::BTreeSet;

use super::{Elf, Layout, Machine, NotElf, part};

/// Large programs need some hundred libraries and versions.
const NAME_LIMIT: usize = 16 << 10;
/// The longest name of a library or version is shorter by far; lists of directories may have some hundred bytes.
const NAME_LIMIT_BYTES: usize = 4 << 10;

/// Types of segments (elf(5)).
const PT_LOAD: usize = 1;
const PT_DYNAMIC: usize = 2;
const PT_INTERP: usize = 3;

/// Tags of the dynamic section (elf(5)).
const DT_NULL: usize = 0;
const DT_NEEDED: usize = 1;
const DT_STRTAB: usize = 5;
const DT_STRSZ: usize = 10;
const DT_SONAME: usize = 14;
const DT_RPATH: usize = 15;
const DT_RUNPATH: usize = 29;
const DT_VERDEF: usize = 0x6fff_fffc;
const DT_VERDEFNUM: usize = 0x6fff_fffd;
const DT_VERNEED: usize = 0x6fff_fffe;
const DT_VERNEEDNUM: usize = 0x6fff_ffff;

/// The version is that of the object itself, and of no symbol.
const VER_FLG_BASE: usize = 1;
/// The loader goes on without the version.
const VER_FLG_WEAK: usize = 2;

/// What an object needs and offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Linkage {
    pub machine: Machine,
    /// The loader, by which the kernel starts the object.
    pub interpreter: Option<String>,
    /// The name by which others ask for it.
    pub soname: Option<String>,
    /// In the object's order.
    pub needed: Vec<String>,
    /// Where libraries are looked for first: `DT_RPATH`, which also holds for what they need.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`, which holds for this object alone.
    pub runpath: Option<String>,
    pub required: Vec<RequiredVersion>,
    pub defined: BTreeSet<String>,
}

/// A version that a library must define.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequiredVersion {
    pub library: String,
    pub version: String,
    /// Whether the loader only warns where it is missing.
    pub is_weak: bool,
}

const MISPLACED: NotElf = NotElf {
    reason: "what is linked with it is not where it says",
};
const TOO_MANY: NotElf = NotElf {
    reason: "it needs or defines too many names",
};

impl Elf<'_> {
    /// Returns what it is linked with.
    ///
    /// # Errors
    /// [`NotElf`] when the header, or what it says to be somewhere, is cut off.
    pub fn linkage(self) -> Result<Linkage, NotElf> {
        let mut linkage = Linkage {
            machine: self.machine()?,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            required: Vec::new(),
            defined: BTreeSet::new(),
        };
        let segments = self.segments()?;
        let find = |kind| segments.iter().find(|segment| segment.kind == kind);
        if let Some(segment) = find(PT_INTERP) {
            let bytes = part(self.bytes, segment.offset, segment.size).ok_or(MISPLACED)?;
            linkage.interpreter = Some(text(bytes)?);
        }
        if let Some(segment) = find(PT_DYNAMIC) {
            let dynamic = part(self.bytes, segment.offset, segment.size).ok_or(MISPLACED)?;
            Dynamic::new(self, &segments, dynamic)?.read(&mut linkage)?;
        }
        Ok(linkage)
    }

    fn segments(self) -> Result<Vec<Segment>, NotElf> {
        let layout = self.layout;
        let [table_at, size_at, offset_at, address_at, length_at] = if layout.is_64_bit {
            [0x20, 0x36, 0x08, 0x10, 0x20]
        } else {
            [0x1c, 0x2a, 0x04, 0x08, 0x10]
        };
        let table = layout.address(self.bytes, table_at);
        let size = layout.number(self.bytes, size_at, 2);
        let count = layout.number(self.bytes, size_at + 2, 2);
        let (Some(table), Some(size), Some(count)) = (table, size, count) else {
            return Err(super::CUT);
        };
        let segment = |index: usize| {
            let start = table.checked_add(index.checked_mul(size)?)?;
            let header = part(self.bytes, start, size)?;
            Some(Segment {
                kind: layout.number(header, 0, 4)?,
                offset: layout.address(header, offset_at)?,
                address: layout.address(header, address_at)?,
                size: layout.address(header, length_at)?,
            })
        };
        let segments = (0..count).map(|index| segment(index).ok_or(MISPLACED));
        segments.collect()
    }
}

/// A part of the file that is mapped, or says something about the whole.
#[derive(Clone, Copy)]
struct Segment {
    kind: usize,
    offset: usize,
    address: usize,
    size: usize,
}

/// The dynamic section with what it points to.
struct Dynamic<'a> {
    elf: Elf<'a>,
    segments: &'a [Segment],
    entries: Vec<(usize, usize)>,
    strings: &'a [u8],
}

impl<'a> Dynamic<'a> {
    fn new(elf: Elf<'a>, segments: &'a [Segment], dynamic: &[u8]) -> Result<Self, NotElf> {
        let layout = elf.layout;
        let size = layout.address_bytes();
        let mut entries = Vec::new();
        for entry in dynamic.chunks_exact(2 * size) {
            let (tag, value) = (layout.address(entry, 0), layout.address(entry, size));
            // What is no number here is none of those that are looked for.
            let (Some(tag), Some(value)) = (tag, value) else {
                continue;
            };
            if tag == DT_NULL {
                break;
            }
            if entries.len() == NAME_LIMIT {
                return Err(TOO_MANY);
            }
            entries.push((tag, value));
        }
        let mut found = Self {
            elf,
            segments,
            entries,
            strings: &[],
        };
        if let Some(address) = found.value(DT_STRTAB) {
            let from = found.at(address).ok_or(MISPLACED)?;
            let length = found.value(DT_STRSZ).ok_or(MISPLACED)?;
            found.strings = from.get(..length).ok_or(MISPLACED)?;
        }
        Ok(found)
    }

    fn read(&self, linkage: &mut Linkage) -> Result<(), NotElf> {
        for (tag, value) in &self.entries {
            match *tag {
                DT_NEEDED => linkage.needed.push(self.string(*value)?),
                DT_SONAME => linkage.soname = Some(self.string(*value)?),
                DT_RPATH => linkage.rpath = Some(self.string(*value)?),
                DT_RUNPATH => linkage.runpath = Some(self.string(*value)?),
                _ => {}
            }
        }
        self.required(&mut linkage.required)?;
        self.defined(&mut linkage.defined)
    }

    /// Reads the chain of `Elfxx_Verneed`, each with its chain of `Elfxx_Vernaux`.
    fn required(&self, required: &mut Vec<RequiredVersion>) -> Result<(), NotElf> {
        let Some(mut rest) = self.table(DT_VERNEED)? else {
            return Ok(());
        };
        for _ in 0..self.value(DT_VERNEEDNUM).unwrap_or_default() {
            let library = self.string(self.number(rest, 4, 4)?)?;
            let mut version = self.after(rest, self.number(rest, 8, 4)?)?;
            for _ in 0..self.number(rest, 2, 2)? {
                if required.len() == NAME_LIMIT {
                    return Err(TOO_MANY);
                }
                required.push(RequiredVersion {
                    library: library.clone(),
                    version: self.string(self.number(version, 8, 4)?)?,
                    is_weak: self.number(version, 4, 2)? & VER_FLG_WEAK != 0,
                });
                match self.number(version, 12, 4)? {
                    0 => break,
                    next => version = self.after(version, next)?,
                }
            }
            match self.number(rest, 12, 4)? {
                0 => break,
                next => rest = self.after(rest, next)?,
            }
        }
        Ok(())
    }

    /// Reads the chain of `Elfxx_Verdef`, of each the first `Elfxx_Verdaux`: the others are what it follows.
    fn defined(&self, defined: &mut BTreeSet<String>) -> Result<(), NotElf> {
        let Some(mut rest) = self.table(DT_VERDEF)? else {
            return Ok(());
        };
        for _ in 0..self.value(DT_VERDEFNUM).unwrap_or_default() {
            if self.number(rest, 2, 2)? & VER_FLG_BASE == 0 {
                if defined.len() == NAME_LIMIT {
                    return Err(TOO_MANY);
                }
                let name = self.after(rest, self.number(rest, 12, 4)?)?;
                defined.insert(self.string(self.number(name, 0, 4)?)?);
            }
            match self.number(rest, 16, 4)? {
                0 => break,
                next => rest = self.after(rest, next)?,
            }
        }
        Ok(())
    }

    fn value(&self, tag: usize) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries
            .find(|(found, _)| *found == tag)
            .map(|(_, value)| *value)
    }

    fn table(&self, tag: usize) -> Result<Option<&'a [u8]>, NotElf> {
        let address = self.value(tag);
        address
            .map(|address| self.at(address).ok_or(MISPLACED))
            .transpose()
    }

    /// Returns the bytes of the file from where an address in memory is mapped, to the end of the segment.
    fn at(&self, address: usize) -> Option<&'a [u8]> {
        let mapped = |segment: &Segment| {
            let from = address.checked_sub(segment.address)?;
            let rest = segment.size.checked_sub(from)?;
            part(self.elf.bytes, segment.offset.checked_add(from)?, rest)
        };
        let mut loaded = self
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD);
        loaded.find_map(mapped)
    }

    fn after<'b>(&self, bytes: &'b [u8], offset: usize) -> Result<&'b [u8], NotElf> {
        bytes.get(offset..).ok_or(MISPLACED)
    }

    fn number(&self, bytes: &[u8], at: usize, length: usize) -> Result<usize, NotElf> {
        let layout: Layout = self.elf.layout;
        layout.number(bytes, at, length).ok_or(MISPLACED)
    }

    fn string(&self, at: usize) -> Result<String, NotElf> {
        text(self.strings.get(at..).ok_or(MISPLACED)?)
    }
}

/// Returns the text up to the first NUL, or the end.
fn text(bytes: &[u8]) -> Result<String, NotElf> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    if bytes.len() > NAME_LIMIT_BYTES {
        return Err(NotElf {
            reason: "a name in it is too long",
        });
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
