//! What the processes of a pid namespace use, as a proc of it tells.
//!
//! The whole namespace is the sandbox's, so nothing has to be sorted out.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::dir::Dir;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// How many processes and threads there are, and the memory that they have for themselves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    pub(crate) tasks: u64,
    pub(crate) memory_bytes: u64,
}

/// Init, which is ours and not the program's.
const INIT: &str = "1";

/// How a process's memory is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// Pages that several processes share count for each of them: quick, and never too little.
    Whole,
    /// They count in parts, which takes the kernel a walk through all pages.
    Shared,
}

/// Returns what all processes but init use. Those that end meanwhile are passed over.
pub(crate) fn of_namespace(proc: &OwnedFd, count: Count) -> nix::Result<Usage> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::openat(proc, ".", flags, Mode::empty())?;
    let mut usage = Usage::default();
    let mut text = String::new();
    for entry in directory.iter() {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name == INIT || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if read(proc, &format!("{name}/status"), &mut text).is_none() {
            continue;
        }
        let process = of_status(&text);
        let memory_bytes = match count {
            Count::Whole => process.memory_bytes,
            Count::Shared => match read(proc, &format!("{name}/smaps_rollup"), &mut text) {
                Some(()) => of_rollup(&text),
                None => 0,
            },
        };
        usage.tasks = usage.tasks.saturating_add(process.tasks);
        usage.memory_bytes = usage.memory_bytes.saturating_add(memory_bytes);
    }
    Ok(usage)
}

fn read(proc: &OwnedFd, path: &str, text: &mut String) -> Option<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(proc, path, flags, Mode::empty()).ok()?;
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.clear();
    File::from(file).read_to_end(&mut bytes).ok()?;
    // The name of a process may be any bytes.
    *text = String::from_utf8_lossy(&bytes).into_owned();
    Some(())
}

/// Reads `/proc/PID/status` (proc_pid_status(5)). The name comes first, and its line feeds are escaped.
pub(crate) fn of_status(text: &str) -> Usage {
    let mut usage = Usage::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        match name {
            "Threads" => usage.tasks = number(value),
            "RssAnon" | "RssShmem" | "VmSwap" => {
                usage.memory_bytes = usage.memory_bytes.saturating_add(kibibytes(value));
            }
            _ => {}
        }
    }
    usage
}

/// Reads `/proc/PID/smaps_rollup` (proc_pid_smaps(5)).
pub(crate) fn of_rollup(text: &str) -> u64 {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(name, _)| ["Pss_Anon", "Pss_Shmem", "SwapPss"].contains(name))
        .fold(0, |sum, (_, value)| sum.saturating_add(kibibytes(value)))
}

fn kibibytes(value: &str) -> u64 {
    number(value).saturating_mul(1 << 10)
}

fn number(value: &str) -> u64 {
    let first = value.split_ascii_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_understood() {
        let text = "Name:\tThreads:\\n7\nUmask:\t0022\nVmPeak:\t  999 kB\nRssAnon:\t     100 kB\n\
                    RssFile:\t    5000 kB\nRssShmem:\t      20 kB\nVmSwap:\t       3 kB\nThreads:\t4\n";
        let expected = Usage {
            tasks: 4,
            memory_bytes: 123 << 10,
        };
        assert_eq!(of_status(text), expected);
    }

    #[test]
    fn a_zombie_counts_as_a_process_without_memory() {
        let expected = Usage {
            tasks: 1,
            memory_bytes: 0,
        };
        assert_eq!(
            of_status("Name:\tx\nState:\tZ (zombie)\nThreads:\t1\n"),
            expected
        );
    }

    #[test]
    fn rollups_are_understood() {
        let text = "00400000-7ffc00000000 ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 800 kB\n\
                    Pss_Anon: 100 kB\nPss_File: 600 kB\nPss_Shmem: 20 kB\nSwapPss: 3 kB\n";
        assert_eq!(of_rollup(text), 123 << 10);
    }
}
