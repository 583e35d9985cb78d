//! The texts that become file names, arguments of a package manager or lines of its configuration.
//!
//! A recipe is untrusted, so what could be read as a path, an option or another line is refused where it is written.

/// What a word must look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Anything.
    Any,
    /// Becomes the name of a file, and has to look like one.
    FileName,
    /// Becomes a part of the name of a file.
    NamePart,
    /// Is the name of a file that is only looked for.
    Profile,
    /// Is handed to a package manager as an argument.
    Package,
    /// Becomes one word of a package manager's configuration: a suite, a component.
    Word,
    /// Becomes the URI in a package manager's configuration.
    Url,
    /// Becomes the name of an environment variable.
    Variable,
    /// Becomes a value that extensions are matched by (os-release(5)).
    ReleaseWord,
    /// Is a unit of systemd that can be started.
    Unit,
}

impl Rule {
    /// Returns what was expected when `text` is not what mkosi takes either.
    pub(super) fn check_spelling(self, text: &str) -> Result<(), &'static str> {
        let is_name = || !text.contains('/') && !matches!(text.trim(), "." | "..");
        match self {
            Self::FileName | Self::Profile if !is_name() => {
                Err("a file name, which has no `/` and is neither `.` nor `..`")
            }
            _ => Ok(()),
        }
    }

    /// Returns what was expected when `text` does not follow the rule.
    pub(super) fn check(self, text: &str) -> Result<(), &'static str> {
        let (holds, expected) = match self {
            Self::Any | Self::Profile => (true, ""),
            Self::FileName | Self::NamePart => (is_file_name(text), FILE_NAME),
            Self::Variable => (super::grants::is_variable(text), "`NAME=VALUE`"),
            Self::Package => (is_package(text), "the name of a package"),
            Self::Word => (
                is_word(text),
                "at most 255 letters, digits and `.`, `_`, `~`, `+`, `:`, `/` or `-`, starting with a letter or digit",
            ),
            Self::ReleaseWord => (
                is_release_word(text),
                "at most 255 lower-case letters, digits and `.`, `_` or `-`",
            ),
            Self::Unit => (
                is_unit(text),
                "the name of a unit, such as `app.service` or `app@1.socket`",
            ),
            Self::Url => (
                is_url(text),
                "an `http://`, `https://`, `ftp://` or `file:///` URL without spaces, quotes or brackets",
            ),
        };
        if holds { Ok(()) } else { Err(expected) }
    }
}

const FILE_NAME: &str =
    "a file name that does not start with `.` or `-` and has no `/`, spaces or control characters";

/// The longest name that leaves room for the suffixes of outputs and temporary files (a name has 255 bytes at most).
const MAX_FILE_NAME_BYTES: usize = 200;

/// A suite or component is a directory's name in an archive, or some of them.
const MAX_WORD_BYTES: usize = 255;

pub(super) fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_FILE_NAME_BYTES
        && !text.starts_with(['.', '-'])
        && !text.contains(|c: char| c == '/' || c == '\\' || c.is_whitespace() || c.is_control())
}

/// Names, `name=version`, `name/suite`, `name:arch`, `?pattern(...)`, `(rich dependency)` and paths of package files.
fn is_package(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+._-:/=~^*@%".contains(c);
    // White space and the operators of a pattern occur only between parentheses, where no shell or option is in reach.
    let is_pattern = |c: char| is_plain(c) || "?()!|&,<>$[] ".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "/.?~(@*^".contains(c));
    // apt takes a minus at the end as the wish to remove the package.
    starts
        && !text.ends_with('-')
        && if text.contains('(') || text.starts_with(['?', '~', '^']) {
            text.chars().all(is_pattern)
        } else {
            text.chars().all(is_plain)
        }
}

/// Tells whether a package is named by the path of its file, and not by a name or by a file that it has.
pub(super) fn is_package_file(text: &str) -> bool {
    (text.starts_with(['/', '.']) && text.contains('/')) && text.ends_with(".deb")
}

/// Returns what packages are sorted by, as mkosi does: names, then paths, then expressions.
pub(super) fn package_order(package: &str) -> (u8, String) {
    let class = match package.as_bytes().first() {
        Some(b'/') => 1,
        Some(b'(') => 2,
        _ => 0,
    };
    (class, package.to_owned())
}

fn is_word(text: &str) -> bool {
    text.len() <= MAX_WORD_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._~+:/-".contains(c))
        && !text.split('/').any(|part| part == "..")
}

