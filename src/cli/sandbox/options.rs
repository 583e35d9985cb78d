//! The options of `overcoat sandbox`, and the specification that they make.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use overcoat_sandbox::{IdMapping, Network, Overlay, OwnershipRecording, Spec};

use crate::build::policy::{self, Host, StepKind};
use crate::cli::args::{ArgumentError, usage_error};
use crate::cli::limits::LimitSetting;

/// What was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Invoked {
    pub(super) print: PrintSpec,
    pub(super) command: Vec<String>,
    /// The step as which the command is run, and the directory with what a build would give it.
    pub(super) step: Option<(StepKind, PathBuf)>,
    pub(super) ids: IdMapping,
    pub(super) json: bool,
    pub(super) clean: bool,
    root: Option<PathBuf>,
    host_programs: bool,
    mounts: Vec<Mount>,
    network: bool,
    /// Names and values.
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    hostname: Option<String>,
    record_owners: OwnershipRecording,
    suppress_sync: bool,
    time: Option<Duration>,
    pub(super) limits: Vec<LimitSetting>,
    pub(super) seccomp_profile: Option<PathBuf>,
}

/// What is printed instead of running the command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PrintSpec {
    Nothing,
    Help,
    /// The kinds of steps, a line each.
    Kinds,
    /// What would run as a step of this kind.
    Kind(StepKind),
    /// What would run.
    Command,
}

/// Something that is shown inside, in the order in which it was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Mount {
    Bind { host: PathBuf, inside: PathBuf },
    BindReadOnly { host: PathBuf, inside: PathBuf },
    Tmpfs { inside: PathBuf },
    Overlay { overlay: Overlay, inside: PathBuf },
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What does not depend on the caller. The home directory is one that exists and can be written to.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", PATH),
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];

const ABOUT: &str = "Runs a command confined: it sees the programs of the host read-only, an empty /tmp, /var and /run, \
                     its own processes, no network, and nothing of the caller's files and environment";
const AFTER: &str = "\
The exit status is the command's, 128 and the number of the signal that ended it or this program, 124 when the time was \
over, and 125 when the sandbox could not be set up. Standard output and error are copied as they are, but what goes to a \
terminal cannot drive it. Standard input is copied unless it is a terminal: then the command reads nothing.

With `--print-spec STEP` and `--step STEP`, what only a build knows has names in capitals: LISTS, ARCHIVES, IMAGE, \
CHANGES, WORK, GUARD, SOURCES, BUILD, DESTINATION and OUTPUT, in `/` where they are printed.";

