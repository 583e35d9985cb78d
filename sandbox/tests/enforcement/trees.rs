//! Overlays, and mount points inside trees that somebody hostile has made.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use overcoat_sandbox::{Error, Overlay, ProgramStatus, Spec};

use crate::harness::tests;
use crate::support::{
    HostDirectory, assert_errno, contents, host_directory, make_directories, plant, probe, run,
    shell,
};

tests![
    an_overlay_captures_changes_in_its_upper,
    an_overlay_without_upper_is_read_only,
    the_topmost_lower_wins,
    a_removed_directory_that_is_made_again_is_opaque,
    as_many_lowers_as_the_kernel_takes_are_stacked,
    long_and_odd_overlay_paths_work,
    an_overlay_can_be_the_root,
    mount_points_are_made_as_plain_directories,
    a_planted_link_at_a_mount_point_is_refused,
    a_planted_link_above_a_mount_point_is_refused,
    a_planted_link_at_a_file_is_refused,
    the_host_paths_of_an_overlay_are_not_shown,
    an_overlay_that_the_kernel_refuses_is_explained,
];

/// An overlay on a directory of the host.
struct Scene {
    host: HostDirectory,
    overlay: Overlay,
}

impl Scene {
    fn new() -> Self {
        let host = host_directory();
        let overlay = overlay_below(host.path());
        Self { host, overlay }
    }

    fn lower(&self) -> PathBuf {
        self.host.path().join("lower")
    }

    fn upper(&self) -> PathBuf {
        self.host.path().join("upper")
    }
}

fn overlay_below(directory: &Path) -> Overlay {
    for name in ["lower", "upper", "work"] {
        make_directories(&directory.join(name));
    }
    Overlay {
        lowers: vec![directory.join("lower")],
        upper: Some(directory.join("upper")),
        work: Some(directory.join("work")),
    }
}

fn an_overlay_captures_changes_in_its_upper() {
    let scene = Scene::new();
    plant(&scene.lower(), "kept", "lower");
    plant(&scene.lower(), "removed", "lower");
    plant(&scene.lower(), "changed", "lower");
    let script = "cd /tree && rm removed && echo upper > changed && echo upper > new && cat kept";
    let ran = run(&shell(script).overlay("/tree", &scene.overlay));
    assert_eq!(ran.stdout, "lower", "{}", ran.stderr);
    assert_eq!(contents(&scene.lower().join("changed")), "lower");
    assert_eq!(contents(&scene.upper().join("changed")), "upper\n");
    assert_eq!(contents(&scene.upper().join("new")), "upper\n");
    assert!(scene.lower().join("removed").exists());
    let whiteout = scene.upper().join("removed").symlink_metadata().unwrap();
    assert!(whiteout.file_type().is_char_device());
    assert_eq!(whiteout.rdev(), 0);
    assert!(!scene.upper().join("kept").exists());
}

fn an_overlay_without_upper_is_read_only() {
    let mut scene = Scene::new();
    plant(&scene.lower(), "file", "x");
    let writable = scene.overlay.clone();
    scene.overlay.lowers.push(scene.upper());
    scene.overlay.upper = None;
    scene.overlay.work = None;
    let spec = probe(["write", "/tree/file"]);
    assert_errno(&spec.clone().overlay("/tree", &scene.overlay), libc::EROFS);
    assert_errno(&spec.overlay("/tree", &writable), 0);
}

fn the_topmost_lower_wins() {
    let scene = Scene::new();
    let (first, second) = (scene.lower(), scene.host.path().join("second"));
    plant(&first, "file", "top");
    plant(&second, "file", "bottom");
    let overlay = Overlay {
        lowers: vec![first, second],
        upper: None,
        work: None,
    };
    let ran = run(&probe(["print", "/tree/file"]).overlay("/tree", &overlay));
    assert_eq!(ran.stdout, "top");
}

fn a_removed_directory_that_is_made_again_is_opaque() {
    let scene = Scene::new();
    plant(&scene.lower(), "directory/old", "x");
    let script = "rm -r /tree/directory && mkdir /tree/directory && ls -A /tree/directory";
    let ran = run(&shell(script).overlay("/tree", &scene.overlay));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
    // Read again through a stack of both, as the next step would.
    let stacked = Overlay {
        lowers: vec![scene.upper(), scene.lower()],
        upper: None,
        work: None,
    };
    let ran = run(&shell("ls -A /tree/directory").overlay("/tree", &stacked));
    assert_eq!(ran.stdout, "");
}

fn as_many_lowers_as_the_kernel_takes_are_stacked() {
    let scene = Scene::new();
    let lowers: Vec<PathBuf> = (0..500)
        .map(|number| {
            let lower = scene.host.path().join(format!("layer-{number}"));
            plant(&lower, &format!("file-{number}"), "x");
            lower
        })
        .collect();
    let overlay = Overlay {
        lowers,
        ..scene.overlay
    };
    let ran = run(&shell("ls /tree | wc -l").overlay("/tree", &overlay));
    assert_eq!(ran.stdout, "500\n", "{}", ran.stderr);
}

fn long_and_odd_overlay_paths_work() {
    let long = format!("{0}/{0}", "x".repeat(160));
    for name in [
        long.as_str(),
        "a:b",
        "a,b",
        "a b",
        "a\\b",
        "a=b",
        "line\nfeed",
    ] {
        let host = host_directory();
        let overlay = overlay_below(&host.path().join(name));
        plant(&overlay.lowers[0], "file", "lower");
        let spec = shell("cat /tree/file && echo upper > /tree/file").overlay("/tree", &overlay);
        let ran = run(&spec);
        assert_eq!(ran.stdout, "lower", "{name}: {}", ran.stderr);
        assert_eq!(contents(&overlay.upper.unwrap().join("file")), "upper\n");
    }
}

