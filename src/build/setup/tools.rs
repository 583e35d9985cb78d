//! Which of an image's own tools are run, in mkosi's order, and how.

use std::collections::BTreeSet;

use super::program;
use crate::build::finish::path;
use crate::build::{Error, modules};
use crate::packages::apt;
use crate::recipe::{Format, Recipe};
use crate::tree::{Entry, EntryKind, FileTree, TreePath};

/// A tool sees the image as its root. systemd-firstboot takes no such system for an image: it would look for locales
/// that are compiled, and ask somebody at the terminal. So it is told of a root by another name.
const OTHER_NAME: &str = "--root=/proc/self/root";

/// A larger list of locales is none.
const LIST_LIMIT_BYTES: u64 = 1 << 20;

/// What there is to run.
pub(super) struct SetUp {
    calls: Vec<Call>,
    /// What is missed because a tool is not there, for people.
    pub(super) missing: Vec<String>,
}

/// One call of a tool.
#[derive(Debug, Eq, PartialEq)]
struct Call {
    arguments: Vec<String>,
    /// The statuses besides 0 that are no failure.
    accepted: &'static [u8],
}

/// What systemd-tmpfiles ends with when lines of its files were refused; its own service takes that for success.
const TMPFILES_ACCEPTED: &[u8] = &[65, 73];

/// Directories that belong to the running system.
const EXCLUDED: [&str; 6] = ["/tmp", "/var/tmp", "/run", "/proc", "/sys", "/dev"];

/// Where systemd's tools look for the files that say what they do.
const CONFIGURATION: [&str; 3] = ["etc", "usr/local/lib", "usr/lib"];

impl SetUp {
    /// Returns what there is to run in `tree`, in which the kernels `changed` have lost modules.
    pub(super) fn of(
        tree: &FileTree,
        recipe: &Recipe,
        changed: &BTreeSet<TreePath>,
    ) -> Result<Self, Error> {
        let mut set_up = Self {
            calls: Vec::new(),
            missing: Vec::new(),
        };
        if has_locales(tree)? {
            set_up.add(tree, "locale-gen", "locales are not made", [[""; 0]]);
        }
        if has_files(tree, "sysusers.d") {
            let missed = "system users are not made";
            set_up.add(tree, "systemd-sysusers", missed, [[""; 0]]);
        }
        if has_files(tree, "tmpfiles.d") {
            set_up.add_tmpfiles(tree);
        }
        if has_files(tree, "systemd/system-preset") || has_files(tree, "systemd/user-preset") {
            let calls = [
                vec!["--root=/", "preset-all"],
                vec!["--root=/", "--global", "preset-all"],
            ];
            set_up.add(tree, "systemctl", "units are not enabled by presets", calls);
        }
        if has_files(tree, "udev/hwdb.d") {
            let missed = "the hardware database is not made";
            let call = ["--usr", "--strict", "update"];
            set_up.add(tree, "systemd-hwdb", missed, [call]);
        }
        // A portable service boots on nothing.
        if recipe.format != Format::Portable {
            let kernels = kernels_to_index(tree, changed);
            if !kernels.is_empty() {
                let calls = kernels.iter().map(|kernel| ["--all", kernel]);
                set_up.add(
                    tree,
                    "depmod",
                    "kernel modules are not found by name",
                    calls,
                );
            }
            let settings = first_boot(recipe);
            if !settings.is_empty() {
                let call = [OTHER_NAME, "--force"].into_iter().map(str::to_owned);
                let call: Vec<String> = call.chain(settings).collect();
                let missed = "locale, keymap, time zone and host name are not set";
                set_up.add(tree, "systemd-firstboot", missed, [call]);
            }
        }
        Ok(set_up)
    }

    fn add_tmpfiles(&mut self, tree: &FileTree) {
        let excluded = EXCLUDED.map(|directory| format!("--exclude-prefix={directory}"));
        let options = ["--boot", "--create", "--remove"].map(str::to_owned);
        let call: Vec<_> = options.into_iter().chain(excluded).collect();
        let before = self.calls.len();
        self.add(tree, "systemd-tmpfiles", "directories are not made", [call]);
        for call in &mut self.calls[before..] {
            call.accepted = TMPFILES_ACCEPTED;
        }
    }

