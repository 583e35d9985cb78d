//! What both suites share: running the built program with nothing of the caller's environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

/// A private home, caches and workspace, which are gone when the test ends.
#[derive(Debug)]
pub(crate) struct World {
    root: TempDir,
    /// Options of every run, before its own: what a person names, and not the recipe.
    pub(crate) options: Mutex<Vec<String>>,
}

/// What one run of the program did, with its paths, sizes and times replaced.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Transcript {
    /// Asserts all of it, with nothing on standard output.
    #[track_caller]
    pub(crate) fn assert_failed(&self, status: i32, stderr: &str) {
        assert_eq!(
            (self.stderr.as_str(), self.stdout.as_str(), self.status),
            (stderr, "", Some(status))
        );
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("world-")
            .tempdir_in(directory())
            .expect("the tests' directory is writable");
        Self::within(root)
    }

    pub(crate) fn within(root: TempDir) -> Self {
        for below in ["home", "recipe"] {
            fs_err::create_dir(root.path().join(below)).unwrap();
        }
        Self {
            root,
            options: Mutex::default(),
        }
    }

    /// Returns a path below the directory in which recipes are put and the program runs.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("recipe").join(below)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Writes a file below the working directory, and its parents.
    pub(crate) fn write(&self, below: &str, content: &str) {
        let path = self.path(below);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// Returns the program with these arguments, ready to run in the working directory.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overcoat"));
        command
            .args(&*self.options.lock().unwrap())
            .args(arguments)
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .env_clear()
            .env("HOME", self.home())
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a command that [`Self::command`] made to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Transcript {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("the program starts");
        let root = self.root.path().to_string_lossy();
        let text = |bytes: &[u8]| normalised(&String::from_utf8_lossy(bytes), &root);
        Transcript {
            status: status.code(),
            stdout: text(&stdout),
            stderr: text(&stderr),
        }
    }

    /// Runs the program to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Transcript {
        self.finish(self.command(arguments))
    }
}

/// Returns where tests may write: `OVERCOAT_TEST_DIRECTORY`, or Cargo's directory for it.
pub(crate) fn directory() -> PathBuf {
    let directory = std::env::var_os("OVERCOAT_TEST_DIRECTORY")
        .map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    fs_err::create_dir_all(&directory).unwrap();
    directory
}

/// Fails when a file beside `main.rs` is not one of its modules, and so would never run.
pub(crate) fn assert_files_are_modules(directory: &str, main: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut forgotten: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "main" && !main.lines().any(|line| line == format!("mod {name};")))
        .collect();
    forgotten.sort();
    assert_eq!(forgotten, Vec::<String>::new());
}

fn normalised(text: &str, root: &str) -> String {
    text.replace(root, "<world>")
        .split_inclusive('\n')
        .map(normalised_line)
        .collect()
}

/// Replaces `1.5 MiB` by `<size>` and `2 min 05 s` by `<time>`, with the spaces that pad them in a column.
fn normalised_line(line: &str) -> String {
    const SIZES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let ends_with_newline = line.ends_with('\n');
    let mut words: Vec<&str> = line.trim_end_matches('\n').split(' ').collect();
    let mut at = 0;
    while at + 1 < words.len() {
        let is_number =
            !words[at].is_empty() && words[at].chars().all(|c| c.is_ascii_digit() || c == '.');
        let replaced = match words[at + 1] {
            "min" => Some(("<time>", 4)),
            "s" => Some(("<time>", 2)),
            unit if SIZES.contains(&unit) => Some(("<size>", 2)),
            _ => None,
        };
        if let (true, Some((name, length))) = (is_number, replaced) {
            while at > 1 && words[at - 1].is_empty() {
                words.remove(at - 1);
                at -= 1;
            }
            let end = (at + length).min(words.len());
            words.splice(at..end, [name]);
        }
        at += 1;
    }
    let mut line = words.join(" ");
    if ends_with_newline {
        line.push('\n');
    }
    line
}

#[test]
fn normaliser_replaces_paths_sizes_and_times() {
    let cases = [
        (
            "base  /t/w/out/base  300.0 MiB  41.0 s\n",
            "base  <world>/out/base <size> <time>\n",
        ),
        ("done in 1 min 05 s\n", "done in <time>\n"),
        ("step 3 of 9\n", "step 3 of 9\n"),
        ("7 B", "<size>"),
    ];
    for (text, expected) in cases {
        assert_eq!(normalised(text, "/t/w"), expected);
    }
}

/// Returns the sorted names in a directory, none if it does not exist.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    if !directory.exists() {
        return Vec::new();
    }
    let entries = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
