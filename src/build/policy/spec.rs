//! From a row to a specification: each column adds what its cell names.

use std::path::{Path, PathBuf};

use overcoat_sandbox::{IdMapping, Overlay, OwnershipRecording, Spec};

use super::HandedPlaces;
use super::places::{
    ARTIFACTS, BUILD, DESTINATION, OUTPUT, OverlayPlace, PACKAGES, Places, SOURCES,
};
use super::table::COMMON_VARIABLES;
use super::{Access, Host, Ids, Image, Network, PackageManager, Policy, Sources, Sync, Variable};
use crate::build::Limits;
use crate::packages::apt;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
const HOSTNAME: &str = "overcoat";

/// An empty list of installed packages, for an image that has none.
const STATUS_FILE: &str = "var/lib/dpkg/status";

/// Returns what runs `command` as a step of this kind.
///
/// `ids` is which ids the steps have that record others, and `limits` what each step may use.
///
/// # Panics
/// When a place that the row names is not among `places`.
pub fn spec(
    policy: &Policy,
    command: Vec<String>,
    host: &Host,
    places: &Places,
    ids: IdMapping,
    limits: &Limits,
) -> Spec {
    let hosts = match policy.network {
        Network::None => "",
        Network::Mirrors => places.reach.hosts.as_str(),
    };
    let spec = base(Spec::new(command), host, hosts);
    let spec = package_manager(spec, policy, places);
    let spec = directory(spec, policy.lists, &places.lists, apt::LISTS);
    let spec = directory(spec, policy.archives, &places.archives, apt::ARCHIVES);
    let spec = image(spec, policy.image, places);
    let spec = sources(spec, policy.sources, places);
    let spec = if_given(spec, policy.build, &places.build, BUILD);
    let spec = if_given(spec, policy.destination, &places.destination, DESTINATION);
    let handed = |which: fn(&HandedPlaces) -> &PathBuf| places.handed.as_ref().map(which).cloned();
    let packages = handed(|places| &places.packages);
    let spec = if_given(spec, policy.handed, &packages, PACKAGES);
    let artifacts = handed(|places| &places.artifacts);
    let spec = if_given(spec, policy.handed, &artifacts, ARTIFACTS);
    let spec = directory(spec, policy.output, &places.output, OUTPUT);
    let spec = network(spec, policy.network, host, places);
    let spec = with_ids(spec, policy.ids, ids);
    let spec = environment(spec, policy, host, places);
    let spec = match policy.sync {
        Sync::Kept => spec,
        Sync::Suppressed => spec.suppress_sync(),
    };
    spec.capabilities(policy.capabilities)
        .limits(&limits.of_step(policy.limits.wall_clock))
}

/// Adds what every step has: the host's programs, the names of two users, and empty places to write to.
pub fn base(spec: Spec, host: &Host, hosts: &str) -> Spec {
    without_programs(host.programs(spec), hosts)
}

/// Adds what every step has but the host's programs. `hosts` are more lines of `/etc/hosts`.
pub fn without_programs(spec: Spec, hosts: &str) -> Spec {
    spec.file("/etc/passwd", PASSWD)
        .file("/etc/group", GROUP)
        .file("/etc/nsswitch.conf", NSSWITCH)
        .file("/etc/hosts", format!("{HOSTS}{hosts}"))
        .tmpfs("/tmp", 0o1777)
        .tmpfs("/var", 0o755)
        .tmpfs("/run", 0o755)
        .proc("/proc")
        .devices("/dev")
        .hostname(HOSTNAME)
}

fn package_manager(spec: Spec, policy: &Policy, places: &Places) -> Spec {
    match policy.package_manager {
        PackageManager::Absent => spec,
        PackageManager::Configured => {
            let spec = spec
                .file(apt::CONFIGURATION_FILE, places.configuration.as_str())
                .file(apt::SOURCES_FILE, places.repositories.as_str())
                .directory("/etc/apt/apt.conf.d")
                .directory("/etc/apt/preferences.d")
                .directory("/etc/apt/trusted.gpg.d")
                .directory("/etc/dpkg/dpkg.cfg.d");
            let files = places.files.iter();
            files.fold(spec, |spec, (path, text)| spec.file(path, text.as_slice()))
        }
    }
}

