//! What the options mean.

use super::*;

fn parsed(arguments: &[&str]) -> Result<Invoked, String> {
    options::parse(arguments.iter().map(Into::into)).map_err(|error| error.to_string())
}

fn json(arguments: &[&str]) -> serde_json::Value {
    parsed(arguments)
        .unwrap()
        .spec(&Host::here())
        .to_json()
        .unwrap()
}

#[test]
fn command_is_well_formed() {
    options::command().debug_assert();
}

#[test]
fn by_default_there_is_neither_network_nor_environment_nor_anything_writable_of_the_host() {
    let json = json(&["--", "true"]);
    assert_eq!(json["network"], "none");
    assert_eq!(
        json["oci"]["process"]["env"],
        serde_json::json!([
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/tmp",
            "LANG=C.UTF-8",
            "TERM=dumb"
        ])
    );
    for mount in json["oci"]["mounts"].as_array().unwrap() {
        let options = mount["options"].as_array().unwrap();
        let is_read_only = options.contains(&"ro".into());
        assert!(mount["type"] != "bind" || is_read_only, "{mount}");
    }
}

#[test]
fn mounts_keep_the_order_in_which_they_were_typed() {
    let json = json(&[
        "--tmpfs=/a",
        "--bind",
        "/x:/a/b",
        "--bind-read-only=/y",
        "--overlay=/l1:/l2:/o",
        "--overlay-writable=/l:/u:/w:/p",
        "--tmpfs=/a/b/c",
        "--",
        "true",
    ]);
    let mounts = json["oci"]["mounts"].as_array().unwrap();
    let last: Vec<&str> = mounts[mounts.len() - 6..]
        .iter()
        .map(|mount| mount["destination"].as_str().unwrap())
        .collect();
    assert_eq!(last, ["/a", "/a/b", "/y", "/o", "/p", "/a/b/c"]);
    assert_eq!(
        mounts[mounts.len() - 2]["options"],
        serde_json::json!([
            "nosuid",
            "nodev",
            "userxattr",
            "lowerdir+=/l",
            "upperdir=/u",
            "workdir=/w",
            "volatile"
        ])
    );
}

#[test]
fn what_is_printed_depends_on_what_follows() {
    let print = |arguments: &[&str]| parsed(arguments).map(|invoked| invoked.print);
    assert_eq!(print(&["--print-spec"]), Ok(PrintSpec::Kinds));
    assert_eq!(
        print(&["--print-spec", "script"]),
        Ok(PrintSpec::Kind(StepKind::Script))
    );
    assert_eq!(print(&["--print-spec", "--", "ls"]), Ok(PrintSpec::Command));
    assert_eq!(print(&["--", "ls"]), Ok(PrintSpec::Nothing));
    assert_eq!(print(&["--help"]), Ok(PrintSpec::Help));
}

#[test]
fn mistakes_are_told() {
    let cases: [(&[&str], &str); 7] = [
        (&[], "no command is given after `--`"),
        (&["ls"], "`--` is missing before the command `ls`"),
        (&["--bnd=/x", "--", "ls"], "unknown option `--bnd`"),
        (
            &["--bind=/a:/b:/c", "--", "ls"],
            "the value of `--bind` has the form `SRC[:DST]`",
        ),
        (
            &["--overlay=/a", "--", "ls"],
            "the value of `--overlay` has the form `LOWER[:LOWER...]:DST`",
        ),
        (
            &["--overlay-writable=/a:/b:/c", "--", "ls"],
            "the value of `--overlay-writable` has the form `LOWER[:LOWER...]:UPPER:WORK:DST`",
        ),
        (
            &["--print-spec=make"],
            "unknown step `make`; there are `configuration`, `sync`, `metadata`, `resolve`, `download`, `unpack`, \
             `install`, `script`, `set-up`, `finalize`, `postoutput`",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(parsed(arguments), Err(message.to_owned()));
    }
}

#[test]
fn a_variable_that_the_caller_lacks_is_left_out() {
    let json = json(&[
        "--env=A=b=c",
        "--env=OVERCOAT_NO_SUCH_VARIABLE",
        "--",
        "true",
    ]);
    let variables = json["oci"]["process"]["env"].as_array().unwrap();
    assert_eq!(variables.last().unwrap(), "A=b=c");
}

#[test]
fn lists_every_kind_of_step() {
    assert_eq!(kinds().lines().count(), StepKind::ALL.len());
}
