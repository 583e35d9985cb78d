//! What was typed: one option a setting, generated from the settings table, and a verb.

mod verb;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use overcoat_sandbox::IdMapping;

use super::limits::{LimitError, LimitSetting};
use crate::Hint;
use crate::recipe::settings::{self, Section, Setting, Support};
use crate::recipe::{Override, nearest};
use crate::store::Trust;

use self::verb::FOREIGN_VERBS;
pub(super) use self::verb::{VERBS, Verb};

/// What was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Invoked {
    pub verb: Verb,
    /// How often `-f` was given.
    pub force: u8,
    pub directory: PathBuf,
    pub json: bool,
    /// Whether `summary` says where values come from.
    pub origin: bool,
    pub debug: bool,
    /// Whether warnings of a recipe are errors.
    pub strict: bool,
    pub ids: IdMapping,
    pub seccomp_profile: Option<PathBuf>,
    /// What a build may use, in the order it was typed.
    pub limits: Vec<LimitSetting>,
    pub trust: Trust,
    /// What follows the verb.
    pub arguments: Vec<String>,
    /// Options that are accepted because scripts have them, and do nothing.
    pub idle_options: Vec<&'static str>,
    /// The settings, in the order they were typed.
    pub overrides: Vec<Override>,
    /// Lists of what the recipe may have besides its directory, in the order they were typed.
    pub grants: Vec<String>,
    pub genkey_valid_days: u32,
    /// The name to put into the certificate; a default is chosen where it is made.
    pub genkey_common_name: Option<String>,
}

/// Arguments that make no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ArgumentError {
    #[error("{message}")]
    Usage { message: String },
    #[error("unknown option `{option}`")]
    UnknownOption {
        option: String,
        nearest: Option<String>,
    },
    #[error("unexpected argument `{argument}` after the verb")]
    SurplusArgument { argument: String },
    #[error("unknown verb `{verb}`")]
    UnknownVerb {
        verb: String,
        nearest: Option<&'static str>,
    },
    #[error("the option `--{option}` of mkosi is not supported")]
    ForeignOption { option: &'static str },
    #[error("`{verb}` needs to know {missing}")]
    MissingArgument {
        verb: &'static str,
        missing: &'static str,
    },
    #[error("unknown setting `{name}`")]
    UnknownSetting {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("unknown shell `{name}`")]
    UnknownShell { name: String },
    #[error("`{verb}` is not the first argument")]
    VerbNotFirst { verb: &'static str },
    #[error("the verb `{verb}` of mkosi is not supported")]
    ForeignVerb { verb: String },
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Hint for ArgumentError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Limit(error) => error.hint(),
            Self::Usage { .. }
            | Self::ForeignOption { .. }
            | Self::UnknownOption { nearest: None, .. }
            | Self::SurplusArgument { .. } => {
                Some("`overcoat --help` lists the options".to_owned())
            }
            Self::UnknownOption {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`")),
            Self::UnknownVerb {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`")),
            Self::UnknownSetting { nearest, .. } => Some(match nearest {
                Some(name) => format!("did you mean `{name}`"),
                None => "`overcoat documentation` lists the settings".to_owned(),
            }),
            Self::UnknownShell { .. } | Self::MissingArgument { .. } => {
                Some("the shells are `bash`, `fish` and `zsh`".to_owned())
            }
            Self::VerbNotFirst { verb } => Some(format!(
                "it has options of its own, see `overcoat {verb} --help`"
            )),
            Self::UnknownVerb { nearest: None, .. } | Self::ForeignVerb { .. } => {
                let verbs = VERBS.map(|(name, ..)| format!("`{name}`")).join(", ");
                Some(format!("the verbs are {verbs}"))
            }
        }
    }
}

/// Builds the command line from the settings table.
pub(super) fn command() -> Command {
    let verbs: Vec<String> = VERBS
        .iter()
        .map(|(name, _, help)| format!("  {name:<13} {help}"))
        .collect();
    let command = Command::new("overcoat")
        .about("Builds system extension images, base images and initrds from mkosi configuration, without root")
        .after_help(format!("Verbs:\n{}", verbs.join("\n")))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .arg(Arg::new("verb").value_name("VERB").help("What to do; `build` if nothing is said"))
        .arg(Arg::new("arguments").value_name("ARGUMENT").num_args(0..).help("What some verbs want to know"))
        .args(general_options())
        .args(idle_options())
        .args(FOREIGN_OPTIONS.map(|(name, short)| {
            let option = Arg::new(name).long(name).action(ArgAction::SetTrue).hide(true);
            match short {
                Some(short) => option.short(short),
                None => option,
            }
        }));
    settings::all().fold(command, |command, setting| {
        command.arg(option(setting)).args(constant(setting))
    })
}

