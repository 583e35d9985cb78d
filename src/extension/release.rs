//! The extension-release file: which systems an extension fits.

use std::path::PathBuf;

use super::{ExtensionKind, OsRelease, parse_os_release};
use crate::Hint;
use crate::recipe::ExtensionSettings;
use crate::tree::{
    Content, ContentError, Entry, EntryKind, FileTree, InsertError, InvalidTreePath, Timestamp,
    TreePath,
};

/// The kinds of system that may merge an extension, unless the recipe says otherwise; mkosi's default.
const DEFAULT_SCOPE: &str = "initrd system portable";

/// An extension with this `ID=` fits every system.
const ANY: &str = "_any";

/// An os-release is a few hundred bytes. The file comes from an untrusted tree and is read into memory.
const MAX_RELEASE_BYTES: u64 = 1 << 20;

/// What goes into an extension-release file.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    pub kind: ExtensionKind,
    /// The base tree's os-release; `None` for an extension that is built on nothing, which then fits every system.
    pub base: Option<&'a OsRelease>,
    /// The extension-release file that the payload ships, whose keys win.
    pub shipped: Option<&'a OsRelease>,
    /// `ImageId=` and `ImageVersion=`.
    pub image_id: Option<&'a str>,
    pub image_version: Option<&'a str>,
    /// `SYSEXT_SCOPE` or `CONFEXT_SCOPE` of `Environment=`; `None` means initrd, system and portable services.
    pub scope: Option<&'a str>,
    /// systemd's name, such as `x86-64`.
    pub architecture: &'a str,
    /// What the recipe says of the file; a shipped file must not say otherwise.
    pub settings: &'a ExtensionSettings,
}

/// An extension cannot be described or completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the tree has neither `usr/lib/os-release` nor `etc/os-release`")]
    NoOsRelease,
    #[error("`{path}` is not a regular file that can be read as a release file: {reason}")]
    UnfitReleaseFile {
        path: TreePath,
        reason: &'static str,
    },
    #[error("reading the release file `{path}`")]
    ReadRelease { path: PathBuf, source: ContentError },
    #[error(
        "`{value}` cannot be the value of `{key}` in a release file: it holds a control character"
    )]
    InvalidValue { key: String, value: String },
    #[error(
        "`{setting}=` asks for `{key}={value}`, and the extension-release file that the extension ships has \
         `{key}={shipped}`"
    )]
    ContraryRelease {
        setting: &'static str,
        key: String,
        value: String,
        shipped: String,
    },
    #[error("`{output}` cannot be the name of an extension")]
    InvalidName {
        output: String,
        source: InvalidTreePath,
    },
    #[error("reading the users or groups in `{path}`")]
    ReadAccounts { path: PathBuf, source: ContentError },
    #[error("adding `/{path}` to the extension")]
    InsertRelease { path: TreePath, source: InsertError },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoOsRelease => Some(
                "an extension is matched to its base by that file: install the package that ships it in the base, \
                 such as `base-files` or `filesystem`"
                    .into(),
            ),
            Self::ContraryRelease { key, setting, .. } => {
                Some(format!("remove `{key}=` from the shipped file, or `{setting}=` from the recipe"))
            }
            _ => None,
        }
    }
}

/// Returns where the extension-release file of the image `output` is.
///
/// # Errors
/// [`Error::InvalidName`] when `output` cannot be part of a file name.
pub fn release_path(kind: ExtensionKind, output: &str) -> Result<TreePath, Error> {
    TreePath::new(kind.release_directory())
        .and_then(|directory| directory.join(format!("extension-release.{output}").as_bytes()))
        .map_err(|source| {
            let output = output.into();
            Error::InvalidName { output, source }
        })
}

/// Returns the os-release of a base tree.
///
/// # Errors
/// [`Error::NoOsRelease`] when there is none, another [`Error`] when it cannot be read.
pub fn read_os_release(base: &FileTree) -> Result<OsRelease, Error> {
    // systemd's order: what is compared at run time is the host's /etc/os-release where there is one.
    for candidate in ["etc/os-release", "usr/lib/os-release"] {
        let path = TreePath::new(candidate).expect("a constant path is valid");
        if let Some(found) = base.resolve(&path) {
            return read_release(base, &found);
        }
    }
    Err(Error::NoOsRelease)
}

/// Returns the extension-release file that `payload` already holds for the image `output`.
///
/// # Errors
/// An [`Error`] when there is one and it cannot be read.
pub fn read_shipped_release(
    payload: &FileTree,
    kind: ExtensionKind,
    output: &str,
) -> Result<Option<OsRelease>, Error> {
    let path = release_path(kind, output)?;
    match payload.get(&path) {
        None => Ok(None),
        Some(_) => read_release(payload, &path).map(Some),
    }
}

/// Returns the text of an extension-release file, its keys in mkosi's order and those that mkosi does not know last.
///
/// # Errors
/// [`Error::InvalidValue`] when a value would break out of its line, and [`Error::ContraryRelease`] when a setting and
/// a shipped file disagree.
pub fn extension_release(release: &Release<'_>) -> Result<String, Error> {
    let mut text = release.shipped.cloned().unwrap_or_default();
    for Assignment {
        key,
        value,
        setting,
    } in assignments(release)
    {
        if value.chars().any(char::is_control) {
            let value = value.escape_default().to_string();
            return Err(Error::InvalidValue { key, value });
        }
        if let (Some(setting), Some(shipped)) = (setting, text.get(&key))
            && shipped != value
        {
            return Err(Error::ContraryRelease {
                setting,
                shipped: shipped.to_owned(),
                key,
                value,
            });
        }
        text.set_default(&key, &value);
    }
    Ok(text.to_string())
}

