//! The trials of [`probe`](crate::probe), in the launcher. Each runs in a process of its own, because most cannot be
//! undone: namespaces, Landlock domains and seccomp filters last as long as the process.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sched::CloneFlags;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::sys::wait::waitpid;
use nix::unistd::{UnlinkatFlags, getegid, geteuid, getpid, mkdir, pipe2, read, unlinkat, write};
use oci_spec::runtime::Linux;

use crate::mounts::{self, Root};
use crate::overlay::OpenedOverlay;
use crate::probe::{Trial, Tried};
use crate::report::{At, Failure, Step, write_line};
use crate::spec::{IdMapping, OwnershipRecording, Spec};
use crate::sys::process::{Fork, clone_process, exit_now};
use crate::{defaults, idmap, kernel, landlock, seccomp, sys};

/// The oldest kernel on which a build works: without Landlock's right to move files between directories (5.19), package
/// managers fail.
const OLDEST_KERNEL: kernel::Version = (5, 19);

/// Runs all trials.
pub(crate) fn run_all(state_directory: &Path) -> Vec<Tried> {
    Trial::ALL
        .into_iter()
        .map(|trial| Tried {
            trial,
            result: run(trial, state_directory),
        })
        .collect()
}

fn run(trial: Trial, state_directory: &Path) -> Result<String, Failure> {
    let user = CloneFlags::CLONE_NEWUSER;
    let mount = user | CloneFlags::CLONE_NEWNS;
    match trial {
        Trial::KernelVersion => kernel_version(),
        Trial::UserNamespace => in_process(user, None, || Ok("works".to_owned())),
        Trial::IdMapping => in_process(user, Some(own_ids()), mapped_root),
        Trial::TmpfsMount => in_process(mount, Some(own_ids()), || {
            Root::make(None).map(|_| "works".to_owned())
        }),
        Trial::OtherNamespaces => {
            let all = mount
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS
                | CloneFlags::CLONE_NEWCGROUP
                | CloneFlags::CLONE_NEWNET;
            in_process(all, Some(own_ids()), || {
                sys::net::bring_loopback_up().during(Step::BringLoopbackUp)?;
                Ok("work".to_owned())
            })
        }
        Trial::Overlay => {
            let scratch = Scratch::make(state_directory)?;
            in_process(mount, Some(own_ids()), || overlay(&scratch.path))
        }
        Trial::UserXattrs => {
            let scratch = Scratch::make(state_directory)?;
            user_xattrs(&scratch.path)
        }
        Trial::ProcMount => in_process(mount | CloneFlags::CLONE_NEWPID, Some(own_ids()), || {
            mounts::file_system("proc", &[], 0).map(|_| "works".to_owned())
        }),
        Trial::Landlock => in_process(CloneFlags::empty(), None, landlock_version),
        Trial::SeccompFilter => in_process(CloneFlags::empty(), None, || {
            filter(OwnershipRecording::Off)
        }),
        Trial::SeccompListener => in_process(CloneFlags::empty(), None, || {
            filter(OwnershipRecording::RecordAndAnswer)
        }),
    }
}

fn kernel_version() -> Result<String, Failure> {
    let (release, version) = kernel::release().during(Step::CloneNamespaces)?;
    if version < OLDEST_KERNEL {
        let (major, minor) = OLDEST_KERNEL;
        return Err(Failure::of(Step::ReadKernelVersion, Errno::ENOSYS)
            .about(release)
            .explained(Some(format!("{major}.{minor} is the oldest that works"))));
    }
    Ok(release)
}

fn mapped_root() -> Result<String, Failure> {
    if geteuid().is_root() {
        Ok("one id".to_owned())
    } else {
        Err(Failure::of(Step::MapIds, Errno::EPERM))
    }
}

/// Makes what a build makes: a new file, a whiteout, and an opaque directory over it.
fn overlay(scratch: &Path) -> Result<String, Failure> {
    let step = Step::MountOverlay;
    let option = |key: &str, name: &str| format!("{key}={}", scratch.join(name).display());
    let options = [
        "userxattr".to_owned(),
        option("lowerdir+", "lower"),
        option("upperdir", "upper"),
        option("workdir", "work"),
    ];
    let root = Root::make(None)?;
    let merged = OpenedOverlay::open(options.iter().map(String::as_str))?
        .mount(0, root.bottom())
        .map_err(|failure| failure.about(scratch.display()))?;
    let about = |failure: Failure| failure.about(scratch.display());
    let create = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(&merged, "new", create, Mode::S_IRWXU)
        .during(step)
        .map_err(about)?;
    unlinkat(&merged, "directory", UnlinkatFlags::RemoveDir)
        .during(step)
        .map_err(about)?;
    mkdirat(&merged, "directory", Mode::S_IRWXU)
        .during(step)
        .map_err(about)?;
    Ok(format!("works on `{}`", scratch_parent(scratch)))
}

