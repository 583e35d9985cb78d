//! Which repositories an image is made from.

use std::path::PathBuf;

use crate::Hint;
use crate::packages::apt::{Stanza, Trust};
use crate::recipe::Distribution;

/// What the recipe says about repositories.
#[derive(Clone, Debug)]
pub struct RepositoryChoice<'a> {
    pub distribution: Distribution,
    pub release: &'a str,
    /// `Mirror=`.
    pub mirror: Option<&'a str>,
    /// `Snapshot=`: the state of the archives at a time, such as `20240101T000000Z`.
    pub snapshot: Option<&'a str>,
    /// `LocalMirror=`: one unsigned repository instead of all others.
    pub local_mirror: Option<&'a str>,
    /// `Repositories=`: components besides the default ones.
    pub repositories: &'a [String],
    /// `RepositoryKeyCheck=`.
    pub check_signatures: bool,
}

/// The repositories of a distribution cannot be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("no mirror is known for {distribution} {release}")]
    NoMirror {
        distribution: &'static str,
        release: String,
    },
    #[error("snapshots of {distribution} are not known")]
    NoSnapshots { distribution: &'static str },
    #[error("images of {distribution} cannot be built yet")]
    Unsupported { distribution: &'static str },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { .. } => {
                Some("name one with `Mirror=`, such as `Mirror=http://mirror.example`".into())
            }
            Self::NoSnapshots { .. } => Some("remove `Snapshot=`".into()),
            Self::Unsupported { .. } => {
                Some("`Distribution=debian` and `Distribution=ubuntu` can be built".into())
            }
        }
    }
}

/// The mirror for Debian when neither the recipe nor the host names one.
const DEBIAN_MIRROR: &str = "http://ftp.debian.org/debian";

/// Where Debian keeps every state of its archives.
const DEBIAN_SNAPSHOTS: &str = "https://snapshot.debian.org";

/// Returns the repositories for `choice`; `host` are those that the host itself uses.
///
/// # Errors
/// [`Error::NoMirror`] when none is known, [`Error::Unsupported`] for distributions without apt.
pub fn repositories(choice: &RepositoryChoice<'_>, host: &[Stanza]) -> Result<Vec<Stanza>, Error> {
    let family = Family::of(choice.distribution)?;
    let mut components = vec!["main".to_owned()];
    components.extend(
        choice
            .repositories
            .iter()
            .filter(|name| *name != "main")
            .cloned(),
    );
    let trust = match choice.check_signatures {
        true => Trust::Keyring(PathBuf::from(family.keyring)),
        false => Trust::Unchecked,
    };
    let release = choice.release;
    if let Some(uri) = choice.local_mirror {
        let components = vec!["main".to_owned()];
        return Ok(vec![Stanza {
            uri: uri.into(),
            suite: release.into(),
            components,
            trust: Trust::Unchecked,
        }]);
    }
    let places = match (choice.snapshot, choice.mirror) {
        (Some(snapshot), mirror) => family.snapshot(mirror, snapshot, release)?,
        (None, Some(mirror)) => family.below(mirror, release),
        (None, None) => family
            .of_host(host, release)
            .or_else(|| family.built_in(release))
            .ok_or_else(|| Error::NoMirror {
                distribution: choice.distribution.name(),
                release: release.into(),
            })?,
    };
    let stanza = |(uri, suite)| Stanza {
        uri,
        suite,
        components: components.clone(),
        trust: trust.clone(),
    };
    Ok(places.into_iter().map(stanza).collect())
}

/// What tells Debian and Ubuntu apart here.
struct Family {
    distribution: Distribution,
    /// The last part of the main archive's address.
    archive: &'static str,
    /// The same for the security archive.
    security_archive: &'static str,
    keyring: &'static str,
}

type Place = (String, String);

impl Family {
    fn of(distribution: Distribution) -> Result<Self, Error> {
        let (archive, security_archive, keyring) = match distribution {
            Distribution::Debian => (
                "debian",
                "debian-security",
                "/usr/share/keyrings/debian-archive-keyring.gpg",
            ),
            Distribution::Ubuntu => (
                "ubuntu",
                "ubuntu",
                "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
            ),
            other => {
                return Err(Error::Unsupported {
                    distribution: other.name(),
                });
            }
        };
        Ok(Self {
            distribution,
            archive,
            security_archive,
            keyring,
        })
    }

    /// Tells whether `release` has suites for updates; Debian's unstable release is its own update.
    fn has_updates(&self, release: &str) -> bool {
        self.distribution != Distribution::Debian || !matches!(release, "sid" | "unstable")
    }

    /// Returns the archives below `mirror`, which may be given with or without the archive's own name at its end.
    fn below(&self, mirror: &str, release: &str) -> Vec<Place> {
        let mirror = mirror.trim_end_matches('/');
        let base = mirror
            .strip_suffix(self.archive)
            .map_or(mirror, |base| base.trim_end_matches('/'));
        let main = format!("{base}/{}", self.archive);
        let mut places = vec![(main.clone(), release.to_owned())];
        if self.has_updates(release) {
            places.push((main, format!("{release}-updates")));
            places.push((
                format!("{base}/{}", self.security_archive),
                format!("{release}-security"),
            ));
        }
        places
    }