/// A line of an extension-release file.
struct Assignment {
    key: String,
    value: String,
    /// The setting of the recipe that asks for it, if one does.
    setting: Option<&'static str>,
}

/// Returns what an extension-release file says that ships nothing itself.
fn assignments(release: &Release<'_>) -> Vec<Assignment> {
    let settings = release.settings;
    let prefix = release.kind.key_prefix();
    let own = |end: &str| format!("{prefix}_{end}");
    // What fits every system is matched by neither level nor version, so that those of the base only mislead.
    let base = release.base.filter(|_| settings.id.as_deref() != Some(ANY));
    let of_base = |key: &str| base.and_then(|base| base.get(key)).map(str::to_owned);
    let scope = settings.scope.join(" ");
    let is_set = |value: &str| !value.is_empty();
    let restarted = settings.restart_units.join(" ");
    let reloaded = settings.reload_or_restart_units.join(" ");
    let reload = settings
        .reload_manager
        .map(|reload| u8::from(reload).to_string());

    let mut lines = Vec::new();
    let mut line = |key: String, set: Option<(&'static str, String)>, otherwise: Option<String>| {
        let (setting, value) = match set {
            Some((setting, value)) => (Some(setting), Some(value)),
            None => (None, otherwise),
        };
        lines.extend(value.map(|value| Assignment {
            key,
            value,
            setting,
        }));
    };
    let id = of_base("ID").unwrap_or_else(|| ANY.to_owned());
    line(
        "ID".into(),
        settings.id.clone().map(|id| ("ExtensionId", id)),
        Some(id),
    );
    line(
        own("LEVEL"),
        settings
            .level
            .clone()
            .map(|level| ("ExtensionLevel", level)),
        of_base(&own("LEVEL")),
    );
    line("VERSION_ID".into(), None, of_base("VERSION_ID"));
    line(own("ID"), None, release.image_id.map(str::to_owned));
    line(
        own("VERSION_ID"),
        None,
        release.image_version.map(str::to_owned),
    );
    line(
        own("SCOPE"),
        is_set(&scope).then_some(("ExtensionScope", scope)),
        Some(release.scope.unwrap_or(DEFAULT_SCOPE).to_owned()),
    );
    line(
        "ARCHITECTURE".into(),
        None,
        Some(release.architecture.to_owned()),
    );
    line(
        "EXTENSION_RELOAD_MANAGER".into(),
        reload.map(|reload| ("ReloadManager", reload)),
        None,
    );
    line(
        "EXTENSION_RESTART_UNITS".into(),
        is_set(&restarted).then_some(("RestartUnits", restarted)),
        None,
    );
    line(
        "EXTENSION_RELOAD_OR_RESTART_UNITS".into(),
        is_set(&reloaded).then_some(("ReloadOrRestartUnits", reloaded)),
        None,
    );
    lines
}

/// Adds the extension-release file of the image `output` with `text`, and the directories above it that are missing.
///
/// What is added belongs to root and has the time `modified`. A shipped file keeps its extended attributes, of which
/// `user.extension-release.strict` tells systemd to ignore the file's name.
///
/// # Errors
/// [`Error::InsertRelease`] when something that is no directory is in the way, [`Error::InvalidName`] for `output`.
pub fn file_tree_with_release(
    mut tree: FileTree,
    kind: ExtensionKind,
    output: &str,
    text: &str,
    modified: Timestamp,
) -> Result<FileTree, Error> {
    let path = release_path(kind, output)?;
    insert_parents(&mut tree, &path, modified)?;
    let kind = EntryKind::Regular(Content::from_bytes(text.as_bytes()));
    let mut entry = Entry::new(kind, 0o644, modified);
    if let Some(shipped) = tree.get(&path) {
        entry.xattrs = shipped.xattrs.clone();
    }
    insert(&mut tree, path, entry)?;
    Ok(tree)
}

fn insert_parents(tree: &mut FileTree, path: &TreePath, modified: Timestamp) -> Result<(), Error> {
    let mut missing = Vec::new();
    let mut next = path.parent();
    while let Some(directory) = next {
        if tree.get(&directory).is_some() {
            break;
        }
        next = directory.parent();
        missing.push(directory);
    }
    missing
        .into_iter()
        .rev()
        .try_for_each(|directory| insert(tree, directory, Entry::directory(modified)))
}

fn insert(tree: &mut FileTree, path: TreePath, entry: Entry) -> Result<(), Error> {
    tree.insert(path.clone(), entry)
        .map_err(|source| Error::InsertRelease { path, source })
}

fn read_release(tree: &FileTree, path: &TreePath) -> Result<OsRelease, Error> {
    let unfit = |reason| Error::UnfitReleaseFile {
        path: path.clone(),
        reason,
    };
    let Some(EntryKind::Regular(content)) = tree.get(path).map(|entry| &entry.kind) else {
        return Err(unfit("it is of another type"));
    };
    if content.size_bytes() > MAX_RELEASE_BYTES {
        return Err(unfit("it is larger than 1 MiB"));
    }
    let bytes = content.read_all().map_err(|source| {
        let path = content.location();
        Error::ReadRelease { path, source }
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unfit("it is not UTF-8"))?;
    Ok(parse_os_release(text))
}

#[cfg(test)]
mod tests;
