//! The records of extended headers.

use std::collections::BTreeMap;

use overcoat_sandbox::ownership::acl;

use super::ReadError;
use super::fields::id_of;
use super::sparse::SparseRecords;
use crate::format::tar::accounts::Accounts;
use crate::format::tar::acl::acl_value;
use crate::tree::{DeviceNumber, Timestamp};

/// What the extended headers before a member say of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Records {
    name: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) modified: Option<Timestamp>,
    device_major: Option<u32>,
    device_minor: Option<u32>,
    pub(super) sparse: Option<SparseRecords>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Records {
    /// Adds the records of the extended header at `offset`; they count for more than those before.
    pub(super) fn add(
        &mut self,
        mut body: &[u8],
        offset: u64,
        accounts: &Accounts,
    ) -> Result<(), ReadError> {
        // Lists as text are for archives that do not have them as attributes.
        let mut lists = BTreeMap::new();
        while !body.is_empty() {
            let (key, value, rest) = split(body).ok_or(ReadError::Damaged {
                offset,
                reason: "a record of an extended header is not in order",
            })?;
            body = rest;
            let is_list = key.starts_with(b"SCHILY.acl.");
            self.record(key, value, accounts, &mut lists)
                .ok_or(ReadError::Damaged {
                    offset,
                    reason: match is_list {
                        true => "an access control list is none, or names somebody who is not in `etc/passwd` or `etc/group`",
                        false => "a record of an extended header has a value that it cannot have",
                    },
                })?;
        }
        for (name, value) in lists {
            self.xattrs.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Tells whether nothing was added to `global`.
    pub(super) fn is_only(&self, global: &Self) -> bool {
        self == global
    }

    /// Returns the name of the member that has `written` in its header.
    pub(super) fn name(&self, written: Vec<u8>) -> Vec<u8> {
        let sparse = self.sparse.as_ref().and_then(|sparse| sparse.name.clone());
        sparse.or_else(|| self.name.clone()).unwrap_or(written)
    }

    pub(super) fn device(&self, written: DeviceNumber) -> DeviceNumber {
        DeviceNumber {
            major: self.device_major.unwrap_or(written.major),
            minor: self.device_minor.unwrap_or(written.minor),
        }
    }

    /// Takes one record; `None` when its value cannot be.
    fn record(
        &mut self,
        key: &[u8],
        value: &[u8],
        accounts: &Accounts,
        lists: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Option<()> {
        // An empty value takes back what was said before.
        let bytes = (!value.is_empty()).then(|| value.to_vec());
        let is_empty = bytes.is_none();
        let optional = |number: Option<u64>| match (is_empty, number) {
            (true, _) => Some(None),
            (false, Some(number)) => Some(Some(number)),
            (false, None) => None,
        };
        let small = |number: Option<u64>| match optional(number)? {
            None => Some(None),
            Some(number) => id_of(number).map(Some),
        };
        match key {
            b"path" => self.name = bytes.filter(|name| !name.contains(&0)),
            b"linkpath" => self.target = bytes,
            b"size" => self.size = optional(decimal(value))?,
            b"uid" => self.uid = small(decimal(value))?,
            b"gid" => self.gid = small(decimal(value))?,
            b"uname" => self.user = bytes,
            b"gname" => self.group = bytes,
            b"mtime" if is_empty => self.modified = None,
            b"mtime" => self.modified = Some(time(value)?),
            b"SCHILY.devmajor" => self.device_major = small(decimal(value))?,
            b"SCHILY.devminor" => self.device_minor = small(decimal(value))?,
            b"SCHILY.acl.access" if !is_empty => {
                lists.insert(acl::ACCESS.into(), acl_value(value, accounts)?);
            }
            b"SCHILY.acl.default" if !is_empty => {
                lists.insert(acl::DEFAULT.into(), acl_value(value, accounts)?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(unescaped(name), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    // libarchive writes both forms of an attribute, and this one where the other cannot express it.
                    let name = unescaped(name);
                    let value = base64(value)?;
                    self.xattrs.entry(name).or_insert(value);
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    let sparse = self.sparse.get_or_insert_default();
                    sparse.record(key, value)?;
                }
            }
        }
        Some(())
    }
}

/// Returns the key and value of the first record, and what follows it.
fn split(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let record = body.get(space + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &body[length..]))
}

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads seconds with decimals; what is finer than a nanosecond is cut off.
fn time(text: &[u8]) -> Option<Timestamp> {
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &[][..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    let nanoseconds = digits
        .take(9)
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(match (is_negative, nanoseconds) {
        (false, _) => Timestamp {
            seconds,
            nanoseconds,
        },
        (true, 0) => Timestamp::from_seconds(-seconds),
        // -1.25 is 2 seconds before 1970 and 0.75 after that.
        (true, _) => Timestamp {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

/// Returns a name whose odd bytes are `%` and two digits.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    plain
}

/// Reads base64, with or without the padding at its end.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for letter in group {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{base64, split, time, unescaped};
    use crate::tree::Timestamp;

    #[test]
    fn records_have_their_length_in_front() {
        type Record<'a> = Option<(&'a [u8], &'a [u8])>;
        let cases: [(&[u8], Record<'_>); 9] = [
            (b"9 a=b=c\n\n", Some((b"a", b"b=c\n"))),
            (b"8 a=b=c\n", Some((b"a", b"b=c"))),
            (b"6 a=b\n", Some((b"a", b"b"))),
            (b"5 a=\n", Some((b"a", b""))),
            (b"6 a=b", None),
            (b"4 a\n", None),
            (b"99999999999999999999 a=b\n", None),
            (b"1 a=b\n", None),
            (b" a=b\n", None),
        ];
        for (body, expected) in cases {
            let found = split(body).map(|(key, value, _)| (key, value));
            assert_eq!(found, expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn times_have_decimals_and_may_be_before_1970() {
        let at = |seconds, nanoseconds| {
            Some(Timestamp {
                seconds,
                nanoseconds,
            })
        };
        for (text, expected) in [
            ("5", at(5, 0)),
            ("5.25", at(5, 250_000_000)),
            ("5.1234567899", at(5, 123_456_789)),
            ("-1", at(-1, 0)),
            ("-0.25", at(-1, 750_000_000)),
            ("-1.25", at(-2, 750_000_000)),
            ("", None),
            (".5", None),
            ("5.x", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn names_and_values_of_attributes_are_decoded() {
        assert_eq!(unescaped(b"a%3Db%25%zz%2"), b"a=b%%zz%2");
        let texts = ["", "AA==", "AA", "AAH/", "a", "A A"];
        let values = [
            Some(vec![]),
            Some(vec![0]),
            Some(vec![0]),
            Some(vec![0, 1, 255]),
            None,
            None,
        ];
        for (text, value) in texts.iter().zip(values) {
            assert_eq!(base64(text.as_bytes()), value, "{text}");
        }
    }
}
