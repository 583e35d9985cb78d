//! All that can be found, as a table. The first two digits of a code are its theme. Codes and names never change, and are
//! not used again when a rule goes.

use crate::extension::Severity;

/// One kind of finding.
#[derive(Debug, Eq, PartialEq)]
pub struct Rule {
    /// By which programs know it, such as `OC0101`.
    pub code: &'static str,
    /// By which people remember it.
    pub name: &'static str,
    pub severity: Severity,
    /// What it looks for, as a sentence.
    pub summary: &'static str,
}

/// Every rule, by code.
pub static RULES: &[Rule] = &[
    // Which hosts it fits.
    error(
        "OC0101",
        "release-missing",
        "There is no extension-release file with the name of the image.",
    ),
    error(
        "OC0102",
        "release-ambiguous",
        "Several extension-release files could be meant.",
    ),
    note(
        "OC0103",
        "release-name",
        "The extension-release file has another name than the image.",
    ),
    error(
        "OC0104",
        "os-release-shipped",
        "The extension has an os-release file, for which systemd refuses it.",
    ),
    error(
        "OC0105",
        "id-missing",
        "The extension-release file does not say for which distribution it is.",
    ),
    error(
        "OC0106",
        "id-differs",
        "The extension is for another distribution.",
    ),
    warning(
        "OC0107",
        "id-like",
        "The extension is for a distribution that the host's is like, which newer versions of systemd accept.",
    ),
    error(
        "OC0108",
        "level-differs",
        "The extension is for another level of the distribution.",
    ),
    error(
        "OC0109",
        "version-differs",
        "The extension is for another release of the distribution.",
    ),
    error(
        "OC0110",
        "scope-differs",
        "The extension is for other kinds of systems.",
    ),
    error(
        "OC0111",
        "architecture-differs",
        "The extension is for another architecture.",
    ),
    note(
        "OC0112",
        "host-unknown",
        "Nothing is known of the host, or not enough to tell whether the extension fits it.",
    ),
    note(
        "OC0113",
        "fits-anything",
        "The extension says that it fits every system.",
    ),
    // Signature and policy.
    note("OC0201", "unsigned", "The image is not signed."),
    note(
        "OC0202",
        "without-hash-tree",
        "Nothing protects the file system from being changed.",
    ),
    warning(
        "OC0203",
        "usr-partition",
        "The file system is in a partition that older versions of systemd do not verify.",
    ),
    error(
        "OC0204",
        "signature-damaged",
        "The signature cannot be read.",
    ),
    error(
        "OC0205",
        "signature-empty",
        "The partition for the signature is empty.",
    ),
    error(
        "OC0206",
        "root-hash-differs",
        "The partitions do not have the identifiers that the root hash gives them, or the hash tree cannot be used.",
    ),
    warning(
        "OC0207",
        "table-damaged",
        "The partition table at the start of the image is damaged.",
    ),
    warning(
        "OC0208",
        "certificate-unknown",
        "The host has no certificate for the signature.",
    ),
    error(
        "OC0209",
        "kernel-too-old",
        "The host's kernel is older than the file system.",
    ),
    warning(
        "OC0210",
        "partition-architecture",
        "The partitions are of another architecture than the extension.",
    ),
    // Libraries and interpreters.
    error(
        "OC0301",
        "library-missing",
        "A shared library that is needed is neither in the extension nor in its base.",
    ),
    error(
        "OC0302",
        "library-version",
        "A shared library lacks versions of symbols that are needed.",
    ),
    note(
        "OC0303",
        "library-elsewhere",
        "A shared library is where the loader does not look for it by itself.",
    ),
    error(
        "OC0304",
        "loader-missing",
        "The loader of a program is not there.",
    ),
    error(
        "OC0305",
        "interpreter-missing",
        "The interpreter of a script is not there.",
    ),
    error(
        "OC0306",
        "library-older",
        "A shared library hides a newer one of the base.",
    ),
    warning(
        "OC0307",
        "library-needs-cache",
        "A shared library is found only after `ldconfig` was run on the host.",
    ),
    warning(
        "OC0308",
        "machine-differs",
        "A program or library is for another architecture.",
    ),
    warning(
        "OC0309",
        "object-damaged",
        "A program or library cannot be read.",
    ),
    note(
        "OC0310",
        "base-needed",
        "What the extension needs of its base.",
    ),
    // What the base has otherwise.
    warning(
        "OC0401",
        "shadowing",
        "Files of the base are hidden by others.",
    ),
    warning(
        "OC0402",
        "metadata-changed",
        "Mode, owner or attributes of what the base has are others.",
    ),
    warning(
        "OC0403",
        "directory-replaced",
        "Directories of the base are hidden with all that they hold.",
    ),
    warning(
        "OC0404",
        "replaced-by-directory",
        "What is no directory in the base is one in the extension.",
    ),
    note(
        "OC0405",
        "equal-to-base",
        "Files are the same as in the base.",
    ),
    warning(
        "OC0406",
        "whiteout",
        "The extension holds marks by which layers delete, which extensions cannot.",
    ),
    // What is merged at all.
    warning(
        "OC0501",
        "outside-hierarchies",
        "Entries lie where an extension of this kind is not merged.",
    ),
    warning("OC0502", "empty-payload", "The extension adds no file."),
    warning(
        "OC0503",
        "package-database",
        "The extension hides the host's database of packages.",
    ),
    // Owners and rights.
    warning(
        "OC0601",
        "allocated-owner",
        "Files belong to an id that is not the same everywhere.",
    ),
    error(
        "OC0602",
        "allocated-set-id",
        "Programs run with the rights of such an id.",
    ),
    warning(
        "OC0603",
        "allocated-in-acl",
        "ACLs let such an id do something.",
    ),
    note(
        "OC0604",
        "set-id",
        "Programs run with the rights of their owner or group.",
    ),
    note("OC0605", "capabilities", "Programs have capabilities."),
    warning("OC0606", "world-writable", "Everybody may write."),
    warning(
        "OC0607",
        "device",
        "There are device nodes, which are not needed in a hierarchy.",
    ),
    // Units.
    warning(
        "OC0701",
        "unit-not-started",
        "A unit has an `[Install]` section that has no effect, and nothing starts it.",
    ),
    warning(
        "OC0702",
        "unit-missing",
        "A unit is asked for that does not exist.",
    ),
    warning(
        "OC0703",
        "required-by",
        "Units of the base depend on one of the extension.",
    ),
    error(
        "OC0704",
        "program-missing",
        "A program that a unit starts does not exist.",
    ),
    warning(
        "OC0705",
        "unit-overridden",
        "The host has a unit of its own that hides the extension's.",
    ),
    note(
        "OC0706",
        "manager-not-reloaded",
        "The extension has units, and systemd is not told to read them when it is merged.",
    ),
    // What is made at boot.
    error(
        "OC0801",
        "account-missing",
        "A user or group is needed that nothing makes.",
    ),
    warning(
        "OC0802",
        "path-missing",
        "A unit needs a file or directory that nothing makes.",
    ),
    note(
        "OC0803",
        "made-at-boot",
        "Accounts, files and directories are made when the host starts, and not by merging.",
    ),
    // Links and names.
    warning("OC0901", "broken-link", "A symbolic link leads nowhere."),
    note(
        "OC0902",
        "absolute-link",
        "A symbolic link leads out of what is merged, to something that is the host's own.",
    ),
    note("OC0903", "case-collision", "Names differ in case alone."),
    warning(
        "OC0904",
        "command-collision",
        "A command has the name of one of the base, in another directory.",
    ),
    warning(
        "OC0905",
        "odd-name",
        "A name is no text, or holds control characters.",
    ),
];

const fn error(code: &'static str, name: &'static str, summary: &'static str) -> Rule {
    of(code, name, Severity::Error, summary)
}

const fn warning(code: &'static str, name: &'static str, summary: &'static str) -> Rule {
    of(code, name, Severity::Warning, summary)
}

const fn note(code: &'static str, name: &'static str, summary: &'static str) -> Rule {
    of(code, name, Severity::Note, summary)
}

const fn of(
    code: &'static str,
    name: &'static str,
    severity: Severity,
    summary: &'static str,
) -> Rule {
    Rule {
        code,
        name,
        severity,
        summary,
    }
}

/// Returns the rule of that name.
///
/// # Panics
/// When there is none: names are constants of this program, and each is provoked by a test.
pub(super) fn rule(name: &str) -> &'static Rule {
    let found = RULES.iter().find(|rule| rule.name == name);
    found.unwrap_or_else(|| panic!("`{name}` is no rule"))
}

#[cfg(test)]
mod tests {
    use super::RULES;

    #[test]
    fn codes_and_names_are_unique_and_sorted() {
        assert!(RULES.is_sorted_by(|one, other| one.code < other.code));
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
