//! Building the sandbox's tree: an empty tmpfs, the mounts of the specification in order, then sealing and entering it.
//!
//! It runs in the init process, in new user, mount and pid namespaces, while the host's tree is still the root. The new
//! root is attached over `/`, which hides nothing: absolute paths still start below it, at the host's tree.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, stat, umask};
use nix::unistd::{UnlinkatFlags, chdir, fchdir, pivot_root, unlinkat};
use oci_spec::runtime as oci;

use crate::cover::cover;
use crate::defaults;
use crate::limits::tmpfs::SharedTmpfs;
use crate::mount_point::{self, MountPoint};
use crate::overlay::{OpenedOverlay, check_nul};
use crate::report::{At, Failure, Step};
use crate::spec::Spec;
use crate::sys::mount::{self as raw, Recursion};

/// The tree under construction.
#[derive(Debug)]
pub(crate) struct Root {
    /// The tmpfs at the bottom.
    bottom: OwnedFd,
    /// The root directory as the program will see it: the last mount on `/`, or the tmpfs.
    top: OwnedFd,
    /// How many mounts on `/` the last one covers, the tmpfs among them.
    covered: usize,
    /// What the writable temporary file systems are directories of, when there are any.
    temporary: Option<SharedTmpfs>,
}

/// Where in the bottom the temporary file system is while the tree is made.
const TEMPORARY: &str = ".overcoat-temporary";

