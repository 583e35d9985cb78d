//! One inode of a layer becomes an [`Entry`]: the records are decoded and stripped.

use std::collections::BTreeMap;

use overcoat_sandbox::ownership::acl::{self, Acl};
use overcoat_sandbox::ownership::attributes::{self, Device, DeviceKind, Owner, Record};
use rustix::fs::FileType;

use super::capability::{self, Capability};
use super::disk::Inode;
use super::owners::Ids;
use super::{Error, overlay};
use crate::tree::{Content, DeviceNumber, Entry, EntryKind, Timestamp};

/// The attributes of an inode, sorted into what the image gets and what our records say.
#[derive(Debug, Default)]
struct Attributes {
    image: BTreeMap<Vec<u8>, Vec<u8>>,
    owner: Option<Owner>,
    device: Option<Device>,
    access: Option<Acl>,
    default: Option<Acl>,
    capability: Option<Vec<u8>>,
    mode: Option<u16>,
}

/// Reads `inode`; `recorded` is the owner of an inode that cannot carry a record itself.
pub(super) fn read_entry(
    inode: &Inode,
    ids: &Ids,
    recorded: Option<Owner>,
) -> Result<Entry, Error> {
    let status = inode.status();
    let attributes = match inode.file_type() {
        // A link carries none that belongs in an image: user.* and ACLs are refused on it (xattr(7)).
        FileType::Symlink => Attributes::default(),
        _ => read_attributes(inode, ids)?,
    };
    let on_disk = Owner {
        uid: status.stx_uid,
        gid: status.stx_gid,
    };
    let mapped = ids.owner(on_disk).ok_or_else(|| Error::ForeignOwner {
        path: inode.host_path().into(),
        uid: on_disk.uid,
        gid: on_disk.gid,
    })?;
    let recorded = recorded.filter(|_| !carries_records(inode.file_type()));
    let owner = attributes.owner.or(recorded).unwrap_or(mapped);
    let kind = read_kind(inode, attributes.device)?;
    let modified = Timestamp {
        seconds: status.stx_mtime.tv_sec,
        nanoseconds: status.stx_mtime.tv_nsec,
    };
    let mode = attributes.mode.unwrap_or(inode.mode());
    let mut entry = Entry::new(kind, mode, modified);
    entry.uid = owner.uid;
    entry.gid = owner.gid;
    entry.xattrs = attributes.into_image(mode);
    Ok(entry)
}

/// Tells whether a file of this type can carry `user.*` attributes (xattr(7)).
pub(super) fn carries_records(file_type: FileType) -> bool {
    matches!(file_type, FileType::RegularFile | FileType::Directory)
}

fn read_kind(inode: &Inode, device: Option<Device>) -> Result<EntryKind, Error> {
    let status = inode.status();
    let number = DeviceNumber {
        major: status.stx_rdev_major,
        minor: status.stx_rdev_minor,
    };
    let placeholder = inode.file_type() == FileType::RegularFile && status.stx_size == 0;
    Ok(match (inode.file_type(), device) {
        (FileType::RegularFile, Some(device)) if placeholder => {
            let number = DeviceNumber {
                major: device.major,
                minor: device.minor,
            };
            match device.kind {
                DeviceKind::Character => EntryKind::CharacterDevice(number),
                DeviceKind::Block => EntryKind::BlockDevice(number),
            }
        }
        (_, Some(_)) => {
            return Err(corrupt(
                inode,
                &attributes::DEVICE.to_string_lossy(),
                "only an empty regular file can stand for a device",
            ));
        }
        (FileType::RegularFile, None) => EntryKind::Regular(Content::from_file(
            inode.root().clone(),
            inode.path().clone(),
            status.stx_size,
        )),
        (FileType::Directory, None) => EntryKind::Directory,
        (FileType::Symlink, None) => EntryKind::Symlink(inode.link_target()?),
        (FileType::CharacterDevice, None) => EntryKind::CharacterDevice(number),
        (FileType::BlockDevice, None) => EntryKind::BlockDevice(number),
        (FileType::Fifo, None) => EntryKind::Fifo,
        (FileType::Socket, None) => EntryKind::Socket,
        (_, None) => {
            return Err(Error::UnknownType {
                path: inode.host_path().into(),
                mode: status.stx_mode,
            });
        }
    })
}

/// Tells whether an attribute can matter to an image.
///
/// Of `security.*` only file capabilities do: the rest are labels and measurements of the host's security modules,
/// which would make the image depend on who built it. `trusted.*` is the host's overlayfs and file systems.
fn is_wanted(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name == capability::ATTRIBUTE.as_bytes()
        || name == acl::ACCESS.as_bytes()
        || name == acl::DEFAULT.as_bytes()
}