fn user_xattrs(scratch: &Path) -> Result<String, Failure> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory =
        open(scratch, flags, Mode::empty()).at(Step::SetAttribute, scratch.display())?;
    sys::xattr::set(
        sys::xattr::At::Descriptor(directory.as_fd()),
        c"user.overcoat.probe",
        b"y",
        0,
    )
    .at(Step::SetAttribute, scratch.display())?;
    Ok(format!("work on `{}`", scratch_parent(scratch)))
}

fn landlock_version() -> Result<String, Failure> {
    set_no_new_privs().during(Step::SetNoNewPrivileges)?;
    let restricted = landlock::restrict(&Spec::new([""]))?;
    Ok(landlock::describe(restricted.abi))
}

fn filter(ownership: OwnershipRecording) -> Result<String, Failure> {
    set_no_new_privs().during(Step::SetNoNewPrivileges)?;
    let program = seccomp::assemble(&seccomp::Policy {
        ownership,
        suppress_sync: true,
        network_scoped: false,
    });
    let want_listener = ownership != OwnershipRecording::Off;
    seccomp::install(&program, want_listener).during(Step::FilterCalls)?;
    Ok("works".to_owned())
}

fn own_ids() -> Linux {
    let mut linux = Linux::default();
    linux
        .set_uid_mappings(Some(vec![defaults::id_mapping(0, geteuid().as_raw(), 1)]))
        .set_gid_mappings(Some(vec![defaults::id_mapping(0, getegid().as_raw(), 1)]));
    linux
}

/// Runs a trial in a process of its own, in new namespaces, after its ids were mapped when a mapping is given.
fn in_process(
    namespaces: CloneFlags,
    mapping: Option<Linux>,
    trial: impl FnOnce() -> Result<String, Failure>,
) -> Result<String, Failure> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).during(Step::OpenDescriptors);
    let (result, result_writer) = pipe()?;
    let (released, release) = pipe()?;
    let child = match clone_process(namespaces).during(Step::CloneNamespaces)? {
        Fork::Parent { child } => child,
        Fork::Child => {
            drop((result, release));
            let _: Result<Infallible, Failure> = attempt(trial, &released, &result_writer);
            exit_now(0)
        }
    };
    drop(result_writer);
    let mapped = match &mapping {
        Some(linux) => idmap::write_mappings(child, linux, IdMapping::Single),
        None => Ok(()),
    };
    let told = mapped.and_then(|()| {
        write(&release, b"\n").during(Step::MapIds)?;
        read_result(result)
    });
    // The child may wait for a release that will not come.
    let _ = kill(child, Signal::SIGKILL);
    waitpid(child, None).during(Step::Supervise)?;
    told
}

fn attempt(
    trial: impl FnOnce() -> Result<String, Failure>,
    released: &OwnedFd,
    result: &OwnedFd,
) -> Result<Infallible, Failure> {
    read(released, &mut [0]).during(Step::MapIds)?;
    write_line(result.as_fd(), &trial()).during(Step::Supervise)?;
    exit_now(0)
}

fn read_result(from: OwnedFd) -> Result<String, Failure> {
    let mut text = Vec::new();
    File::from(from)
        .take(64 << 10)
        .read_to_end(&mut text)
        .during(Step::Supervise)?;
    serde_json::from_slice(&text).during(Step::Supervise)?
}

/// Directories for an overlay on the state directory's file system, removed when this is dropped.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn make(state_directory: &Path) -> Result<Self, Failure> {
        let path = state_directory.join(format!(".probe-{}", getpid()));
        mkdir(&path, Mode::S_IRWXU).at(Step::MakeEntry, path.display())?;
        let scratch = Self { path };
        for name in ["lower", "lower/directory", "upper", "work"] {
            let path = scratch.path.join(name);
            mkdir(&path, Mode::S_IRWXU).at(Step::MakeEntry, path.display())?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    #[expect(
        clippy::disallowed_methods,
        reason = "what cannot be removed is an empty directory, and there is nobody to tell"
    )]
    fn drop(&mut self) {
        // The kernel makes `work/work` with mode 0, which its owner cannot read.
        let _ = fchmodat(
            nix::fcntl::AT_FDCWD,
            &self.path.join("work/work"),
            Mode::S_IRWXU,
            FchmodatFlags::FollowSymlink,
        );
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn scratch_parent(scratch: &Path) -> std::path::Display<'_> {
    scratch.parent().unwrap_or(scratch).display()
}
