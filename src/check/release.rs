//! Which hosts the extension says that it fits, field by field, and whether this host is one.
//!
//! The rules are those of `extension_release_validate()` and `extension_has_forbidden_content()` of systemd, in their order:
//! scope, architecture, `ID=`, then the level where both have one, else the version.

use serde::Serialize;

use super::report::{Host, Subject};
use super::{Error, Finding};
use crate::extension::{ExtensionKind, OsRelease, parse_os_release, release_path};
use crate::tree::{Entry, FileTree, TreePath};

/// Fits every system.
const ANY: &str = "_any";
/// With the value `0` a file counts whatever the image is called (systemd-sysext(8)).
const STRICT: &[u8] = b"user.extension-release.strict";
/// What an extension fits that does not say it (os-release(5)).
const DEFAULT_SCOPE: &str = "system portable";
const PREFIX: &[u8] = b"extension-release.";

/// How one field was compared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Comparison {
    pub field: &'static str,
    /// What the extension says, and what the host does.
    pub extension: Option<String>,
    pub host: Option<String>,
    pub verdict: Verdict,
    /// By which rule.
    pub reason: &'static str,
}

/// What comes of comparing a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Fits,
    Differs,
    /// The field does not count here.
    Ignored,
    /// The host does not say.
    Unknown,
}

/// What the extension says of itself.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) kind: ExtensionKind,
    /// `None` when nothing that counts was found.
    pub(super) file: Option<TreePath>,
    pub(super) release: OsRelease,
}

/// Returns the name by which systemd knows the image of that file.
pub(super) fn name_of(file: &str) -> &str {
    let without = file.strip_suffix(".raw").unwrap_or(file);
    let kinds = [".sysext", ".confext"];
    let found = kinds.iter().find_map(|kind| without.strip_suffix(kind));
    // The second suffix counts only before the first.
    found
        .filter(|_| without.len() < file.len())
        .unwrap_or(without)
}

/// Returns of which kind an extension is: by its extension-release files, else by its hierarchies.
pub(super) fn kind_of(tree: &FileTree) -> ExtensionKind {
    let [sysext, confext] = [ExtensionKind::Sysext, ExtensionKind::Confext];
    let has_release = |kind| !candidates(tree, kind).is_empty();
    let has_hierarchy = |kind: ExtensionKind| tree.iter().skip(1).any(|(path, _)| kind.holds(path));
    let is_confext = match (has_release(sysext), has_release(confext)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => !has_hierarchy(sysext) && has_hierarchy(confext),
    };
    if is_confext { confext } else { sysext }
}

fn candidates(tree: &FileTree, kind: ExtensionKind) -> Vec<(&TreePath, &Entry)> {
    let directory = TreePath::new(kind.release_directory()).expect("a constant path is valid");
    let mut children = tree.children(&directory);
    children.retain(|(path, entry)| path.file_name().starts_with(PREFIX) && !entry.is_directory());
    children
}

