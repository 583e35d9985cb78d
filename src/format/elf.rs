//! ELF objects, as far as the dynamic loader and the kernel read them: what they need, and what they offer to others.
//!
//! The bytes are anybody's: whatever is read lies inside the file, and how much of it is kept is bounded. What is linked
//! is read from the program headers, as the loader does, for sections may have been stripped.
//!
//! Specification: elf(5), and for versions of symbols the Linux Standard Base, "Symbol Versioning".

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod linkage;
#[cfg(test)]
mod tests;

pub use self::linkage::{Linkage, RequiredVersion};

/// What every ELF object starts with.
pub const MAGIC: &[u8] = b"\x7fELF";

/// Bytes are no ELF object that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no ELF object: {reason}")]
pub struct NotElf {
    pub reason: &'static str,
}

/// The bytes of an ELF object, whose header says how numbers are written in it.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

/// For which processors an object is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Machine {
    /// `e_machine`, such as 62 for x86-64.
    pub number: u16,
    pub is_64_bit: bool,
    pub is_little_endian: bool,
}

impl Machine {
    /// Returns systemd's name of the architecture; `None` for one that is none of Linux's usual.
    pub fn architecture(self) -> Option<&'static str> {
        let Self {
            number,
            is_64_bit,
            is_little_endian,
        } = self;
        // The numbers are in elf.h, the names in systemd's architecture.c.
        Some(match (number, is_64_bit, is_little_endian) {
            (3, false, true) => "x86",
            (8, true, true) => "mips64-le",
            (8, false, true) => "mips-le",
            (20, false, false) => "ppc",
            (21, true, false) => "ppc64",
            (21, true, true) => "ppc64-le",
            (22, false, false) => "s390",
            (22, true, false) => "s390x",
            (40, false, true) => "arm",
            (62, true, true) => "x86-64",
            (183, true, true) => "arm64",
            (243, false, true) => "riscv32",
            (243, true, true) => "riscv64",
            (258, true, true) => "loongarch64",
            _ => return None,
        })
    }
}

/// How the numbers of an object are written.
#[derive(Clone, Copy, Debug)]
struct Layout {
    is_64_bit: bool,
    is_little_endian: bool,
}

const CUT: NotElf = NotElf {
    reason: "its header is cut off",
};
const MISPLACED_SECTIONS: NotElf = NotElf {
    reason: "its sections are not where it says",
};

impl<'a> Elf<'a> {
    /// Takes the bytes of an object.
    ///
    /// # Errors
    /// [`NotElf`] when they do not start as one.
    pub fn new(bytes: &'a [u8]) -> Result<Self, NotElf> {
        if !bytes.starts_with(MAGIC) {
            return Err(NotElf {
                reason: "it does not start with an ELF header",
            });
        }
        let layout = Layout {
            is_64_bit: bytes.get(4) == Some(&2),
            is_little_endian: bytes.get(5) == Some(&1),
        };
        Ok(Self { bytes, layout })
    }

    /// Returns for which processors it is.
    ///
    /// # Errors
    /// [`NotElf`] when the header is cut off.
    pub fn machine(self) -> Result<Machine, NotElf> {
        let number = self.layout.number(self.bytes, 0x12, 2).ok_or(CUT)?;
        Ok(Machine {
            number: u16::try_from(number).expect("it was read of two bytes"),
            is_64_bit: self.layout.is_64_bit,
            is_little_endian: self.layout.is_little_endian,
        })
    }

    /// Returns the section `name`; empty when there is none.
    ///
    /// # Errors
    /// [`NotElf`] when the sections are not where the header says.
    pub fn section(self, name: &[u8]) -> Result<&'a [u8], NotElf> {
        let (bytes, layout) = (self.bytes, self.layout);
        let (table_at, size_at) = if layout.is_64_bit {
            (0x28, 0x3a)
        } else {
            (0x20, 0x2e)
        };
        let table = layout.address(bytes, table_at).ok_or(CUT)?;
        let size = layout.number(bytes, size_at, 2).ok_or(CUT)?;
        let count = layout.number(bytes, size_at + 2, 2).ok_or(CUT)?;
        let names = layout.number(bytes, size_at + 4, 2).ok_or(CUT)?;
        let header = |index: usize| part(bytes, table.checked_add(index.checked_mul(size)?)?, size);
        let names = header(names).ok_or(MISPLACED_SECTIONS)?;
        let names = layout.section(bytes, names).ok_or(MISPLACED_SECTIONS)?;
        for index in 0..count {
            let header = header(index).ok_or(MISPLACED_SECTIONS)?;
            let found = layout.number(header, 0, 4).ok_or(MISPLACED_SECTIONS)?;
            let found = names.get(found..).ok_or(MISPLACED_SECTIONS)?;
            if found
                .strip_prefix(name)
                .is_some_and(|rest| rest.first() == Some(&0))
            {
                return layout.section(bytes, header).ok_or(MISPLACED_SECTIONS);
            }
        }
        Ok(&[])
    }
}

/// Returns `length` bytes from `start` on.
fn part(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

impl Layout {
    /// Returns the bytes of the section with this header.
    fn section<'a>(self, bytes: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
        let (offset_at, size_at) = if self.is_64_bit {
            (0x18, 0x20)
        } else {
            (0x10, 0x14)
        };
        let start = self.address(header, offset_at)?;
        part(bytes, start, self.address(header, size_at)?)
    }

    fn address(self, bytes: &[u8], at: usize) -> Option<usize> {
        self.number(bytes, at, self.address_bytes())
    }

    /// Returns how long an address is.
    fn address_bytes(self) -> usize {
        if self.is_64_bit { 8 } else { 4 }
    }

    fn number(self, bytes: &[u8], at: usize, length: usize) -> Option<usize> {
        let digits = part(bytes, at, length)?;
        let shifted = |number: u64, digit: &u8| number << 8 | u64::from(*digit);
        let number = if self.is_little_endian {
            digits.iter().rev().fold(0, shifted)
        } else {
            digits.iter().fold(0, shifted)
        };
        usize::try_from(number).ok()
    }
}