impl Root {
    /// Cuts this mount namespace off from the host's, and attaches an empty tmpfs, and what is to hold the writable ones.
    pub(crate) fn make(temporary: Option<SharedTmpfs>) -> Result<Self, Failure> {
        let none = None::<&str>;
        // Slave, not private: the host can still unmount what this namespace holds until it has let go of it.
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
            .during(Step::IsolateMounts)?;
        // What is made here must have the modes that are asked for.
        umask(Mode::empty());
        let options = ["mode=0755", "size=64m"];
        let bottom = file_system("tmpfs", &options, raw::NO_SUID | raw::NO_DEVICES)
            .map_err(|failure| failure.about("/"))?;
        let slash =
            open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).during(Step::MakeRoot)?;
        raw::attach(&bottom, slash).during(Step::MakeRoot)?;
        if let Some(temporary) = &temporary {
            // Directories can be taken out of it only while it is attached. At a place of its own: two mounts on the
            // host's root would change what is let go of when the namespace is cut off.
            mkdirat(&bottom, TEMPORARY, Mode::S_IRWXU).during(Step::MakeRoot)?;
            let point = mount_point::find(&bottom, Path::new(TEMPORARY)).during(Step::MakeRoot)?;
            raw::attach(temporary, point).during(Step::MakeRoot)?;
        }
        let top = bottom.try_clone().during(Step::MakeRoot)?;
        Ok(Self {
            bottom,
            top,
            covered: 0,
            temporary,
        })
    }

    /// Returns the tmpfs that the tree stands on.
    pub(crate) fn bottom(&self) -> BorrowedFd<'_> {
        self.bottom.as_fd()
    }

    /// Returns the tmpfs that holds all temporary files.
    pub(crate) fn temporary(&self) -> Option<BorrowedFd<'_>> {
        self.temporary.as_ref().map(AsFd::as_fd)
    }

    /// Performs the mounts and makes the entries, in the specification's order.
    pub(crate) fn populate(&mut self, spec: &Spec) -> Result<(), Failure> {
        let mounts = spec.oci.mounts().as_deref().unwrap_or_default();
        for (done, mount) in mounts.iter().enumerate() {
            self.make_entries(spec, |after| after == done)?;
            self.perform(mount)?;
        }
        self.make_entries(spec, |after| after >= mounts.len())?;
        cover(self.top.as_fd(), spec)
    }

    /// Makes the root read-only, makes it the root of this namespace, and lets go of the host's tree.
    pub(crate) fn enter(self) -> Result<(), Failure> {
        let step = Step::EnterRoot;
        if let Some(temporary) = &self.temporary {
            fchdir(temporary).during(step)?;
            umount2(".", MntFlags::MNT_DETACH).during(step)?;
            unlinkat(&self.bottom, TEMPORARY, UnlinkatFlags::RemoveDir).during(step)?;
        }
        raw::set_attributes(self.bottom.as_fd(), raw::READ_ONLY, Recursion::One).during(step)?;
        fchdir(&self.top).during(step)?;
        // With the same directory twice the old root ends up on top of the new one, from where it is detached; see the
        // notes of pivot_root(2).
        pivot_root(".", ".").during(step)?;
        // What the last mount on `/` covered lies on the old root, and is what unmounting finds before it.
        for _ in 0..=self.covered {
            umount2(".", MntFlags::MNT_DETACH).during(step)?;
        }
        chdir("/").during(step)?;
        // A mount that was left on the root would be where `..` leads to, from every directory below.
        let identity = |path| stat(path).map(|status| (status.st_dev, status.st_ino));
        if identity(".").during(step)? != identity("..").during(step)? {
            return Err(Failure::of(step, Errno::EBUSY));
        }
        Ok(())
    }

    fn make_entries(&self, spec: &Spec, when: impl Fn(usize) -> bool) -> Result<(), Failure> {
        let due = |entry: &&crate::spec::RootEntry| when(entry.after_mounts);
        for entry in spec.entries.iter().filter(due) {
            mount_point::make_entry(&self.top, &entry.path, &entry.kind)?;
        }
        Ok(())
    }

    fn perform(&mut self, mount: &oci::Mount) -> Result<(), Failure> {
        let inside = mount.destination();
        let (tree, point) = self.detached(mount)?;
        if inside == Path::new("/") {
            raw::attach(&tree, &self.top).at(Step::AttachMount, inside.display())?;
            self.top = tree;
            self.covered += 1;
            return Ok(());
        }
        let target = mount_point::find_or_make(&self.top, inside, point)?;
        raw::attach(tree, target).at(Step::AttachMount, inside.display())
    }

    /// Copies the mounts at a directory of the tree under construction. What the directory itself is a part of becomes
    /// read-only: it may be the tmpfs at the bottom.
    fn repeat(&self, mount: &oci::Mount) -> Result<(OwnedFd, MountPoint), Failure> {
        let step = Step::OpenSource;
        let inside = mount.source().as_deref().unwrap_or(Path::new("/"));
        let first = mount_point::find(&self.top, inside).at(step, inside.display())?;
        let tree =
            raw::clone_tree(Some(first.as_fd()), Path::new("")).at(step, inside.display())?;
        let attributes = raw::READ_ONLY | raw::NO_SUID | raw::NO_DEVICES;
        raw::set_attributes(tree.as_fd(), attributes, Recursion::One).at(step, inside.display())?;
        Ok((tree, MountPoint::Directory))
    }

    /// Makes the mount, attached nowhere yet, and says what its mount point must be.
    fn detached(&self, mount: &oci::Mount) -> Result<(OwnedFd, MountPoint), Failure> {
        let inside = mount.destination().display();
        let options = mount.options().as_deref().unwrap_or_default();
        let (attributes, options) = split_options(options);
        options.iter().try_for_each(check_nul)?;
        let kind = mount.typ().as_deref().unwrap_or_default();
        let tree = match kind {
            "bind" => return bind(mount, attributes),
            defaults::REPEAT => return self.repeat(mount),
            "overlay" => OpenedOverlay::open(options)?.mount(attributes, self.bottom.as_fd()),
            "tmpfs" if SharedTmpfs::serves(&options) => match &self.temporary {
                Some(temporary) => temporary.directory(&options, attributes),
                None => file_system(kind, &options, attributes),
            },
            "proc" | "tmpfs" | "devpts" | "sysfs" => file_system(kind, &options, attributes),
            _ => Err(Failure::of(Step::ReadSpec, Errno::EINVAL)
                .explained(Some(format!("unknown type of mount `{kind}`")))),
        };
        let tree = tree.map_err(|failure| match failure.object {
            Some(_) => failure,
            None => failure.about(inside),
        })?;
        Ok((tree, MountPoint::Directory))
    }
}

