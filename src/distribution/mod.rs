//! What each distribution needs, as data; no process is started here.

mod debian;
mod file_system;
mod ids;
mod mirror;

pub use self::debian::{Bootstrap, bootstrap};
pub use self::file_system::{Mountable, mountable};
pub use self::ids::static_ids;
pub use self::mirror::{Error, RepositoryChoice, repositories};
