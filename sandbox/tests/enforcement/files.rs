//! Which files of the host are there, and what may be done to them.

use std::path::Path;

use overcoat_sandbox::{Error, ProgramStatus, Spec};

use crate::harness::tests;
use crate::support::{
    assert_errno, contents, host_directory, plant, probe, run, this_program, with_host_system,
};

tests![
    a_file_of_the_host_is_not_there_unless_it_is_bound,
    directories_of_the_host_are_not_there,
    the_root_holds_only_what_was_asked_for,
    the_root_is_sealed,
    a_read_only_bind_refuses_every_change,
    a_writable_bind_takes_every_change,
    a_file_is_bound_on_a_file,
    files_directories_and_links_are_made,
    files_can_be_moved_between_directories,
    a_repeated_directory_shows_the_same_mounts_and_is_no_more_writable,
    a_tmpfs_starts_empty_with_its_mode,
    device_nodes_cannot_be_made,
    devices_work,
    a_device_of_the_host_is_there_only_when_it_is_shown,
    a_masked_path_shows_nothing,
    a_masked_path_is_not_reached_through_a_link,
    a_path_that_goes_up_is_refused,
    a_relative_host_path_is_refused,
    a_missing_source_is_named,
    odd_names_are_taken_verbatim,
];

fn a_file_of_the_host_is_not_there_unless_it_is_bound() {
    let host = host_directory();
    let secret = plant(host.path(), "secret", "x");
    let secret = secret.to_str().unwrap();
    assert_errno(&probe(["read", secret]), libc::ENOENT);
    assert_errno(&probe(["read", secret]).bind_read_only(secret, secret), 0);
}

fn directories_of_the_host_are_not_there() {
    for path in ["/home", "/root", "/run", "/sys", "/etc", "/var", "/tmp"] {
        assert_errno(&probe(["list", path]), libc::ENOENT);
    }
    assert_errno(&probe(["list", "/usr"]), 0);
}

fn the_root_holds_only_what_was_asked_for() {
    let spec = Spec::new(["/probe", "probe", "list", "/"]);
    let spec = crate::support::with_host_system(spec)
        .bind_read_only(crate::support::this_program(), "/probe")
        .directory("/made/below");
    let found = run(&spec).stdout;
    let expected: Vec<&str> = ["bin", "lib", "lib64", "made", "probe", "usr"]
        .into_iter()
        .filter(|name| *name == "made" || *name == "probe" || Path::new("/").join(name).exists())
        .collect();
    assert_eq!(found, expected.join(" "));
}

fn the_root_is_sealed() {
    assert_errno(&probe(["create", "/new"]), libc::EROFS);
    assert_errno(&probe(["create", "/tmp/new"]).tmpfs("/tmp", 0o1777), 0);
}

/// Operations below `/tree` with the errno that a read-only mount gives.
const CHANGES: [&[&str]; 7] = [
    &["write", "/tree/file"],
    &["create", "/tree/new"],
    &["truncate", "/tree/file"],
    &["make-directory", "/tree/directory"],
    &["symlink", "x", "/tree/link"],
    &["rename", "/tree/file", "/tree/renamed"],
    &["remove", "/tree/renamed"],
];

fn a_read_only_bind_refuses_every_change() {
    let host = host_directory();
    plant(host.path(), "file", "before");
    plant(host.path(), "renamed", "before");
    for change in CHANGES {
        assert_errno(
            &operation(change).bind_read_only(host.path(), "/tree"),
            libc::EROFS,
        );
    }
    assert_eq!(contents(&host.path().join("file")), "before");
}

fn a_writable_bind_takes_every_change() {
    let host = host_directory();
    plant(host.path(), "file", "before");
    for change in CHANGES {
        assert_errno(&operation(change).bind(host.path(), "/tree"), 0);
    }
    assert_eq!(contents(&host.path().join("new")), "made");
    assert!(!host.path().join("renamed").exists());
}

fn operation(arguments: &[&str]) -> Spec {
    match *arguments {
        [name, path] => probe([name, path]),
        [name, from, to] => probe([name, from, to]),
        _ => unreachable!("operations have one or two arguments"),
    }
}

