//! Lists of grants, and what they permit.

use std::os::unix::fs::symlink;

use super::*;

fn typed() -> Origin {
    Origin::CommandLine {
        option: "--allow".to_owned(),
    }
}

/// Reads a list in a directory that has `tree/below`, `file`, `a:b`, `c,d`, `e:rw` and a FIFO.
fn read(list: &str) -> (tempfile::TempDir, Result<Grants, Vec<GrantError>>) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["tree/below", "a:b", "c,d", "e:rw", "g\\h"] {
        fs_err::create_dir_all(directory.path().join(name)).unwrap();
    }
    fs_err::write(directory.path().join("file"), "").unwrap();
    symlink("tree", directory.path().join("link")).unwrap();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&directory.path().join("fifo"), mode).unwrap();
    let grants = Grants::read([(list, typed())], directory.path());
    (directory, grants)
}

#[test]
fn nothing_is_granted_by_default() {
    let grants = Grants::default();
    assert!(!grants.network() && !grants.weaker_sandbox());
    assert!(!grants.permits(Path::new("/"), Access::Read));
    assert!(!grants.permits_variable("HOME"));
    assert_eq!(grants.devices().count(), 0);
}

#[test]
fn lists_and_repetitions_add_up() {
    let given = [
        ("network,,env:A", typed()),
        ("", typed()),
        ("env:B,weaker-sandbox,device:/dev/null", typed()),
    ];
    let grants = Grants::read(given, Path::new("/")).unwrap();
    assert!(grants.network() && grants.weaker_sandbox());
    assert!(grants.permits_variable("A") && grants.permits_variable("B"));
    assert!(!grants.permits_variable("C"));
    assert_eq!(
        grants.devices().collect::<Vec<_>>(),
        [Path::new("/dev/null")]
    );
}

#[test]
fn paths_are_granted_with_what_is_below_them() {
    // The list, the path in question, and whether it may be read and written.
    for (list, path, may_read, may_write) in [
        ("path:tree", "tree", true, false),
        ("path:tree", "tree/below/x", true, false),
        ("path:tree", "treetop", false, false),
        ("path:tree", "", false, false),
        ("path:tree:rw", "tree/x", true, true),
        ("path:tree:rw,path:tree", "tree", true, true),
        ("path:tree,path:tree/below:rw", "tree", true, false),
        ("path:tree,path:tree/below:rw", "tree/below", true, true),
        ("path:tree/../tree/./below", "tree/below", true, false),
        ("path:link", "tree", true, false),
        ("path:file", "file", true, false),
        ("path:a:b", "a:b", true, false),
        ("path:a:b:rw", "a:b", true, true),
        ("path:e:rw/", "e:rw", true, false),
        ("path:e:rw:rw", "e:rw", true, true),
        ("path:c\\,d", "c,d", true, false),
        ("path:g\\\\h", "g\\h", true, false),
        ("path:g\\h", "g\\h", true, false),
    ] {
        let (directory, grants) = read(list);
        let grants = grants.unwrap();
        let path = fs_err::canonicalize(directory.path()).unwrap().join(path);
        assert_eq!(grants.permits(&path, Access::Read), may_read, "{list}");
        assert_eq!(grants.permits(&path, Access::Write), may_write, "{list}");
    }
}

