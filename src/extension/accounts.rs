//! The users and groups that a tree knows: `etc/passwd`, `etc/group` and the fixed ids of `sysusers.d`.
//!
//! The files come from untrusted trees. Lines that cannot be understood are passed over, as the programs do that read
//! them on a running system.
//!
//! Specification: passwd(5), group(5), sysusers.d(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Error, ExtensionKind};
use crate::tree::{self, EntryKind, FileTree, TreePath};

/// A file of accounts has a line of some 50 bytes for each; the file is read into memory.
const MAX_FILE_BYTES: u64 = 4 << 20;

const SYSUSERS_DIRECTORIES: [&str; 2] = ["etc/sysusers.d", "usr/lib/sysusers.d"];

/// Whether an id is a user's or a group's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AccountKind {
    User,
    Group,
}

/// What an extension's users and groups are called, and which of them have the same id everywhere.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: Names,
    groups: Names,
}

#[derive(Clone, Debug, Default)]
struct Names {
    /// Those of the extension on its base.
    installed: BTreeMap<u32, String>,
    /// Those of the base alone.
    of_base: BTreeMap<u32, String>,
    /// Ids with the names that `sysusers.d` gives them.
    fixed: BTreeSet<(u32, String)>,
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

impl Accounts {
    /// Reads those of `payload`, from which an extension of `kind` will be taken, on `base`.
    ///
    /// # Errors
    /// [`Error::ReadAccounts`] when a file cannot be read.
    pub fn read(
        payload: &FileTree,
        base: Option<&FileTree>,
        kind: ExtensionKind,
    ) -> Result<Self, Error> {
        let installed = Trees(Some(payload), base);
        let base_alone = Trees(None, base);
        let mut accounts = Self::default();
        // The third field is the id in both files.
        for (file, names) in [
            ("etc/passwd", &mut accounts.users),
            ("etc/group", &mut accounts.groups),
        ] {
            let file = constant(file);
            names.installed = parse_names(&installed.read(&file)?);
            names.of_base = parse_names(&base_alone.read(&file)?);
        }
        for directory in SYSUSERS_DIRECTORIES {
            let trees = Trees::merged(payload, base, kind, directory);
            for text in trees.texts(directory, b".conf")? {
                accounts.fix(&text);
            }
        }
        Ok(accounts)
    }

    /// Returns what the account is called.
    pub(super) fn name(&self, kind: AccountKind, id: u32) -> Option<&str> {
        self.of(kind).installed.get(&id).map(String::as_str)
    }

    /// Tells whether the base has that account with the same name.
    pub(super) fn is_of_base(&self, kind: AccountKind, id: u32) -> bool {
        let names = self.of(kind);
        let name = names.of_base.get(&id);
        name.is_some() && name == names.installed.get(&id)
    }

    /// Tells whether `sysusers.d` gives the account its id, on every machine that has the extension.
    pub(super) fn is_fixed(&self, kind: AccountKind, id: u32) -> bool {
        let names = self.of(kind);
        match names.installed.get(&id) {
            Some(name) => names.fixed.contains(&(id, name.clone())),
            None => names.fixed.iter().any(|(fixed, _)| *fixed == id),
        }
    }

    fn of(&self, kind: AccountKind) -> &Names {
        match kind {
            AccountKind::User => &self.users,
            AccountKind::Group => &self.groups,
        }
    }

    /// Takes the ids that the text of a `sysusers.d` file fixes.
    fn fix(&mut self, text: &str) {
        for line in text.lines() {
            let mut fields = line.split_whitespace().map(|field| field.trim_matches('"'));
            let (Some(line_type), Some(name), Some(id)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            // A specifier (`%`) stands for what only the running system knows.
            if name.contains('%') {
                continue;
            }
            // After a colon comes the user's group, which another line makes.
            let (first, has_own_group) = match id.split_once(':') {
                Some((first, _)) => (first, false),
                None => (id, true),
            };
            let Ok(id) = first.parse() else { continue };
            match line_type {
                // `!` locks the account.
                "u" | "u!" => {
                    self.users.fixed.insert((id, name.to_owned()));
                    if has_own_group {
                        self.groups.fixed.insert((id, name.to_owned()));
                    }
                }
                "g" => {
                    self.groups.fixed.insert((id, name.to_owned()));
                }
                _ => {}
            }
        }
    }
}

/// A payload over its base, each of which may be absent.
#[derive(Clone, Copy)]
pub(super) struct Trees<'a>(Option<&'a FileTree>, Option<&'a FileTree>);

impl<'a> Trees<'a> {
    pub(super) fn of(payload: Option<&'a FileTree>, base: Option<&'a FileTree>) -> Self {
        Self(payload, base)
    }

    /// Returns what is there of `directory` when an extension of `kind` made of `payload` is merged on `base`: what the
    /// extension does not ship counts for nothing.
    pub(super) fn merged(
        payload: &'a FileTree,
        base: Option<&'a FileTree>,
        kind: ExtensionKind,
        directory: &str,
    ) -> Self {
        let shipped = kind.hierarchies().contains(&first_name(directory));
        Self(shipped.then_some(payload), base)
    }

    /// Returns the texts of the files that lie directly in `directory` and have names with that end, sorted by name.
    pub(super) fn texts(&self, directory: &str, end: &[u8]) -> Result<Vec<String>, Error> {
        let files = self.files(&constant(directory), end);
        files.iter().map(|file| self.read(file)).collect()
    }

    /// Returns the text of a file behind whatever links; empty when there is none that fits.
    pub(super) fn read(&self, path: &TreePath) -> Result<String, Error> {
        let find = |path: &TreePath| {
            let upper = self.0.and_then(|tree| tree.get(path));
            upper.or_else(|| self.1?.get(path))
        };
        let found = tree::resolve(path, find).ok();
        let kind = found.and_then(|resolved| Some(&find(&resolved.path)?.kind));
        let content = match kind {
            Some(EntryKind::Regular(content)) if content.size_bytes() <= MAX_FILE_BYTES => content,
            _ => return Ok(String::new()),
        };
        let bytes = content.read_all().map_err(|source| Error::ReadAccounts {
            path: content.location(),
            source,
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns what lies directly in `directory` and has a name with that end, sorted.
    fn files(&self, directory: &TreePath, end: &[u8]) -> BTreeSet<TreePath> {
        let trees = [self.0, self.1].into_iter().flatten();
        trees
            .flat_map(|tree| tree.descendants(directory))
            .map(|(path, _)| path)
            .filter(|path| path.parent().as_ref() == Some(directory))
            .filter(|path| path.file_name().ends_with(end))
            .cloned()
            .collect()
    }
}

/// Reads `name:password:id:...` lines; of several names with one id the first counts, as for getpwuid(3).
pub(super) fn parse_names(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, id) = (fields.next(), fields.nth(1));
        if let (Some(name), Some(Ok(id))) = (name, id.map(str::parse)) {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

fn first_name(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn constant(path: &str) -> TreePath {
    TreePath::new(path).expect("a constant path is valid")
}
