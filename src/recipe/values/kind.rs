//! The kinds of text.

use super::scalars::COMPRESSIONS;
use crate::recipe::names::Rule;

/// What kind of text a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Boolean,
    Feature,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, or a boolean that stands for one of them.
    ChoiceOrBoolean {
        choices: &'static [&'static str],
        yes: &'static str,
        no: &'static str,
    },
    Compression,
    Text(Rule),
    /// Words between commas and white space.
    List(Rule),
    /// Packages between commas and white space, which are sorted: names, paths, expressions.
    Packages,
    /// Some of these words between commas and white space.
    Choices(&'static [&'static str]),
    /// Parts of an image between commas and white space; a boolean alone stands for some of them, and for no others.
    Parts(&'static [&'static str]),
    /// Words between spaces and line ends; commas and tabs belong to the word.
    SpacedList,
    /// Words between spaces and line ends, quoted as in a shell.
    ShellWords,
    /// `NAME=VALUE` words, quoted as in a shell; a name alone takes the value from the environment.
    Variables,
    /// `NAME=VALUE` words, quoted as in a shell, with any name.
    Labels,
    Path(PathRule),
    /// Paths between commas and white space.
    Paths(PathRule),
    /// Paths of programs between commas and white space, which may be patterns.
    Scripts,
    /// `SOURCE[:TARGET]` between commas and white space.
    Trees(TreeRule),
    /// The path of a file that is there, or else the URI of a key or certificate.
    Key {
        secret: bool,
    },
    /// `file`, or one of these words, a colon, and a name.
    KeySource(&'static [&'static str]),
    /// Regular expressions that choose kernel modules or firmware.
    Expressions,
    /// Octal permission bits.
    Mode,
    /// A UUID or `random`.
    Uuid,
    /// A whole number, zero or more.
    Number,
    /// Any whole number.
    Integer,
    /// A number of bytes, with `K`, `M` or `G`, in pages of 4096.
    Size,
    /// A power of two from 512 to 4096.
    SectorSize,
    /// The number of a vsock, `auto` or `hash`.
    VsockNumber,
    /// A version; the highest one counts.
    MinimumVersion,
    /// A password, or `hashed:` and its hash.
    Password,
    /// `NAME=VALUE` words, or the path of a file or of a directory of files.
    Credentials,
    /// `ID:SIZE[:DIRECTORY[:OPTIONS[:FILE[:FLAGS]]]]` between spaces and line ends.
    Drives,
    /// Paths of profiles of unified kernel images, which are read.
    UkiProfiles,
    /// Text with `&` and one of these letters, which stand for something only later.
    Delayed(Rule, &'static str),
}

/// What a path has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRule {
    /// Whether it has to be there.
    pub required: bool,
    /// Whether nobody but the owner and the group may open it.
    pub secret: bool,
    /// Whether it has to start with a slash.
    pub absolute: bool,
    /// The directory that it may not lie in.
    pub outside: Option<&'static str>,
    /// Words that are no paths.
    pub words: &'static [&'static str],
}

impl PathRule {
    /// Any path.
    pub const ANY: Self = Self {
        required: false,
        secret: false,
        absolute: false,
        outside: None,
        words: &[],
    };

    /// The path of something that is there.
    pub const PRESENT: Self = Self {
        required: true,
        ..Self::ANY
    };
}

/// What a tree has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TreeRule {
    /// Whether the source has to be there.
    pub required: bool,
    /// Whether it has to be a directory.
    pub directory: bool,
    /// Whether the target has to start with a slash.
    pub absolute: bool,
}

impl Kind {
    /// Returns whether assignments add to what is there.
    pub fn is_collection(self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Packages
                | Self::Choices(_)
                | Self::Parts(_)
                | Self::SpacedList
                | Self::ShellWords
                | Self::Paths(_)
                | Self::Scripts
                | Self::Trees(_)
                | Self::Expressions
                | Self::Credentials
                | Self::Drives
                | Self::UkiProfiles
        ) || self.is_dictionary()
    }

    /// Returns whether the values are named, and later ones take the place of those with the same name.
    pub fn is_dictionary(self) -> bool {
        matches!(self, Self::Variables | Self::Labels)
    }

    /// Returns whether the values are paths of the host, or can be.
    pub fn is_path(self) -> bool {
        matches!(
            self,
            Self::Path(_)
                | Self::Paths(_)
                | Self::Scripts
                | Self::Trees(_)
                | Self::Key { .. }
                | Self::Credentials
                | Self::Drives
        )
    }

    /// Returns the words that a value can be, none when it is not one of few words.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(choices)
            | Self::ChoiceOrBoolean { choices, .. }
            | Self::Choices(choices)
            | Self::Parts(choices)
            | Self::KeySource(choices) => choices,
            Self::Compression => COMPRESSIONS,
            Self::Feature => &["auto", "enabled", "disabled"],
            Self::Path(rule) | Self::Paths(rule) => rule.words,
            _ => &[],
        }
    }

    /// Returns what stands for the value in help, such as `PATH`.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Boolean => "BOOL",
            Self::Feature => "auto|BOOL",
            Self::Choice(_)
            | Self::ChoiceOrBoolean { .. }
            | Self::Compression
            | Self::KeySource(_) => "WORD",
            Self::Text(_) | Self::Password | Self::Delayed(..) => "TEXT",
            Self::List(_)
            | Self::Packages
            | Self::Choices(_)
            | Self::Parts(_)
            | Self::SpacedList
            | Self::ShellWords
            | Self::Expressions => "LIST",
            Self::Variables | Self::Labels | Self::Credentials => "NAME=VALUE",
            Self::Path(_)
            | Self::Paths(_)
            | Self::Scripts
            | Self::Key { .. }
            | Self::UkiProfiles => "PATH",
            Self::Trees(_) => "SOURCE[:TARGET]",
            Self::Mode => "MODE",
            Self::Uuid => "UUID",
            Self::Number | Self::Integer | Self::VsockNumber => "NUMBER",
            Self::Size | Self::SectorSize => "BYTES",
            Self::MinimumVersion => "VERSION",
            Self::Drives => "ID:SIZE",
        }
    }
}
