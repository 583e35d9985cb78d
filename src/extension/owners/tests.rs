use super::{Accounts, Lint, allocated_owners};
use crate::distribution::static_ids;
use crate::extension::{ExtensionKind, Severity};
use crate::recipe::Distribution;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

const THEN: Timestamp = Timestamp::from_seconds(1000);

/// Returns a tree of files with contents, their parents made as root's.
fn tree(files: &[(&str, &str)]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for (name, content) in files {
        let kind = match content.strip_prefix("-> ") {
            Some(target) => EntryKind::Symlink(target.into()),
            None => EntryKind::Regular(Content::from_bytes(content.as_bytes())),
        };
        put(&mut tree, name, Entry::new(kind, 0o755, THEN));
    }
    tree
}

fn put(tree: &mut FileTree, name: &str, entry: Entry) {
    let mut parent = TreePath::root();
    let path = TreePath::new(name).unwrap();
    for component in path.parent().unwrap().components() {
        parent = parent.join(component).unwrap();
        if tree.get(&parent).is_none() {
            tree.insert(parent.clone(), Entry::directory(THEN)).unwrap();
        }
    }
    tree.insert(path, entry).unwrap();
}

/// Adds a program with this owner and mode.
fn program(tree: &mut FileTree, name: &str, (uid, gid): (u32, u32), mode: u16) {
    let kind = EntryKind::Regular(Content::from_bytes([]));
    let entry = Entry {
        uid,
        gid,
        ..Entry::new(kind, mode, THEN)
    };
    put(tree, name, entry);
}

fn lints(payload: &FileTree, base: Option<&FileTree>) -> Vec<Lint> {
    let accounts = Accounts::read(payload, base, ExtensionKind::Sysext).unwrap();
    allocated_owners(payload, &accounts, static_ids(Distribution::Debian))
}

