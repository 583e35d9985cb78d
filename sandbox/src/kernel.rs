//! Which kernel this is, for the few choices that behaviour does not show.

use nix::errno::Errno;
use nix::sys::utsname::uname;

/// A version's first two numbers.
pub(crate) type Version = (u32, u32);

/// Returns the running kernel's name for itself, such as `6.12.3-amd64`, and the version in it.
pub(crate) fn release() -> Result<(String, Version), Errno> {
    let names = uname()?;
    let release = names.release().to_string_lossy().into_owned();
    let version = version_in(&release);
    Ok((release, version))
}

pub(crate) fn version_in(release: &str) -> Version {
    let mut numbers = release
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn versions_are_read_from_releases() {
        for (release, version) in [
            ("6.12.3-amd64", (6, 12)),
            ("6.11-rc1+", (6, 11)),
            ("7.0", (7, 0)),
            ("6", (6, 0)),
            ("custom", (0, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(version_in(release), version, "{release}");
        }
    }
}
