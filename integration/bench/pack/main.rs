//! Measures packing a tree into an image, against the programs that others use for it:
//!
//! ```text
//! cargo bench --features integration --bench pack -- TREE [ROUNDS [NAME...]]
//! ```
//!
//! TREE is a directory of at least some hundred megabytes that is read and not changed, best on a tmpfs, as is the
//! temporary directory (`TMPDIR`) where images are made and removed. Each of the ROUNDS (default: 5) makes every image
//! once, in turn; NAMEs choose the images whose names contain one of them. Ours are whole signed images: file system,
//! hash tree, signature and partition table; those of `mkfs.erofs` and `mksquashfs` are file systems alone, and
//! `systemd-repart`'s are like ours.
//!
//! Programs are looked for in PATH; with `OVERCOAT_BENCH_TOOLS` in that tree, which may be of a newer distribution:
//! `overcoat -C integration/recipes/pack-tools` makes one. What is not there is left out, and said.
//!
//! With root's rights, `read` as the first word mounts each image and measures reading it back instead.
#![expect(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

mod measure;
#[path = "../measured.rs"]
mod measured;
mod ours;
mod read;
mod theirs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use self::measure::{Cost, Program};
pub(crate) use self::measured::{Failure, median};

const ROUNDS: usize = 5;

/// One way to make an image.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) image: PathBuf,
    /// Where its file system starts in the image.
    pub(crate) offset_bytes: u64,
    pub(crate) file_system: Option<&'static str>,
}

fn main() -> ExitCode {
    measured::run(|arguments| match arguments.split_first() {
        Some((first, rest)) if first == "--wait-for" => {
            measure::wait_for(rest).map(|report| println!("{report}"))
        }
        Some((first, rest)) if first == "--pack" => ours::pack(rest),
        Some((first, rest)) if first == "read" => with_contestants(rest, read::compare),
        _ => with_contestants(arguments, compare),
    })
}

/// Reads the command line, and calls `run` with the contestants and the number of rounds.
fn with_contestants(
    arguments: &[String],
    run: fn(&[Contestant], usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let usage = "usage: pack [read] TREE [ROUNDS [NAME...]]";
    let (tree, rest) = arguments.split_first().ok_or(usage)?;
    let tree = std::path::absolute(tree)?;
    let rounds = rest
        .first()
        .map_or(Ok(ROUNDS), |text| text.parse())
        .map_err(|_| usage)?;
    let names = rest.get(1..).unwrap_or_default();
    let scratch = tempfile::tempdir()?;
    let keys = ours::make_key(scratch.path())?;
    let mut contestants = ours::contestants(&tree, scratch.path(), &keys)?;
    contestants.extend(theirs::contestants(&tree, scratch.path(), &keys)?);
    contestants.retain(|contestant| {
        names.is_empty() || names.iter().any(|name| contestant.name.contains(name))
    });
    run(&contestants, rounds)
}

fn compare(contestants: &[Contestant], rounds: usize) -> Result<(), Failure> {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); contestants.len()];
    let mut sizes = vec![0; contestants.len()];
    for _ in 0..rounds {
        for (index, contestant) in contestants.iter().enumerate() {
            costs[index].push(contestant.program.run()?);
            sizes[index] = fs_err::metadata(&contestant.image)?.len();
            remove(&contestant.image)?;
        }
    }
    println!("medians of {rounds} rounds:");
    println!("  image                                     clock s  processor s  peak MiB       MB");
    for ((contestant, costs), size_bytes) in contestants.iter().zip(&costs).zip(&sizes) {
        println!(
            "  {:<40} {:>8.2} {:>12.2} {:>9} {:>8.1}",
            contestant.name,
            median(costs.iter().map(|cost| cost.clock)).as_secs_f64(),
            median(costs.iter().map(|cost| cost.processor)).as_secs_f64(),
            median(costs.iter().map(|cost| cost.peak_memory_bytes)) >> 20,
            megabytes(*size_bytes),
        );
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number for people, with one decimal"
)]
fn megabytes(size_bytes: u64) -> f64 {
    size_bytes as f64 / 1e6
}

pub(crate) fn remove(image: &Path) -> Result<(), Failure> {
    Ok(fs_err::remove_file(image)?)
}

/// Returns how long `work` takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<Duration, Failure> {
    let begin = std::time::Instant::now();
    work()?;
    Ok(begin.elapsed())
}