/// Finds and reads the extension-release file that systemd takes.
pub(super) fn describe(
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Described, Error> {
    let kind = kind_of(subject.tree);
    let mut described = Described {
        kind,
        file: find(subject, kind, findings),
        release: OsRelease::default(),
    };
    let os_release = TreePath::new("usr/lib/os-release").expect("a constant path is valid");
    if subject.tree.get(&os_release).is_some() {
        let reason = "systemd refuses an extension that has an os-release file of its own";
        let remedy = "leave it out; a portable service or a whole system is no extension";
        findings.push(
            Finding::new("os-release-shipped", reason)
                .remedy(remedy)
                .at(&os_release),
        );
    }
    if let Some(file) = &described.file {
        let text = subject
            .tree
            .get(file)
            .map(super::merged::text)
            .transpose()?;
        described.release = parse_os_release(&text.flatten().unwrap_or_default());
    }
    Ok(described)
}

fn find(
    subject: &Subject<'_>,
    kind: ExtensionKind,
    findings: &mut Vec<Finding>,
) -> Option<TreePath> {
    let name = name_of(subject.name);
    let own = release_path(kind, name).ok();
    if let Some(own) = own.filter(|own| {
        subject
            .tree
            .get(own)
            .is_some_and(|entry| !entry.is_directory())
    }) {
        return Some(own);
    }
    let candidates = candidates(subject.tree, kind);
    let shortened = name.split(['_', '+']).next().unwrap_or(name);
    let is_short = |path: &TreePath| path.file_name()[PREFIX.len()..] == *shortened.as_bytes();
    let is_lax = |entry: &Entry| entry.xattrs.get(STRICT).is_some_and(|value| value == b"0");
    let fitting: Vec<_> = candidates
        .iter()
        .filter(|(path, entry)| is_short(path) || is_lax(entry))
        .collect();
    let directory = kind.release_directory();
    match fitting.as_slice() {
        [] => {
            let found = candidates
                .first()
                .map(|(path, _)| String::from_utf8_lossy(path.file_name()));
            let reason = match &found {
                Some(found) => format!(
                    "the image is called `{name}`, so that systemd looks for `/{directory}/extension-release.{name}`, and \
                     there is only `{found}`"
                ),
                None => format!(
                    "systemd looks for `/{directory}/extension-release.{name}`, and does not merge what has none"
                ),
            };
            let remedy = match found {
                Some(found) => format!(
                    "call the image `{}.raw`: of what follows the name only `_VERSION` is passed over",
                    found.trim_start_matches("extension-release.")
                ),
                None => "make it an extension, with `Format=sysext` or `Format=confext`".to_owned(),
            };
            let items = candidates
                .iter()
                .map(|(path, _)| super::finding::item(path, None));
            findings.push(
                Finding::new("release-missing", reason)
                    .remedy(remedy)
                    .items(items),
            );
            None
        }
        [(path, _)] => {
            let reason = match is_short(path) {
                true => {
                    "what follows `_` or `+` in the image's name is passed over by systemd 254 and later; 252 refuses it"
                }
                false => {
                    "its attribute `user.extension-release.strict` tells systemd to pass over its name"
                }
            };
            findings.push(Finding::new("release-name", reason).at(path));
            Some((*path).clone())
        }
        several => {
            let items = several
                .iter()
                .map(|(path, _)| super::finding::item(path, None));
            let reason =
                "several extension-release files fit the image's name as well as each other";
            let remedy = format!("leave only `extension-release.{name}` there");
            findings.push(
                Finding::new("release-ambiguous", reason)
                    .remedy(remedy)
                    .items(items),
            );
            None
        }
    }
}

/// Compares what the extension says with the host.
pub(super) fn compare(
    described: &Described,
    host: &Host<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Comparison> {
    let Some(file) = &described.file else {
        return Vec::new();
    };
    let mut comparing = Comparing {
        described,
        file,
        host,
        done: Vec::new(),
        findings,
    };
    comparing.scope();
    comparing.architecture();
    comparing.distribution();
    if host.release.is_none() {
        let reason = "no os-release of a host was given, so that nothing was compared with what the extension says";
        let remedy = "name the host's tree, image or os-release with `--against`";
        comparing.found(Finding::new("host-unknown", reason).remedy(remedy));
    }
    comparing.done
}

struct Comparing<'a> {
    described: &'a Described,
    file: &'a TreePath,
    host: &'a Host<'a>,
    done: Vec<Comparison>,
    findings: &'a mut Vec<Finding>,
}

impl Comparing<'_> {
    fn of_extension(&self, key: &str) -> Option<String> {
        self.described.release.get(key).map(str::to_owned)
    }

    fn of_host(&self, key: &str) -> Option<String> {
        self.host.release.as_ref()?.get(key).map(str::to_owned)
    }

    fn found(&mut self, finding: Finding) {
        self.findings.push(finding.at(self.file));
    }

    fn row(
        &mut self,
        field: &'static str,
        [extension, host]: [Option<String>; 2],
        verdict: Verdict,
        reason: &'static str,
    ) {
        self.done.push(Comparison {
            field,
            extension,
            host,
            verdict,
            reason,
        });
    }

    fn scope(&mut self) {
        let key = self.described.kind.scope_variable();
        let scope = self.of_extension(key);
        let host = if self.host.is_initrd {
            "initrd"
        } else {
            "system"
        };
        let shown = scope.clone().unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
        let fits = shown.split_whitespace().any(|word| word == host);
        let verdict = if fits {
            Verdict::Fits
        } else {
            Verdict::Differs
        };
        let reason = match scope {
            Some(_) => "it must name the kind of system",
            None => "where it is not said, system and portable are meant",
        };
        self.row(key, [scope, Some(host.to_owned())], verdict, reason);
        if !fits {
            let reason = format!("it is for `{shown}`, and this is of the kind `{host}`");
            let remedy = format!("add `{host}` to `{key}=`");
            self.found(Finding::new("scope-differs", reason).remedy(remedy));
        }
    }

    fn architecture(&mut self) {
        const KEY: &str = "ARCHITECTURE";
        let (mine, host) = (self.of_extension(KEY), self.host.architecture.clone());
        let both = [mine.clone(), host.clone()];
        match (mine, host) {
            (None, _) => self.row(
                KEY,
                both,
                Verdict::Ignored,
                "where it is not said, any will do",
            ),
            (Some(mine), _) if mine == ANY => {
                self.row(KEY, both, Verdict::Fits, "`_any` fits every architecture");
            }
            (Some(_), None) => {
                self.row(KEY, both, Verdict::Unknown, "the host's is not known");
                if self.host.release.is_some() {
                    let reason = "the host's architecture is not known, and was not compared";
                    let remedy = "say it with `--architecture`";
                    self.found(Finding::new("host-unknown", reason).remedy(remedy));
                }
            }
            (Some(mine), Some(host)) => {
                let fits = mine == host;
                let verdict = if fits {
                    Verdict::Fits
                } else {
                    Verdict::Differs
                };
                self.row(KEY, both, verdict, "it must be the host's");
                if !fits {
                    let reason = format!("it is for `{mine}`, and the host is `{host}`");
                    let remedy = format!("build it for `{host}`, with `Architecture=`");
                    self.found(Finding::new("architecture-differs", reason).remedy(remedy));
                }
            }
        }
    }

    fn distribution(&mut self) {
        let both = [self.of_extension("ID"), self.of_host("ID")];
        let Some(id) = both[0].clone() else {
            self.row("ID", both, Verdict::Differs, "it must be said");
            let reason = "it does not say `ID=`, and systemd merges only what does";
            let remedy = "add the `ID=` of the host's os-release";
            self.found(Finding::new("id-missing", reason).remedy(remedy));
            return;
        };
        if id == ANY {
            self.row(
                "ID",
                both,
                Verdict::Fits,
                "`_any` fits every system; level and version do not count",
            );
            let reason =
                "with `ID=_any` it is merged on every distribution and release, whatever it needs";
            let remedy = "say for which it is, unless nothing in it depends on the base";
            self.found(Finding::new("fits-anything", reason).remedy(remedy));
            return;
        }
        let Some(release) = &self.host.release else {
            self.row("ID", both, Verdict::Unknown, "no host was given");
            return;
        };
        // os-release(5): a host that does not say it is `linux`.
        let host = release.get("ID").unwrap_or("linux").to_owned();
        let is_like = release
            .get("ID_LIKE")
            .is_some_and(|like| like.split_whitespace().any(|like| like == id));
        if id == host {
            self.row("ID", both, Verdict::Fits, "it must be the host's");
        } else if is_like {
            self.row(
                "ID",
                both,
                Verdict::Fits,
                "it is in the host's `ID_LIKE=`, which systemd 257 and later accept",
            );
            let reason = format!(
                "it is for `{id}`, and the host is `{host}`, which is like it: older versions of systemd than 257 refuse it"
            );
            let remedy = format!("build it for `{host}`");
            self.found(Finding::new("id-like", reason).remedy(remedy));
        } else {
            self.row(
                "ID",
                both,
                Verdict::Differs,
                "it must be the host's, or in its `ID_LIKE=`",
            );
            let reason = format!("it is for `{id}`, and the host is `{host}`");
            let remedy = format!("build it for `{host}`, on the host's base");
            self.found(Finding::new("id-differs", reason).remedy(remedy));
            return;
        }
        self.release();
    }

    /// Compares the level where both have one, else the version.
    fn release(&mut self) {
        let key = match self.described.kind {
            ExtensionKind::Sysext => "SYSEXT_LEVEL",
            ExtensionKind::Confext => "CONFEXT_LEVEL",
        };
        let levels = [self.of_extension(key), self.of_host(key)];
        let versions = [self.of_extension("VERSION_ID"), self.of_host("VERSION_ID")];
        if let [Some(mine), Some(host)] = &levels {
            let fits = mine == host;
            let verdict = if fits {
                Verdict::Fits
            } else {
                Verdict::Differs
            };
            let reason = format!("its `{key}=` is `{mine}`, and the host's is `{host}`");
            let remedy = format!("build it for the host's level, with `{key}={host}`");
            self.row(
                key,
                levels,
                verdict,
                "where both have one, it must be equal",
            );
            self.row(
                "VERSION_ID",
                versions,
                Verdict::Ignored,
                "the level counts in its place",
            );
            if !fits {
                self.found(Finding::new("level-differs", reason).remedy(remedy));
            }
            return;
        }
        self.row(
            key,
            levels,
            Verdict::Ignored,
            "it counts only where both have one",
        );
        match versions.clone() {
            [_, None] => {
                let reason = "the host has none, as one that is updated without releases";
                self.row("VERSION_ID", versions, Verdict::Ignored, reason);
            }
            [mine, Some(host)] => {
                let fits = mine.as_ref() == Some(&host);
                let verdict = if fits {
                    Verdict::Fits
                } else {
                    Verdict::Differs
                };
                self.row(
                    "VERSION_ID",
                    versions,
                    verdict,
                    "it must be equal where the host has one",
                );
                if !fits {
                    let reason = match mine {
                        Some(mine) => {
                            format!("it is for the release `{mine}`, and the host has `{host}`")
                        }
                        None => format!("it names no release, and the host has `{host}`"),
                    };
                    let remedy = format!(
                        "build it for `VERSION_ID={host}`, or give both the same `{key}=` if it works on several releases"
                    );
                    self.found(Finding::new("version-differs", reason).remedy(remedy));
                }
            }
        }
    }
}
