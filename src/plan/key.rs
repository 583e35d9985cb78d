//! Content keys: what a layer is made of, as a digest.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use openssl::sha::Sha256;

use crate::digest::hexadecimal;
use crate::tree::{ContentError, EntryKind, FileTree};

/// The version of everything that decides a layer's bytes but is not among its inputs: our own code.
///
/// Raising it makes every layer anew. It must be raised when a step runs other programs or arguments than before.
const FORMAT_VERSION: &str = "2";

/// A digest of all inputs of a layer, in hexadecimal.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(String);

/// Collects the inputs of a layer.
#[derive(Clone)]
pub struct KeyBuilder {
    digest: Sha256,
}

impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBuilder").finish_non_exhaustive()
    }
}

impl Key {
    /// Returns the 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyBuilder {
    /// Starts a key of the kind of input `kind`, so that equal inputs of two kinds have two keys.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self {
            digest: Sha256::new(),
        }
        .field("format", FORMAT_VERSION)
        .field("kind", kind)
    }

    /// Adds one named input.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.bytes(name.as_bytes());
        self.bytes(value.as_ref());
        self
    }

    /// Adds a list of inputs; two lists next to each other do not run together.
    #[must_use]
    pub fn list<V: AsRef<[u8]>>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<V> = values.into_iter().collect();
        self.bytes(name.as_bytes());
        self.number(values.len() as u64);
        for value in values {
            self.bytes(value.as_ref());
        }
        self
    }

    /// Adds a whole tree: names, metadata and contents.
    ///
    /// # Errors
    /// A [`ContentError`] when a file cannot be read.
    pub fn tree(mut self, name: &str, tree: &FileTree) -> Result<Self, ContentError> {
        self.bytes(name.as_bytes());
        self.number(tree.entry_count() as u64);
        let mut buffer = vec![0; 1 << 16];
        let mut groups = HashMap::new();
        for (path, entry) in tree.iter() {
            self.bytes(path.as_bytes());
            self.number(u64::from(entry.mode));
            self.number(u64::from(entry.uid));
            self.number(u64::from(entry.gid));
            self.number(entry.modified.seconds.cast_unsigned());
            self.number(u64::from(entry.modified.nanoseconds));
            self.number(entry.xattrs.len() as u64);
            for (name, value) in &entry.xattrs {
                self.bytes(name);
                self.bytes(value);
            }
            // How groups are numbered is of no meaning; which names share one is.
            let group = entry.hard_link.map_or(0, |group| {
                let next = groups.len() as u64 + 1;
                *groups.entry(group).or_insert(next)
            });
            self.number(group);
            match &entry.kind {
                EntryKind::Directory => self.bytes(b"directory"),
                EntryKind::Symlink(target) => {
                    self.bytes(b"symlink");
                    self.bytes(target);
                }
                EntryKind::Regular(content) => {
                    self.bytes(b"regular");
                    self.number(content.size_bytes());
                    self.content(content, &mut buffer)?;
                }
                EntryKind::CharacterDevice(device) | EntryKind::BlockDevice(device) => {
                    let character = matches!(entry.kind, EntryKind::CharacterDevice(_));
                    self.bytes(if character { b"character" } else { b"block" });
                    self.number(u64::from(device.major));
                    self.number(u64::from(device.minor));
                }
                EntryKind::Fifo => self.bytes(b"fifo"),
                EntryKind::Socket => self.bytes(b"socket"),
            }
        }
        Ok(self)
    }

    /// Returns the key of everything added.
    #[must_use]
    pub fn finish(self) -> Key {
        Key(hexadecimal(&self.digest.finish()))
    }

    fn content(
        &mut self,
        content: &crate::tree::Content,
        buffer: &mut [u8],
    ) -> Result<(), ContentError> {
        let mut reader = content.open()?;
        loop {
            let count = reader.read(buffer).map_err(|source| ContentError::Read {
                path: content.location(),
                source,
            })?;
            if count == 0 {
                return Ok(());
            }
            self.digest.update(&buffer[..count]);
        }
    }

    /// Adds `bytes` behind their length, so that no two different inputs give the same stream.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.digest.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.digest.update(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::KeyBuilder;

    #[test]
    fn inputs_do_not_run_together() {
        let keys = [
            KeyBuilder::new("k").field("a", "bc").finish(),
            KeyBuilder::new("k").field("ab", "c").finish(),
            KeyBuilder::new("k").list("a", ["b", "c"]).finish(),
            KeyBuilder::new("k").list("a", ["bc"]).finish(),
            KeyBuilder::new("k2").field("a", "bc").finish(),
        ];
        let unique: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len());
    }

    #[test]
    fn equal_inputs_give_equal_keys() {
        let key = || {
            KeyBuilder::new("k")
                .field("a", "b")
                .list("c", ["d"])
                .finish()
        };
        assert_eq!(key(), key());
        assert_eq!(key().as_str().len(), 64);
    }
}
