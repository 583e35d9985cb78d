//! Each level of Landlock: what it enforces, and what keeps the promise on an older kernel.
//!
//! Older kernels are pretended, by using no more than they have. A kernel without Landlock is real: a filter on the caller
//! says so.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, ExitCode};

use overcoat_sandbox::{Enforcement, Error, FileAccess, Network, Spec, Strictness, seccomp};

use crate::harness::{require, tests};
use crate::host::print_refusal;
use crate::support::{assert_errno, host_directory, plant, probe, run, this_program};

tests![
    abi_0_is_refused_or_leaves_mounts_alone,
    abi_1_is_refused_or_leaves_moves_alone,
    abi_2_adds_rules_that_let_files_be_moved,
    abi_3_adds_rules_on_truncation,
    abi_4_lacks_device_ioctls_where_no_devices_are,
    abi_5_adds_rules_on_device_ioctls,
    abi_5_lacks_scopes_that_namespaces_keep,
    abi_5_is_too_old_for_the_hosts_network,
    abi_6_adds_scopes,
    abi_7_lacks_nothing,
    a_kernel_without_landlock_is_explained,
    a_kernel_with_landlock_disabled_is_explained,
];

const RULES: &str = "rules on files (Landlock ABI 1, Linux 5.13)";
const MOVES: &str =
    "rules on files that are moved or linked to another directory (Landlock ABI 2, Linux 5.19)";
const SCOPES: &str =
    "no signals and abstract sockets beyond the sandbox (Landlock ABI 6, Linux 6.12)";

fn best_effort(spec: Spec) -> Spec {
    spec.strictness(Strictness::BestEffort)
}

fn enforcement(spec: &Spec) -> Enforcement {
    run(spec).outcome.enforcement
}

fn kernel_has(abi: u32) -> bool {
    enforcement(&probe(["exit", "0"])).landlock_abi >= abi
}

/// What mounts refuse whatever Landlock does, with the twins that they permit.
fn assert_mounts_keep(with: impl Fn(Spec) -> Spec) {
    let host = host_directory();
    plant(host.path(), "file", "before");
    for operation in ["write", "truncate-by-path"] {
        let spec = || with(probe([operation, "/tree/file"]));
        assert_errno(&spec().bind_read_only(host.path(), "/tree"), libc::EROFS);
        assert_errno(&spec().bind(host.path(), "/tree"), 0);
    }
    assert_errno(&with(probe(["create", "/new"])), libc::EROFS);
    assert_errno(
        &with(probe(["create", "/tmp/new"]).tmpfs("/tmp", 0o1777)),
        0,
    );
}

/// The file system of `/dev` could be written; only Landlock's rules have it that nothing is made in it.
fn assert_rules_on_files(with: impl Fn(Spec) -> Spec, errno: i32) {
    assert_errno(&with(probe(["create", "/dev/new"])), errno);
    assert_errno(&with(probe(["create", "/dev/shm/new"])), 0);
}

fn assert_moves(with: impl Fn(Spec) -> Spec) {
    let host = host_directory();
    for operation in ["rename", "link"] {
        plant(host.path(), "from/file", "before");
        plant(host.path(), "to/other", "before");
        let moved = format!("/tree/to/{operation}");
        let spec = with(probe([operation, "/tree/from/file", &moved]));
        assert_errno(&spec.bind(host.path(), "/tree"), 0);
    }
}

fn abi_0_is_refused_or_leaves_mounts_alone() {
    let pretend = |spec: Spec| spec.pretend_landlock_abi(0);
    let error = pretend(probe(["exit", "0"])).spawn().unwrap_err();
    assert!(matches!(error, Error::LandlockMissing { .. }), "{error:?}");
    assert!(error.is_missing_feature());
    let with = |spec| best_effort(pretend(spec));
    let found = enforcement(&with(probe(["exit", "0"])));
    assert_eq!((found.landlock_abi, found.landlock_scopes), (0, false));
    assert!(found.landlock_pretended);
    assert_eq!(found.missing, [RULES, MOVES]);
    assert_rules_on_files(with, 0);
    assert_mounts_keep(with);
    assert_moves(with);
}

