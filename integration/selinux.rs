//! libselinux judges which label a path gets.

use std::collections::BTreeSet;

use overcoat::selinux::FileContexts;
use overcoat::tree::{Content, EntryKind};

use crate::require::{Tool, tool};

/// Lines whose order, types and special characters matter.
const CONTEXTS: &str = r"/.*	system_u:object_r:default_t:s0
/	-d	system_u:object_r:root_t:s0
/usr(/.*)?	system_u:object_r:usr_t:s0
/usr/bin(/.*)?	system_u:object_r:bin_t:s0
/usr/bin/a\.b	--	system_u:object_r:dot_t:s0
/usr/bin/tool	--	system_u:object_r:tool_t:s0
/usr/bin/tool	-l	system_u:object_r:link_t:s0
/usr/(s)?bin/x+	system_u:object_r:group_t:s0
/usr/lib/[^/]*/y?	system_u:object_r:class_t:s0
/usr/lib/(a|b)/.*\.so(\.[^/]*)*	--	system_u:object_r:lib_t:s0
/usr/none/.*	<<none>>
/usr/none/kept	system_u:object_r:kept_t:s0
/opt/(.*/)?bin(/.*)?	system_u:object_r:bin_t:s0
";
const SUBSTITUTIONS: &str = "/bin /usr/bin\n/lib64 /usr/lib\n/lib /usr/lib\n";

const PATHS: [&str; 28] = [
    "/",
    "/srv",
    "/usr",
    "/usrx",
    "/usr/bin",
    "/usr/bin/",
    "/usr/bin/a.b",
    "/usr/bin/axb",
    "/usr/bin/tool",
    "/usr/bin/tool/x",
    "/usr/bin/tools",
    "/usr/bin/xx",
    "/usr/sbin/x",
    "/usr/lib/q/",
    "/usr/lib/q/y",
    "/usr/lib/q/yy",
    "/usr/lib/a/c.so",
    "/usr/lib/a/c/d.so.1.2",
    "/usr/lib/c/c.so",
    "/usr/none",
    "/usr/none/x",
    "/usr/none/kept",
    "/opt/bin",
    "/opt/a/b/bin/c",
    "/bin/tool",
    "/lib64/a/x.so",
    "/library/x",
    "/bin",
];

/// The policy of the host, if it has one.
const HOST_POLICY: &str = "/etc/selinux/default/contexts/files/file_contexts";

fn contexts(path: &std::path::Path) -> FileContexts {
    let mut contexts = FileContexts::default();
    let read = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        fs_err::read_to_string(std::path::PathBuf::from(name)).unwrap_or_default()
    };
    for end in ["", ".homedirs", ".local"] {
        contexts.add(&read(end)).unwrap();
    }
    contexts.add_distribution_substitutions(&read(".subs_dist"));
    contexts.add_substitutions(&read(".subs"));
    contexts
}

/// Asserts that libselinux gives each path the label that we do.
fn assert_labels_agree(matchpathcon: &Tool, path: &std::path::Path, paths: &BTreeSet<String>) {
    let ours = contexts(path);
    let file = EntryKind::Regular(Content::from_bytes([]));
    let link = EntryKind::Symlink(b"x".to_vec());
    for (name, kind) in [
        ("file", file),
        ("dir", EntryKind::Directory),
        ("lnk_file", link),
    ] {
        let paths: Vec<&String> = paths.iter().collect();
        for some in paths.chunks(500) {
            let mut arguments = vec!["-f", path.to_str().unwrap(), "-m", name];
            arguments.extend(some.iter().map(|path| path.as_str()));
            let told = matchpathcon.text(&arguments);
            let mut lines = told.lines();
            for path in some {
                let expected = lines.next().and_then(|line| line.split_once('\t')).unwrap();
                let found = ours.label(path.as_bytes(), &kind).unwrap_or("<<none>>");
                assert_eq!((path.as_str(), found), expected, "{name}");
            }
        }
    }
}

#[test]
fn paths_get_the_labels_that_libselinux_gives_them() {
    let matchpathcon = require!(tool("matchpathcon"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file_contexts");
    fs_err::write(&path, CONTEXTS).unwrap();
    fs_err::write(
        directory.path().join("file_contexts.subs_dist"),
        SUBSTITUTIONS,
    )
    .unwrap();
    // libselinux drops a slash at the end, which no path of a tree has.
    let paths = PATHS
        .iter()
        .filter(|path| path.len() == 1 || !path.ends_with('/'));
    assert_labels_agree(
        &matchpathcon,
        &path,
        &paths.map(|path| (*path).to_owned()).collect(),
    );
}

#[test]
fn paths_get_the_labels_of_a_whole_policy() {
    let matchpathcon = require!(tool("matchpathcon"));
    let policy = std::path::Path::new(HOST_POLICY);
    let Ok(text) = fs_err::read_to_string(policy) else {
        return crate::require::say_skipped("no policy is installed");
    };
    // What each line stands for at its simplest, with neighbours, makes it meet the others.
    let mut paths = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with('/')) {
        let expression = line.split_whitespace().next().unwrap();
        let plain = expression
            .replace("(/.*)?", "/x")
            .replace(".*", "y")
            .replace("[^/]*", "z");
        let plain: String = plain
            .chars()
            .filter(|c| !"\\()?+*|[]^$".contains(*c))
            .collect();
        for end in ["", "/below", "x"] {
            paths.insert(format!("{}{end}", plain.trim_end_matches('/')));
        }
    }
    paths.remove("");
    paths.retain(|path| !path.contains("//"));
    assert!(paths.len() > 5000, "{}", paths.len());
    assert_labels_agree(&matchpathcon, policy, &paths);
}
