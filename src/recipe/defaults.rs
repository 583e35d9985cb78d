//! What settings are worth that nobody assigned. Where the build has a default of its own, there is none here.

use std::path::{Path, PathBuf};

use super::image::{Image, Surroundings};
use super::settings::Setting;
use super::target::Distribution;
use super::values::{self, Kind, TreeSource, Value, Vantage};

impl Image {
    /// Computes a default anew each time, so that it does not matter when it was first asked for.
    pub(super) fn default(&self, setting: &Setting, around: &Surroundings) -> Option<Vec<Value>> {
        let text = |text: &str| Some(vec![Value::Text(text.to_owned())]);
        match setting.name {
            "Distribution" => text(
                around
                    .host
                    .distribution
                    .unwrap_or(Distribution::Custom)
                    .name(),
            ),
            "Release" => text(&self.default_release(around)?),
            "Architecture" => text(around.host.architecture.systemd_name()),
            "Output" => text(&self.default_output(around)),
            "OutputExtension" => {
                let format = self.text("Format", around)?;
                let is_archive =
                    format == "oci" && self.text("OciLayout", around).as_deref() == Some("archive");
                text(if is_archive {
                    "oci.tar"
                } else {
                    extension(&format)
                })
            }
            "CompressOutput" => text(compression(&self.text("Format", around)?)),
            "RepositoryKeyFetch" => Some(vec![Value::Boolean(self.fetches_keys(around))]),
            "Checksum" => Some(vec![self.one("Sign", around)?.value]),
            "SourceDateEpoch" => self.default_epoch(around).map(|value| vec![value]),
            "SplitArtifacts" => Some(texts(&["uki", "kernel", "initrd"])),
            "Initrds" if self.has_default_initrd(around) => text("default"),
            "ToolsTreeDistribution" => text(
                around
                    .host
                    .distribution
                    .map_or(Distribution::Custom, Distribution::tools)
                    .name(),
            ),
            "ToolsTreeRelease" => {
                let name = self.text("ToolsTreeDistribution", around)?;
                text(Distribution::named(&name)?.default_release())
            }
            "ToolsTreeProfiles" => Some(texts(&["misc", "package-manager", "runtime"])),
            "ToolsTreeMirror" => text(&self.of_tools("Mirror", around)?),
            "ToolsTreeSnapshot" => text(&self.of_tools("Snapshot", around)?),
            "BuildSources" if around.has_sources => Some(vec![Value::Tree(TreeSource {
                source: around.root.clone(),
                target: None,
            })]),
            "ProxyUrl" => text(&self.variable(&PROXIES, around)?),
            "ProxyExclude" => Some(texts(
                &self
                    .variable(&NO_PROXIES, around)?
                    .split(',')
                    .collect::<Vec<_>>(),
            )),
            "ProxyPeerCertificate" => CERTIFICATES
                .iter()
                .find(|path| Path::new(path).exists())
                .map(|path| vec![Value::Path(PathBuf::from(path))]),
            "ProxyClientKey" => Some(vec![self.one("ProxyClientCertificate", around)?.value]),
            "Machine" if around.has_sources => text(&around.root.file_name()?.to_string_lossy()),
            _ => constant(setting, &around.directory),
        }
    }

    fn default_release(&self, around: &Surroundings) -> Option<String> {
        let distribution = Distribution::named(&self.text("Distribution", around)?)?;
        if around.host.distribution == Some(distribution) && around.host.release.is_some() {
            return around.host.release.clone();
        }
        Some(distribution.default_release().to_owned())
    }

    fn default_output(&self, around: &Surroundings) -> String {
        let name = if self.is_main() {
            self.text("ImageId", around)
                .unwrap_or_else(|| "image".to_owned())
        } else {
            self.name.clone()
        };
        match self.text("ImageVersion", around) {
            Some(version) => format!("{name}_{version}"),
            None => name,
        }
    }

