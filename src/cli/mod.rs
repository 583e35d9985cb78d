//! The command line: the only place that prints.

mod args;
mod build;
mod cat_config;
mod check;
mod clean;
mod completion;
mod diff;
mod dispatch;
mod doctor;
mod documentation;
mod excerpt;
mod exit;
mod explain;
mod extract;
mod failure;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod genkey;
mod host;
mod images;
mod inspect;
mod limits;
mod origins;
mod output;
mod profile;
mod progress;
mod render;
mod sandbox;
mod sign;
mod signal;
mod summary;
mod table;
mod verify;

pub use self::dispatch::main;
