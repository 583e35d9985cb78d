//! dpkg's list of what is installed, `/var/lib/dpkg/status` (dpkg(1), deb822(5)). Packages' own words are in it: nothing is
//! taken on trust but that it is text.

/// The path of the list in a tree.
pub const STATUS: &str = "var/lib/dpkg/status";

/// A package that is installed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct InstalledPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// The name of the source package that it was built from.
    pub source: String,
    /// What its files take, as its maker estimates it.
    pub installed_kib: u64,
}

/// Reads the list, and returns the packages whose files are there, sorted.
pub fn installed(status: &[u8]) -> Vec<InstalledPackage> {
    let text = String::from_utf8_lossy(status);
    let mut packages: Vec<_> = text.split("\n\n").filter_map(package).collect();
    packages.sort();
    packages.dedup();
    packages
}

/// Reads a paragraph; `None` when no files of the package are there.
fn package(paragraph: &str) -> Option<InstalledPackage> {
    let field = |name: &str| {
        let lines = paragraph.lines();
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim().to_owned())
    };
    // What was wanted, whether that failed, and what is.
    let state = field("Status")?;
    let state = state.split_ascii_whitespace().nth(2)?;
    if matches!(state, "not-installed" | "config-files") {
        return None;
    }
    let name = field("Package")?;
    // The version follows in parentheses where it is another one.
    let source = field("Source").and_then(|source| Some(source.split(' ').next()?.to_owned()));
    Some(InstalledPackage {
        source: source.unwrap_or_else(|| name.clone()),
        installed_kib: field("Installed-Size")
            .and_then(|size| size.parse().ok())
            .unwrap_or_default(),
        name,
        version: field("Version")?,
        architecture: field("Architecture")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_whose_files_are_there_are_listed() {
        let status = "\
Package: zlib1g
Source: zlib (1:1.3)
Installed-Size: 170
Status: install ok installed
Architecture: amd64
Version: 1:1.3-1
Description: library
 Package: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok half-configured
Architecture: all
Version: 2~rc1

Package: without-a-version
Status: install ok installed
Architecture: all
";
        let package = |name: &str, version: &str, architecture: &str| InstalledPackage {
            name: name.into(),
            version: version.into(),
            architecture: architecture.into(),
            source: name.into(),
            installed_kib: 0,
        };
        let expected = [
            package("half", "2~rc1", "all"),
            InstalledPackage {
                source: "zlib".into(),
                installed_kib: 170,
                ..package("zlib1g", "1:1.3-1", "amd64")
            },
        ];
        assert_eq!(installed(status.as_bytes()), expected);
    }

    #[test]
    fn anything_else_is_no_package() {
        for text in [&b""[..], b"\n\n\n", b"\xff: \xff\n\nStatus: x", b"Package"] {
            assert_eq!(installed(text), []);
        }
    }
}
