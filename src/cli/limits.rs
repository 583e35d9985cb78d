//! `--limit=NAME=VALUE` and `OVERCOAT_LIMIT`: what a build may use.

use std::time::Duration;

use crate::Hint;
use crate::build::Limits;
use crate::recipe::nearest;

/// The variable that sets limits, separated by commas; what is typed comes later and wins.
pub(super) const VARIABLE: &str = "OVERCOAT_LIMIT";

/// The value that takes a limit away.
const NONE: &str = "none";

/// What a limit's value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Count,
    Size,
    Time,
}

type Set = fn(&mut Limits, Option<u64>);

/// A limit that can be set: its name, what its value is, and where that goes.
const NAMES: [(&str, Kind, Set); 6] = [
    ("processes", Kind::Count, |limits, value| {
        limits.step.processes = value
    }),
    ("memory", Kind::Size, |limits, value| {
        limits.step.memory_bytes = value
    }),
    ("open-files", Kind::Count, |limits, value| {
        limits.step.open_files = value
    }),
    ("file-size", Kind::Size, |limits, value| {
        limits.step.file_size_bytes = value
    }),
    ("disk", Kind::Size, |limits, value| {
        limits.disk_bytes = value
    }),
    ("time", Kind::Time, |limits, value| {
        limits.step.wall_clock = value.map(Duration::from_secs)
    }),
];

/// A limit that was set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LimitSetting {
    /// Its place in the table.
    index: usize,
    value: Option<u64>,
}

/// A limit that cannot be set so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum LimitError {
    #[error("{origin}: `{text}` is not `NAME=VALUE`")]
    NoValue { origin: &'static str, text: String },
    #[error("{origin}: unknown limit `{name}`")]
    Unknown {
        origin: &'static str,
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: `{value}` is not a number for `{name}`")]
    Count {
        origin: &'static str,
        name: &'static str,
        value: String,
    },
    #[error("{origin}: `{value}` is not a size for `{name}`")]
    Size {
        origin: &'static str,
        name: &'static str,
        value: String,
    },
    #[error("{origin}: `{value}` is not a time for `{name}`")]
    Time {
        origin: &'static str,
        name: &'static str,
        value: String,
    },
    #[error("{origin}: `{VARIABLE}` is not UTF-8")]
    NotUtf8 { origin: &'static str },
}

impl Hint for LimitError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown {
                nearest: Some(nearest),
                ..
            } => format!("did you mean `{nearest}`"),
            Self::NoValue { .. } | Self::Unknown { nearest: None, .. } => {
                let names = NAMES.map(|(name, ..)| format!("`{name}`")).join(", ");
                format!("the limits are {names}, such as `--limit=memory=8G`")
            }
            Self::Count { .. } => "give a number from 1, such as `4096`, or `none`".to_owned(),
            Self::Size { .. } => {
                "give bytes, or a size such as `512M`, `8G` or `1T`, or `none`".to_owned()
            }
            Self::Time { .. } => {
                "give seconds, or a time such as `90s`, `15min` or `2h`, or `none`".to_owned()
            }
            Self::NotUtf8 { .. } => return None,
        })
    }
}

impl LimitSetting {
    /// Returns the name of the limit.
    pub(super) fn name(self) -> &'static str {
        NAMES[self.index].0
    }

    /// Returns its number; `None` for no bound.
    #[cfg(any(fuzzing, test))]
    pub(super) fn value(self) -> Option<u64> {
        self.value
    }

    /// Reads `NAME=VALUE`, which came by `origin`.
    ///
    /// # Errors
    /// [`LimitError`] when the name is unknown or the value is none of its kind.
    pub(super) fn parse(text: &str, origin: &'static str) -> Result<Self, LimitError> {
        let text = text.trim();
        let Some((name, value)) = text.split_once('=') else {
            return Err(LimitError::NoValue {
                origin,
                text: text.into(),
            });
        };
        let Some(index) = NAMES.iter().position(|(known, ..)| *known == name) else {
            return Err(LimitError::Unknown {
                origin,
                name: name.into(),
                nearest: nearest(name, NAMES.map(|(name, ..)| name)),
            });
        };
        if value == NONE {
            return Ok(Self { index, value: None });
        }
        let (name, kind, _) = NAMES[index];
        let units: &[(&str, u64)] = match kind {
            Kind::Count => &[],
            Kind::Size => &[
                ("K", 1 << 10),
                ("M", 1 << 20),
                ("G", 1 << 30),
                ("T", 1 << 40),
            ],
            Kind::Time => &[("s", 1), ("min", 60), ("h", 3600)],
        };
        let owned = value.to_owned();
        let value = number(value, units).ok_or(match kind {
            Kind::Count => LimitError::Count {
                origin,
                name,
                value: owned,
            },
            Kind::Size => LimitError::Size {
                origin,
                name,
                value: owned,
            },
            Kind::Time => LimitError::Time {
                origin,
                name,
                value: owned,
            },
        })?;
        Ok(Self {
            index,
            value: Some(value),
        })
    }
}

