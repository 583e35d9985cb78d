//! Overlay mounts in a user namespace.
//!
//! Directories are passed as `/proc/self/fd/N`: an option string holds 255 bytes, and `:`, `,` and `\` in a path would
//! need escaping. It also keeps host paths out of the sandbox's own mount table.
//! See <https://docs.kernel.org/filesystems/overlayfs.html>.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, chdir, fchdir, unlinkat};

use crate::report::{At, Failure, Step};
use crate::sys;

/// What mount(2) reads of its options: a page with the NUL at the end. It cuts off the rest without a word, and lowers
/// with it.
const LONGEST_OPTIONS: usize = 4095;

/// The directories and flags of one overlay, opened.
#[derive(Debug, Default)]
pub(crate) struct OpenedOverlay {
    /// Option keys of the kernel (`lowerdir+`, `upperdir`, `workdir`) with the directory, lowers topmost first.
    directories: Vec<(String, OwnedFd)>,
    /// Options without a value.
    flags: Vec<String>,
}

impl OpenedOverlay {
    /// Opens the directories that `options` name, as `key=path`.
    pub(crate) fn open<'a>(options: impl IntoIterator<Item = &'a str>) -> Result<Self, Failure> {
        let mut opened = Self::default();
        for option in options {
            match option.split_once('=') {
                Some((key, path)) => {
                    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                    let directory =
                        open(Path::new(path), flags, Mode::empty()).at(Step::OpenSource, path)?;
                    opened.directories.push((key.to_owned(), directory));
                }
                None => opened.flags.push(option.to_owned()),
            }
        }
        Ok(opened)
    }

    /// Mounts the overlay, attached nowhere. `scratch` is a directory in which a mount point may be made for a moment.
    pub(crate) fn mount(
        &self,
        attributes: u64,
        scratch: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Failure> {
        let newer = match self.mount_by_descriptor(attributes) {
            Err(failure) if failure.errno == libc::EINVAL => failure,
            other => return other,
        };
        // `lowerdir+` is new in Linux 6.7, and a kernel that lacks it says EINVAL as well.
        self.mount_by_string(attributes, scratch)
            .map_err(|older| both(newer, older))
    }

    fn mount_by_descriptor(&self, attributes: u64) -> Result<OwnedFd, Failure> {
        let context = sys::mount::open_file_system(c"overlay").during(Step::MountOverlay)?;
        let explain = |failure: Failure| {
            let detail = sys::mount::explanation(context.as_fd());
            failure.explained(detail)
        };
        let configure = || -> Result<OwnedFd, Failure> {
            for flag in &self.flags {
                sys::mount::set_flag(context.as_fd(), &text(flag)).during(Step::MountOverlay)?;
            }
            for (key, directory) in &self.directories {
                let location = text(&descriptor_path(directory.as_fd()));
                sys::mount::set_string(context.as_fd(), &text(key), &location)
                    .during(Step::MountOverlay)?;
            }
            sys::mount::create(context.as_fd(), attributes).during(Step::MountOverlay)
        };
        configure().map_err(explain)
    }

    /// The form of kernels before 6.7: one `lowerdir=` string in what mount(2) takes.
    fn mount_by_string(
        &self,
        attributes: u64,
        scratch: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Failure> {
        const NAME: &str = ".overlay";
        let step = Step::MountOverlay;
        let options = self.option_string();
        if options.len() > LONGEST_OPTIONS {
            return Err(Failure::of(step, Errno::E2BIG).explained(Some(format!(
                "{} bytes of options, of which mount(2) takes {LONGEST_OPTIONS}",
                options.len()
            ))));
        }
        mkdirat(scratch, NAME, Mode::S_IRWXU).during(step)?;
        let place = format!("{}/{NAME}", descriptor_path(scratch));
        let tree = in_descriptors(|| {
            mount(
                Some("overlay"),
                place.as_str(),
                Some("overlay"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some(options.as_str()),
            )
        })
        .during(step)
        .and_then(|()| {
            let tree = sys::mount::clone_tree(Some(scratch), Path::new(NAME)).during(step)?;
            sys::mount::set_attributes(tree.as_fd(), attributes, sys::mount::Recursion::One)
                .during(step)?;
            umount2(place.as_str(), MntFlags::MNT_DETACH).during(step)?;
            Ok(tree)
        });
        unlinkat(scratch, NAME, UnlinkatFlags::RemoveDir).during(step)?;
        tree
    }

    /// Returns the options with the directories named by their numbers in `/proc/self/fd`, as short as they can be: all
    /// of the 500 lowers that the kernel takes fit.
    fn option_string(&self) -> String {
        let mut lowers = Vec::new();
        let mut options = self.flags.clone();
        for (key, directory) in &self.directories {
            let number = directory.as_raw_fd().to_string();
            if key == "lowerdir+" {
                lowers.push(number);
            } else {
                options.push(format!("{key}={number}"));
            }
        }
        options.push(format!("lowerdir={}", lowers.join(":")));
        options.join(",")
    }
}

/// Puts the explanations of both forms together, under the errno of the one that this kernel is for.
fn both(newer: Failure, older: Failure) -> Failure {
    let said = |failure: &Failure| {
        let errno = Errno::from_raw(failure.errno);
        match &failure.detail {
            Some(detail) => format!("{errno}, {detail}"),
            None => errno.to_string(),
        }
    };
    let detail = format!(
        "with `lowerdir+` of Linux 6.7: {}; with `lowerdir` of older kernels: {}",
        said(&newer),
        said(&older)
    );
    older.explained(Some(detail))
}

/// Does something in the directory of this process's descriptors, from where they are called by their numbers.
fn in_descriptors<T>(action: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    let before = open(
        ".",
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    chdir("/proc/self/fd")?;
    let done = action();
    fchdir(before)?;
    done
}

fn descriptor_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn text(option: &str) -> CString {
    CString::new(option).expect("options come from JSON strings that were checked for NUL")
}

/// Says whether a string can be passed to the kernel.
pub(crate) fn check_nul(option: impl AsRef<OsStr>) -> Result<(), Failure> {
    if option.as_ref().as_encoded_bytes().contains(&0) {
        return Err(Failure::of(Step::ReadSpec, Errno::EINVAL).about(option.as_ref().display()));
    }
    Ok(())
}
