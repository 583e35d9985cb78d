//! Why a host refuses namespaces or mounts to an ordinary user, and what its owner can do about it.
//!
//! One errno has several causes; the settings of the host tell them apart. This is what was seen on real hosts, so each
//! cause names the host that it was seen on.

use std::fmt;
use std::path::Path;

use crate::report::Step;

/// The one cause that fits what the host refused.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Ubuntu 23.10 and later: AppArmor takes all capabilities from an unprivileged user namespace.
    AppArmorRestriction,
    /// Docker and kin: the container's seccomp profile refuses clone with EPERM, or with ENOSYS.
    ContainerSeccomp,
    /// Debian's and Arch's sysctl for user namespaces is off.
    UserNamespacesDisabled,
    /// A limit in `/proc/sys/user` is 0 or reached.
    LimitReached { sysctl: String },
    /// The caller is in a chroot, in which the kernel makes no user namespace.
    Chroot,
    /// The kernel was built without a kind of namespace.
    NotInKernel,
    /// Nothing that is known fits.
    Unknown { step: Step },
}

const APPARMOR: &str = "kernel/apparmor_restrict_unprivileged_userns";
const DEBIAN: &str = "kernel/unprivileged_userns_clone";
const LIMITS: &[&str] = &[
    "user/max_user_namespaces",
    "user/max_mnt_namespaces",
    "user/max_pid_namespaces",
    "user/max_ipc_namespaces",
    "user/max_uts_namespaces",
    "user/max_cgroup_namespaces",
    "user/max_net_namespaces",
];

impl Refusal {
    /// Finds the cause; none when the step is not one that hosts refuse to ordinary users as such.
    pub(crate) fn find(step: Step, errno: i32) -> Option<Self> {
        let refused = matches!(errno, libc::EPERM | libc::EACCES);
        let found = match step {
            Step::CloneNamespaces => match errno {
                libc::ENOSPC | libc::EUSERS => Self::LimitReached {
                    sysctl: exhausted_limit(),
                },
                libc::EINVAL => Self::NotInKernel,
                libc::ENOSYS => Self::ContainerSeccomp,
                libc::EPERM if sysctl(DEBIAN).as_deref() == Some("0") => {
                    Self::UserNamespacesDisabled
                }
                libc::EPERM if in_container().is_some() && is_seccomp_filtered() => {
                    Self::ContainerSeccomp
                }
                libc::EPERM if is_in_chroot() => Self::Chroot,
                libc::EPERM if is_seccomp_filtered() => Self::ContainerSeccomp,
                libc::EPERM | libc::EACCES if sysctl(APPARMOR).as_deref() == Some("1") => {
                    Self::AppArmorRestriction
                }
                // What is left of clone(2)'s reasons; a chroot at a mount point cannot be told from a root.
                libc::EPERM => Self::Chroot,
                _ => Self::Unknown { step },
            },
            Step::MapIds | Step::IsolateMounts | Step::MakeRoot | Step::MountFileSystem
                if refused =>
            {
                if sysctl(APPARMOR).as_deref() == Some("1") {
                    Self::AppArmorRestriction
                } else if in_container().is_some() {
                    Self::ContainerSeccomp
                } else if step == Step::MountFileSystem {
                    return None;
                } else {
                    Self::Unknown { step }
                }
            }
            _ => return None,
        };
        Some(found)
    }

