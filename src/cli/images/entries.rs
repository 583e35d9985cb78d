//! Entries as rows: as ls(1) shows them, and as JSON.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::digest::hexadecimal;
use crate::tree::{Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

const SECONDS_PER_DAY: i64 = 86400;

/// What is shown of an entry. Names that are not UTF-8 have replacement characters in text, and `path_hex` is exact.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Row {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Four octal digits.
    mode: String,
    uid: u32,
    gid: u32,
    size_bytes: u64,
    modified: String,
    modified_seconds: i64,
    modified_nanoseconds: u32,
    links: u64,
    /// The first of the names that share the inode, when this is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    hard_link_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Values in hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
}

impl Row {
    /// Returns a row for each entry, and calls `each` with it.
    pub(in crate::cli) fn each_of(tree: &FileTree, mut each: impl FnMut(Self)) {
        let mut links: HashMap<HardLinkGroup, (&TreePath, u64)> = HashMap::new();
        for (path, entry) in tree.iter() {
            if let Some(group) = entry.hard_link {
                links.entry(group).or_insert((path, 0)).1 += 1;
            }
        }
        for (path, entry) in tree.iter() {
            let shared = entry.hard_link.and_then(|group| links.get(&group));
            each(Self::of(path, entry, shared.copied()));
        }
    }

    fn of(path: &TreePath, entry: &Entry, shared: Option<(&TreePath, u64)>) -> Self {
        let device = match &entry.kind {
            EntryKind::CharacterDevice(device) | EntryKind::BlockDevice(device) => {
                Some(format!("{}:{}", device.major, device.minor))
            }
            _ => None,
        };
        let target = match &entry.kind {
            EntryKind::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        let is_text = std::str::from_utf8(path.as_bytes()).is_ok();
        let xattrs = entry.xattrs.iter().map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, hexadecimal(value))
        });
        Self {
            path: path_of(path),
            path_hex: (!is_text).then(|| hexadecimal(path.as_bytes())),
            kind: kind_of(&entry.kind),
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            size_bytes: entry.size_bytes(),
            modified: time_of(entry.modified),
            modified_seconds: entry.modified.seconds,
            modified_nanoseconds: entry.modified.nanoseconds,
            links: shared.map_or(1, |(_, count)| count),
            hard_link_to: shared
                .filter(|(first, _)| *first != path)
                .map(|(first, _)| path_of(first)),
            target,
            device,
            xattrs: xattrs.collect(),
        }
    }

    /// Returns the columns: mode, links, owner, group, size or device, time, name.
    pub(in crate::cli) fn columns(&self) -> [String; 7] {
        let mut name = self.path.clone();
        if let Some(target) = &self.target {
            name.push_str(" -> ");
            name.push_str(target);
        }
        if let Some(first) = &self.hard_link_to {
            name.push_str(&format!(" (link to {first})"));
        }
        let mark = if self.xattrs.is_empty() { "" } else { "+" };
        [
            format!("{}{mark}", self.permissions()),
            self.links.to_string(),
            self.uid.to_string(),
            self.gid.to_string(),
            self.device
                .clone()
                .unwrap_or_else(|| self.size_bytes.to_string()),
            self.modified.clone(),
            name,
        ]
    }

    /// Returns the mode as ten letters.
    fn permissions(&self) -> String {
        let mode = u16::from_str_radix(&self.mode, 8).unwrap_or(0);
        let mut text = String::with_capacity(10);
        text.push(match self.kind {
            "directory" => 'd',
            "symlink" => 'l',
            "character device" => 'c',
            "block device" => 'b',
            "fifo" => 'p',
            "socket" => 's',
            _ => '-',
        });
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = mode >> shift;
            text.push(if bits & 4 != 0 { 'r' } else { '-' });
            text.push(if bits & 2 != 0 { 'w' } else { '-' });
            text.push(match (mode & special != 0, bits & 1 != 0) {
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            });
        }
        text
    }
}

/// Returns a path from the image's root on.
pub(in crate::cli) fn path_of(path: &TreePath) -> String {
    format!("/{path}")
}

/// Returns the name of a type of files.
pub(in crate::cli) fn kind_of(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => "directory",
        EntryKind::Regular(_) => "file",
        EntryKind::Symlink(_) => "symlink",
        EntryKind::CharacterDevice(_) => "character device",
        EntryKind::BlockDevice(_) => "block device",
        EntryKind::Fifo => "fifo",
        EntryKind::Socket => "socket",
    }
}

/// Returns a time as `2023-11-14 22:13:20`, in UTC, with nanoseconds if there are any.
pub(in crate::cli) fn time_of(time: Timestamp) -> String {
    let (year, month, day) = date_of(time.seconds.div_euclid(SECONDS_PER_DAY));
    let seconds = time.seconds.rem_euclid(SECONDS_PER_DAY);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}");
    if time.nanoseconds != 0 {
        text.push_str(&format!(".{:09}", time.nanoseconds));
    }
    text
}

/// Returns year, month and day of a day counted from 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, so that leap days come last and 400 years have the same length.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, five months have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::DeviceNumber;

    #[test]
    fn times_are_of_the_gregorian_calendar_in_utc() {
        let cases = [
            (0, 0, "1970-01-01 00:00:00"),
            (-1, 0, "1969-12-31 23:59:59"),
            (951_782_400, 0, "2000-02-29 00:00:00"),
            (4_107_542_400, 0, "2100-03-01 00:00:00"),
            (1_700_000_000, 5, "2023-11-14 22:13:20.000000005"),
            (-62_167_219_200, 0, "0000-01-01 00:00:00"),
            (i64::MAX, 0, "292277026596-12-04 15:30:07"),
        ];
        for (seconds, nanoseconds, expected) in cases {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(time_of(time), expected);
        }
        time_of(Timestamp::from_seconds(i64::MIN));
    }

    #[test]
    fn a_row_is_that_of_ls() {
        let then = Timestamp::from_seconds(0);
        let device = EntryKind::BlockDevice(DeviceNumber { major: 8, minor: 1 });
        let cases = [
            (EntryKind::Directory, 0o1777, "drwxrwxrwt 1 0 0 0"),
            (
                EntryKind::Symlink(b"x".to_vec()),
                0o777,
                "lrwxrwxrwx 1 0 0 1",
            ),
            (device, 0o6640, "brwSr-S--- 1 0 0 8:1"),
            (EntryKind::Fifo, 0o4711, "prws--x--x 1 0 0 0"),
            (EntryKind::Socket, 0o1000, "s--------T 1 0 0 0"),
        ];
        for (kind, mode, expected) in cases {
            let path = TreePath::new("a").unwrap();
            let row = Row::of(&path, &Entry::new(kind, mode, then), None);
            assert_eq!(row.columns()[..5].join(" "), expected);
        }
    }
}
