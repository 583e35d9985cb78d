//! Which files of the host are there, and what may be done to them.

use std::path::Path;

use overcoat_sandbox::{Error, ProgramStatus, Spec};

use crate::harness::tests;
use crate::support::{assert_errno, contents, host_directory, plant, probe, run};

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
    a_tmpfs_starts_empty_with_its_mode,
    device_nodes_cannot_be_made,
    devices_work,
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