fn abi_1_is_refused_or_leaves_moves_alone() {
    let pretend = |spec: Spec| spec.pretend_landlock_abi(1);
    let error = pretend(probe(["exit", "0"])).spawn().unwrap_err();
    assert!(
        matches!(&error, Error::LandlockTooOld { abi, lacks, .. } if abi == "1" && lacks == MOVES),
        "{error:?}"
    );
    assert!(error.is_missing_feature());
    assert_eq!(
        error.hint().unwrap(),
        "use a newer kernel, or `--allow=weaker-sandbox` to build without what is missing"
    );
    let with = |spec| best_effort(pretend(spec));
    let found = enforcement(&with(probe(["exit", "0"])));
    assert_eq!(found.landlock_abi, 0);
    assert_eq!(found.missing, [MOVES]);
    assert_mounts_keep(with);
    assert_moves(with);
}

fn abi_2_adds_rules_that_let_files_be_moved() {
    let with = |spec: Spec| spec.pretend_landlock_abi(2);
    let found = enforcement(&with(probe(["exit", "0"])));
    assert_eq!(found.landlock_abi, 2);
    assert_eq!(found.missing, Vec::<String>::new());
    assert_rules_on_files(with, libc::EACCES);
    assert_moves(with);
    // Truncation is no right of its own yet; mounts refuse it.
    assert_errno(&with(truncation(FileAccess::ReadExecute)), 0);
    assert_mounts_keep(with);
}

fn abi_3_adds_rules_on_truncation() {
    require!(kernel_has(3), "Landlock ABI 3");
    let with = |spec: Spec| spec.pretend_landlock_abi(3);
    assert_eq!(enforcement(&with(probe(["exit", "0"]))).landlock_abi, 3);
    assert_errno(&with(truncation(FileAccess::ReadExecute)), libc::EACCES);
    assert_errno(&with(truncation(FileAccess::ReadWrite)), 0);
    assert_rules_on_files(with, libc::EACCES);
}

/// Truncates a file on a writable mount, where Landlock grants only `access`.
fn truncation(access: FileAccess) -> Spec {
    with_rule(
        probe(["truncate-by-path", "/tmp/file"])
            .tmpfs("/tmp", 0o1777)
            .file("/tmp/file", "before"),
        "/tmp",
        access,
    )
}

fn with_rule(mut spec: Spec, path: &str, access: FileAccess) -> Spec {
    for rule in spec.landlock.iter_mut().filter(|rule| rule.path == *path) {
        rule.access = access;
    }
    spec
}

/// Asks a device something that it does not understand.
fn ask_device(access: FileAccess) -> Spec {
    with_rule(probe(["ask-for-terminal", "/dev/null"]), "/dev", access)
}

fn abi_4_lacks_device_ioctls_where_no_devices_are() {
    require!(kernel_has(4), "Landlock ABI 4");
    let with = |spec: Spec| spec.pretend_landlock_abi(4);
    let found = enforcement(&with(probe(["exit", "0"])));
    assert_eq!(found.landlock_abi, 4);
    assert_eq!(found.missing, Vec::<String>::new());
    assert_errno(&with(ask_device(FileAccess::ReadWrite)), libc::ENOTTY);
    // Devices are the harmless ones only: elsewhere nodes are no devices.
    let device = probe(["read", "/tree/null"]).bind("/dev", "/tree");
    assert_errno(&with(device), libc::EACCES);
    assert_errno(&with(probe(["read", "/dev/null"])), 0);
}

fn abi_5_adds_rules_on_device_ioctls() {
    require!(kernel_has(5), "Landlock ABI 5");
    let with = |spec: Spec| spec.pretend_landlock_abi(5);
    assert_eq!(enforcement(&with(probe(["exit", "0"]))).landlock_abi, 5);
    assert_errno(&with(ask_device(FileAccess::ReadWrite)), libc::EACCES);
    assert_errno(&with(ask_device(FileAccess::Device)), libc::ENOTTY);
}

