//! What each distribution needs, as data; no process is started here.

mod debian;
mod mirror;

pub use self::debian::{Bootstrap, bootstrap};
pub use self::mirror::{Error, RepositoryChoice, repositories};
