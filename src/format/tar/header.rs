//! The old header of a member, 512 bytes of text, and what of a member does not fit into it.

use super::Records;
use crate::tree::{DeviceNumber, Timestamp};

/// What a member is (`typeflag`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MemberType {
    Regular,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
    ExtendedHeader,
}

impl MemberType {
    fn flag(self) -> u8 {
        match self {
            Self::Regular => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::CharacterDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
            Self::ExtendedHeader => b'x',
        }
    }
}

/// Where a field of the header is, by the names of the specification.
struct Field {
    offset: usize,
    length: usize,
}

const NAME: Field = Field {
    offset: 0,
    length: 100,
};
const MODE: Field = Field {
    offset: 100,
    length: 8,
};
const UID: Field = Field {
    offset: 108,
    length: 8,
};
const GID: Field = Field {
    offset: 116,
    length: 8,
};
const SIZE: Field = Field {
    offset: 124,
    length: 12,
};
const MTIME: Field = Field {
    offset: 136,
    length: 12,
};
const CHKSUM: Field = Field {
    offset: 148,
    length: 8,
};
const TYPEFLAG: usize = 156;
const LINKNAME: Field = Field {
    offset: 157,
    length: 100,
};
/// `magic` and `version`.
const MAGIC: Field = Field {
    offset: 257,
    length: 8,
};
const DEVMAJOR: Field = Field {
    offset: 329,
    length: 8,
};
const DEVMINOR: Field = Field {
    offset: 337,
    length: 8,
};

/// The header of one member.
pub(super) struct Header([u8; 512]);

impl Header {
    pub(super) fn new(member_type: MemberType, mode: u16) -> Self {
        let mut header = Self([0; 512]);
        header.put(&MAGIC, b"ustar\x0000");
        header.0[TYPEFLAG] = member_type.flag();
        for field in [&UID, &GID, &SIZE, &MTIME, &DEVMAJOR, &DEVMINOR] {
            header.number(field, 0);
        }
        header.number(&MODE, u64::from(mode));
        header
    }

    pub(super) fn name(&mut self, name: &[u8], records: &mut Records) {
        if !self.text(&NAME, name) {
            records.add("path", name);
        }
    }

    /// Sets where a link leads.
    pub(super) fn target(&mut self, target: &[u8], records: &mut Records) {
        if !self.text(&LINKNAME, target) {
            records.add("linkpath", target);
        }
    }

    pub(super) fn owner(&mut self, uid: u32, gid: u32, records: &mut Records) {
        for (field, key, id) in [(&UID, "uid", uid), (&GID, "gid", gid)] {
            self.number_or_record(field, key, u64::from(id), records);
        }
    }

    pub(super) fn size(&mut self, size_bytes: u64, records: &mut Records) {
        self.number_or_record(&SIZE, "size", size_bytes, records);
    }

    pub(super) fn device(&mut self, number: DeviceNumber, records: &mut Records) {
        for (field, key, number) in [
            (&DEVMAJOR, "SCHILY.devmajor", number.major),
            (&DEVMINOR, "SCHILY.devminor", number.minor),
        ] {
            self.number_or_record(field, key, u64::from(number), records);
        }
    }

    pub(super) fn time(&mut self, time: Timestamp, records: &mut Records) {
        let fits = u64::try_from(time.seconds).is_ok_and(|seconds| self.number(&MTIME, seconds));
        if !fits || time.nanoseconds != 0 {
            records.add("mtime", decimal(time));
        }
    }

    /// Returns the bytes with their checksum.
    pub(super) fn finish(mut self) -> [u8; 512] {
        // It is summed up with spaces in its own place.
        self.put(&CHKSUM, b"        ");
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.put(&CHKSUM, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }

    fn put(&mut self, field: &Field, bytes: &[u8]) {
        self.0[field.offset..field.offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Sets a field to as much of the text as fits, and tells whether that was all.
    fn text(&mut self, field: &Field, text: &[u8]) -> bool {
        let length = text.len().min(field.length);
        self.put(field, &text[..length]);
        length == text.len()
    }

    fn number_or_record(&mut self, field: &Field, key: &str, number: u64, records: &mut Records) {
        if !self.number(field, number) {
            records.add(key, number.to_string());
        }
    }

    /// Sets a field to the octal digits of `number`, and tells whether they fit; a NUL follows them.
    fn number(&mut self, field: &Field, number: u64) -> bool {
        let digits = field.length - 1;
        let text = format!("{number:0digits$o}");
        if text.len() > digits {
            return false;
        }
        self.put(field, text.as_bytes());
        true
    }
}

/// Returns seconds with as many decimals as needed.
fn decimal(time: Timestamp) -> String {
    // -1.25 is 2 seconds before 1970 and 0.75 after that.
    let (seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds, nanoseconds) if seconds < 0 && nanoseconds > 0 => {
            (seconds + 1, 1_000_000_000 - nanoseconds)
        }
        whole => whole,
    };
    let sign = if time.seconds < 0 && seconds == 0 {
        "-"
    } else {
        ""
    };
    let fraction = format!("{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0');
    match fraction {
        "" => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;
    use crate::tree::Timestamp;

    #[test]
    fn times_before_1970_count_backwards() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, "0"),
            (5, 250_000_000, "5.25"),
            (-1, 0, "-1"),
            (-1, 750_000_000, "-0.25"),
            (-2, 750_000_000, "-1.25"),
            (1 << 40, 1, "1099511627776.000000001"),
        ] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(decimal(time), expected);
        }
    }
}