fn directory(spec: Spec, access: Access, place: &Option<PathBuf>, inside: &str) -> Spec {
    match access {
        Access::Absent => spec,
        Access::Read => spec.bind_read_only(given(place), inside),
        Access::Write => spec.bind(given(place), inside),
    }
}

/// Adds what not every step of a kind has.
fn if_given(spec: Spec, access: Access, place: &Option<PathBuf>, inside: &str) -> Spec {
    match place {
        Some(_) => directory(spec, access, place, inside),
        None => spec,
    }
}

fn sources(spec: Spec, sources: Sources, places: &Places) -> Spec {
    match sources {
        Sources::Absent => spec,
        Sources::Read => spec.bind_read_only(given(&places.sources), SOURCES),
        Sources::Overlay => places.source_overlays.iter().fold(spec, |spec, source| {
            let overlay = Overlay {
                lowers: source.lowers.clone(),
                upper: Some(source.changes.clone()),
                work: Some(source.work.clone()),
            };
            let inside = match source.below.as_os_str().is_empty() {
                true => SOURCES.into(),
                false => Path::new(SOURCES).join(&source.below),
            };
            spec.overlay(inside, &overlay)
        }),
    }
}

fn image(spec: Spec, image: Image, places: &Places) -> Spec {
    let inside = |path: &str| Path::new(apt::ROOT).join(path);
    match image {
        Image::Absent => spec,
        Image::NoPackages => spec.file(inside(STATUS_FILE), ""),
        Image::ReadOnly => match places.below.as_slice() {
            [] => spec.file(inside(STATUS_FILE), ""),
            // overlayfs wants an upper directory or two lowers.
            [only] => spec.bind_read_only(only, apt::ROOT),
            layers => spec.overlay(
                apt::ROOT,
                &Overlay {
                    lowers: layers.to_vec(),
                    upper: None,
                    work: None,
                },
            ),
        },
        Image::New => spec.bind(given(&places.changes), apt::ROOT),
        Image::Overlay => {
            let OverlayPlace {
                work,
                guards,
                machine_id,
            } = given(&places.overlay);
            let overlay = Overlay {
                lowers: guards.iter().chain(&places.below).cloned().collect(),
                upper: places.changes.clone(),
                work: Some(work.clone()),
            };
            let spec = spec.overlay(apt::ROOT, &overlay);
            let spec = match machine_id {
                Some(machine_id) => spec.bind_read_only(machine_id, inside("etc/machine-id")),
                None => spec,
            };
            spec.proc(inside("proc"))
                .devices(inside("dev"))
                .tmpfs(inside("run"), 0o755)
                .tmpfs(inside("tmp"), 0o1777)
        }
    }
}

fn network(spec: Spec, network: Network, host: &Host, places: &Places) -> Spec {
    match network {
        Network::None => spec,
        Network::Mirrors => host
            .network_files(spec)
            .network(places.reach.network.clone()),
    }
}

/// Gives a step its ids: one, with others recorded, or a range of real ones of which only devices are recorded.
fn with_ids(spec: Spec, ids: Ids, mapping: IdMapping) -> Spec {
    let recording = match ids {
        Ids::One => return spec,
        Ids::Record => OwnershipRecording::Record,
        Ids::RecordAndAnswer => OwnershipRecording::RecordAndAnswer,
    };
    match mapping {
        IdMapping::Single => spec.ownership(recording),
        IdMapping::Range => spec.map_range().ownership(OwnershipRecording::Devices),
    }
}

fn environment(spec: Spec, policy: &Policy, host: &Host, places: &Places) -> Spec {
    let of_build = |name: &str| {
        let found = places.variables.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.clone())
    };
    let variables = COMMON_VARIABLES
        .iter()
        .chain(policy.variables.iter().copied().flatten());
    variables.fold(spec, |spec, variable| {
        let (name, value) = match *variable {
            Variable::Fixed(name, value) => (name, Some(value.to_owned())),
            Variable::Caller(name) => (name, host.variable(name)),
            Variable::Build(name) => (name, of_build(name)),
        };
        match value {
            Some(value) => spec.environment(name, value),
            None => spec,
        }
    })
}

fn given<T>(place: &Option<T>) -> &T {
    place
        .as_ref()
        .expect("a stage gives the places that its row names")
}
