//! What an image changes outside of the hierarchies of its extension, which nobody gets, and what to do instead.
//!
//! Packages are made to be installed, and their scripts write `/etc` and `/var`. An extension brings neither. Most of
//! it can be said in files that it does bring, which systemd reads where the extension is merged; each kind has its own
//! way. What a boot makes already, because a file of the extension or its base says so, is not told of.

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::{AccountKind, Trees, parse_names};
use super::declared::Declared;
use super::{Error, ExtensionKind};
use crate::tree::{Entry, EntryKind, FileTree, TreePath};

/// What installing packages changes in any case and no other machine needs, each with the reason.
const EXPECTED: [(&str, &str); 34] = [
    ("etc/.pwd.lock", "a lock"),
    ("etc/group-", "a copy of before the last change"),
    ("etc/gshadow-", "a copy of before the last change"),
    ("etc/passwd-", "a copy of before the last change"),
    ("etc/shadow-", "a copy of before the last change"),
    ("etc/subgid-", "a copy of before the last change"),
    ("etc/subuid-", "a copy of before the last change"),
    (
        "etc/init.d",
        "scripts of System V, in place of which systemd starts units",
    ),
    ("etc/rc0.d", "links to such scripts"),
    ("etc/rc1.d", "links to such scripts"),
    ("etc/rc2.d", "links to such scripts"),
    ("etc/rc3.d", "links to such scripts"),
    ("etc/rc4.d", "links to such scripts"),
    ("etc/rc5.d", "links to such scripts"),
    ("etc/rc6.d", "links to such scripts"),
    ("etc/rcS.d", "links to such scripts"),
    ("etc/ld.so.cache", "a cache that the loader can do without"),
    ("etc/machine-id", "the identity of one machine"),
    ("run", "lasts until the next boot"),
    ("tmp", "lasts until the next boot"),
    ("var/cache", "caches, which whoever reads them makes"),
    ("var/lib/apt", "state of the package manager"),
    ("var/lib/dnf", "state of the package manager"),
    ("var/lib/dpkg", "state of the package manager"),
    ("var/lib/pacman", "state of the package manager"),
    ("var/lib/rpm", "state of the package manager"),
    ("var/lib/zypp", "state of the package manager"),
    ("var/lib/pam", "state of a maintainer script"),
    ("var/lib/ucf", "state of a maintainer script"),
    (
        "var/lib/systemd/catalog",
        "a cache, which systemd makes at boot",
    ),
    (
        "var/lib/systemd/deb-systemd-helper-enabled",
        "state of a maintainer script",
    ),
    (
        "var/lib/systemd/deb-systemd-user-helper-enabled",
        "state of a maintainer script",
    ),
    ("var/log", "the log of the build"),
    ("var/tmp", "files of the build"),
];

/// The files of accounts; what they say is told account by account.
const ACCOUNT_FILES: [&str; 6] = [
    "etc/group",
    "etc/gshadow",
    "etc/passwd",
    "etc/shadow",
    "etc/subgid",
    "etc/subuid",
];

/// Directories that every system has, even where no base says so.
const STANDARD: [&str; 19] = [
    "etc",
    "etc/alternatives",
    "etc/default",
    "etc/systemd",
    "etc/systemd/system",
    "etc/systemd/user",
    "home",
    "opt",
    "root",
    "srv",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/sbin",
    "usr/share",
    "var",
    "var/lib",
    "var/opt",
    "var/spool",
];

/// What is left out, by what can be done about it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LeftOutKind {
    /// Users and groups that maintainer scripts made.
    Accounts,
    /// Links by which units are enabled, masked or have another name.
    Units,
    /// Links of `/etc/alternatives`, to which links in `/usr` lead.
    Alternatives,
    /// Files and directories of `/etc` that the base lacks.
    Configuration,
    /// Files of `/etc` that the base has otherwise.
    ChangedConfiguration,
    /// Files and directories of `/var`.
    State,
    /// Whatever lies elsewhere.
    Elsewhere,
}

/// One thing that is left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOutItem {
    /// Of what is new, the topmost directory or file.
    pub path: TreePath,
    /// What it is called where the path does not say it.
    pub name: Option<String>,
    /// Lines of a file, or links, that bring it about where the extension is merged.
    pub remedies: Vec<String>,
}

/// Things of one kind that are left out; there is one at least.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    pub extension: ExtensionKind,
    pub kind: LeftOutKind,
    pub items: Vec<LeftOutItem>,
}