/// Builds the command line.
pub(super) fn command() -> Command {
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let path = |name, placeholder, help| {
        value(name, placeholder, help).value_parser(value_parser!(OsString))
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let many = |arg: Arg| arg.action(ArgAction::Append);
    Command::new("overcoat sandbox")
        .about(ABOUT)
        .after_help(AFTER)
        .override_usage("overcoat sandbox [OPTIONS] -- COMMAND [ARGUMENTS]")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args([
            many(path("bind", "SRC[:DST]", "Show a file or directory of the host, writable")),
            many(path("bind-read-only", "SRC[:DST]", "Show a file or directory of the host")),
            many(path("tmpfs", "DST", "Make an empty, writable directory")),
            many(path("overlay", "LOWER[:LOWER...]:DST", "Show directories of the host, the first on top")),
            many(path(
                "overlay-writable",
                "LOWER[:LOWER...]:UPPER:WORK:DST",
                "The same with changes, which go to UPPER; WORK is empty and on the same file system",
            )),
            path("root", "DIR", "Show this directory as `/`, instead of the programs of the host"),
            flag("no-host-programs", "Leave out `/usr` and what belongs to it"),
            flag("network", "Share the network of the host, with all that listens on loopback"),
            many(value("env", "NAME[=VALUE]", "Set a variable, or take it from the caller's environment")),
            path("directory", "DIR", "Start the command in this directory of the sandbox").alias("chdir"),
            value("hostname", "NAME", "Set the name of the host that the command sees"),
            value("record-owners", "answer", "Make chown and mknod succeed; with `answer`, also tell of it later")
                .num_args(0..=1)
                .require_equals(true)
                .value_parser(["answer", "record"])
                .default_missing_value("record"),
            value("userns", "IDS", "Map the caller alone (`single`, the default) or 0 to 65535 (`range`)")
                .value_parser(["single", "range"]),
            flag("suppress-sync", "Make fsync and its kin succeed without effect"),
            value("time", "SECONDS", "Kill the command after this time").value_parser(value_parser!(u64).range(1..)),
            many(value(
                "limit",
                "NAME=VALUE",
                "What the command may use: `processes`, `open-files` (numbers), `memory`, `file-size` (sizes such as \
                 `8G`), or `none`; also `OVERCOAT_LIMIT`, with commas",
            )),
            path(
                "seccomp-profile",
                "PATH",
                "Run the command under this filter of system calls as well, a JSON file in the form of OCI or Docker",
            ),
            flag("clean", "Make output inert that goes to no terminal, too"),
            flag("json", "Say how it ended and what was enforced, in the last line of standard error"),
            value("print-spec", "STEP", "Print what would run, or list the kinds of steps, or print what one may do")
                .num_args(0..=1)
                .default_missing_value(""),
            value("step", "STEP", "Run the command as a build runs a step of this kind").requires("places"),
            path("places", "DIR", "Where what a build would give the step is").requires("step"),
            flag("help", "Show this help").short('h'),
            Arg::new("command").last(true).num_args(1..).hide(true),
        ])
}

/// Reads the arguments after the verb.
///
/// # Errors
/// [`ArgumentError`] for options that are not known, lack their value or exclude each other.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Invoked, ArgumentError> {
    let arguments = std::iter::once("overcoat sandbox".into()).chain(arguments);
    let matches =
        command()
            .try_get_matches_from(arguments)
            .map_err(|error| match usage_error(&error) {
                ArgumentError::SurplusArgument { argument } => {
                    usage(format!("`--` is missing before the command `{argument}`"))
                }
                other => other,
            })?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let path = |name: &str| matches.get_one::<OsString>(name).map(PathBuf::from);
    let command: Vec<String> = matches
        .get_many::<String>("command")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let print = match (text("print-spec").as_deref(), command.is_empty()) {
        _ if matches.get_flag("help") => PrintSpec::Help,
        (None, false) => PrintSpec::Nothing,
        (None, true) => {
            return Err(usage("no command is given after `--`".to_owned()));
        }
        (Some(""), true) => PrintSpec::Kinds,
        (Some(""), false) => PrintSpec::Command,
        (Some(name), _) => PrintSpec::Kind(kind(name)?),
    };
    let step = match (text("step"), path("places")) {
        (Some(name), Some(places)) => Some((kind(&name)?, absolute(&places)?)),
        _ => None,
    };
    let ids = match text("userns").as_deref() {
        Some("range") => IdMapping::Range,
        _ => IdMapping::Single,
    };
    Ok(Invoked {
        print,
        command,
        step,
        ids,
        json: matches.get_flag("json"),
        clean: matches.get_flag("clean"),
        root: path("root").as_deref().map(absolute).transpose()?,
        host_programs: !matches.get_flag("no-host-programs"),
        mounts: mounts(&matches)?,
        network: matches.get_flag("network"),
        environment: environment(&matches),
        directory: path("directory"),
        hostname: text("hostname"),
        record_owners: match text("record-owners").as_deref() {
            None => OwnershipRecording::Off,
            Some("answer") => OwnershipRecording::RecordAndAnswer,
            Some(_) => OwnershipRecording::Record,
        },
        suppress_sync: matches.get_flag("suppress-sync"),
        time: matches.get_one("time").copied().map(Duration::from_secs),
        limits: limits(&matches)?,
        seccomp_profile: path("seccomp-profile"),
    })
}

impl Invoked {
    /// Tells whether the command is to have a range of ids.
    pub(super) fn has_range(&self) -> bool {
        self.ids == IdMapping::Range
    }

    /// Returns the specification of the command, when it is no step.
    pub(super) fn spec(&self, host: &Host) -> Spec {
        let spec = Spec::new(&self.command);
        let mut spec = match &self.root {
            Some(root) => in_root(spec, root),
            None if self.host_programs => policy::base(spec, host, ""),
            None => policy::without_programs(spec, ""),
        };
        for (name, value) in ENVIRONMENT {
            spec = spec.environment(name, value);
        }
        for (name, value) in &self.environment {
            spec = spec.environment(name, value);
        }
        if self.network {
            spec = host.network_files(spec).network(Network::Host);
        }
        for mount in &self.mounts {
            spec = match mount {
                Mount::Bind { host, inside } => spec.bind(host, inside),
                Mount::BindReadOnly { host, inside } => spec.bind_read_only(host, inside),
                Mount::Tmpfs { inside } => spec.tmpfs(inside, 0o755),
                Mount::Overlay { overlay, inside } => spec.overlay(inside, overlay),
            };
        }
        if let Some(directory) = &self.directory {
            spec = spec.working_directory(directory);
        }
        if let Some(name) = &self.hostname {
            spec = spec.hostname(name);
        }
        if let Some(limit) = self.time {
            spec = spec.wall_clock_limit(limit);
        }
        if self.suppress_sync {
            spec = spec.suppress_sync();
        }
        match (self.ids, self.record_owners) {
            (IdMapping::Single, recording) => spec.ownership(recording),
            (IdMapping::Range, OwnershipRecording::Off) => spec.map_range(),
            (IdMapping::Range, _) => spec.map_range().ownership(OwnershipRecording::Devices),
        }
    }
}