fn is_release_word(text: &str) -> bool {
    (1..=MAX_WORD_BYTES).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// A unit's name with its type is shorter than this (UNIT_NAME_MAX of systemd).
const UNIT_NAME_MAX: usize = 256;

/// The types of units (systemd.unit(5)).
const UNIT_TYPES: [&str; 11] = [
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];

/// Tells whether `text` names a unit or an instance of a template; a template alone cannot be started.
fn is_unit(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
    let Some((stem, kind)) = text.rsplit_once('.') else {
        return false;
    };
    let (name, instance) = match stem.split_once('@') {
        Some((name, instance)) => (name, Some(instance)),
        None => (stem, None),
    };
    text.len() < UNIT_NAME_MAX
        && UNIT_TYPES.contains(&kind)
        && !name.is_empty()
        && name.chars().all(is_plain)
        && instance.is_none_or(|instance| {
            !instance.is_empty() && instance.chars().all(|c| is_plain(c) || c == '@')
        })
}

fn is_url(text: &str) -> bool {
    let rest = ["http://", "https://", "ftp://", "file:///"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"'`\\<>[]{}|^".contains(c);
    // Steps that run package code see the addresses, so no password may be in them.
    let has_credentials = |rest: &str| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    };
    rest.is_some_and(|rest| {
        !rest.is_empty() && !has_credentials(rest) && rest.chars().all(is_plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_lead_elsewhere() {
        for (text, holds) in [
            ("btrfs", true),
            ("btrfs_1.2~rc1", true),
            ("", false),
            (".", false),
            ("..", false),
            (".git", false),
            ("-rf", false),
            ("a/b", false),
            ("a b", false),
            ("a\nb", false),
            ("a\0b", false),
        ] {
            assert_eq!(
                Rule::FileName.check(text),
                if holds { Ok(()) } else { Err(FILE_NAME) },
                "{text:?}"
            );
        }
        assert!(Rule::FileName.check(&"a".repeat(200)).is_ok());
        assert!(Rule::FileName.check(&"a".repeat(201)).is_err());
    }

    #[test]
    fn packages_cannot_be_options() {
        for (text, holds) in [
            ("btrfs-progs", true),
            ("g++", true),
            ("libc6:i386", true),
            ("nginx=1.22.1-9", true),
            ("nginx/bookworm-backports", true),
            ("?priority(required)", true),
            ("~nsystemd", true),
            ("(a if b)", true),
            ("^libtss2-mu[0-9.-]+(t64)?$", true),
            ("/srv/a.deb", true),
            ("-oDir::Etc=/x", false),
            ("--force", false),
            ("a\nb", false),
            ("a b", false),
            ("a;b", false),
            ("a`b`", false),
            ("", false),
        ] {
            assert_eq!(Rule::Package.check(text).is_ok(), holds, "{text:?}");
        }
    }

    #[test]
    fn package_files_are_told_from_packages() {
        for (text, expected) in [
            ("./a_1_all.deb", true),
            ("../a.deb", true),
            ("/srv/a.deb", true),
            ("a.deb", false),
            (".deb", false),
            ("/usr/bin/ld", false),
            ("nginx/bookworm.deb", false),
        ] {
            assert_eq!(is_package_file(text), expected, "{text}");
        }
    }

    #[test]
    fn configuration_words_stay_one_word() {
        for (text, holds) in [
            ("bookworm", true),
            ("non-free-firmware", true),
            (&"a".repeat(255), true),
            (&"a".repeat(256), false),
            ("bookworm/../x", false),
            ("main\nTrusted: yes", false),
            ("main [trusted=yes]", false),
            ("-x", false),
        ] {
            assert_eq!(Rule::Word.check(text).is_ok(), holds, "{text:?}");
        }
        for (text, holds) in [
            ("https://deb.example.org/debian", true),
            ("file:///srv/mirror", true),
            ("http://", false),
            ("ssh://host/x", false),
            ("http://a b", false),
            ("http://a\nTrusted: yes", false),
            ("http://a/[x]", false),
            ("http://a/\"", false),
        ] {
            assert_eq!(Rule::Url.check(text).is_ok(), holds, "{text:?}");
        }
    }

    #[test]
    fn units_are_what_systemd_can_start() {
        for (text, holds) in [
            ("app.service", true),
            ("app@1.service", true),
            ("app@a@b.service", true),
            ("dev-sda\\x2d1.swap", true),
            ("a.b.timer", true),
            ("app@.service", false),
            ("@1.service", false),
            (".service", false),
            ("app", false),
            ("app.conf", false),
            ("app/x.service", false),
            ("a\"b.service", false),
            ("a b.service", false),
        ] {
            assert_eq!(Rule::Unit.check(text).is_ok(), holds, "{text:?}");
        }
        let long = |length| format!("{}.service", "a".repeat(length));
        assert!(Rule::Unit.check(&long(247)).is_ok());
        assert!(Rule::Unit.check(&long(248)).is_err());
    }

    #[test]
    fn words_of_a_release_file_need_no_quotes() {
        for (text, holds) in [
            ("_any", true),
            ("opensuse-tumbleweed", true),
            ("13.1", true),
            ("", false),
            ("Debian", false),
            ("a b", false),
            ("a\nID=_any", false),
        ] {
            assert_eq!(Rule::ReleaseWord.check(text).is_ok(), holds, "{text:?}");
        }
    }
}