/// The options that are not settings.
fn general_options() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    vec![
        Arg::new("force")
            .short('f')
            .long("force")
            .action(ArgAction::Count)
            .help("Build again what is there; twice, without what the store keeps"),
        Arg::new("directory")
            .short('C')
            .long("directory")
            .value_name("PATH")
            // The empty path is one too.
            .value_parser(OsStringValueParser::new().map(PathBuf::from))
            .default_value(".")
            .hide_default_value(true)
            .help("Work in this directory; read no files of it if the path is empty"),
        Arg::new("userns")
            .long("userns")
            .value_name("IDS")
            .value_parser(["single", "range"])
            .default_value("single")
            .help(
                "Which ids packages see while they are installed: `single` records all but root's, `range` makes them \
                 real, by root or by newuidmap(1), for packages that insist on it",
            ),
        Arg::new("seccomp-profile")
            .long("seccomp-profile")
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .help(
                "Run every step under this filter of system calls as well, a JSON file in the form of OCI or Docker; it \
                 can refuse more, and allow nothing",
            ),
        Arg::new("limit")
            .long("limit")
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help(
                "What a build may use: `processes`, `open-files` (numbers), `memory`, `file-size`, `disk` (sizes such \
                 as `8G`) and `time` of a step (such as `2h`), or `none`; also `OVERCOAT_LIMIT`, with commas",
            ),
        flag(
            "untrusted",
            "Keep what is made of a recipe from a stranger apart from what other builds use; it reads their layers and \
             packages [environment: OVERCOAT_UNTRUSTED=1]",
        ),
        Arg::new("allow")
            .long("allow")
            .value_name("GRANT,...")
            .action(ArgAction::Append)
            .help(
                "Let the recipe have what it asks for outside its directory: `network`, `path:DIR` (`path:DIR:rw` to \
                 write there), `env:NAME`, `device:PATH`; `sign`, with your own key; or `weaker-sandbox`, to build where the host enforces \
                 less. `OVERCOAT_ALLOW` is a list of them too",
            ),
        flag("json", "Print JSON instead of text"),
        flag("origin", "Say with `summary` where each value comes from, and what it took the place of"),
        flag("debug", "Say more"),
        flag("strict", "Take warnings of a recipe for errors"),
        flag("no-pager", "Has no effect, for there is no pager").hide(true),
        flag("version", "Show the version"),
        flag("help", "Show this help").short('h'),
        Arg::new("genkey-valid-days")
            .long("genkey-valid-days")
            .value_name("DAYS")
            .value_parser(clap::value_parser!(u32).range(1..))
            // mkosi's default.
            .default_value("730")
            .help("How long the certificate of `genkey` is valid"),
        Arg::new("genkey-common-name")
            .long("genkey-common-name")
            .value_name("NAME")
            .help("The name in the certificate of `genkey`"),
    ]
}

/// Options of mkosi that are accepted, and do nothing: some of them did once, the others concern what is not built.
fn idle_options() -> Vec<Arg> {
    let flags = IDLE_FLAGS.iter().map(|name| {
        let option = Arg::new(*name)
            .long(*name)
            .action(ArgAction::SetTrue)
            .hide(true);
        match *name {
            "wipe-build-dir" => option.short('w'),
            _ => option,
        }
    });
    let format = Arg::new("doc-format").long("doc-format").hide(true);
    flags.chain([format]).collect()
}

const IDLE_FLAGS: &[&str] = &[
    "nspawn-keep-unit",
    "default",
    "cache",
    "runtime-scratch",
    "debug-workspace",
    "debug-sandbox",
    "debug-timing",
    "wipe-build-dir",
];

/// Options of mkosi that ask for what cannot be had.
const FOREIGN_OPTIONS: [(&str, Option<char>); 3] = [
    ("auto-bump", Some('B')),
    ("debug-shell", None),
    ("rerun-build-scripts", Some('R')),
];

/// Makes the option of a setting; only what is supported is shown in help.
fn option(setting: &'static Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if !setting.default.is_empty() {
        help.push_str(&format!(" [default: {}]", setting.default));
    }
    let former = settings::FORMER_OPTIONS
        .iter()
        .filter(|(_, present)| *present == setting.long);
    let option = Arg::new(setting.name)
        .long(setting.long)
        .aliases(former.map(|(former, _)| *former))
        .value_name(setting.kind.placeholder())
        .action(ArgAction::Append)
        .help(help)
        .help_heading(heading(setting.section))
        .hide(setting.support != Support::Supported);
    let option = match setting.short.filter(|_| setting.short_value.is_none()) {
        Some(short) => option.short(short),
        None => option,
    };
    if setting.name == "Checksum" {
        // The one boolean that mkosi still takes without a value.
        return option
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("yes");
    }
    option
}

/// Makes the short option that stands for a fixed value, such as `-i`.
fn constant(setting: &'static Setting) -> Option<Arg> {
    let (short, value) = (setting.short?, setting.short_value?);
    let option = Arg::new(constant_id(setting))
        .short(short)
        .action(ArgAction::SetTrue)
        .overrides_with(constant_id(setting))
        .help(format!("Same as `--{}={value}`", setting.long))
        .help_heading(heading(setting.section))
        .hide(setting.support != Support::Supported);
    Some(option)
}

