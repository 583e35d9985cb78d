//! The extended attributes on disk that stand for what an entry has.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::PathBuf;

use overcoat_sandbox::ownership::acl::{self, Acl};
use overcoat_sandbox::ownership::attributes::{self as records, Device, Owner};
use rustix::io::Errno;

use super::{Error, Form};
use crate::capture::{capability, overlay};
use crate::tree::{Entry, TreePath};

/// Attributes to set, and for those the kernel may refuse, the record to leave instead.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    values: BTreeMap<Vec<u8>, Value>,
}

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    record_instead: Option<&'static CStr>,
}

/// An attribute that could not be set.
#[derive(Debug)]
pub(super) struct Failed {
    attribute: String,
    length_bytes: usize,
    errno: Errno,
}

impl Failed {
    pub(super) fn at(self, path: PathBuf) -> Error {
        Error::SetAttribute {
            path,
            attribute: self.attribute,
            length_bytes: self.length_bytes,
            source: self.errno.into(),
        }
    }
}

impl Attributes {
    /// Returns those of a regular file, of a directory, or of the placeholder of `device`.
    pub(super) fn of_entry(
        form: Form,
        path: &TreePath,
        entry: &Entry,
        device: Option<Device>,
    ) -> Result<Self, Error> {
        let mut attributes = Self::default();
        let owner = Owner {
            uid: entry.uid,
            gid: entry.gid,
        };
        if owner != Owner::ROOT && form == Form::Recorded {
            attributes.record(records::OWNER, owner.to_bytes().to_vec());
        }
        if let Some(device) = device {
            attributes.record(records::DEVICE, device.to_bytes());
        }
        for (name, value) in &entry.xattrs {
            attributes.translate(form, path, name, value)?;
        }
        Ok(attributes)
    }

    /// Returns those of a FIFO or socket, which holds no record: an ACL that names nobody but root.
    pub(super) fn of_special(path: &TreePath, entry: &Entry) -> Result<Self, Error> {
        let mut attributes = Self::default();
        for (name, value) in &entry.xattrs {
            let real = name == acl::ACCESS.as_bytes()
                && !decode_acl(path, acl::ACCESS, value)?.names_other_ids();
            if !real {
                return Err(unsupported(path, name));
            }
            attributes.put(name, value.clone(), None);
        }
        Ok(attributes)
    }

    pub(super) fn record(&mut self, name: &CStr, value: Vec<u8>) {
        self.put(name.to_bytes(), value, None);
    }

    /// Sets them all by `set`.
    pub(super) fn set(
        &self,
        mut set: impl FnMut(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<(), Failed> {
        // The access ACL comes last, because it changes the mode, which may close the file to further `user.*` ones.
        let is_last = |name: &[u8]| name == acl::ACCESS.as_bytes();
        let (last, first): (Vec<_>, Vec<_>) =
            self.values.iter().partition(|(name, _)| is_last(name));
        for (name, value) in first.into_iter().chain(last) {
            let mut used = name.as_slice();
            let mut result = set(used, &value.bytes);
            // No permission, no mapping, or no support: the three ways in which a kernel says that this user or
            // file system cannot have it.
            if let (Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP), Some(record)) =
                (result, value.record_instead)
            {
                used = record.to_bytes();
                result = set(used, &value.bytes);
            }
            result.map_err(|errno| Failed {
                attribute: String::from_utf8_lossy(used).into_owned(),
                length_bytes: value.bytes.len(),
                errno,
            })?;
        }
        Ok(())
    }

    fn translate(
        &mut self,
        form: Form,
        path: &TreePath,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), Error> {
        let text = String::from_utf8_lossy(name);
        match text.as_ref() {
            capability::ATTRIBUTE => self.put(name, value.to_vec(), Some(records::CAPABILITY)),
            acl::ACCESS | acl::DEFAULT if form == Form::Real => {
                self.put(name, value.to_vec(), None);
            }
            acl::ACCESS => self.put_acl(path, acl::ACCESS, records::ACCESS_ACL, value)?,
            acl::DEFAULT => self.put_acl(path, acl::DEFAULT, records::DEFAULT_ACL, value)?,
            // A record of ours in a tree would be decoded into something that the tree does not have.
            _ if records::is_reserved(name) => return Err(unsupported(path, name)),
            _ => {
                if let Some(rest) = name.strip_prefix(overlay::PREFIX.as_bytes()) {
                    let escaped = [overlay::ESCAPE.as_bytes(), rest].concat();
                    self.put(&escaped, value.to_vec(), None);
                } else if name.starts_with(b"user.") {
                    self.put(name, value.to_vec(), None);
                } else {
                    return Err(unsupported(path, name));
                }
            }
        }
        Ok(())
    }

    /// Puts a real ACL when it names nobody but root, else a record: an id on disk would be somebody of this host.
    fn put_acl(
        &mut self,
        path: &TreePath,
        real: &'static str,
        record: &'static CStr,
        value: &[u8],
    ) -> Result<(), Error> {
        if !decode_acl(path, real, value)?.names_other_ids() {
            self.put(real.as_bytes(), value.to_vec(), Some(record));
        } else {
            self.record(record, value.to_vec());
        }
        Ok(())
    }

    fn put(&mut self, name: &[u8], bytes: Vec<u8>, record_instead: Option<&'static CStr>) {
        let value = Value {
            bytes,
            record_instead,
        };
        self.values.insert(name.to_vec(), value);
    }
}

/// Refuses any attribute: a symbolic link holds none.
pub(super) fn refuse_all(path: &TreePath, entry: &Entry) -> Result<(), Error> {
    match entry.xattrs.keys().next() {
        Some(name) => Err(unsupported(path, name)),
        None => Ok(()),
    }
}

fn decode_acl(path: &TreePath, attribute: &str, value: &[u8]) -> Result<Acl, Error> {
    Acl::from_bytes(value).map_err(|malformed| Error::CorruptAttribute {
        path: path.clone(),
        attribute: attribute.to_owned(),
        reason: malformed.reason(),
    })
}

fn unsupported(path: &TreePath, name: &[u8]) -> Error {
    Error::UnsupportedAttribute {
        path: path.clone(),
        attribute: String::from_utf8_lossy(name).into_owned(),
    }
}