/// Copies the mounts of a host path, cut off from the host and with their attributes set on every one of them.
fn bind(mount: &oci::Mount, attributes: u64) -> Result<(OwnedFd, MountPoint), Failure> {
    let step = Step::OpenSource;
    let host = mount.source().as_deref().unwrap_or(Path::new(""));
    let tree = raw::clone_tree(None, host).at(step, host.display())?;
    raw::set_attributes(tree.as_fd(), attributes, Recursion::Tree).at(step, host.display())?;
    let point = if is_directory(&tree).at(step, host.display())? {
        MountPoint::Directory
    } else {
        MountPoint::File
    };
    Ok((tree, point))
}

/// Makes what is to hold the writable temporary file systems of `spec`, when it has any.
pub(crate) fn shared_tmpfs(spec: &Spec) -> Result<Option<SharedTmpfs>, Failure> {
    if !spec.oci.mounts().iter().flatten().any(is_shared_tmpfs) {
        return Ok(None);
    }
    SharedTmpfs::make(spec.temporary_files).map(Some)
}

fn is_shared_tmpfs(mount: &oci::Mount) -> bool {
    let options = mount.options().as_deref().unwrap_or_default();
    mount.typ().as_deref() == Some("tmpfs") && SharedTmpfs::serves(&split_options(options).1)
}

pub(crate) fn is_directory(file: impl AsFd) -> nix::Result<bool> {
    let mode = fstat(file)?.st_mode;
    Ok(SFlag::from_bits_truncate(mode).intersection(SFlag::S_IFMT) == SFlag::S_IFDIR)
}

/// Makes a file system that has no device, attached nowhere.
pub(crate) fn file_system(
    kind: &str,
    options: &[&str],
    attributes: u64,
) -> Result<OwnedFd, Failure> {
    let step = match kind {
        "proc" => Step::MountProc,
        _ => Step::MountFileSystem,
    };
    let text = |text: &str| {
        CString::new(text)
            .map_err(std::io::Error::other)
            .during(step)
    };
    let context = raw::open_file_system(&text(kind)?).during(step)?;
    let configure = || -> Result<OwnedFd, Failure> {
        for option in options {
            match option.split_once('=') {
                Some((key, value)) => {
                    raw::set_string(context.as_fd(), &text(key)?, &text(value)?).during(step)?;
                }
                None => raw::set_flag(context.as_fd(), &text(option)?).during(step)?,
            }
        }
        raw::create(context.as_fd(), attributes).during(step)
    };
    configure().map_err(|failure| failure.explained(raw::explanation(context.as_fd())))
}

/// Separates the attributes of a mount from the options of its file system.
fn split_options(options: &[String]) -> (u64, Vec<&str>) {
    let mut attributes = 0;
    let mut others = Vec::new();
    for option in options {
        match option.as_str() {
            "ro" => attributes |= raw::READ_ONLY,
            "nosuid" => attributes |= raw::NO_SUID,
            "nodev" => attributes |= raw::NO_DEVICES,
            "noexec" => attributes |= raw::NO_EXECUTE,
            // All binds are recursive: a user namespace may not uncover what is mounted below.
            "bind" | "rbind" => {}
            other => others.push(other),
        }
    }
    (attributes, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_separated_from_file_system_options() {
        let options = ["rbind", "ro", "nodev", "mode=0755", "volatile"].map(String::from);
        let (attributes, others) = split_options(&options);
        assert_eq!(attributes, raw::READ_ONLY | raw::NO_DEVICES);
        assert_eq!(others, ["mode=0755", "volatile"]);
    }
}
