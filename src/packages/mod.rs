//! What each package manager needs, as data: arguments, files and mounts; no process is started here.

pub mod apt;
pub mod deb;
pub mod dpkg;
