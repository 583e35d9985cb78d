//! Paths inside a tree: relative, normal, and any bytes.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path below a tree's root: components joined by `/`, without a leading slash; the root is the empty path.
///
/// No component is empty, `.` or `..`, and none holds NUL. Ordering compares component by component as bytes, so a
/// directory's contents follow it directly.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct TreePath(Box<[u8]>);

/// A path that cannot name anything below a tree's root.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is not a path inside a tree: {reason}")]
#[non_exhaustive]
pub struct InvalidTreePath {
    pub path: String,
    pub reason: &'static str,
}

impl TreePath {
    /// Returns the root.
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// Makes a tree path of `path`, which may start with slashes and repeat them.
    ///
    /// # Errors
    /// [`InvalidTreePath`] for `.` and `..` components and NUL bytes.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, InvalidTreePath> {
        let path = path.as_ref();
        let mut normal = Vec::with_capacity(path.len());
        for component in path
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
        {
            let reason = match component {
                b"." | b".." => Some("`.` and `..` are not allowed"),
                _ if component.contains(&0) => Some("it contains a NUL byte"),
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(InvalidTreePath {
                    path: String::from_utf8_lossy(path).into_owned(),
                    reason,
                });
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(component);
        }
        Ok(Self(normal.into_boxed_slice()))
    }

    /// Returns the path of `name` directly below this one.
    ///
    /// # Errors
    /// [`InvalidTreePath`] when `name` is empty, `.`, `..` or holds a slash or NUL.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidTreePath> {
        if name.is_empty() || name.contains(&b'/') {
            let path = String::from_utf8_lossy(name).into_owned();
            return Err(InvalidTreePath {
                path,
                reason: "a file name is not empty and holds no `/`",
            });
        }
        let mut joined = self.0.to_vec();
        joined.push(b'/');
        joined.extend_from_slice(name);
        Self::new(joined)
    }

    /// Tells whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path as bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as a relative [`Path`]; empty for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Returns the last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// Returns the directory that holds this entry, `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Iterates over the components.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }

    /// Tells whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || (self.0.starts_with(&ancestor.0)
                && self
                    .0
                    .get(ancestor.0.len())
                    .is_none_or(|following| *following == b'/'))
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // Names hold no NUL, so with slashes as NULs a component ends before anything that goes on. This is what maps of
        // large trees spend their time with.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        let mut pairs = self.0.iter().zip(&other.0);
        match pairs.find(|(mine, others)| mine != others) {
            Some((mine, others)) => rank(*mine).cmp(&rank(*others)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A path as its bytes, since names need not be UTF-8; what is not a path inside a tree is refused.
impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreePath({:?})", String::from_utf8_lossy(&self.0))
    }
}
