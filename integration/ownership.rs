//! Single ids give what real ids give: the same packages, built by different users with different mappings, become the
//! same trees.

use std::path::Path;
use std::thread;

pub(crate) use self::builder::mirror;
use self::builder::{BY_A_USER, BY_ROOT, Builder};
use self::difference::{Difference, Known, complaints, differences};
use crate::require;

mod builder;
mod difference;
mod tree;

const RELEASES: [&str; 2] = ["bookworm", "trixie"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Everything that may differ: what is drawn at random in each build, and nothing of owners.
const KNOWN: [Known; 4] = [
    Known {
        path: "/etc/ssh/ssh_host_*_key*",
        field: "content",
        reason: "openssh-server makes host keys",
    },
    Known {
        path: "/etc/ssl/private/ssl-cert-snakeoil.key",
        field: "content",
        reason: "ssl-cert makes a key",
    },
    Known {
        path: "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        field: "content",
        reason: "ssl-cert makes a certificate of its key",
    },
    Known {
        path: "/var/cache/ldconfig/aux-cache",
        field: "content",
        reason: "ldconfig writes inode numbers and times of change; only whole systems are cleaned of it",
    },
];

/// Returns in what the builds of a release differ, each with where.
fn compare(release: &str, builders: &[Builder]) -> Vec<(String, Difference)> {
    let (first, others) = builders.split_first().expect("there are two at least");
    let expected = first.build(release);
    let mut found = Vec::new();
    for other in others {
        let trees = other.build(release);
        for ((image, expected), tree) in builder::IMAGES.iter().zip(&expected).zip(&trees) {
            let place = format!("{release} {image}, {}", other.name);
            let differences = differences(expected, tree);
            found.extend(
                differences
                    .into_iter()
                    .map(|difference| (place.clone(), difference)),
            );
        }
    }
    found
}

#[test]
fn every_user_and_mapping_gets_the_same_trees() {
    require!(require::building());
    if !require::has_range() {
        return;
    }
    let builders: &[Builder] = match require::is_root() {
        true => &BY_ROOT,
        false => &BY_A_USER,
    };
    for builder in builders {
        require!(builder.user());
    }
    require!(match Path::new(KEYRING).is_file() {
        true => Ok(()),
        false => Err(format!("`{KEYRING}` is not installed")),
    });
    let found: Vec<_> = thread::scope(|scope| {
        let running = RELEASES.map(|release| scope.spawn(|| compare(release, builders)));
        let finished = running.into_iter().map(|running| running.join().unwrap());
        finished.flatten().collect()
    });
    let complaints = complaints(&found, &KNOWN);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