#[test]
fn what_cannot_be_granted_is_told_with_a_hint() {
    for (list, message, hint) in [
        (
            "netwrok",
            "unknown grant `netwrok`",
            "did you mean `network`",
        ),
        (
            "all",
            "unknown grant `all`",
            "what can be granted is `network`, `path:DIR[:rw]`, `env:NAME`, `device:PATH`, `weaker-sandbox`, \
             `sign`",
        ),
        (
            "path",
            "the grant `path` lacks its value",
            "write `--allow=path:DIR[:rw]`",
        ),
        (
            "env:",
            "the grant `env` lacks its value",
            "write `--allow=env:NAME`",
        ),
        (
            "network:80",
            "the grant `network` takes no value, found `80`",
            "write `--allow=network`",
        ),
        (
            "path:absent",
            "`absent` cannot be granted: it does not exist",
            "",
        ),
        (
            "path:tree:wr",
            "`tree:wr` cannot be granted: it does not exist",
            "only `:rw` after a directory means something: `path:tree:rw`",
        ),
        (
            "path:~/x",
            "`~/x` cannot be granted: it does not exist",
            "write the path without `~`, which is not expanded",
        ),
        ("path:c,d", "`c` cannot be granted: it does not exist", ""),
        (
            "path:file/x",
            "`file/x` cannot be granted: not a directory",
            "",
        ),
        (
            "path:fifo",
            "`fifo` cannot be granted: it is neither a directory nor a file",
            "",
        ),
        (
            "env:A*",
            "`A*` cannot be granted: expected the whole name of one variable",
            "repeat the option for each variable: `--allow=env:NAME`",
        ),
        (
            "env:A=b",
            "`A=b` cannot be granted: expected the whole name of one variable",
            "repeat the option for each variable: `--allow=env:NAME`",
        ),
        (
            "device:file",
            "`file` cannot be granted: expected a path below `/dev`",
            "",
        ),
        (
            "device:/dev/../etc",
            "`/dev/../etc` cannot be granted: expected a path below `/dev`",
            "",
        ),
        (
            "device:/dev/absent",
            "`/dev/absent` cannot be granted: it does not exist",
            "",
        ),
        (
            "device:/dev",
            "`/dev` cannot be granted: it is not a device",
            "",
        ),
    ] {
        let errors = read(list).1.unwrap_err();
        assert_eq!(errors[0].to_string(), format!("--allow: {message}"));
        assert_eq!(errors[0].hint().unwrap_or_default(), hint, "{list}");
    }
}

#[test]
fn every_mistake_is_told_with_where_it_was_given() {
    let variable = Origin::Environment {
        variable: "OVERCOAT_ALLOW".to_owned(),
    };
    let given = [("path,network,x", variable), ("y", typed())];
    let errors = Grants::read(given, Path::new("/")).unwrap_err();
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "$OVERCOAT_ALLOW: the grant `path` lacks its value",
            "$OVERCOAT_ALLOW: unknown grant `x`",
            "--allow: unknown grant `y`",
        ]
    );
}

#[test]
fn flags_of_hints_are_read_back_as_the_grant() {
    for (path, access, flag) in [
        ("/srv/pkgs", Access::Read, "--allow=path:/srv/pkgs"),
        ("/srv/pkgs", Access::Write, "--allow=path:/srv/pkgs:rw"),
        ("/srv/a b", Access::Read, "--allow='path:/srv/a b'"),
        ("/srv/a'b", Access::Read, "--allow='path:/srv/a'\\''b'"),
        ("/srv/a,b", Access::Read, "--allow='path:/srv/a\\,b'"),
        (
            "/srv/a\\,b",
            Access::Write,
            "--allow='path:/srv/a\\\\\\,b:rw'",
        ),
        ("/srv/x:rw", Access::Read, "--allow=path:/srv/x:rw/"),
        ("/srv/x:rw", Access::Write, "--allow=path:/srv/x:rw:rw"),
    ] {
        let path = PathBuf::from(path);
        let grant = Grant::Path { path, access };
        assert_eq!(grant.flag(), flag);
        let list = grant.to_string();
        assert_eq!(items(&list).len(), 1, "{list}");
        assert_eq!(Grant::parse(&items(&list)[0]).unwrap(), grant, "{list}");
    }
    assert_eq!(Grant::Network.flag(), "--allow=network");
    assert_eq!(Grant::Variable("A".to_owned()).flag(), "--allow=env:A");
    assert_eq!(
        Grant::Device("/dev/kvm".into()).flag(),
        "--allow=device:/dev/kvm"
    );
    assert_eq!(Grant::WeakerSandbox.flag(), "--allow=weaker-sandbox");
}