fn a_file_is_bound_on_a_file() {
    let host = host_directory();
    let file = plant(host.path(), "file", "of the host");
    let spec = probe(["print", "/etc/file"]).bind_read_only(&file, "/etc/file");
    assert_eq!(run(&spec).stdout, "of the host");
}

fn files_directories_and_links_are_made() {
    let spec = probe(["print", "/etc/link"])
        .file("/etc/passwd", "root:x:0:0\n")
        .directory("/var/lib")
        .symlink("passwd", "/etc/link");
    assert_eq!(run(&spec).stdout, "root:x:0:0\n");
    let bytes = probe(["read", "/bytes"]).file("/bytes", [0xff, 0x00]);
    assert_errno(&bytes, 0);
}

fn files_can_be_moved_between_directories() {
    let host = host_directory();
    plant(host.path(), "a/file", "x");
    plant(host.path(), "b/other", "x");
    let spec = probe(["rename", "/tree/a/file", "/tree/b/file"]).bind(host.path(), "/tree");
    assert_errno(&spec, 0);
    let spec = probe(["link", "/tree/b/file", "/tree/a/again"]).bind(host.path(), "/tree");
    assert_errno(&spec, 0);
}

fn a_tmpfs_starts_empty_with_its_mode() {
    let spec = crate::support::shell("ls -A /tmp; stat -c %a /tmp").tmpfs("/tmp", 0o1777);
    assert_eq!(run(&spec).stdout, "1777\n");
}

fn device_nodes_cannot_be_made() {
    let spec = probe(["make-device", "/tmp/null"]).tmpfs("/tmp", 0o1777);
    assert_errno(&spec, libc::EACCES);
    assert_errno(&probe(["create", "/tmp/null"]).tmpfs("/tmp", 0o1777), 0);
}

fn devices_work() {
    let script = "echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c && \
                  echo through > /dev/stdout && : > /dev/shm/file && \
                  script -qec 'tty' /dev/null < /dev/null";
    let ran = run(&crate::support::shell(script));
    assert_eq!(
        ran.stdout, "4\n4\nthrough\n/dev/pts/0\r\n",
        "{}",
        ran.stderr
    );
    // Nothing may be added there, and no terminal of the host is reachable.
    assert_errno(&probe(["create", "/dev/new"]), libc::EACCES);
    assert_errno(&probe(["read", "/dev/tty"]), libc::ENXIO);
    assert_errno(&probe(["read", "/dev/kmsg"]), libc::ENOENT);
}

fn a_device_of_the_host_is_there_only_when_it_is_shown() {
    const DEVICE: &str = "/dev/urandom";
    let operation = |name| {
        with_host_system(Spec::new(["/probe", "probe", name, DEVICE]))
            .bind_read_only(this_program(), "/probe")
    };
    for name in ["read", "ask-device"] {
        assert_errno(&operation(name), libc::ENOENT);
        assert_errno(&operation(name).device(DEVICE, DEVICE), 0);
        // As a file it is not opened: only `device` makes a mount on which devices work.
        let as_file = operation(name).bind(DEVICE, DEVICE);
        assert_errno(&as_file, libc::EACCES);
    }
    assert_errno(&operation("write").device(DEVICE, DEVICE), 0);
    assert_errno(&operation("open-mode").device(DEVICE, DEVICE), libc::EROFS);
    // Another one beside it is not there.
    let other = operation("read").device("/dev/zero", "/dev/zero");
    assert_errno(&other, libc::ENOENT);
    // It goes into a small `/dev` too, below directories that are missing.
    let deep = probe(["ask-device", "/dev/deep/random"]).device(DEVICE, "/dev/deep/random");
    assert_errno(&deep, 0);
    assert_errno(&probe(["ask-device", "/dev/deep/random"]), libc::ENOENT);
}