/// Reads a positive whole number with a unit or without one.
fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1,
        suffix => units.iter().find(|(unit, _)| *unit == suffix)?.1,
    };
    let number = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    (number > 0).then_some(number)
}

/// Returns this machine's limits with what the variable and then the command line set.
///
/// # Errors
/// [`LimitError`] for what is wrong in the variable.
pub(super) fn limits(
    variable: Option<std::ffi::OsString>,
    typed: &[LimitSetting],
) -> Result<Limits, LimitError> {
    let variable = variable
        .map(|value| {
            value
                .into_string()
                .map_err(|_| LimitError::NotUtf8 { origin: VARIABLE })
        })
        .transpose()?
        .unwrap_or_default();
    let set = variable
        .split(',')
        .filter(|text| !text.trim().is_empty())
        .map(|text| LimitSetting::parse(text, VARIABLE))
        .collect::<Result<Vec<_>, _>>()?;
    let mut limits = Limits::for_this_machine();
    for setting in set.iter().chain(typed) {
        let (_, _, set) = NAMES[setting.index];
        set(&mut limits, setting.value);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(&'static str, Option<u64>), String> {
        match LimitSetting::parse(text, "--limit") {
            Ok(LimitSetting { index, value }) => Ok((NAMES[index].0, value)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn values_have_the_units_of_their_limit() {
        for (text, expected) in [
            ("processes=4096", ("processes", Some(4096))),
            ("memory=8G", ("memory", Some(8 << 30))),
            ("memory=1", ("memory", Some(1))),
            ("open-files=none", ("open-files", None)),
            ("file-size=512K", ("file-size", Some(512 << 10))),
            ("disk=2T", ("disk", Some(2 << 40))),
            ("disk=3M", ("disk", Some(3 << 20))),
            ("time=90", ("time", Some(90))),
            ("time=90s", ("time", Some(90))),
            ("time=15min", ("time", Some(900))),
            (" time=2h ", ("time", Some(7200))),
        ] {
            assert_eq!(parsed(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_limits_are_named() {
        for (text, expected) in [
            ("memory", "--limit: `memory` is not `NAME=VALUE`"),
            ("memry=8G", "--limit: unknown limit `memry`"),
            (
                "processes=4K",
                "--limit: `4K` is not a number for `processes`",
            ),
            (
                "processes=0",
                "--limit: `0` is not a number for `processes`",
            ),
            ("memory=8GB", "--limit: `8GB` is not a size for `memory`"),
            ("memory=-1", "--limit: `-1` is not a size for `memory`"),
            ("memory=", "--limit: `` is not a size for `memory`"),
            (
                "disk=99999999T",
                "--limit: `99999999T` is not a size for `disk`",
            ),
            ("time=2d", "--limit: `2d` is not a time for `time`"),
        ] {
            assert_eq!(parsed(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_typed_wins_over_the_variable() {
        let typed = [LimitSetting::parse("memory=2G", "--limit").unwrap()];
        let variable = Some("memory=1G, processes=9,,time=none".into());
        let limits = limits(variable, &typed).unwrap();
        assert_eq!(limits.step.memory_bytes, Some(2 << 30));
        assert_eq!(limits.step.processes, Some(9));
        assert_eq!(limits.step.wall_clock, None);
        assert_eq!(limits.disk_bytes, Limits::for_this_machine().disk_bytes);
    }
}