    /// Returns the archives at the time of a snapshot, which have no suites for updates but security's.
    fn snapshot(
        &self,
        mirror: Option<&str>,
        snapshot: &str,
        release: &str,
    ) -> Result<Vec<Place>, Error> {
        if self.distribution != Distribution::Debian {
            return Err(Error::NoSnapshots {
                distribution: self.distribution.name(),
            });
        }
        let mirror = mirror.unwrap_or(DEBIAN_SNAPSHOTS).trim_end_matches('/');
        let archive = |name: &str| format!("{mirror}/archive/{name}/{snapshot}");
        let mut places = vec![(archive(self.archive), release.to_owned())];
        if self.has_updates(release) {
            let suite = format!("{release}-security");
            places.push((archive(self.security_archive), suite));
        }
        Ok(places)
    }

    /// Returns the archives that the host uses for `release`, `None` when it has no main archive of it.
    fn of_host(&self, host: &[Stanza], release: &str) -> Option<Vec<Place>> {
        let find = |suite: &str, archive: &str| {
            let matches = |stanza: &&Stanza| {
                let address = stanza.uri.trim_end_matches('/');
                stanza.suite == suite
                    && address.rsplit('/').next() == Some(archive)
                    && stanza.components.iter().any(|c| c == "main")
            };
            host.iter()
                .find(matches)
                .map(|stanza| (stanza.uri.clone(), suite.to_owned()))
        };
        let mut places = vec![find(release, self.archive)?];
        if self.has_updates(release) {
            places.extend(find(&format!("{release}-updates"), self.archive));
            places.extend(find(&format!("{release}-security"), self.security_archive));
        }
        Some(places)
    }

    /// Returns the built-in archives. They hold no security updates, which are not on Debian's general mirrors.
    fn built_in(&self, release: &str) -> Option<Vec<Place>> {
        if self.distribution != Distribution::Debian {
            return None;
        }
        let mut places = vec![(DEBIAN_MIRROR.to_owned(), release.to_owned())];
        if self.has_updates(release) {
            places.push((DEBIAN_MIRROR.to_owned(), format!("{release}-updates")));
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, RepositoryChoice, repositories};
    use crate::packages::apt::{Stanza, Trust, parse_sources};
    use crate::recipe::Distribution;

    const HOST: &str = "Types: deb\nURIs: http://near/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                        Types: deb\nURIs: http://near/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                        Types: deb\nURIs: http://other/not-debian\nSuites: bookworm\nComponents: main\n";

    fn choice(release: &str) -> RepositoryChoice<'_> {
        RepositoryChoice {
            distribution: Distribution::Debian,
            release,
            mirror: None,
            snapshot: None,
            local_mirror: None,
            repositories: &[],
            check_signatures: true,
        }
    }

    fn places(choice: &RepositoryChoice<'_>) -> Vec<String> {
        let found = repositories(choice, &parse_sources(HOST)).unwrap();
        found
            .iter()
            .map(|stanza| format!("{} {}", stanza.uri, stanza.suite))
            .collect()
    }

    #[test]
    fn snapshots_are_archives_of_their_own() {
        let of = |mirror, release| {
            places(&RepositoryChoice {
                snapshot: Some("20240101T000000Z"),
                mirror,
                ..choice(release)
            })
        };
        let expected = [
            "https://snapshot.debian.org/archive/debian/20240101T000000Z bookworm",
            "https://snapshot.debian.org/archive/debian-security/20240101T000000Z bookworm-security",
        ];
        assert_eq!(of(None, "bookworm"), expected);
        assert_eq!(
            of(Some("http://m/"), "sid"),
            ["http://m/archive/debian/20240101T000000Z sid"]
        );
        let ubuntu = RepositoryChoice {
            distribution: Distribution::Ubuntu,
            snapshot: Some("1"),
            ..choice("noble")
        };
        let refused = repositories(&ubuntu, &[]);
        assert!(matches!(refused, Err(Error::NoSnapshots { .. })));
    }

    #[test]
    fn the_hosts_own_mirrors_serve_its_release() {
        let expected = [
            "http://near/debian bookworm",
            "http://near/debian bookworm-updates",
            "http://near/debian-security bookworm-security",
        ];
        assert_eq!(places(&choice("bookworm")), expected);
    }

    #[test]
    fn another_release_comes_from_the_built_in_mirror() {
        assert_eq!(places(&choice("sid")), ["http://ftp.debian.org/debian sid"]);
    }

    #[test]
    fn a_mirror_is_accepted_with_and_without_the_archives_name() {
        let expected = [
            "http://m/debian trixie",
            "http://m/debian trixie-updates",
            "http://m/debian-security trixie-security",
        ];
        for mirror in [
            "http://m",
            "http://m/",
            "http://m/debian",
            "http://m/debian/",
        ] {
            assert_eq!(
                places(&RepositoryChoice {
                    mirror: Some(mirror),
                    ..choice("trixie")
                }),
                expected
            );
        }
    }

    #[test]
    fn a_local_mirror_replaces_everything_and_is_not_signed() {
        let local = RepositoryChoice {
            local_mirror: Some("http://l"),
            ..choice("bookworm")
        };
        let expected = Stanza {
            uri: "http://l".into(),
            suite: "bookworm".into(),
            components: vec!["main".into()],
            trust: Trust::Unchecked,
        };
        assert_eq!(
            repositories(&local, &parse_sources(HOST)).unwrap(),
            [expected]
        );
    }

    #[test]
    fn ubuntu_needs_a_mirror_on_another_host() {
        let ubuntu = RepositoryChoice {
            distribution: Distribution::Ubuntu,
            ..choice("noble")
        };
        assert!(matches!(
            repositories(&ubuntu, &parse_sources(HOST)),
            Err(Error::NoMirror { .. })
        ));
    }
}