fn read_attributes(inode: &Inode, ids: &Ids) -> Result<Attributes, Error> {
    let mut attributes = Attributes::default();
    for (name, value) in inode.attributes(is_wanted)? {
        if let Some(rest) = name.strip_prefix(overlay::ESCAPE.as_bytes()) {
            let name = [overlay::PREFIX.as_bytes(), rest].concat();
            attributes.image.insert(name, value);
        } else if name.starts_with(overlay::PREFIX.as_bytes()) {
            continue;
        } else if attributes::is_reserved(&name) {
            attributes.take_record(inode, &name, &value)?;
        } else if name == capability::ATTRIBUTE.as_bytes() {
            let value = read_capability(inode, ids, &value)?;
            attributes.image.insert(name, value);
        } else if name.starts_with(b"user.") {
            attributes.image.insert(name, value);
        } else {
            let value = read_real_acl(inode, ids, &name, &value)?;
            attributes.image.insert(name, value);
        }
    }
    Ok(attributes)
}

impl Attributes {
    fn take_record(&mut self, inode: &Inode, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let is_directory = inode.file_type() == FileType::Directory;
        let malformed = attributes::Malformed::reason;
        let result = match Record::named(name) {
            Some(Record::Owner) => Owner::from_bytes(value)
                .map(|owner| self.owner = Some(owner))
                .map_err(malformed),
            Some(Record::Device) => Device::from_bytes(value)
                .map(|device| self.device = Some(device))
                .map_err(malformed),
            Some(Record::AccessAcl) => Acl::from_bytes(value)
                .map(|acl| self.access = Some(acl))
                .map_err(malformed),
            Some(Record::DefaultAcl) if is_directory => Acl::from_bytes(value)
                .map(|acl| self.default = Some(acl))
                .map_err(malformed),
            Some(Record::DefaultAcl) => Err("only a directory has a default ACL"),
            Some(Record::Capability) => {
                Capability::decode(value).map(|capability| self.capability = Some(capability.value))
            }
            // Read when the directory is opened, because it speaks of what lies in it.
            Some(Record::Entries) if is_directory => Ok(()),
            Some(Record::Mode) if inode.path().is_root() => attributes::mode_from_bytes(value)
                .map(|mode| self.mode = Some(mode))
                .map_err(malformed),
            Some(Record::Entries | Record::Mode) | None => Err("there is no such record"),
        };
        result.map_err(|reason| corrupt(inode, &String::from_utf8_lossy(name), reason))
    }

    /// Returns the image's attributes with what was recorded in place of what is on disk.
    fn into_image(self, mode: u16) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut image = self.image;
        if let Some(mut acl) = self.access {
            // A chmod after the ACL was recorded changed the real mode alone.
            acl.follow_mode(mode);
            put_acl(&mut image, acl::ACCESS, &acl);
        }
        if let Some(acl) = self.default {
            put_acl(&mut image, acl::DEFAULT, &acl);
        }
        if let Some(capability) = self.capability {
            image.insert(capability::ATTRIBUTE.into(), capability);
        }
        image
    }
}

/// Sets an ACL; one without entries is the absence of any, as setxattr(2) has it.
fn put_acl(image: &mut BTreeMap<Vec<u8>, Vec<u8>>, name: &str, acl: &Acl) {
    if acl.is_empty() {
        image.remove(name.as_bytes());
    } else {
        image.insert(name.into(), acl.to_bytes());
    }
}

fn read_capability(inode: &Inode, ids: &Ids, value: &[u8]) -> Result<Vec<u8>, Error> {
    let capability = Capability::decode(value)
        .map_err(|reason| corrupt(inode, capability::ATTRIBUTE, reason))?;
    match capability.root_id {
        Some(id) if !ids.owns_namespace_of(id) => Err(Error::ForeignAttribute {
            path: inode.host_path().into(),
            attribute: capability::ATTRIBUTE.to_owned(),
            id,
        }),
        _ => Ok(capability.value),
    }
}

fn read_real_acl(inode: &Inode, ids: &Ids, name: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
    let name = String::from_utf8_lossy(name);
    let mut acl =
        Acl::from_bytes(value).map_err(|malformed| corrupt(inode, &name, malformed.reason()))?;
    acl.try_map_ids(|id| ids.acl_id(id))
        .map_err(|id| Error::ForeignAttribute {
            path: inode.host_path().into(),
            attribute: name.into_owned(),
            id,
        })?;
    Ok(acl.to_bytes())
}

fn corrupt(inode: &Inode, attribute: &str, reason: &'static str) -> Error {
    Error::CorruptAttribute {
        path: inode.host_path().into(),
        attribute: attribute.to_owned(),
        reason,
    }
}