fn a_masked_path_shows_nothing() {
    let host = host_directory();
    plant(host.path(), "secrets/key", "secret");
    plant(host.path(), "key", "secret");
    let bound = |operation| probe(operation).bind_read_only(host.path(), "/tree");
    for path in ["/tree/key", "/tree/secrets/key"] {
        assert_eq!(run(&bound(["print", path])).stdout, "secret");
    }
    let masked = |operation| bound(operation).mask("/tree/key").mask("/tree/secrets");
    assert_eq!(run(&masked(["print", "/tree/key"])).stdout, "");
    assert_errno(&masked(["print", "/tree/secrets/key"]), libc::ENOENT);
    assert_eq!(run(&masked(["list", "/tree/secrets"])).stdout, "");
    assert_errno(&masked(["remove", "/tree/key"]), libc::EROFS);
    // What is not there needs no cover.
    assert_errno(&bound(["exit", "0"]).mask("/tree/absent/key"), 0);
    let error = bound(["exit", "0"]).mask("/tree/../key").spawn();
    assert!(matches!(error, Err(Error::InsidePath { path }) if path == Path::new("/tree/../key")));
}

fn a_masked_path_is_not_reached_through_a_link() {
    let host = host_directory();
    plant(host.path(), "directory/key", "secret");
    std::os::unix::fs::symlink("directory", host.path().join("link")).unwrap();
    let spec = |path| {
        probe(["exit", "0"])
            .bind_read_only(host.path(), "/tree")
            .mask(path)
    };
    assert_errno(&spec("/tree/directory/key"), 0);
    let error = spec("/tree/link/key").spawn();
    assert!(
        matches!(error, Err(Error::SymlinkAtMountPoint { inside }) if inside == "/tree/link/key")
    );
}

fn a_path_that_goes_up_is_refused() {
    for path in ["relative", "/a/../b"] {
        let error = Spec::new(["/bin/true"]).directory(path).spawn();
        assert!(
            matches!(error, Err(Error::InsidePath { path: found }) if found == Path::new(path))
        );
    }
}

fn a_relative_host_path_is_refused() {
    let error = Spec::new(["/bin/true"]).bind("relative", "/tree").spawn();
    assert!(matches!(error, Err(Error::HostPath { path }) if path == Path::new("relative")));
}

fn a_missing_source_is_named() {
    let host = host_directory();
    let missing = host.path().join("missing");
    let error = probe(["exit", "0"]).bind(&missing, "/tree").spawn();
    match error {
        Err(Error::SetUp { object, source, .. }) => {
            assert_eq!(object.as_deref(), missing.to_str());
            assert_eq!(source.raw_os_error(), Some(libc::ENOENT));
        }
        other => panic!("{other:?}"),
    }
}

fn odd_names_are_taken_verbatim() {
    let host = host_directory();
    for name in [
        "with space",
        "a:b,c=d",
        "back\\slash",
        "line\nfeed",
        "\"quoted\"",
    ] {
        plant(host.path(), &format!("{name}/file"), name);
        let inside = Path::new("/trees").join(name);
        let file = inside.join("file");
        let spec = probe(["print", file.to_str().unwrap()])
            .bind_read_only(host.path().join(name), &inside);
        let ran = run(&spec);
        assert_eq!(
            ran.outcome.status,
            ProgramStatus::Exited(0),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stdout, name);
    }
}

fn a_repeated_directory_shows_the_same_mounts_and_is_no_more_writable() {
    let host = host_directory();
    let bound = host.path().join("bound");
    std::fs::DirBuilder::new().create(&bound).unwrap();
    let repeated = |arguments: [&str; 2]| {
        probe(arguments)
            .bind(&bound, "/work/writable")
            .bind_read_only(host.path(), "/work/read-only")
            .repeat("/work", "/image/work")
    };
    assert_errno(&repeated(["create", "/image/work/writable/file"]), 0);
    assert_errno(&repeated(["read", "/work/writable/file"]), 0);
    for path in ["/image/work/read-only/file", "/image/work/file"] {
        assert_errno(&repeated(["create", path]), libc::EROFS);
    }
    let from_outside = probe(["list", "/"]).repeat("/work/../..", "/image");
    assert!(matches!(
        from_outside.spawn(),
        Err(Error::InsidePath { .. })
    ));
}
