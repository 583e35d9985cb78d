//! What the files of a merged extension have systemd make at boot: accounts, and files and directories outside of `/usr`.
//!
//! The files come from untrusted trees. Lines that cannot be understood declare nothing.
//!
//! Specification: sysusers.d(5), tmpfiles.d(5), and the directories of systemd.exec(5).

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::{AccountKind, Trees};
use super::{Error, ExtensionKind};
use crate::tree::{FileTree, TreePath};

/// What is made at boot where the extension is merged on its base.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(super) accounts: BTreeSet<(AccountKind, String)>,
    /// With whether all that lies below is made too.
    paths: BTreeMap<TreePath, bool>,
}

/// The directories of a service that systemd makes before it starts it, and where (systemd.exec(5)).
const SERVICE_DIRECTORIES: [(&str, &str); 4] = [
    ("StateDirectory", "var/lib"),
    ("CacheDirectory", "var/cache"),
    ("LogsDirectory", "var/log"),
    ("ConfigurationDirectory", "etc"),
];

impl Declared {
    /// Reads what `payload` on `base` declares, in the files that are there when an extension of `kind` is merged.
    pub(crate) fn read(
        payload: &FileTree,
        base: Option<&FileTree>,
        kind: ExtensionKind,
    ) -> Result<Self, Error> {
        let mut declared = Self::default();
        let texts =
            |directory, end| Trees::merged(payload, base, kind, directory).texts(directory, end);
        for directory in ["etc/sysusers.d", "usr/lib/sysusers.d"] {
            for text in texts(directory, b".conf".as_slice())? {
                text.lines().for_each(|line| declared.account(line));
            }
        }
        for directory in ["etc/tmpfiles.d", "usr/lib/tmpfiles.d"] {
            for text in texts(directory, b".conf")? {
                text.lines().for_each(|line| declared.tmpfile(line));
            }
        }
        for directory in ["etc/systemd/system", "usr/lib/systemd/system"] {
            for text in texts(directory, b".service")? {
                text.lines().for_each(|line| declared.service(line));
            }
        }
        Ok(declared)
    }

    /// Tells whether `path` is made at boot.
    pub(crate) fn makes(&self, path: &TreePath) -> bool {
        self.paths.contains_key(path)
            || std::iter::successors(path.parent(), TreePath::parent)
                .any(|parent| self.paths.get(&parent) == Some(&true))
    }

    /// Returns the accounts that are made at boot.
    pub(crate) fn accounts(&self) -> &BTreeSet<(AccountKind, String)> {
        &self.accounts
    }

    fn account(&mut self, line: &str) {
        let mut fields = line.split_whitespace().map(|field| field.trim_matches('"'));
        let (Some(line_type), Some(name)) = (fields.next(), fields.next()) else {
            return;
        };
        match line_type.trim_end_matches('!') {
            "u" => {
                self.accounts.insert((AccountKind::User, name.to_owned()));
                self.accounts.insert((AccountKind::Group, name.to_owned()));
            }
            "g" => {
                self.accounts.insert((AccountKind::Group, name.to_owned()));
            }
            _ => {}
        }
    }

    fn tmpfile(&mut self, line: &str) {
        let mut fields = line.split_whitespace().map(|field| field.trim_matches('"'));
        let (Some(line_type), Some(path)) = (fields.next(), fields.next()) else {
            return;
        };
        // A specifier (`%`) stands for what only the running system knows.
        if !line_type.starts_with(|letter| "fFdDvqQLpcbC".contains(letter)) || path.contains('%') {
            return;
        }
        if let Ok(path) = TreePath::new(path) {
            let copies = line_type.starts_with(['C', 'L']);
            *self.paths.entry(path).or_default() |= copies;
        }
    }

    fn service(&mut self, line: &str) {
        let Some((key, value)) = line.split_once('=') else {
            return;
        };
        let known = SERVICE_DIRECTORIES
            .iter()
            .find(|(name, _)| *name == key.trim());
        let Some((_, parent)) = known else { return };
        for name in value.split_whitespace() {
            // After a colon comes the name of a link to it.
            let name = name.split(':').next().unwrap_or(name);
            if !name.contains('%')
                && let Ok(path) = TreePath::new(format!("{parent}/{name}"))
            {
                self.paths.entry(path).or_default();
            }
        }
    }
}