fn shown(lints: &[Lint]) -> Vec<String> {
    lints
        .iter()
        .map(|lint| format!("{}: {lint}", lint.code()))
        .collect()
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ntool:x:998:998::/:/bin/false\n";
const GROUP: &str = "root:x:0:\ntool:x:998:\n";

#[test]
fn each_account_is_told_once_with_its_first_file_and_users_before_groups() {
    let mut payload = tree(&[("etc/passwd", PASSWD), ("etc/group", GROUP)]);
    for name in ["usr/lib/c", "usr/lib/a", "usr/lib/b"] {
        program(&mut payload, name, (998, 998), 0o644);
    }
    program(&mut payload, "usr/lib/z", (0, 101), 0o644);
    program(&mut payload, "usr/lib/root", (0, 0), 0o4755);
    let link = Entry {
        uid: 101,
        ..Entry::new(EntryKind::Symlink(b"a".to_vec()), 0o777, THEN)
    };
    put(&mut payload, "usr/lib/link", link);
    let found = lints(&payload, None);
    let elsewhere = "number is another";
    assert_eq!(
        shown(&found),
        [
            format!(
                "allocated-owner: `/usr/lib/link` belongs to the user 101, whose {elsewhere} user's or nobody's on \
                 other machines"
            ),
            format!(
                "allocated-owner: `/usr/lib/a` and 2 more belong to the user `tool` (998), whose {elsewhere} user's or \
                 nobody's on other machines"
            ),
            format!(
                "allocated-owner: `/usr/lib/z` belongs to the group 101, whose {elsewhere} group's or nobody's on \
                 other machines"
            ),
            format!(
                "allocated-owner: `/usr/lib/a` and 2 more belong to the group `tool` (998), whose {elsewhere} group's \
                 or nobody's on other machines"
            ),
        ]
    );
    assert!(
        found
            .iter()
            .all(|lint| lint.severity() == Severity::Warning)
    );
    assert_eq!(lints(&payload, None), found);
}

#[test]
fn programs_that_run_with_an_accounts_rights_are_told_apart() {
    let mut payload = tree(&[("etc/passwd", PASSWD), ("etc/group", GROUP)]);
    program(&mut payload, "usr/bin/a", (0, 998), 0o2755);
    program(&mut payload, "usr/bin/b", (998, 0), 0o4755);
    program(&mut payload, "usr/bin/c", (998, 0), 0o4711);
    // The bit of one kind gives nothing of the other's.
    program(&mut payload, "usr/bin/d", (998, 0), 0o2755);
    program(&mut payload, "usr/bin/e", (0, 998), 0o4754);
    let directory = Entry {
        gid: 998,
        mode: 0o2775,
        ..Entry::directory(THEN)
    };
    put(&mut payload, "usr/share/f", directory);
    let found = lints(&payload, None);
    assert_eq!(
        shown(&found),
        [
            "allocated-set-id: `/usr/bin/b` and 1 more are set-user-id to `tool` (998): they run with the rights of \
             whoever has that number on other machines",
            "allocated-owner: `/usr/bin/d` belongs to the user `tool` (998), whose number is another user's or \
             nobody's on other machines",
            "allocated-set-id: `/usr/bin/a` is set-group-id to `tool` (998): it runs with the rights of whoever has \
             that number on other machines",
            "allocated-owner: `/usr/bin/e` and 1 more belong to the group `tool` (998), whose number is another \
             group's or nobody's on other machines",
        ]
    );
    assert_eq!(found[0].severity(), Severity::Error);
}

/// Returns an ACL that names these ids: tag 2 is of users, 8 of groups (linux/posix_acl.h).
fn acl(named: &[(u16, u32)]) -> Vec<u8> {
    let owner = [(1, u32::MAX)];
    let others = [(4, u32::MAX), (16, u32::MAX), (32, u32::MAX)];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, id) in owner.iter().chain(named).chain(&others) {
        value.extend(tag.to_le_bytes());
        value.extend(4_u16.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

#[test]
fn ids_that_acls_name_are_told_apart() {
    let mut payload = tree(&[("etc/passwd", PASSWD), ("etc/group", GROUP)]);
    let with_acls = |acls: &[(&str, Vec<u8>)]| {
        let mut entry = Entry::directory(THEN);
        for (name, value) in acls {
            entry.xattrs.insert(name.as_bytes().into(), value.clone());
        }
        entry
    };
    let (access, default) = ("system.posix_acl_access", "system.posix_acl_default");
    let both = acl(&[(2, 0), (2, 998), (8, 101)]);
    put(
        &mut payload,
        "usr/a",
        with_acls(&[(access, both.clone()), (default, both)]),
    );
    put(
        &mut payload,
        "usr/b",
        with_acls(&[(default, acl(&[(2, 998)]))]),
    );
    // What the kernel would refuse gives no rights.
    put(&mut payload, "usr/c", with_acls(&[(access, vec![2, 0])]));
    let found = lints(&payload, None);
    assert_eq!(
        shown(&found),
        [
            "allocated-in-acl: the ACLs of `/usr/a` and 1 more name the user `tool` (998), whose number is another \
             user's or nobody's on other machines",
            "allocated-in-acl: the ACL of `/usr/a` names the group 101, whose number is another group's or nobody's on \
             other machines",
        ]
    );
    assert_eq!(found[0].severity(), Severity::Warning);
}

#[test]
fn an_account_of_the_base_is_safe_on_machines_of_that_base_only() {
    let base = tree(&[
        ("etc/passwd", PASSWD),
        ("usr/lib/group", GROUP),
        ("etc/group", "-> ../usr/lib/group"),
    ]);
    let mut payload = tree(&[("etc/passwd", "tool:x:998:998:::\nnew:x:997:997:::\n")]);
    program(&mut payload, "usr/a", (998, 998), 0o644);
    program(&mut payload, "usr/b", (997, 0), 0o644);
    let end = |lint: &String| lint.rsplit_once(" nobody's on ").unwrap().1.to_owned();
    let ends: Vec<_> = shown(&lints(&payload, Some(&base)))
        .iter()
        .map(end)
        .collect();
    let of_base = "machines that are not made from this very base";
    assert_eq!(ends, ["other machines", of_base, of_base]);
    // The payload made another account of the number.
    let mut renamed = tree(&[("etc/passwd", "other:x:998:998:::\n")]);
    program(&mut renamed, "usr/a", (998, 0), 0o644);
    let ends: Vec<_> = shown(&lints(&renamed, Some(&base)))
        .iter()
        .map(end)
        .collect();
    assert_eq!(ends, ["other machines"]);
}

#[test]
fn static_ids_are_the_distributions() {
    let ids = |distribution| {
        let mut payload = tree(&[]);
        for id in [
            0, 1, 99, 100, 999, 1000, 59_999, 60_000, 64_999, 65_000, 65_534, 65_535,
        ] {
            program(&mut payload, &format!("usr/{id}"), (id, 0), 0o644);
        }
        let found = allocated_owners(&payload, &Accounts::default(), static_ids(distribution));
        let id = |lint: &Lint| match lint {
            Lint::AllocatedOwner(owner) => owner.id,
            other => panic!("{other:?}"),
        };
        found.iter().map(id).collect::<Vec<_>>()
    };
    let debian = [100, 999, 1000, 59_999, 65_000, 65_535];
    assert_eq!(ids(Distribution::Debian), debian);
    assert_eq!(ids(Distribution::Ubuntu), debian);
    let others = [
        1, 99, 100, 999, 1000, 59_999, 60_000, 64_999, 65_000, 65_535,
    ];
    assert_eq!(ids(Distribution::Arch), others);
}

#[test]
fn ids_that_sysusers_fixes_are_static() {
    let cases: [(&str, bool, bool); 17] = [
        ("u tool 998", true, true),
        ("u! tool 998 \"A tool\" / /bin/false", true, true),
        ("\tu\t\"tool\"\t998:998\t-", true, false),
        ("u tool 998:users -", true, false),
        ("g tool 998 -", false, true),
        ("g tool 998\r", false, true),
        ("#u tool 998", false, false),
        ("u tool 997", false, false),
        ("u other 998", false, false),
        ("u tool -", false, false),
        ("u tool -:998", false, false),
        ("u tool /usr/bin/tool", false, false),
        ("u tool %i", false, false),
        ("m tool 998", false, false),
        ("r - 998", false, false),
        ("u tool", false, false),
        ("u tool 99899899899", false, false),
    ];
    for (line, user, group) in cases {
        let text = format!("# a comment\n\n{line}\n\u{fffd}\n");
        let mut payload = tree(&[("etc/passwd", PASSWD), ("etc/group", GROUP)]);
        program(&mut payload, "usr/bin/tool", (998, 998), 0o755);
        let fixed = tree(&[("usr/lib/sysusers.d/tool.conf", &text)]);
        let accounts = Accounts::read(&payload, Some(&fixed), ExtensionKind::Sysext).unwrap();
        let found = allocated_owners(&payload, &accounts, &[0..=0]);
        let expected = usize::from(!user) + usize::from(!group);
        assert_eq!(found.len(), expected, "{line}");
    }
}

#[test]
fn only_sysusers_files_that_are_merged_fix_an_id() {
    const LINE: &str = "u tool 998\n";
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Files<'_>, Files<'_>, ExtensionKind, bool); 8] = [
        (
            &[("usr/lib/sysusers.d/a.conf", LINE)],
            &[],
            ExtensionKind::Sysext,
            true,
        ),
        (
            &[("etc/sysusers.d/a.conf", LINE)],
            &[],
            ExtensionKind::Sysext,
            false,
        ),
        (
            &[("etc/sysusers.d/a.conf", LINE)],
            &[],
            ExtensionKind::Confext,
            true,
        ),
        (
            &[("usr/lib/sysusers.d/a.conf", LINE)],
            &[],
            ExtensionKind::Confext,
            false,
        ),
        (
            &[],
            &[("usr/lib/sysusers.d/a.conf", LINE)],
            ExtensionKind::Confext,
            true,
        ),
        (
            &[],
            &[("usr/lib/sysusers.d/a.text", LINE)],
            ExtensionKind::Sysext,
            false,
        ),
        (
            &[],
            &[("usr/lib/sysusers.d/sub/a.conf", LINE)],
            ExtensionKind::Sysext,
            false,
        ),
        (
            &[("usr/lib/sysusers.d/a.conf", "")],
            &[("usr/lib/sysusers.d/a.conf", LINE)],
            ExtensionKind::Sysext,
            false,
        ),
    ];
    for (shipped, of_base, kind, fixed) in cases {
        let mut payload = tree(shipped);
        program(&mut payload, "usr/a", (998, 0), 0o644);
        let base = tree(of_base);
        let accounts = Accounts::read(&payload, Some(&base), kind).unwrap();
        let found = allocated_owners(&payload, &accounts, &[0..=0]);
        assert_eq!(found.is_empty(), fixed, "{shipped:?} {of_base:?} {kind:?}");
    }
}

#[test]
fn files_of_accounts_that_cannot_be_understood_give_no_names() {
    let huge = "tool:x:998:998:::\n".repeat(1 << 18);
    for passwd in [
        "tool\n:\ntool:x\ntool:x:many:0\n",
        "-> passwd",
        "-> /none",
        "tool:x:-998:0",
        &huge,
    ] {
        let mut payload = tree(&[("etc/passwd", passwd)]);
        program(&mut payload, "usr/a", (998, 0), 0o644);
        let found = lints(&payload, None);
        let Lint::AllocatedOwner(owner) = &found[0] else {
            panic!("{found:?}");
        };
        assert_eq!((owner.name.as_deref(), owner.id), (None, 998));
    }
}

#[test]
fn first_of_several_names_of_an_id_is_told() {
    let mut payload = tree(&[("etc/passwd", "one:x:998:0:::\ntwo:x:998:0:::\n")]);
    program(&mut payload, "usr/a", (998, 0), 0o644);
    let found = lints(&payload, None);
    assert!(
        shown(&found)[0].contains("the user `one` (998)"),
        "{found:?}"
    );
}