    /// Adds calls of a tool, or what is missed without it.
    fn add<C, A>(
        &mut self,
        tree: &FileTree,
        tool: &str,
        missed: &str,
        calls: impl IntoIterator<Item = C>,
    ) where
        C: IntoIterator<Item = A>,
        A: Into<String>,
    {
        let Some(program) = program(tree, tool) else {
            let text = format!("the image has no `{tool}`: {missed}");
            return self.missing.push(text);
        };
        let calls = calls.into_iter().map(|arguments| Call {
            arguments: std::iter::once(program.clone())
                .chain(arguments.into_iter().map(Into::into))
                .collect(),
            accepted: &[],
        });
        self.calls.extend(calls);
    }

    /// Returns the command that makes all calls in the image, one after the other; `None` when there are none.
    pub(super) fn command(&self) -> Option<Vec<String>> {
        if self.calls.is_empty() {
            return None;
        }
        let lines = self.calls.iter().map(|call| {
            let accepted: Vec<_> = call.accepted.iter().map(u8::to_string).collect();
            let arguments: Vec<_> = call.arguments.iter().map(|word| quoted(word)).collect();
            format!("run '{}' {}\n", accepted.join(" "), arguments.join(" "))
        });
        let root = apt::ROOT;
        let script = format!("ROOT={root}\n{RUN}{}", lines.collect::<String>());
        Some(
            ["/bin/sh", "-c", script.as_str(), "set-up"]
                .map(str::to_owned)
                .into(),
        )
    }
}

/// Runs a tool of the image, and says which one it was that failed.
const RUN: &str = "\
run() {
    accepted=\" 0 $1 \"
    shift
    status=0
    chroot \"$ROOT\" \"$@\" </dev/null || status=$?
    case \"$accepted\" in
    *\" $status \"*) ;;
    *)
        echo \"the image's own '$*' exited with status $status\" >&2
        exit \"$status\"
        ;;
    esac
}
";

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Tells whether one of systemd's directories of this name has anything in it.
fn has_files(tree: &FileTree, name: &str) -> bool {
    CONFIGURATION.iter().any(|place| {
        let directory = path(&format!("{place}/{name}"));
        tree.has_children(&directory)
    })
}

/// Tells whether the list of locales to make names any.
fn has_locales(tree: &FileTree) -> Result<bool, Error> {
    let Some(EntryKind::Regular(list)) = tree.get(&path("etc/locale.gen")).map(|entry| &entry.kind)
    else {
        return Ok(false);
    };
    if list.size_bytes() > LIST_LIMIT_BYTES {
        return Ok(false);
    }
    let text = list.read_all()?;
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    Ok(lines.any(|line| !line.is_empty() && !line.starts_with(b"#")))
}

/// Returns the versions of the kernels whose modules have no index, or one that is older than a module.
fn kernels_to_index(tree: &FileTree, changed: &BTreeSet<TreePath>) -> Vec<String> {
    const INDEX: [&str; 4] = [
        "modules.dep",
        "modules.dep.bin",
        "modules.symbols",
        "modules.symbols.bin",
    ];
    let needs_index = |kernel: &TreePath| {
        let file = |name: &str| tree.get(&kernel.join(name.as_bytes()).expect("it is a name"));
        let indexed = file(INDEX[0]).map(|index| index.modified);
        let is_newer = |entry: &Entry| indexed.is_none_or(|indexed| entry.modified > indexed);
        changed.contains(kernel)
            || INDEX.iter().any(|name| file(name).is_none())
            || tree
                .descendants(kernel)
                .any(|(found, entry)| modules::is_module(found) && is_newer(entry))
    };
    // A version that is no text names no kernel.
    let version = |kernel: &TreePath| String::from_utf8(kernel.file_name().to_vec()).ok();
    let kernels = modules::kernels(tree);
    let to_index = kernels.iter().filter(|kernel| needs_index(kernel));
    to_index.filter_map(version).collect()
}

/// Returns what systemd-firstboot is to set.
fn first_boot(recipe: &Recipe) -> Vec<String> {
    let system = &recipe.system;
    let settings = [
        ("locale", &system.locale),
        ("locale-messages", &system.locale_messages),
        ("keymap", &system.keymap),
        ("timezone", &system.timezone),
        ("hostname", &system.hostname),
    ];
    let given = settings.into_iter().filter_map(|(option, value)| {
        let value = value.as_ref()?;
        Some(format!("--{option}={value}"))
    });
    given.collect()
}

#[cfg(test)]
mod tests;