    /// Returns what the owner of the host can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::AppArmorRestriction => {
                let program = std::env::current_exe()
                    .map_or_else(|_| "overcoat".to_owned(), |path| path.display().to_string());
                format!(
                    "on a CI runner, run `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; elsewhere \
                     install an AppArmor profile for it: `abi <abi/4.0>, include <tunables/global> profile overcoat \
                     {program} flags=(unconfined) {{ userns, include if exists <local/overcoat> }}`"
                )
            }
            Self::ContainerSeccomp => {
                "start the container with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
                 --security-opt systempaths=unconfined` and the state directory on a volume"
                    .to_owned()
            }
            Self::UserNamespacesDisabled => {
                "run `sudo sysctl -w kernel.unprivileged_userns_clone=1`".to_owned()
            }
            Self::LimitReached { sysctl } => {
                format!("run `sudo sysctl -w {sysctl}=15000`, or end programs that hold namespaces")
            }
            Self::Chroot => {
                "run it outside of the chroot, or enter the tree with a tool that uses pivot_root, such as \
                 `systemd-nspawn` or `podman`"
                    .to_owned()
            }
            Self::NotInKernel => {
                "use a kernel with `CONFIG_USER_NS`, `CONFIG_PID_NS`, `CONFIG_NET_NS`, `CONFIG_IPC_NS`, \
                 `CONFIG_UTS_NS` and `CONFIG_CGROUPS`"
                    .to_owned()
            }
            Self::Unknown { .. } => {
                "check whether `unshare --user --map-root-user --mount true` works for this user".to_owned()
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppArmorRestriction => {
                f.write_str("AppArmor restricts user namespaces of ordinary users")
            }
            Self::ContainerSeccomp => {
                f.write_str("this container's profile forbids user namespaces or mounts")
            }
            Self::UserNamespacesDisabled => {
                f.write_str("user namespaces of ordinary users are switched off")
            }
            Self::LimitReached { sysctl } => {
                write!(f, "the limit `{sysctl}` of namespaces is reached")
            }
            Self::Chroot => f.write_str("the kernel makes no user namespace inside a chroot"),
            Self::NotInKernel => f.write_str("the kernel lacks a kind of namespace"),
            Self::Unknown { step } => write!(f, "the host refuses {}", step.describe()),
        }
    }
}

/// Returns what the causes are told apart by, as it is on this host.
pub(crate) fn evidence() -> String {
    let mut found: Vec<String> = [APPARMOR, DEBIAN, LIMITS[0]]
        .iter()
        .filter_map(|name| Some(format!("{}={}", name.replace('/', "."), sysctl(name)?)))
        .collect();
    found.extend(in_container().map(|mark| format!("`{mark}` exists")));
    if is_seccomp_filtered() {
        found.push("a seccomp filter is active".to_owned());
    }
    found.extend(apparmor_profile().map(|profile| format!("AppArmor profile `{profile}`")));
    found.join(", ")
}

/// Returns the first namespace limit that is 0, else the one that is reached most often.
fn exhausted_limit() -> String {
    LIMITS
        .iter()
        .find(|name| sysctl(name).as_deref() == Some("0"))
        .unwrap_or(&LIMITS[0])
        .replace('/', ".")
}

fn in_container() -> Option<&'static str> {
    ["/.dockerenv", "/run/.containerenv"]
        .into_iter()
        .find(|mark| Path::new(mark).exists())
}

fn is_seccomp_filtered() -> bool {
    read("/proc/self/status").is_some_and(|status| {
        status.lines().any(|line| {
            line.strip_prefix("Seccomp:")
                .is_some_and(|mode| mode.trim() == "2")
        })
    })
}

/// In a chroot the root directory is not the root of a mount.
fn is_in_chroot() -> bool {
    read("/proc/self/mountinfo").is_some_and(|table| {
        !table
            .lines()
            .any(|line| line.split(' ').nth(4) == Some("/"))
    })
}

fn apparmor_profile() -> Option<String> {
    [
        "/proc/self/attr/apparmor/current",
        "/proc/self/attr/current",
    ]
    .iter()
    .find_map(|path| read(path))
    .filter(|profile| !profile.is_empty())
}

fn sysctl(name: &str) -> Option<String> {
    read(&format!("/proc/sys/{name}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that cannot be read is no evidence; its error would never be shown"
)]
fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_matches(['\n', '\0', ' ']).to_owned())
}
