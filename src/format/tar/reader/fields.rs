//! The 512 bytes of a header.

use super::ReadError;
use crate::tree::{DeviceNumber, Timestamp};

/// A header whose checksum is right.
pub(super) struct Fields([u8; 512]);

/// `magic` of the formats that have more fields than the old one; ` ` follows it in those of GNU tar.
const USTAR: &[u8] = b"ustar";

impl Fields {
    /// Takes a block for a header; `None` when its checksum is not right.
    pub(super) fn new(block: [u8; 512]) -> Option<Self> {
        let said = number(&block[148..156])?;
        // The sum is made with spaces in its own place; some old programs took bytes for signed.
        let summed = || {
            block[..148]
                .iter()
                .chain(&[b' '; 8])
                .chain(&block[156..])
                .copied()
        };
        let sum: i64 = summed().map(i64::from).sum();
        let signed: i64 = summed().map(|byte| i64::from(byte.cast_signed())).sum();
        // 512 zeros sum up to eight spaces, and are the end of an archive.
        (said == sum || said == signed).then_some(Self(block))
    }

    pub(super) fn flag(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        // In GNU tar's form other things are in the place of the prefix.
        let is_posix = &self.0[257..262] == USTAR && self.0[262] == 0;
        match text(&self.0[345..500]) {
            prefix if is_posix && !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    pub(super) fn target(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn user(&self) -> Vec<u8> {
        self.owner_name(265)
    }

    pub(super) fn group(&self) -> Vec<u8> {
        self.owner_name(297)
    }

    fn owner_name(&self, start: usize) -> Vec<u8> {
        match &self.0[257..262] == USTAR {
            true => text(&self.0[start..start + 32]).to_vec(),
            false => Vec::new(),
        }
    }

    pub(super) fn size(&self, offset: u64) -> Result<u64, ReadError> {
        self.unsigned(124..136, offset, "the length of a member is no number")
    }

    /// Returns the length of a sparse file of GNU tar's old form.
    pub(super) fn real_size(&self, offset: u64) -> Result<u64, ReadError> {
        self.unsigned(483..495, offset, "the length of a sparse file is no number")
    }

    /// Returns what the map of a sparse file starts with, and whether more of it follows the header.
    pub(super) fn sparse_map(&self) -> (&[u8], bool) {
        (&self.0[386..482], self.0[482] != 0)
    }

    pub(super) fn mode(&self, offset: u64) -> Result<u16, ReadError> {
        let mode = self.unsigned(100..108, offset, "the mode of a member is no number")?;
        // Old programs put the type of the file above the bits of the mode.
        Ok(u16::try_from(mode & 0o7777).unwrap_or_default())
    }

    pub(super) fn uid(&self, offset: u64) -> Result<u32, ReadError> {
        self.id(108..116, offset)
    }

    pub(super) fn gid(&self, offset: u64) -> Result<u32, ReadError> {
        self.id(116..124, offset)
    }

    pub(super) fn modified(&self, offset: u64) -> Result<Timestamp, ReadError> {
        number(&self.0[136..148])
            .map(Timestamp::from_seconds)
            .ok_or(ReadError::Damaged {
                offset,
                reason: "the time of a member is no number",
            })
    }

    pub(super) fn device(&self, offset: u64) -> Result<DeviceNumber, ReadError> {
        let reason = "the number of a device is none";
        let field = |range| {
            let number = self.unsigned(range, offset, reason)?;
            u32::try_from(number).map_err(|_| ReadError::Damaged { offset, reason })
        };
        Ok(DeviceNumber {
            major: field(329..337)?,
            minor: field(337..345)?,
        })
    }

    fn id(&self, range: std::ops::Range<usize>, offset: u64) -> Result<u32, ReadError> {
        let reason = "the owner of a member is no id";
        let id = self.unsigned(range, offset, reason)?;
        id_of(id).ok_or(ReadError::Damaged { offset, reason })
    }

    fn unsigned(
        &self,
        range: std::ops::Range<usize>,
        offset: u64,
        reason: &'static str,
    ) -> Result<u64, ReadError> {
        number(&self.0[range])
            .and_then(|number| u64::try_from(number).ok())
            .ok_or(ReadError::Damaged { offset, reason })
    }
}

/// Returns an id; the highest number stands for none (chown(2)).
pub(super) fn id_of(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|id| *id != u32::MAX)
}

/// Reads a number: octal digits between spaces and NULs, or two's complement with the highest bit set in the first byte.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let is_negative = first & 0x40 != 0;
        let start = match is_negative {
            true => i128::from(*first) - 0x100,
            false => i128::from(first & 0x7f),
        };
        let value = rest.iter().try_fold(start, |value, byte| {
            value.checked_mul(256)?.checked_add(i128::from(*byte))
        })?;
        return i64::try_from(value).ok();
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_blank(byte));
    let digits = &field[start.unwrap_or(field.len())..];
    let end = digits.iter().position(is_blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(is_blank) {
        return None;
    }
    digits[..end].iter().try_fold(0_i64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(i64::from(digit))
    })
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: [(&[u8], Option<i64>); 13] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"12 \x0034", None),
            (b"12x", None),
            (b"-1", None),
            (b"0009", None),
            (b"\x80\0\0\x01\0", Some(256)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
                Some(-2),
            ),
            (b"\xff\xff\xff\x7f\0\0\0\0\0\0\0\0", None),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX),
            ),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