fn abi_5_lacks_scopes_that_namespaces_keep() {
    let with = |spec: Spec| spec.pretend_landlock_abi(5);
    let found = enforcement(&with(probe(["exit", "0"])));
    assert!(!found.landlock_scopes);
    assert_eq!(found.missing, Vec::<String>::new());
    let host = std::process::id().to_string();
    assert_errno(&with(probe(["signal", &host])), libc::ESRCH);
    assert_errno(&with(probe(["signal-own-child"])), 0);
    let name = format!("overcoat-landlock-{host}");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let foreign = probe(["connect-abstract", &name]);
    assert_errno(&with(foreign), libc::ECONNREFUSED);
    assert_errno(&with(probe(["connect-own-abstract", "own"])), 0);
}

fn abi_5_is_too_old_for_the_hosts_network() {
    let name = format!("overcoat-host-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let connect = || {
        probe(["connect-abstract", &name])
            .network(Network::Host)
            .pretend_landlock_abi(5)
    };
    let error = connect().spawn().unwrap_err();
    assert!(
        matches!(&error, Error::LandlockTooOld { lacks, .. } if lacks == SCOPES),
        "{error:?}"
    );
    let ran = run(&best_effort(connect()));
    assert_eq!(ran.outcome.enforcement.missing, [SCOPES]);
    // Nothing else keeps it, which is why the level is needed.
    assert_eq!(
        ran.outcome.status,
        overcoat_sandbox::ProgramStatus::Exited(0)
    );
}

fn abi_6_adds_scopes() {
    require!(kernel_has(6), "Landlock ABI 6");
    let with = |spec: Spec| spec.network(Network::Host).pretend_landlock_abi(6);
    let found = enforcement(&with(probe(["exit", "0"])));
    assert!(found.landlock_scopes);
    assert_eq!(found.missing, Vec::<String>::new());
    let name = format!("overcoat-scoped-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_errno(&with(probe(["connect-abstract", &name])), libc::EPERM);
    let own = format!("{name}-own");
    assert_errno(&with(probe(["connect-own-abstract", &own])), 0);
    // Init is beyond the domain.
    assert_errno(&with(probe(["signal", "1"])), libc::EPERM);
    assert_errno(&with(probe(["signal-own-child"])), 0);
}

fn abi_7_lacks_nothing() {
    require!(kernel_has(7), "Landlock ABI 7");
    let with = |spec: Spec| spec.pretend_landlock_abi(7);
    let found = enforcement(&with(probe(["exit", "0"])));
    assert_eq!((found.landlock_abi, found.landlock_scopes), (7, true));
    assert_eq!(found.missing, Vec::<String>::new());
    assert_rules_on_files(with, libc::EACCES);
    // Without pretending, it is the same.
    let found = enforcement(&probe(["exit", "0"]));
    assert_eq!((found.landlock_abi, found.landlock_pretended), (7, false));
}

fn a_kernel_without_landlock_is_explained() {
    assert_explained("not built");
}

fn a_kernel_with_landlock_disabled_is_explained() {
    assert_explained("not enabled");
}

fn assert_explained(why: &str) {
    let output = Command::new(this_program())
        .args(["without-landlock", why])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "the kernel has no Landlock\n\
         use a kernel with Landlock (5.13 or later, `CONFIG_SECURITY_LANDLOCK=y`) that lists `landlock` in \
         `/sys/kernel/security/lsm`; the boot parameter `lsm=` sets that list. `--allow=weaker-sandbox` builds without \
         it\n\
         0\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
}

/// Makes the kernel one without Landlock for this process, prints what becomes of a sandbox, and the ABI that one with
/// best effort uses.
pub(crate) fn run_without(why: &str) -> ExitCode {
    let errno = match why {
        "not built" => libc::ENOSYS,
        _ => libc::EOPNOTSUPP,
    };
    let statement = |code: u32, jt: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf: 0,
        k,
    };
    let number = u32::try_from(libc::SYS_landlock_create_ruleset).unwrap();
    let program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, number),
        statement(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW),
        statement(
            libc::BPF_RET,
            0,
            libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(),
        ),
    ];
    nix::sys::prctl::set_no_new_privs().unwrap();
    seccomp::install(&program, false).unwrap();
    let refused = print_refusal(&probe(["exit", "0"]));
    let found = enforcement(&best_effort(probe(["exit", "0"])));
    println!("{}", found.landlock_abi);
    refused
}