/// Returns what an extension of `kind` lacks of `payload`, which has what was changed of `base`: by kind, and then by path.
///
/// # Errors
/// [`Error::ReadAccounts`] when a file that says what is made at boot cannot be read.
pub fn left_out(
    payload: &FileTree,
    base: Option<&FileTree>,
    kind: ExtensionKind,
) -> Result<Vec<LeftOut>, Error> {
    let declared = Declared::read(payload, base, kind)?;
    let mut found: BTreeMap<LeftOutKind, Vec<LeftOutItem>> = BTreeMap::new();
    let accounts = match kind {
        ExtensionKind::Sysext => accounts(payload, base, &declared)?,
        // Those are in its hierarchy.
        ExtensionKind::Confext => Vec::new(),
    };
    if !accounts.is_empty() {
        found.insert(LeftOutKind::Accounts, accounts);
    }
    let names = Names::read(payload, base)?;
    let expected = Expected::new();
    let standard = STANDARD.map(constant);
    let is_of_base = |path: &TreePath| {
        standard.contains(path) || base.is_some_and(|base| base.get(path).is_some())
    };
    let mut topmost: Option<(LeftOutKind, LeftOutItem)> = None;
    let mut add = |(kind, item)| found.entry(kind).or_default().push(item);
    for (path, entry) in payload.iter().skip(1) {
        let is_leaf = !entry.is_directory() || !payload.has_children(path);
        let is_new = !is_of_base(path);
        // dpkg removes empty directories, which Debian's packages keep so.
        let is_placeholder = path.file_name() == b".placeholder";
        let is_passed = kind.holds(path) || (!is_leaf && !is_new) || expected.holds(path);
        if is_passed || is_placeholder || standard.contains(path) {
            continue;
        }
        let Some(what) = classify(path, entry, is_new) else {
            continue;
        };
        let is_made = declared.makes(path)
            || (what == LeftOutKind::Units && is_enabled_in_usr(path, payload, base));
        // A directory with contents is told when one of them is.
        if is_made {
            continue;
        }
        // What is there keeps tmpfiles.d from copying another in its place.
        let remedy = match is_new || what == LeftOutKind::Alternatives {
            true => remedy(what, path, entry, &names),
            false => None,
        };
        match &mut topmost {
            Some((above, item)) if *above == what && path.starts_with(&item.path) => {
                // A directory of configuration is copied as a whole.
                if what != LeftOutKind::Configuration {
                    item.remedies.extend(remedy);
                }
            }
            _ => {
                topmost.take().filter(is_told).map(&mut add);
                let item = LeftOutItem {
                    path: path.clone(),
                    name: None,
                    remedies: remedy.into_iter().collect(),
                };
                topmost = Some((what, item));
            }
        }
    }
    topmost.filter(is_told).map(&mut add);
    let left_out = |(what, items)| LeftOut {
        extension: kind,
        kind: what,
        items,
    };
    Ok(found.into_iter().map(left_out).collect())
}

/// Directories that are there only for enabled units are no news.
fn is_told((kind, item): &(LeftOutKind, LeftOutItem)) -> bool {
    *kind != LeftOutKind::Units || !item.remedies.is_empty()
}

/// Returns the users and groups that the payload has and nothing makes where it is merged.
fn accounts(
    payload: &FileTree,
    base: Option<&FileTree>,
    declared: &Declared,
) -> Result<Vec<LeftOutItem>, Error> {
    let mut items = Vec::new();
    let mut users = BTreeSet::new();
    for (kind, file) in [
        (AccountKind::User, "etc/passwd"),
        (AccountKind::Group, "etc/group"),
    ] {
        let path = constant(file);
        if payload.get(&path).is_none() {
            continue;
        }
        let before = Trees::of(None, base).read(&path)?;
        let known: BTreeSet<&str> = before.lines().filter_map(name_of).collect();
        for line in Trees::of(Some(payload), base).read(&path)?.lines() {
            let Some(name) = name_of(line).filter(|name| !known.contains(name)) else {
                continue;
            };
            if kind == AccountKind::User {
                users.insert(name.to_owned());
            }
            // A line for a user makes the group of the same name.
            let is_made = declared.accounts.contains(&(kind, name.to_owned()))
                || (kind == AccountKind::Group && users.contains(name));
            if !is_made {
                items.push(LeftOutItem {
                    path: path.clone(),
                    name: Some(format!("{kind} `{name}`")),
                    remedies: vec![sysusers_line(kind, name, line)],
                });
            }
        }
    }
    Ok(items)
}

fn name_of(line: &str) -> Option<&str> {
    let name = line.split(':').next()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}

/// Returns the line of sysusers.d(5) that makes the account of this line of passwd(5) or group(5).
fn sysusers_line(kind: AccountKind, name: &str, line: &str) -> String {
    if kind == AccountKind::Group {
        return format!("g {name} -");
    }
    let fields: Vec<&str> = line.split(':').collect();
    let field = |index: usize| {
        let field = fields.get(index).copied().unwrap_or_default();
        let is_plain = |c: char| !c.is_control() && !"\"\\%".contains(c);
        match field {
            "" => "-".to_owned(),
            _ if !field.chars().all(is_plain) => "-".to_owned(),
            _ if field.contains(' ') => format!("\"{field}\""),
            _ => field.to_owned(),
        }
    };
    format!("u {name} - {} {} {}", field(4), field(5), field(6))
}

