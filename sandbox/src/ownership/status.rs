//! Answers to stat(2) and its kin.

use std::mem::offset_of;
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, makedev};

use super::attributes::{self, Device, DeviceKind, Owner};
use super::call::StatusFormat;
use super::inode::{Inode, has_no_contents};
use super::owner::owner_of;
use super::records::Records;
use crate::sys::status;

/// Longer than any text of a device.
const DEVICE_LENGTH: usize = 32;

/// Returns the structure that the caller asked for; `None` when the kernel's own answer is right.
pub(super) fn recorded_status(
    inode: &Inode,
    format: StatusFormat,
    records: &Records,
) -> Result<Option<Vec<u8>>, Errno> {
    let on_disk = inode.status()?;
    let owner = owner_of(inode, &on_disk, records)?;
    let device = recorded_device(inode, &on_disk)?;
    if owner == Owner::ROOT && device.is_none() {
        return Ok(None);
    }
    match format {
        StatusFormat::Stat => {
            let mut bytes = status::stat(inode.descriptor().as_fd())?;
            put_u32(&mut bytes, offset_of!(libc::stat, st_uid), owner.uid);
            put_u32(&mut bytes, offset_of!(libc::stat, st_gid), owner.gid);
            if let Some(device) = device {
                let mode = device_mode(device, &on_disk);
                put_u32(&mut bytes, offset_of!(libc::stat, st_mode), mode);
                let number = makedev(device.major.into(), device.minor.into());
                put(
                    &mut bytes,
                    offset_of!(libc::stat, st_rdev),
                    &number.to_ne_bytes(),
                );
            }
            Ok(Some(bytes.to_vec()))
        }
        StatusFormat::Statx { flags, mask } => {
            let mut bytes = status::statx(inode.descriptor().as_fd(), flags, mask)?;
            put_u32(&mut bytes, offset_of!(libc::statx, stx_uid), owner.uid);
            put_u32(&mut bytes, offset_of!(libc::statx, stx_gid), owner.gid);
            if let Some(device) = device {
                let mode = u16::try_from(device_mode(device, &on_disk))
                    .expect("a mode with its type has 16 bits");
                put(
                    &mut bytes,
                    offset_of!(libc::statx, stx_mode),
                    &mode.to_ne_bytes(),
                );
                put_u32(
                    &mut bytes,
                    offset_of!(libc::statx, stx_rdev_major),
                    device.major,
                );
                put_u32(
                    &mut bytes,
                    offset_of!(libc::statx, stx_rdev_minor),
                    device.minor,
                );
            }
            Ok(Some(bytes.to_vec()))
        }
    }
}

/// Returns the device that a file stands for.
pub(super) fn recorded_device(inode: &Inode, status: &FileStat) -> Result<Option<Device>, Errno> {
    if !has_no_contents(status) {
        return Ok(None);
    }
    let mut value = [0; DEVICE_LENGTH];
    let length = inode.record(attributes::DEVICE, &mut value)?;
    Ok(length.and_then(|length| Device::from_bytes(&value[..length]).ok()))
}

fn device_mode(device: Device, on_disk: &FileStat) -> u32 {
    let kind = match device.kind {
        DeviceKind::Character => libc::S_IFCHR,
        DeviceKind::Block => libc::S_IFBLK,
    };
    on_disk.st_mode & 0o7777 | kind
}

fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    put(bytes, offset, &value.to_ne_bytes());
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}
