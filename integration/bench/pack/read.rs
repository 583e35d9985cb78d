//! Reading images back through the kernel: in sequence, at random, and names and types alone.

use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Contestant, Failure, median, remove, timed};

/// Small files that are read whole.
const RANDOM_FILES: usize = 4000;

/// Pieces that are read of large files.
const RANDOM_PIECES: u64 = 3000;

const PIECE_BYTES: usize = 4096;

/// What counts as large.
const LARGE_FILE_BYTES: u64 = 2 << 20;

/// Reads something of the tree that is mounted at a directory.
type Work = fn(&Path) -> Result<(), Failure>;

const WORK: [(&str, Work); 4] = [
    ("in sequence", read_all),
    ("random files", read_random_files),
    ("random pieces", read_random_pieces),
    ("walk", walk),
];

/// Mounts each image and prints how long reading takes; the image itself is in memory, what is in it is not.
pub(crate) fn compare(contestants: &[Contestant], rounds: usize) -> Result<(), Failure> {
    println!("seconds, medians of {rounds} rounds, each of a fresh mount:");
    print!("  {:<40}", "image");
    WORK.iter().for_each(|(name, _)| print!(" {name:>14}"));
    println!();
    for contestant in contestants {
        let Some(file_system) = contestant.file_system else {
            continue;
        };
        contestant.program.run()?;
        print!("  {:<40}", contestant.name);
        for (_, work) in WORK {
            let mut times = Vec::new();
            for _ in 0..rounds {
                let mounted = Mounted::new(contestant, file_system)?;
                times.push(timed(|| work(mounted.directory.path()))?);
            }
            print!(" {:>14.2}", median(times).as_secs_f64());
        }
        println!();
        remove(&contestant.image)?;
    }
    Ok(())
}

/// An image that is mounted until this is dropped.
struct Mounted {
    directory: tempfile::TempDir,
}

impl Mounted {
    fn new(contestant: &Contestant, file_system: &str) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let options = format!("loop,ro,offset={}", contestant.offset_bytes);
        let status = Command::new("mount")
            .args(["-t", file_system, "-o", &options])
            .args([&contestant.image, directory.path()])
            .status()?;
        match status.success() {
            true => Ok(Self { directory }),
            false => Err(format!("mounting `{}` failed", contestant.name).into()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What cannot be unmounted stays in sight of whoever runs this.
        let _ = Command::new("umount").arg(self.directory.path()).status();
    }
}

fn read_all(directory: &Path) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 20];
    for (file, _) in files(directory)? {
        let mut file = fs_err::File::open(file)?;
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(())
}

fn read_random_files(directory: &Path) -> Result<(), Failure> {
    let mut small = files(directory)?;
    small.retain(|(_, size_bytes)| *size_bytes < LARGE_FILE_BYTES);
    let mut random = Random(1);
    for _ in 0..RANDOM_FILES {
        fs_err::read(&random.of(&small)?.0)?;
    }
    Ok(())
}

fn read_random_pieces(directory: &Path) -> Result<(), Failure> {
    let mut large = files(directory)?;
    large.retain(|(_, size_bytes)| *size_bytes >= LARGE_FILE_BYTES);
    let mut random = Random(2);
    let mut piece = [0; PIECE_BYTES];
    for _ in 0..RANDOM_PIECES {
        let (path, size_bytes) = random.of(&large)?;
        let offset = random.next() % (size_bytes - PIECE_BYTES as u64);
        fs_err::File::open(path)?
            .file()
            .read_exact_at(&mut piece, offset)?;
    }
    Ok(())
}

fn walk(directory: &Path) -> Result<(), Failure> {
    files(directory).map(drop)
}

/// Returns the regular files below `directory`, with their lengths, in the order of their names.
fn files(directory: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let mut found = Vec::new();
    let mut names: Vec<PathBuf> = fs_err::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Failure>>()?;
    names.sort();
    for path in names {
        let metadata = fs_err::symlink_metadata(&path)?;
        if metadata.is_dir() {
            found.extend(files(&path)?);
        } else if metadata.is_file() {
            found.push((path, metadata.size()));
        }
    }
    Ok(found)
}

/// A xorshift generator: the same choice in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Result<&'a T, Failure> {
        let count = u64::try_from(items.len())?;
        let index = self
            .next()
            .checked_rem(count)
            .ok_or("the tree has no such files")?;
        Ok(&items[usize::try_from(index)?])
    }
}