/// Tells what kind of thing lies at `path`; `None` for what is told elsewhere.
fn classify(path: &TreePath, entry: &Entry, is_new: bool) -> Option<LeftOutKind> {
    let text = path.as_bytes();
    let below = |directory: &str| path.starts_with(&constant(directory));
    let is_link = matches!(entry.kind, EntryKind::Symlink(_));
    if ACCOUNT_FILES.iter().any(|file| text == file.as_bytes()) {
        return None;
    }
    Some(
        if below("etc/systemd/system") || below("etc/systemd/user") {
            let holds_links = entry.is_directory()
                && [".wants", ".requires", ".upholds"]
                    .iter()
                    .any(|end| text.ends_with(end.as_bytes()));
            match is_link || holds_links {
                true => LeftOutKind::Units,
                false => LeftOutKind::Configuration,
            }
        } else if below("etc/alternatives") {
            LeftOutKind::Alternatives
        } else if below("etc") {
            match is_new {
                true => LeftOutKind::Configuration,
                false => LeftOutKind::ChangedConfiguration,
            }
        } else if below("var") {
            LeftOutKind::State
        } else {
            LeftOutKind::Elsewhere
        },
    )
}

/// Tells whether the link that enables a unit lies in `/usr` as well.
fn is_enabled_in_usr(path: &TreePath, payload: &FileTree, base: Option<&FileTree>) -> bool {
    let shipped = TreePath::new([b"usr/lib/", &path.as_bytes()[b"etc/".len()..]].concat());
    let is_there = |tree: &FileTree, path: &TreePath| {
        tree.get(path).is_some_and(|entry| !entry.is_directory())
    };
    shipped.is_ok_and(|path| {
        is_there(payload, &path) || base.is_some_and(|base| is_there(base, &path))
    })
}

/// Returns the line or link that brings one file or directory about.
fn remedy(kind: LeftOutKind, path: &TreePath, entry: &Entry, names: &Names) -> Option<String> {
    // What cannot be written plainly into a line is left to the person.
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let is_plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_graphic() && !"%\"'\\".contains(c))
    };
    if !is_plain(text) {
        return None;
    }
    let target = match &entry.kind {
        EntryKind::Symlink(target) => Some(
            std::str::from_utf8(target)
                .ok()
                .filter(|target| is_plain(target))?,
        ),
        _ => None,
    };
    match (kind, target) {
        (LeftOutKind::Units, Some(target)) => {
            let shipped = text.strip_prefix("etc/")?;
            let unit = target.rsplit('/').next()?;
            let directory = shipped.rsplit_once('/')?.0;
            let target = match target {
                "/dev/null" => target.to_owned(),
                _ if directory.ends_with("/system") || directory.ends_with("/user") => {
                    unit.to_owned()
                }
                _ => format!("../{unit}"),
            };
            Some(format!("/usr/lib/{shipped} -> {target}"))
        }
        (LeftOutKind::Alternatives, Some(target)) => Some(format!("L+ /{text} - - - - {target}")),
        (LeftOutKind::Configuration | LeftOutKind::State, _) => Some(match (&entry.kind, target) {
            (_, Some(target)) => format!("L /{text} - - - - {target}"),
            (EntryKind::Directory, _) if kind == LeftOutKind::State => {
                let (mode, user, group) = (entry.mode, names.user(entry), names.group(entry));
                format!("d /{text} {mode:04o} {user} {group} -")
            }
            (EntryKind::Directory | EntryKind::Regular(_), _) => format!("C /{text} - - - -"),
            _ => return None,
        }),
        _ => None,
    }
}

/// What users and groups are called.
struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn read(payload: &FileTree, base: Option<&FileTree>) -> Result<Self, Error> {
        let installed = Trees::of(Some(payload), base);
        let names = |file| Ok::<_, Error>(parse_names(&installed.read(&constant(file))?));
        Ok(Self {
            users: names("etc/passwd")?,
            groups: names("etc/group")?,
        })
    }

    fn user(&self, entry: &Entry) -> String {
        shown(&self.users, entry.uid)
    }

    fn group(&self, entry: &Entry) -> String {
        shown(&self.groups, entry.gid)
    }
}

/// Returns the name of an id, or else its number.
fn shown(names: &BTreeMap<u32, String>, id: u32) -> String {
    let name = names.get(&id).and_then(|name| name_of(name));
    match (id, name) {
        (0, _) => "root".to_owned(),
        (_, Some(name)) => name.to_owned(),
        (_, None) => id.to_string(),
    }
}

/// What is expected outside of the hierarchies.
struct Expected([TreePath; EXPECTED.len()]);

impl Expected {
    fn new() -> Self {
        Self(EXPECTED.map(|(path, _)| constant(path)))
    }

    /// Tells whether `path` is expected, or leads to what is.
    fn holds(&self, path: &TreePath) -> bool {
        self.0
            .iter()
            .any(|known| path.starts_with(known) || known.starts_with(path))
    }
}

fn constant(path: &str) -> TreePath {
    TreePath::new(path).expect("a constant path is valid")
}

#[cfg(test)]
mod tests;
