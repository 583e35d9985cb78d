//! What is asked of the host, nested user namespaces, and the specification as data.

use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use overcoat_sandbox::probe::{FeatureStatus, features};
use overcoat_sandbox::{Error, ProgramStatus, Spec, enter_user_namespace};

use crate::harness::tests;
use crate::support::{host_directory, probe, run};

tests![
    every_feature_is_probed,
    probing_leaves_nothing_behind,
    a_state_directory_that_is_missing_is_named,
    a_threaded_process_cannot_enter_a_user_namespace,
    a_sandbox_runs_inside_a_user_namespace,
    a_filter_that_forbids_namespaces_is_explained,
    a_limit_of_namespaces_is_named,
    a_chroot_is_explained,
    a_proc_that_is_partly_hidden_is_explained,
    a_specification_prints_the_same_each_time,
    a_specification_survives_json,
    arguments_that_are_not_utf8_are_refused,
];

fn every_feature_is_probed() {
    let host = host_directory();
    let found = features(host.path());
    assert_eq!(found.len(), 11);
    for feature in found {
        assert!(
            matches!(feature.status, FeatureStatus::Available(_)),
            "{feature:?}"
        );
    }
}

fn probing_leaves_nothing_behind() {
    let host = host_directory();
    features(host.path());
    assert_eq!(host.path().read_dir().unwrap().count(), 0);
}

fn a_state_directory_that_is_missing_is_named() {
    let host = host_directory();
    let missing = host.path().join("missing");
    let found = features(&missing);
    let overlay = found
        .iter()
        .find(|feature| feature.name.starts_with("overlayfs"));
    match &overlay.unwrap().status {
        FeatureStatus::Missing { evidence, .. } => {
            assert!(evidence.contains(missing.to_str().unwrap()), "{evidence}");
            assert!(evidence.contains("ENOENT"), "{evidence}");
        }
        other => panic!("{other:?}"),
    }
}

fn a_threaded_process_cannot_enter_a_user_namespace() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    assert!(matches!(enter_user_namespace(), Err(Error::Threaded)));
    drop(stop);
    thread.join().unwrap().unwrap_err();
}

fn a_sandbox_runs_inside_a_user_namespace() {
    let output = Command::new(crate::support::this_program())
        .arg("nested")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "root twice\n",
        "{stderr}"
    );
    assert!(output.status.success());
}

fn a_filter_that_forbids_namespaces_is_explained() {
    let ran = run(&probe(["try-sandbox"]));
    assert_eq!(
        ran.stdout,
        "this container's profile forbids user namespaces or mounts\n\
         start the container with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
         --security-opt systempaths=unconfined` and the state directory on a volume\n",
        "{}",
        ran.stderr
    );
}

fn a_limit_of_namespaces_is_named() {
    assert_eq!(
        printed_by(&["limited"]),
        "the limit `user.max_user_namespaces` of namespaces is reached\n\
         run `sudo sysctl -w user.max_user_namespaces=15000`, or end programs that hold namespaces\n"
    );
}

fn a_chroot_is_explained() {
    let host = host_directory();
    assert_eq!(
        printed_by(&["chrooted", host.path().to_str().unwrap()]),
        "the kernel makes no user namespace inside a chroot\n\
         run it outside of the chroot, or enter the tree with a tool that uses pivot_root, such as \
         `systemd-nspawn` or `podman`\n"
    );
}

fn a_proc_that_is_partly_hidden_is_explained() {
    assert_eq!(
        printed_by(&["masked"]),
        "mounting proc on `/proc`, which is refused where the host's own proc is partly hidden\n\
         in a container, start it with `--security-opt systempaths=unconfined` (Docker) or \
         `--security-opt unmask=ALL` (Podman)\n"
    );
}

fn printed_by(part: &[&str]) -> String {
    let output = Command::new(crate::support::this_program())
        .args(part)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Allows no further user namespace, as some hosts do, and tries a sandbox.
pub(crate) fn run_limited() -> ExitCode {
    enter_user_namespace().unwrap();
    let limit = "/proc/sys/user/max_user_namespaces";
    let mut file = std::fs::OpenOptions::new().write(true).open(limit).unwrap();
    std::io::Write::write_all(&mut file, b"0").unwrap();
    print_refusal(&Spec::new(["/bin/true"]))
}

/// Changes the root to a directory of the host, and tries a sandbox.
pub(crate) fn run_chrooted(directory: &str) -> ExitCode {
    enter_user_namespace().unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some("/"), directory, None::<&str>, flags, None::<&str>).unwrap();
    nix::unistd::chroot(directory).unwrap();
    print_refusal(&Spec::new(["/bin/true"]))
}

/// Hides a file of proc, as container managers do, and tries a sandbox.
pub(crate) fn run_masked() -> ExitCode {
    enter_user_namespace().unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(
        Some("/dev/null"),
        "/proc/uptime",
        none,
        MsFlags::MS_BIND,
        none,
    )
    .unwrap();
    print_refusal(&Spec::new(["/bin/true"]).proc("/proc"))
}

/// Tries a sandbox where none can be made, and prints the error and the hint.
pub(crate) fn print_refusal(spec: &Spec) -> ExitCode {
    match spec.spawn() {
        Err(error) => {
            println!("{error}\n{}", error.hint().unwrap());
            ExitCode::SUCCESS
        }
        Ok(running) => {
            eprintln!("{:?}", running.wait());
            ExitCode::FAILURE
        }
    }
}

/// Enters a user namespace, and runs a sandbox in it.
pub(crate) fn run_nested() -> ExitCode {
    enter_user_namespace().unwrap();
    assert!(nix::unistd::geteuid().is_root());
    let host = host_directory();
    let overlay = overcoat_sandbox::Overlay {
        lowers: vec![host.path().join("lower")],
        upper: Some(host.path().join("upper")),
        work: Some(host.path().join("work")),
    };
    for name in ["lower", "upper", "work"] {
        crate::support::make_directories(&host.path().join(name));
    }
    let spec = crate::support::shell("id -u && touch /tree/file").overlay("/tree", &overlay);
    let ran = run(&spec);
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "0\n");
    assert!(host.path().join("upper/file").exists());
    let path = host.path().to_owned();
    drop(host);
    assert!(!path.exists());
    println!("root twice");
    ExitCode::SUCCESS
}

fn a_specification_prints_the_same_each_time() {
    let spec = || probe(["exit", "0"]).file("/etc/hosts", "127.0.0.1 localhost\n");
    let text = spec().to_json().unwrap().to_string();
    for _ in 0..8 {
        assert_eq!(spec().to_json().unwrap().to_string(), text);
    }
    assert!(text.contains("127.0.0.1 localhost\\n"), "{text}");
    assert!(text.contains("\"noNewPrivileges\":true"), "{text}");
}

fn a_specification_survives_json() {
    let spec = probe(["exit", "5"])
        .directory("/made")
        .environment("A", "b");
    let json = spec.to_json().unwrap();
    let again: Spec = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(again.to_json().unwrap(), json);
    assert_eq!(run(&again).outcome.status, ProgramStatus::Exited(5));
}

fn arguments_that_are_not_utf8_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    let spec = Spec::new([std::ffi::OsStr::new("/bin/true"), odd]);
    assert!(matches!(spec.spawn(), Err(Error::NotUtf8 { value }) if value == odd));
}
