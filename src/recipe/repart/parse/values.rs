//! The values of settings of partitions.

use super::{Outcome, SECTOR_SIZE, Wrong, expected, unsupported};
use crate::recipe::repart::MOST_BYTES;
use crate::tree::TreePath;

/// Settings that are understood and change nothing, and those that would.
pub(super) fn without_effect(name: &str, value: &str) -> Outcome {
    match name {
        "Priority" => match value.parse::<i32>() {
            Ok(_) => Ok(()),
            Err(_) => expected("a number from -2147483648 to 2147483647"),
        },
        "Weight" | "PaddingWeight" => match value.parse::<u32>() {
            Ok(0..=1_000_000) => Ok(()),
            _ => expected("a number from 0 to 1000000"),
        },
        // About later runs of systemd-repart, and files that are generated with options mkosi does not give.
        "FactoryReset" => match boolean(value) {
            Some(_) => Ok(()),
            None => expected("a boolean (`yes` or `no`)"),
        },
        "MountPoint" | "EncryptedVolume" => Ok(()),
        "Encrypt" if value == "off" || boolean(value) == Some(false) => Ok(()),
        "Encrypt" | "EncryptKDF" | "TPM2PCRs" | "KeyFile" => {
            unsupported("partitions are not encrypted")
        }
        "Subvolumes" | "DefaultSubvolume" => unsupported("btrfs, which has them, is not written"),
        "CopyBlocks" => unsupported("file systems are made of files; say `CopyFiles=`"),
        "SupplementFor" => unsupported("partitions are not merged"),
        SECTOR_SIZE => match size(value)? {
            512 | 1024 | 2048 | 4096 => Ok(()),
            _ => expected("`512`, `1024`, `2048` or `4096`"),
        },
        _ => unsupported("it is not known what it means"),
    }
}

/// Escapes the specifiers that only stand for something when all partitions are known, and what is escaped already.
pub(super) fn keep_own(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        kept.push(character);
        if character != '%' {
            continue;
        }
        match characters.next() {
            Some('%') => kept.push_str("%%%"),
            Some(letter @ ('t' | 'T' | 'n')) => {
                kept.push('%');
                kept.push(letter);
            }
            letter => kept.extend(letter),
        }
    }
    kept
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a number of bytes with a suffix to the base of 1024.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return expected("a number of bytes, such as `512M`"),
    };
    let Ok(number) = digits.parse::<u64>() else {
        return expected("a number of bytes, such as `512M`");
    };
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes <= MOST_BYTES => Ok(bytes),
        _ => expected("at most `1T`"),
    }
}

/// Refuses what a shell's rules would make something else of.
pub(super) fn plain(text: &str) -> Outcome {
    match text.contains(['"', '\'', '\\']) {
        true => unsupported("quotes and escapes are not understood"),
        false => Ok(()),
    }
}

pub(super) fn words(text: &str) -> Result<impl Iterator<Item = &str>, Wrong> {
    plain(text)?;
    Ok(text.split_ascii_whitespace())
}

pub(super) fn absolute(text: &str) -> Result<TreePath, Wrong> {
    if !text.starts_with('/') || text.len() > 4095 {
        return expected("absolute paths");
    }
    TreePath::new(text).or_else(|_| expected("absolute paths without `.` and `..`"))
}