fn an_overlay_can_be_the_root() {
    let scene = Scene::new();
    plant(&scene.lower(), "etc/file", "of the tree");
    let spec = Spec::new(["/probe", "probe", "print", "/etc/file"]).overlay("/", &scene.overlay);
    let spec = crate::support::with_host_system(spec)
        .bind_read_only(crate::support::this_program(), "/probe")
        .proc("/proc");
    let ran = run(&spec);
    assert_eq!(ran.stdout, "of the tree", "{}", ran.stderr);
    assert!(scene.upper().join("usr").is_dir());
    assert_errno(&spec_with_root(&scene, ["read", "/home"]), libc::ENOENT);
}

fn spec_with_root(scene: &Scene, operation: [&str; 2]) -> Spec {
    // A work directory of a volatile overlay cannot be used twice.
    let overlay = Overlay {
        lowers: vec![scene.upper(), scene.lower()],
        upper: None,
        work: None,
    };
    let spec = Spec::new(["/probe", "probe"].into_iter().chain(operation)).overlay("/", &overlay);
    spec.bind_read_only("/usr", "/usr")
        .bind_read_only(crate::support::this_program(), "/probe")
        .proc("/proc")
}

fn mount_points_are_made_as_plain_directories() {
    let scene = Scene::new();
    let spec = shell("true")
        .overlay("/tree", &scene.overlay)
        .proc("/tree/proc")
        .tmpfs("/tree/deep/tmp", 0o1777);
    assert_eq!(run(&spec).outcome.status, ProgramStatus::Exited(0));
    for name in ["proc", "deep", "deep/tmp"] {
        let mode = scene
            .upper()
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode, 0o040_755, "{name}");
    }
}

fn a_planted_link_at_a_mount_point_is_refused() {
    let scene = Scene::new();
    symlink("/etc", scene.lower().join("proc")).unwrap();
    let spec = shell("true").overlay("/tree", &scene.overlay);
    assert_symlink_refused(&spec.clone().proc("/tree/proc"), "/tree/proc");
    // The work directory of a volatile overlay is used up, so the twin has another overlay.
    let twin = Scene::new();
    make_directories(&twin.lower().join("proc"));
    let spec = shell("true")
        .overlay("/tree", &twin.overlay)
        .proc("/tree/proc");
    assert_eq!(run(&spec).outcome.status, ProgramStatus::Exited(0));
}

fn a_planted_link_above_a_mount_point_is_refused() {
    for target in ["/", "/usr", "..", "../../../.."] {
        let scene = Scene::new();
        symlink(target, scene.lower().join("var")).unwrap();
        let spec = shell("true")
            .overlay("/tree", &scene.overlay)
            .tmpfs("/tree/var/tmp", 0o1777);
        assert_symlink_refused(&spec, "/tree/var/tmp");
    }
}

fn a_planted_link_at_a_file_is_refused() {
    let scene = Scene::new();
    let host_file = plant(scene.host.path(), "of-the-host", "before");
    symlink(&host_file, scene.lower().join("resolv.conf")).unwrap();
    let tree = shell("true").overlay("/tree", &scene.overlay);
    let bound = tree.clone().bind_read_only(&host_file, "/tree/resolv.conf");
    assert_symlink_refused(&bound, "/tree/resolv.conf");
    let scene = Scene::new();
    symlink(&host_file, scene.lower().join("file")).unwrap();
    let made = shell("true")
        .overlay("/tree", &scene.overlay)
        .file("/tree/file", "changed");
    match made.spawn() {
        Err(Error::SetUp { object, source, .. }) => {
            assert_eq!(object.as_deref(), Some("/tree/file"));
            assert_eq!(source.raw_os_error(), Some(libc::EEXIST));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(contents(&host_file), "before");
}

#[track_caller]
fn assert_symlink_refused(spec: &Spec, expected: &str) {
    match spec.spawn() {
        Err(Error::SymlinkAtMountPoint { inside }) => assert_eq!(inside, expected),
        other => panic!("{other:?}"),
    }
}

fn the_host_paths_of_an_overlay_are_not_shown() {
    let scene = Scene::new();
    let host = scene.host.path().to_str().unwrap();
    let ran = run(&probe(["print", "/proc/self/mountinfo"]).overlay("/tree", &scene.overlay));
    assert!(ran.stdout.contains(" /tree "), "{}", ran.stdout);
    assert!(!ran.stdout.contains(host), "{}", ran.stdout);
}

/// The first two numbers of the kernel's release.
fn kernel_version() -> (u32, u32) {
    let names = nix::sys::utsname::uname().unwrap();
    let release = names.release().to_str().unwrap();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn an_overlay_that_the_kernel_refuses_is_explained() {
    let scene = Scene::new();
    let overlay = Overlay {
        lowers: vec![scene.lower(); 501],
        upper: None,
        work: None,
    };
    match shell("true").overlay("/tree", &overlay).spawn() {
        Err(Error::MountOverlay {
            inside,
            detail,
            source,
        }) => {
            assert_eq!(inside, "/tree");
            assert_eq!(source.raw_os_error(), Some(libc::EINVAL));
            let newer = match kernel_version() {
                (6, 7..) | (7.., _) => "overlay: too many lower directories, limit is 500",
                (6, 5..) => "overlay: Unknown parameter 'lowerdir+'",
                _ => "VFS: Legacy: Cumulative options too large",
            };
            assert_eq!(
                detail.unwrap(),
                format!(
                    "with `lowerdir+` of Linux 6.7: EINVAL: Invalid argument, {newer}; with `lowerdir` of older \
                     kernels: EINVAL: Invalid argument"
                )
            );
        }
        other => panic!("{other:?}"),
    }
}