/// Shows a tree as `/`, with the usual on top where it has the mount points: nothing can be made in it.
fn in_root(spec: Spec, root: &Path) -> Spec {
    let has = |name: &str| {
        let found = fs_err::symlink_metadata(root.join(name));
        found.is_ok_and(|found| found.is_dir())
    };
    let mut spec = spec.bind_read_only(root, "/");
    if has("proc") {
        spec = spec.proc("/proc");
    }
    if has("dev") {
        spec = spec.devices("/dev");
    }
    if has("run") {
        spec = spec.tmpfs("/run", 0o755);
    }
    if has("tmp") {
        spec = spec.tmpfs("/tmp", 0o1777);
    }
    spec
}

/// Returns what is mounted, in the order in which it was typed.
fn mounts(matches: &ArgMatches) -> Result<Vec<Mount>, ArgumentError> {
    type Parse = fn(&[PathBuf]) -> Result<Mount, ArgumentError>;
    const OPTIONS: [(&str, Parse); 5] = [
        ("bind", |parts| {
            bound(parts, "bind").map(|(host, inside)| Mount::Bind { host, inside })
        }),
        ("bind-read-only", |parts| {
            bound(parts, "bind-read-only")
                .map(|(host, inside)| Mount::BindReadOnly { host, inside })
        }),
        ("tmpfs", |parts| match parts {
            [inside] => Ok(Mount::Tmpfs {
                inside: inside.clone(),
            }),
            _ => Err(malformed("tmpfs", "DST")),
        }),
        ("overlay", |parts| match parts {
            [lowers @ .., inside] if !lowers.is_empty() => Ok(Mount::Overlay {
                overlay: Overlay {
                    lowers: all_absolute(lowers)?,
                    upper: None,
                    work: None,
                },
                inside: inside.clone(),
            }),
            _ => Err(malformed("overlay", "LOWER[:LOWER...]:DST")),
        }),
        ("overlay-writable", |parts| match parts {
            [lowers @ .., upper, work, inside] if !lowers.is_empty() => Ok(Mount::Overlay {
                overlay: Overlay {
                    lowers: all_absolute(lowers)?,
                    upper: Some(absolute(upper)?),
                    work: Some(absolute(work)?),
                },
                inside: inside.clone(),
            }),
            _ => Err(malformed(
                "overlay-writable",
                "LOWER[:LOWER...]:UPPER:WORK:DST",
            )),
        }),
    ];
    let mut found = Vec::new();
    for (name, parse) in OPTIONS {
        let indices = matches.indices_of(name).into_iter().flatten();
        let values = matches.get_many::<OsString>(name).into_iter().flatten();
        for (index, value) in indices.zip(values) {
            let parts: Vec<PathBuf> = value
                .to_string_lossy()
                .split(':')
                .map(PathBuf::from)
                .collect();
            found.push((index, parse(&parts)?));
        }
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, mount)| mount).collect())
}

fn bound(parts: &[PathBuf], option: &str) -> Result<(PathBuf, PathBuf), ArgumentError> {
    match parts {
        [host] => {
            let host = absolute(host)?;
            Ok((host.clone(), host))
        }
        [host, inside] => Ok((absolute(host)?, inside.clone())),
        _ => Err(malformed(option, "SRC[:DST]")),
    }
}

/// Returns the limits that were typed, which must be of those that one command can have.
fn limits(matches: &ArgMatches) -> Result<Vec<LimitSetting>, ArgumentError> {
    let typed = matches.get_many::<String>("limit").into_iter().flatten();
    typed
        .map(|text| {
            let limit = LimitSetting::parse(text, "--limit")?;
            match limit.name() {
                "time" => Err(usage("the time of a command is limited by `--time`".into())),
                "disk" => Err(usage("the limit `disk` is for builds".into())),
                _ => Ok(limit),
            }
        })
        .collect()
}

/// Returns the variables; one that is asked of the caller and not there is left out.
fn environment(matches: &ArgMatches) -> Vec<(String, String)> {
    let typed = matches.get_many::<String>("env").into_iter().flatten();
    typed
        .filter_map(|typed| match typed.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((typed.clone(), std::env::var(typed).ok()?)),
        })
        .collect()
}

fn kind(name: &str) -> Result<StepKind, ArgumentError> {
    StepKind::of_name(name).ok_or_else(|| {
        let names = StepKind::ALL.map(|kind| format!("`{}`", policy::policy(kind).name));
        usage(format!(
            "unknown step `{name}`; there are {}",
            names.join(", ")
        ))
    })
}

fn all_absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ArgumentError> {
    paths.iter().map(|path| absolute(path)).collect()
}

fn absolute(path: &Path) -> Result<PathBuf, ArgumentError> {
    std::path::absolute(path).map_err(|_| usage(format!("`{}` is no path", path.display())))
}

fn malformed(option: &str, form: &str) -> ArgumentError {
    usage(format!("the value of `--{option}` has the form `{form}`"))
}

fn usage(message: String) -> ArgumentError {
    ArgumentError::Usage { message }
}
