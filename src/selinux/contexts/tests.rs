use super::{FileContexts, InvalidContexts};
use crate::tree::{Content, DeviceNumber, EntryKind};

fn contexts(text: &str) -> FileContexts {
    let mut contexts = FileContexts::default();
    contexts.add(text).unwrap();
    contexts
}

fn regular() -> EntryKind {
    EntryKind::Regular(Content::from_bytes([]))
}

#[test]
fn what_has_no_special_characters_counts_most_and_else_what_comes_last() {
    let contexts = contexts(
        "# a comment\n\n/usr/bin/exact u:r:exact_t:s0\n/.* u:r:any_t:s0\n/usr(/.*)? u:r:usr_t:s0\n\
         /usr/bin/.* u:r:bin_t:s0-s0:c0.c1023\n/usr/bin/exact u:r:later_t\n/usr/bin/a\\.b u:r:dot_t\n\
         /usr/(bin|lib)/x+ u:r:group_t\n/usr/lib/y? u:r:optional_t\n/(a|b)/c u:r:start_t\n/p|/q u:r:either_t\n\
         /usr/n[[:digit:]]{2} u:r:digits_t\n/usr/none/.* <<none>>\n",
    );
    for (path, label) in [
        ("/", Some("u:r:any_t:s0")),
        ("/srv", Some("u:r:any_t:s0")),
        ("/usr", Some("u:r:usr_t:s0")),
        ("/usrx", Some("u:r:any_t:s0")),
        ("/usr/bin", Some("u:r:usr_t:s0")),
        ("/usr/bin/sh", Some("u:r:bin_t:s0-s0:c0.c1023")),
        ("/usr/bin/exact", Some("u:r:later_t")),
        ("/usr/bin/exact/below", Some("u:r:bin_t:s0-s0:c0.c1023")),
        ("/usr/bin/a.b", Some("u:r:dot_t")),
        ("/usr/bin/axb", Some("u:r:bin_t:s0-s0:c0.c1023")),
        ("/usr/lib/xxx", Some("u:r:group_t")),
        ("/usr/lib/", Some("u:r:optional_t")),
        ("/usr/lib/y", Some("u:r:optional_t")),
        ("/b/c", Some("u:r:start_t")),
        ("/q", Some("u:r:either_t")),
        ("/p/x", Some("u:r:any_t:s0")),
        ("/usr/n12", Some("u:r:digits_t")),
        ("/usr/n123", Some("u:r:usr_t:s0")),
        ("/usr/none/x\ny", None),
    ] {
        assert_eq!(contexts.label(path.as_bytes(), &regular()), label, "{path}");
    }
    // Names are any bytes.
    let label = contexts.label(b"/usr/bin/\xff\xfe", &regular());
    assert_eq!(label, Some("u:r:bin_t:s0-s0:c0.c1023"));
}

#[test]
fn types_of_files_choose_among_lines() {
    let contexts = contexts(
        "/x u:r:all_t\n/x -- u:r:file_t\n/x -d u:r:directory_t\n/x -l u:r:link_t\n/x -c u:r:char_t\n/x -b u:r:block_t\n\
         /x -p u:r:fifo_t\n/y.* -d u:r:directory_t\n",
    );
    let device = DeviceNumber { major: 1, minor: 3 };
    for (kind, label) in [
        (regular(), "u:r:file_t"),
        (EntryKind::Directory, "u:r:directory_t"),
        (EntryKind::Symlink(b"x".to_vec()), "u:r:link_t"),
        (EntryKind::CharacterDevice(device), "u:r:char_t"),
        (EntryKind::BlockDevice(device), "u:r:block_t"),
        (EntryKind::Fifo, "u:r:fifo_t"),
        (EntryKind::Socket, "u:r:all_t"),
    ] {
        assert_eq!(contexts.label(b"/x", &kind), Some(label), "{kind:?}");
    }
    assert_eq!(contexts.label(b"/y1", &regular()), None);
}

#[test]
fn substitutions_replace_the_beginning_of_whole_names() {
    let mut contexts =
        contexts("/.* u:r:any_t\n/usr/lib(/.*)? u:r:lib_t\n/data(/.*)? u:r:data_t\n");
    contexts.add_distribution_substitutions(
        "# a comment\n/lib /usr/lib\n/lib64 /usr/lib\n/ostree/root /\nbad line\n/bad\n",
    );
    contexts.add_substitutions("/srv/own /lib\n/lib64 /data\n");
    for (path, label) in [
        ("/lib", "u:r:lib_t"),
        ("/lib/x", "u:r:lib_t"),
        ("/library", "u:r:any_t"),
        // The person's are applied first, and the distribution's to what comes of it.
        ("/srv/own/x", "u:r:lib_t"),
        ("/lib64/x", "u:r:data_t"),
        ("/ostree/root/data/x", "u:r:data_t"),
    ] {
        assert_eq!(
            contexts.label(path.as_bytes(), &regular()),
            Some(label),
            "{path}"
        );
    }
}

#[test]
fn lines_that_are_wrong_are_refused_by_number() {
    let shown = |error: InvalidContexts| error.to_string();
    for (line, problem) in [
        (
            "/x",
            "expected a path, a type and a context, or a path and a context",
        ),
        (
            "/x -- u:r:t more",
            "expected a path, a type and a context, or a path and a context",
        ),
        (
            "/x -q u:r:t",
            "`-q` is no type of file, which is one of `--`, `-d`, `-l`, `-c`, `-b`, `-p`, `-s`",
        ),
        (
            "/x u:r",
            "`u:r` is no context, such as `system_u:object_r:usr_t:s0`, nor `<<none>>`",
        ),
        (
            "/x( u:r:t",
            "the path `/x(` cannot be read as an expression",
        ),
        (
            "/(a)\\1 u:r:t",
            "the path `/(a)\\1` cannot be read as an expression",
        ),
        (
            "/x{1000}{1000}{1000} u:r:t",
            "the path `/x{1000}{1000}{1000}` cannot be read as an expression",
        ),
    ] {
        let found = FileContexts::default().add(&format!("/ok u:r:t\n{line}\n"));
        assert_eq!(
            shown(found.unwrap_err()),
            format!("line 2: {problem}"),
            "{line}"
        );
    }
}