    /// Returns whether the host's distribution lacks the keys of the image's.
    fn fetches_keys(&self, around: &Surroundings) -> bool {
        let tools = self.text("ToolsTree", around);
        let keys_of = match tools.as_deref() {
            Some("default" | "yes") => self.text("ToolsTreeDistribution", around),
            Some(_) => None,
            None => around.host.distribution.map(|host| host.name().to_owned()),
        };
        let distribution = self.text("Distribution", around);
        let distribution = distribution.as_deref().and_then(Distribution::named);
        keys_of.as_deref() == Some("ubuntu")
            && distribution.is_some_and(Distribution::lacks_keys_on_ubuntu)
    }

    fn default_epoch(&self, around: &Surroundings) -> Option<Value> {
        const VARIABLE: &str = "SOURCE_DATE_EPOCH";
        let own = self.variable(&[VARIABLE], around);
        let text = own.or_else(|| around.environment.get(VARIABLE).cloned())?;
        let vantage = Vantage::blind(&around.directory);
        values::parse(Kind::Number, &text, &vantage).ok()?.pop()
    }

    /// Returns what `Environment=` says of the first variable that has one of these names.
    fn variable(&self, names: &[&str], around: &Surroundings) -> Option<String> {
        self.get(super::settings::known("Environment"), around)
            .unwrap_or_default()
            .into_iter()
            .find_map(|sourced| match sourced.value {
                Value::Variable { name, value } if names.contains(&name.as_str()) => value,
                _ => None,
            })
    }

    /// Returns whether an initrd is built for the image: it looks bootable, and has a kernel.
    fn has_default_initrd(&self, around: &Surroundings) -> bool {
        let format = self.text("Format", around).unwrap_or_default();
        if matches!(format.as_str(), "uki" | "esp") {
            return false;
        }
        let bootable = self.text("Bootable", around).unwrap_or_default();
        if bootable != "auto" {
            return bootable == "enabled";
        }
        let is_part = matches!(
            format.as_str(),
            "cpio" | "directory" | "sysext" | "confext" | "addon" | "portable"
        );
        if is_part || self.text("Overlay", around).as_deref() == Some("yes") {
            return false;
        }
        let distribution = self.text("Distribution", around);
        let Some(distribution) = distribution.as_deref().and_then(Distribution::named) else {
            return false;
        };
        ["Packages", "VolatilePackages"].iter().any(|name| {
            let packages = self.get(super::settings::known(name), around);
            packages
                .unwrap_or_default()
                .iter()
                .any(|package| distribution.is_kernel_package(&package.value.to_string()))
        })
    }

    /// Returns what a setting is for the tools tree, if that is of the same distribution.
    fn of_tools(&self, name: &str, around: &Surroundings) -> Option<String> {
        let is_same =
            self.text("Distribution", around) == self.text("ToolsTreeDistribution", around);
        self.text(name, around).filter(|_| is_same)
    }
}

/// Where distributions keep the certificates they trust, as mkosi looks for them.
const CERTIFICATES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// The variables that name a proxy for downloads; the caller's are theirs.
const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];

/// The variables that name the hosts not to use it for.
const NO_PROXIES: [&str; 2] = ["no_proxy", "NO_PROXY"];

fn texts(words: &[&str]) -> Vec<Value> {
    words
        .iter()
        .map(|word| Value::Text((*word).to_owned()))
        .collect()
}

fn extension(format: &str) -> &'static str {
    match format {
        "sysext" | "confext" | "portable" | "disk" | "esp" => "raw",
        "cpio" => "cpio",
        "tar" => "tar",
        "uki" | "addon" => "efi",
        _ => "",
    }
}

fn compression(format: &str) -> &'static str {
    match format {
        "tar" | "cpio" | "uki" | "esp" | "addon" => "zstd",
        "oci" => "gz",
        _ => "none",
    }
}

/// Returns the default in the table, where that is a value and not a description.
fn constant(setting: &Setting, directory: &Path) -> Option<Vec<Value>> {
    if setting.is_collection() || setting.described || setting.default.is_empty() {
        return None;
    }
    values::parse(setting.kind, setting.default, &Vantage::blind(directory)).ok()
}
