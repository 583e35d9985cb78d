//! What must hold of any bytes that a recorded program, or a tree from elsewhere, hands to the recorder.

use super::acl::Acl;
use super::attributes::{self, Device, Owner};
use super::call::{Call, Creation, NewInode};
use super::credentials::GROUPS_LIMIT;
use super::place::{Name, split};
pub(crate) use super::tracee::find_field;
use super::{creation, tracee, xattr};
use crate::sys::notify::Notification;

/// Notifications, the structures that their arguments point to, and paths.
pub fn calls(bytes: &[u8]) {
    decode(bytes);
    structures(bytes);
    let path = bytes
        .split(|byte| *byte == 0)
        .next()
        .filter(|path| !path.is_empty());
    if let Some(path) = path {
        paths(path);
    }
}

fn decode(bytes: &[u8]) {
    let Some((number, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let mut arguments = [0; 6];
    for (argument, chunk) in arguments.iter_mut().zip(rest.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        *argument = u64::from_le_bytes(word);
    }
    let call = Call::decode(&Notification {
        id: 1,
        thread: 1,
        number: i16::from_le_bytes(*number).into(),
        arguments,
    });
    match call {
        Ok(Call::SetGroups { count, .. }) => assert!(count <= GROUPS_LIMIT),
        Ok(Call::ChangeOwner { change, .. }) => {
            assert!(change.uid != Some(u32::MAX) && change.gid != Some(u32::MAX));
        }
        Ok(Call::Create(Creation { what, .. })) => match what {
            NewInode::Device { mode, device } => {
                assert!(mode <= 0o7777 && device.fits_the_kernel());
            }
            NewInode::Directory { mode } => assert!(mode <= 0o7777),
            NewInode::Node { mode } => assert_ne!(mode & libc::S_IFMT, 0),
            NewInode::File(_) | NewInode::SymbolicLink { .. } => {}
        },
        _ => {}
    }
}

fn structures(bytes: &[u8]) {
    if let Ok((flags, mode, resolve)) = creation::parse_structure(bytes) {
        let fields = [
            u64::from(flags.bits().cast_unsigned()),
            mode.into(),
            resolve.bits(),
        ];
        let encoded = fields.map(u64::to_ne_bytes).concat();
        assert_eq!(bytes[..24], encoded);
        assert!(bytes[24..].iter().all(|byte| *byte == 0));
    }
    if let Ok((address, size, flags)) = xattr::parse_structure(bytes) {
        let size = u32::try_from(size).expect("the field has 32 bits");
        let encoded = [
            &address.to_ne_bytes()[..],
            &size.to_ne_bytes(),
            &flags.to_ne_bytes(),
        ];
        assert_eq!(bytes[..16], encoded.concat());
        assert!(bytes[16..].iter().all(|byte| *byte == 0));
    }
}

fn paths(path: &[u8]) {
    let (parent, name) = split(path);
    assert!(!parent.is_empty());
    assert_eq!(parent.to_bytes()[0] == b'/', path[0] == b'/');
    match name {
        Name::Entry(name) | Name::Directory(name) => {
            let name = name.to_bytes();
            assert!(!matches!(name, b"" | b"." | b"..") && !name.contains(&b'/'));
            assert!(path.windows(name.len()).any(|part| part == name));
        }
        Name::Special => {}
    }
    if let Some((number, rest)) = tracee::own_descriptor(path) {
        assert!(number >= 0);
        assert!(rest.is_empty() || rest[0] == b'/');
        assert!(path.ends_with(rest));
    }
}

/// Records in attributes: one value has one form, and an ACL that is right stays right.
pub fn records(bytes: &[u8]) {
    if let Ok(owner) = Owner::from_bytes(bytes) {
        assert_eq!(owner.to_bytes(), bytes);
    }
    if let Ok(device) = Device::from_bytes(bytes) {
        assert_eq!(device.to_bytes(), bytes);
    }
    if let Ok(mode) = attributes::mode_from_bytes(bytes) {
        assert!(mode <= 0o7777);
        assert_eq!(attributes::mode_to_bytes(mode), bytes);
    }
    if let Ok(owners) = attributes::entries_from_bytes(bytes) {
        assert_eq!(
            attributes::entries_to_bytes(&owners).as_deref(),
            Some(bytes)
        );
    }
    if let Ok(acl) = Acl::from_bytes(bytes) {
        assert_eq!(acl.to_bytes(), bytes);
        well_formed(&acl);
    }
}

fn well_formed(acl: &Acl) {
    let Ok(permissions) = acl.permissions() else {
        return;
    };
    assert!(permissions <= 0o777 && !acl.is_empty());
    for mode in [0, 0o640, 0o7777] {
        let mut followed = acl.clone();
        followed.follow_mode(mode);
        assert_eq!(followed.permissions(), Ok(u32::from(mode) & 0o777));
        let (inherited, left) = acl.inherited(mode.into());
        assert_eq!(inherited.permissions(), Ok(left & 0o777));
        assert_eq!(left & !u32::from(mode), 0);
    }
}
