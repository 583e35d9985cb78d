//! What apt prints: resolved packages and progress. All of it is untrusted text.

use serde::{Deserialize, Serialize};

/// A package file that apt would install.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ResolvedPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// The name in the package cache.
    pub file_name: String,
    pub size_bytes: u64,
    /// The SHA-256 digest of the file in the signed metadata, in lower-case hexadecimal.
    pub sha256: String,
}

impl ResolvedPackage {
    /// Returns the argument by which apt takes this package in this version, and no other.
    pub fn exact_name(&self) -> String {
        let Self {
            name,
            architecture,
            version,
            ..
        } = self;
        format!("{name}:{architecture}={version}")
    }
}

/// A line of apt's does not have the documented form.
#[derive(Debug, thiserror::Error)]
#[error("apt printed `{line}`, where {expected} was expected")]
#[non_exhaustive]
pub struct InvalidOutput {
    pub line: String,
    pub expected: &'static str,
}

/// A progress line that apt wrote to its status descriptor.
#[derive(Clone, Debug, PartialEq)]
pub enum Status<'a> {
    /// File `number` of `total` is being downloaded.
    Downloading { number: u64, total: u64 },
    /// dpkg finished `action` (such as `Installed`) on `package`.
    Package { package: &'a str, action: &'a str },
}

/// Reads what `apt-get --print-uris install` prints: one line `'URI' FILE SIZE SHA256:DIGEST` a package.
///
/// # Errors
/// [`InvalidOutput`] when a line that starts as such one is not one, or names no SHA-256 digest.
pub fn parse_uris(output: &str) -> Result<Vec<ResolvedPackage>, InvalidOutput> {
    output
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(parse_uri_line)
        .collect()
}

fn parse_uri_line(line: &str) -> Result<ResolvedPackage, InvalidOutput> {
    let invalid = |expected| InvalidOutput {
        line: line.into(),
        expected,
    };
    let (_, rest) = line[1..]
        .split_once("' ")
        .ok_or_else(|| invalid("a quoted address"))?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [file_name, size, digest] = words[..] else {
        return Err(invalid("a file name, a size and a digest"));
    };
    let size_bytes = size.parse().map_err(|_| invalid("a size in bytes"))?;
    let sha256 = digest
        .strip_prefix("SHA256:")
        .filter(|digits| is_sha256(digits));
    let sha256 = sha256
        .ok_or_else(|| invalid("a SHA-256 digest"))?
        .to_owned();
    // apt writes what is in no package's name as `%3a`.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    let stem = file_name
        .strip_suffix(".deb")
        .filter(|stem| stem.bytes().all(is_plain));
    let parts: Vec<&str> = stem
        .ok_or_else(|| invalid("the name of a `.deb` file"))?
        .split('_')
        .collect();
    let [name, version, architecture] = parts[..] else {
        return Err(invalid(
            "a file name of the form `NAME_VERSION_ARCHITECTURE.deb`",
        ));
    };
    Ok(ResolvedPackage {
        name: name.into(),
        version: version.replace("%3a", ":"),
        architecture: architecture.into(),
        file_name: file_name.into(),
        size_bytes,
        sha256,
    })
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64
        && digits
            .bytes()
            .all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
}

/// Reads a line of apt's status descriptor, `None` when it is none or of no interest (apt's README.progress-reporting).
pub fn parse_status(line: &str) -> Option<Status<'_>> {
    let mut fields = line.splitn(4, ':');
    let (kind, subject, _percent, text) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    match kind {
        "dlstatus" => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let ["Retrieving", "file", number, "of", total] = words[..] else {
                return None;
            };
            Some(Status::Downloading {
                number: number.parse().ok()?,
                total: total.parse().ok()?,
            })
        }
        "pmstatus" => Some(Status::Package {
            package: subject,
            action: text.split_whitespace().next()?,
        }),
        _ => None,
    }
}

/// Returns when a package was built, in seconds since 1970: the time in the header of its first member (ar(5), deb(5)).
///
/// `None` when `header`, the first 68 bytes of the file, is not that of an ar archive.
pub fn build_time(header: &[u8]) -> Option<u64> {
    let member = header.strip_prefix(b"!<arch>\n")?;
    std::str::from_utf8(member.get(16..28)?)
        .ok()?
        .trim_end()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{ResolvedPackage, Status, build_time, parse_status, parse_uris};

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn addresses_are_read_with_epochs_decoded() {
        let text = format!(
            "Reading package lists...\n'http://m/pool/z/zlib1g_1.2_amd64.deb' zlib1g_1%3a1.2_amd64.deb 86684 SHA256:{DIGEST}\n"
        );
        let expected = ResolvedPackage {
            name: "zlib1g".into(),
            version: "1:1.2".into(),
            architecture: "amd64".into(),
            file_name: "zlib1g_1%3a1.2_amd64.deb".into(),
            size_bytes: 86684,
            sha256: DIGEST.into(),
        };
        assert_eq!(parse_uris(&text).unwrap(), [expected]);
    }

    #[test]
    fn addresses_without_a_strong_digest_or_a_plain_name_are_refused() {
        for line in [
            "'http://m/a' a_1_all.deb 5 MD5Sum:00",
            &format!("'http://m/a' ../a_1_all.deb 5 SHA256:{DIGEST}"),
            &format!("'http://m/a' a_\0_all.deb 5 SHA256:{DIGEST}"),
            &format!("'http://m/a' a_\u{1b}[2J_all.deb 5 SHA256:{DIGEST}"),
            &format!("'http://m/a' a_1_all.deb x SHA256:{DIGEST}"),
            &format!("'http://m/a' a.deb 5 SHA256:{DIGEST}"),
            "'http://m/a",
        ] {
            assert!(parse_uris(line).is_err(), "{line}");
        }
    }

    #[test]
    fn status_lines_are_told_from_others() {
        let download = "dlstatus:3:12.5:Retrieving file 3 of 61";
        assert_eq!(
            parse_status(download),
            Some(Status::Downloading {
                number: 3,
                total: 61
            })
        );
        let package = "pmstatus:dash:93.5:Installed dash (amd64)";
        assert_eq!(
            parse_status(package),
            Some(Status::Package {
                package: "dash",
                action: "Installed"
            })
        );
        assert_eq!(parse_status("Setting up dash (1) ..."), None);
    }

    #[test]
    fn the_build_time_is_in_the_first_members_header() {
        let header = b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n2.0\n";
        assert_eq!(build_time(header), Some(1_700_000_000));
        assert_eq!(build_time(b"!<arch>\nshort"), None);
        assert_eq!(build_time(b"PK"), None);
    }
}
