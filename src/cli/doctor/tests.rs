use super::*;

const DEBIAN: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
const MINT: &str = "ID=linuxmint\nVERSION_ID='22'\nID_LIKE=\"ubuntu debian\"\n";
const FEDORA: &str = "ID=fedora\nVERSION_ID=43\n";

fn debian_host() -> Host {
    Host {
        release: HostRelease::parse(DEBIAN),
        tools: vec![Tool {
            name: "apt-get",
            package: "apt",
            found: Some(("/usr/bin/apt-get".into(), "apt 2.6.1 (amd64)".to_owned())),
        }],
        keyrings: vec!["/usr/share/keyrings/debian-archive-keyring.gpg".into()],
        free_space: vec![FreeSpace {
            purpose: "the cache",
            setting: "CacheDirectory",
            path: "/home/ada".into(),
            available_bytes: FREE_BYTES_WANTED,
        }],
    }
}

#[test]
fn ready_host_is_one_line() {
    let report = Report::new(checks(&debian_host()));
    assert_eq!(
        report.text(Style::default()),
        "ready: debian 12 (4 checks passed)\n"
    );
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn problem_has_cause_evidence_and_remedy() {
    let mut host = debian_host();
    host.tools[0].found = None;
    host.keyrings.clear();
    host.free_space[0].available_bytes = FREE_BYTES_WANTED - 1;
    let report = Report::new(checks(&host));
    assert_eq!(
        report.text(Style::default()),
        "missing: apt-get: `apt-get` is not installed\n  \
         seen: looked in /usr/bin, /bin, /usr/sbin, /sbin\n  \
         remedy: download the package `apt` and install it with `sudo dpkg --install`\n\n\
         missing: archive keyring: packages cannot be verified\n  \
         seen: `/usr/share/keyrings/debian-archive-keyring.gpg` does not exist\n  \
         remedy: `sudo apt-get install debian-archive-keyring`\n\n\
         missing: free space for the cache: less than 2.0 GiB are free\n  \
         seen: 1.9 GiB free at `/home/ada`\n  \
         remedy: free some space, or choose another directory with `CacheDirectory=`\n\n\
         not ready: 3 of 4 checks found a problem\n"
    );
    assert_eq!(report.exit_code(), 3);
}

#[test]
fn evidence_of_several_lines_is_indented_below_its_label() {
    let report = Report::new(vec![Check::missing(
        "overlay", "refused", "one\ntwo", "move it",
    )]);
    assert_eq!(
        report.text(Style::default()),
        "missing: overlay: refused\n  seen: one\n      two\n  remedy: move it\n\n\
         not ready: 1 of 1 checks found a problem\n"
    );
}

#[test]
fn json_has_every_check() {
    let report = Report::new(vec![
        Check::available("host", "debian 12"),
        Check::missing("user namespaces", "denied", "EPERM", "`sudo sysctl -w x=0`"),
    ]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&report.json()).expect("the report is JSON"),
        serde_json::json!({
            "ready": false,
            "id_mappings": [],
            "checks": [
                { "name": "host", "status": "available", "detail": "debian 12" },
                {
                    "name": "user namespaces",
                    "status": "missing",
                    "cause": "denied",
                    "evidence": "EPERM",
                    "remedy": "`sudo sysctl -w x=0`",
                },
            ],
        })
    );
}

#[test]
fn mappings_are_told_and_do_not_decide() {
    let report = Report::new(checks(&debian_host())).with_id_mappings(vec![
        Check::available("single", "one id"),
        Check::missing("range", "no newuidmap", "EPERM", "install it"),
    ]);
    assert_eq!(
        report.text(Style::default()),
        "ready: debian 12 (4 checks passed)\n\
         --userns=single: one id\n\
         --userns=range: not possible: no newuidmap\n  remedy: install it\n"
    );
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn what_landlock_lacks_is_told_of_a_ready_host() {
    let mut found = checks(&debian_host());
    found.push(Check::available(
        "Landlock",
        "ABI 6, which lacks: the audit log",
    ));
    assert_eq!(
        Report::new(found).text(Style::default()),
        "ready: debian 12 (5 checks passed)\n\
         Landlock: ABI 6, which lacks: the audit log\n"
    );
}

#[test]
fn remedy_speaks_the_hosts_package_manager() {
    let commands = [
        (DEBIAN, "`sudo apt-get install tar`"),
        (MINT, "`sudo apt-get install tar`"),
        (FEDORA, "`sudo dnf install tar`"),
        ("", "install the package `tar`"),
    ];
    for (release, command) in commands {
        assert_eq!(HostRelease::parse(release).install_command("tar"), command);
    }
}

#[test]
fn gathering_finds_a_tool_and_space_for_a_directory_yet_to_be_made() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let host = Host::gather(&Places {
        cache_directory: directory.path().join("not/yet"),
        output_directory: directory.path().to_owned(),
    });
    let paths: Vec<_> = host.free_space.iter().map(|space| &*space.path).collect();
    assert_eq!(paths, [directory.path(), directory.path()]);
    assert_eq!(host.tools.len(), 4);
}

#[test]
fn what_fails_for_one_reason_is_told_once() {
    let refused = |name: &str| Check::missing(name, "refused", "EPERM", "permit it");
    let report = Report::new(vec![refused("user namespaces"), refused("id mapping")]);
    assert_eq!(
        report.text(Style::default()),
        "missing: user namespaces; id mapping: refused\n  seen: EPERM\n  remedy: permit it\n\n\
         not ready: 2 of 2 checks found a problem\n"
    );
}
