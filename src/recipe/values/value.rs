//! What text stands for.

use std::fmt;
use std::path::{Path, PathBuf};

/// A setting that may be left to the program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Feature {
    #[default]
    Auto,
    Enabled,
    Disabled,
}

/// A directory or archive copied into an image, or shown to programs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreeSource {
    /// The absolute path on the host.
    pub source: PathBuf,
    /// The path in the image; `None` is its root.
    pub target: Option<PathBuf>,
}

impl TreeSource {
    /// Returns the path in the image.
    pub fn target(&self) -> &Path {
        self.target.as_deref().unwrap_or(Path::new("/"))
    }
}

/// A credential for a running image: a value, or the path of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    pub name: String,
    pub value: Option<String>,
    pub path: Option<PathBuf>,
}

/// A drive for a running image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drive {
    pub id: String,
    pub size_bytes: u64,
    pub directory: Option<PathBuf>,
    pub options: Option<String>,
    pub file_id: String,
    pub flags: Vec<String>,
}

/// A profile of a unified kernel image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UkiProfile {
    /// The file it was read from.
    pub path: PathBuf,
    pub profile: Vec<(String, String)>,
    pub command_line: Vec<String>,
    pub sign_expected_pcr: bool,
}

/// One value. A collection is several of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    Boolean(bool),
    Feature(Feature),
    Text(String),
    Number(i64),
    Size(u64),
    Mode(u32),
    Path(PathBuf),
    Tree(TreeSource),
    /// A variable; without a value it is to be taken from the environment.
    Variable {
        name: String,
        value: Option<String>,
    },
    KeySource {
        kind: String,
        name: String,
    },
    Password {
        text: String,
        hashed: bool,
    },
    /// The number of a vsock; below zero it is chosen later.
    Vsock(i64),
    Credential(Credential),
    Drive(Drive),
    UkiProfile(UkiProfile),
}

impl Value {
    /// The vsock number that is chosen when an image is run.
    pub const VSOCK_AUTO: i64 = -1;
    /// The vsock number that is made of the image's name.
    pub const VSOCK_HASH: i64 = -2;
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("yes"),
            Self::Boolean(false) => f.write_str("no"),
            Self::Feature(Feature::Auto) => f.write_str("auto"),
            Self::Feature(Feature::Enabled) => f.write_str("enabled"),
            Self::Feature(Feature::Disabled) => f.write_str("disabled"),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Size(bytes) => size(f, *bytes),
            Self::Mode(mode) => write!(f, "{mode:04o}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Tree(TreeSource { source, target }) => {
                write!(f, "{}", source.display())?;
                match target {
                    Some(target) => write!(f, ":{}", target.display()),
                    None => Ok(()),
                }
            }
            Self::Variable {
                name,
                value: Some(value),
            } => write!(f, "{name}={value}"),
            Self::Variable { name, value: None } => f.write_str(name),
            Self::KeySource { kind, name } if name.is_empty() => f.write_str(kind),
            Self::KeySource { kind, name } => write!(f, "{kind}:{name}"),
            Self::Password { text, hashed: true } => write!(f, "hashed:{text}"),
            Self::Password {
                text,
                hashed: false,
            } => f.write_str(text),
            Self::Vsock(Self::VSOCK_AUTO) => f.write_str("auto"),
            Self::Vsock(Self::VSOCK_HASH) => f.write_str("hash"),
            Self::Vsock(number) => write!(f, "{number}"),
            Self::Credential(credential) => match &credential.path {
                Some(path) => write!(f, "{}", path.display()),
                None => write!(
                    f,
                    "{}={}",
                    credential.name,
                    credential.value.as_deref().unwrap_or_default()
                ),
            },
            Self::Drive(drive) => self::drive(f, drive),
            Self::UkiProfile(profile) => write!(f, "{}", profile.path.display()),
        }
    }
}

/// Writes a number of bytes with the largest unit that leaves it whole.
fn size(f: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    let unit = [("G", 30), ("M", 20), ("K", 10)]
        .into_iter()
        .find(|(_, shift)| bytes.trailing_zeros() >= *shift && bytes > 0);
    match unit {
        Some((unit, shift)) => write!(f, "{}{unit}", bytes >> shift),
        None => write!(f, "{bytes}"),
    }
}

fn drive(f: &mut fmt::Formatter<'_>, drive: &Drive) -> fmt::Result {
    write!(f, "{}:", drive.id)?;
    size(f, drive.size_bytes)?;
    let directory = drive
        .directory
        .as_ref()
        .map(|path| path.display().to_string());
    let rest = [
        directory.unwrap_or_default(),
        drive.options.clone().unwrap_or_default(),
        if drive.file_id == drive.id {
            String::new()
        } else {
            drive.file_id.clone()
        },
        drive.flags.join(","),
    ];
    let count = rest.iter().rposition(|part| !part.is_empty());
    rest[..count.map_or(0, |last| last + 1)]
        .iter()
        .try_for_each(|part| write!(f, ":{part}"))
}
