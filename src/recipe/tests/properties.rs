//! What holds of recipes that nobody wrote: every setting in every file, with values that are right, wrong and strange.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::recipe::fuzzing::recipe_files;
use crate::recipe::settings;

/// The files that a recipe may have; what stands in them does not always suit them.
const FILES: [&str; 26] = [
    "arguments",
    "include/mkosi.conf",
    "include/mkosi.conf.d/10.conf",
    "include.conf",
    "mkosi.conf",
    "mkosi.conf.d/10.conf",
    "mkosi.conf.d/20/mkosi.conf",
    "mkosi.conf.d/20/mkosi.conf.d/10.conf",
    "mkosi.credentials/one",
    "mkosi.env",
    "mkosi.extra/file",
    "mkosi.images/a.conf",
    "mkosi.images/b/mkosi.conf",
    "mkosi.images/b/mkosi.conf.d/10.conf",
    "mkosi.images/b/mkosi.local.conf",
    "mkosi.images/b/mkosi.profiles/p.conf",
    "mkosi.initrd.conf",
    "mkosi.key",
    "mkosi.local/mkosi.conf",
    "mkosi.local.conf",
    "mkosi.postinst",
    "mkosi.profiles/p.conf",
    "mkosi.profiles/q/mkosi.conf",
    "mkosi.seed",
    "mkosi.tools.conf",
    "mkosi.version",
];

/// Text that is right for some setting, or for none.
const VALUES: [&str; 72] = [
    "",
    " ",
    "!",
    "!a",
    "%",
    "%%",
    "%C",
    "%D/mkosi.conf",
    "%F",
    "%I",
    "%O/b",
    "%P",
    "%d-%r-%a",
    "%i_%v",
    "%o",
    "%z",
    "&d~&r",
    "'",
    "'a b' c",
    "(a | b)",
    "*",
    "**/*",
    "*.conf",
    "-1",
    "..",
    "../..",
    "./mkosi.extra",
    "/",
    "/etc",
    "/usr/lib",
    "0",
    "0644",
    "1",
    "1.5G",
    "18446744073709551616",
    "4096",
    "<2",
    "===1",
    "A",
    "A=1 B='two words'",
    "[",
    "[a-z]*",
    "\\",
    "a",
    "a b,c",
    "a,,b",
    "a:/b",
    "a:b",
    "always",
    "auto",
    "b",
    "b a",
    "bookworm",
    "debian",
    "default",
    "disk",
    "hashed:x",
    "include",
    "include.conf",
    "mkosi-initrd",
    "mkosi-tools",
    "mkosi.conf",
    "mkosi.images",
    "mkosi.key",
    "no",
    "p",
    "p q",
    "random",
    "sysext",
    "yes",
    "|!main",
    "|a",
];

const LINES: [&str; 14] = [
    "",
    "    a",
    "    [Match]",
    "# comment",
    "=",
    "[",
    "[Assert]",
    "[Match]",
    "[Output]",
    "[TriggerAssert]",
    "[TriggerMatch]",
    "[Unknown]",
    "\u{feff}\u{2028}ü=\u{0}",
    "no setting",
];

const CONDITIONS: [&str; 4] = ["HostArchitecture", "Image", "PathExists", "SystemdVersion"];

fn line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = settings::all().map(|setting| setting.name).collect();
    let sections: Vec<String> = settings::all()
        .map(|setting| format!("[{}]", setting.section))
        .collect();
    let assignment = |names: Vec<&'static str>| {
        (select(names), select(&VALUES[..])).prop_map(|(name, value)| format!("{name}={value}"))
    };
    prop_oneof![
        12 => assignment(names),
        1 => assignment(CONDITIONS.to_vec()),
        2 => assignment(vec!["Include", "Profiles", "Dependencies", "Format", "ImageId"]),
        3 => select(sections),
        2 => select(&LINES[..]).prop_map(str::to_owned),
    ]
}

/// A recipe as the fuzzer writes them down.
fn recipe() -> impl Strategy<Value = String> {
    let text = || vec(line(), 0..16).prop_map(|lines| lines.join("\n"));
    let file = (select(&FILES[..]), text()).prop_map(|(name, text)| format!("@@ {name}\n{text}\n"));
    (text(), vec(file, 0..8))
        .prop_map(|(main, files)| format!("[Output]\n{main}\n{}", files.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_recipe_names_what_is_outside_or_ends_the_program(text in recipe()) {
        recipe_files(text.as_bytes());
    }
}