fn constant_id(setting: &Setting) -> String {
    format!("-{}", setting.long)
}

fn heading(section: Section) -> String {
    format!("[{section}]")
}

/// Reads arguments, the first of which is the program's name.
///
/// # Errors
/// [`ArgumentError`] for options and verbs that are not known or lack their value.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Invoked, ArgumentError> {
    let matches = command()
        .try_get_matches_from(arguments)
        .map_err(|error| usage_error(&error))?;
    let verb = if matches.get_flag("help") {
        Verb::Help
    } else if matches.get_flag("version") {
        Verb::Version
    } else {
        verb(matches.get_one::<String>("verb"))?
    };
    let arguments: Vec<String> = matches
        .get_many("arguments")
        .map(|arguments| arguments.cloned().collect())
        .unwrap_or_default();
    if let Some(argument) = arguments.get(verb.most_arguments()) {
        let argument = argument.clone();
        return Err(ArgumentError::SurplusArgument { argument });
    }
    let foreign = FOREIGN_OPTIONS.iter().map(|(option, _)| *option);
    if let Some(option) = foreign.into_iter().find(|option| matches.get_flag(option)) {
        return Err(ArgumentError::ForeignOption { option });
    }
    let idle = IDLE_FLAGS.iter().copied();
    let idle_options = idle
        .filter(|option| matches.get_flag(option))
        .chain(matches.contains_id("doc-format").then_some("doc-format"))
        .collect();
    Ok(Invoked {
        verb,
        arguments,
        idle_options,
        origin: matches.get_flag("origin"),
        force: matches.get_count("force"),
        directory: matches.get_one("directory").cloned().unwrap_or_default(),
        json: matches.get_flag("json"),
        debug: matches.get_flag("debug"),
        strict: matches.get_flag("strict"),
        ids: match matches.get_one::<String>("userns").map(String::as_str) {
            Some("range") => IdMapping::Range,
            _ => IdMapping::Single,
        },
        trust: match matches.get_flag("untrusted") {
            true => Trust::Untrusted,
            false => Trust::Trusted,
        },
        seccomp_profile: matches.get_one("seccomp-profile").cloned(),
        limits: matches
            .get_many::<String>("limit")
            .into_iter()
            .flatten()
            .map(|text| LimitSetting::parse(text, "--limit"))
            .collect::<Result<_, _>>()?,
        overrides: overrides(&matches),
        grants: matches
            .get_many("allow")
            .map(|lists| lists.cloned().collect())
            .unwrap_or_default(),
        genkey_valid_days: matches
            .get_one("genkey-valid-days")
            .copied()
            .unwrap_or_default(),
        genkey_common_name: matches.get_one("genkey-common-name").cloned(),
    })
}

/// Makes an error of ours from the argument parser's.
pub(super) fn usage_error(error: &clap::Error) -> ArgumentError {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match (error.kind(), named(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(option)) if option.starts_with('-') => {
            ArgumentError::UnknownOption {
                option,
                nearest: named(ContextKind::SuggestedArg),
            }
        }
        (ErrorKind::UnknownArgument, Some(argument)) => ArgumentError::SurplusArgument { argument },
        _ => ArgumentError::Usage {
            message: usage_message(&error.to_string()),
        },
    }
}

/// Returns the message of an error of the argument parser, without its prefix and usage text.
fn usage_message(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let lines: Vec<&str> = lines
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

fn verb(typed: Option<&String>) -> Result<Verb, ArgumentError> {
    let Some(typed) = typed else {
        return Ok(Verb::Build);
    };
    if let Some((_, verb, _)) = VERBS.iter().find(|(name, ..)| name == typed) {
        return Ok(*verb);
    }
    let verb = typed.clone();
    if FOREIGN_VERBS.contains(&typed.as_str()) {
        return Err(ArgumentError::ForeignVerb { verb });
    }
    let nearest = nearest(typed, VERBS.map(|(name, ..)| name));
    Err(ArgumentError::UnknownVerb { verb, nearest })
}

/// Returns the settings among the arguments, in the order they were typed.
fn overrides(matches: &ArgMatches) -> Vec<Override> {
    let mut found: Vec<(usize, Override)> = Vec::new();
    for setting in settings::all() {
        let indices = matches.indices_of(setting.name).into_iter().flatten();
        let values = matches
            .get_many::<String>(setting.name)
            .into_iter()
            .flatten();
        found.extend(indices.zip(values).map(|(index, value)| {
            (
                index,
                given(setting, value.clone(), format!("--{}", setting.long)),
            )
        }));
        if let (Some(short), Some(value)) = (setting.short, setting.short_value)
            && matches.get_flag(&constant_id(setting))
        {
            let index = matches.index_of(&constant_id(setting)).unwrap_or_default();
            found.push((index, given(setting, value.to_owned(), format!("-{short}"))));
        }
    }
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, given)| given).collect()
}

fn given(setting: &Setting, value: String, option: String) -> Override {
    Override {
        setting: setting.name.to_owned(),
        value,
        option,
    }
}

#[cfg(test)]
mod tests;
