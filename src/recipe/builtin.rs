//! Configuration that recipes include by a name: `mkosi-initrd`, `mkosi-tools`, `mkosi-vm`, `mkosi-addon` and
//! `mkosi-obs`.
//!
//! The names are mkosi's. What they stand for is ours, for Debian, Kali and Ubuntu, and is read as files of a recipe are.

use std::path::{Path, PathBuf};

use super::discovery::{Read, Reader};
use super::settings;

/// Configuration that comes with the program.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// The texts in order. If the conditions of the first fail, none is read.
    texts: &'static [&'static str],
    /// More texts, each for a profile.
    profiles: &'static [(&'static str, &'static str)],
}

/// Returns the configuration with this name.
pub(super) fn named(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

const INITRD: &str = include_str!("builtin/initrd.conf");

/// Returns the patterns of the kernel modules that the default initrd has.
pub(super) fn initrd_modules() -> impl Iterator<Item = String> {
    let (_, patterns) = INITRD
        .split_once("KernelModules=")
        .expect("the configuration is ours and has the setting");
    let of_setting = |line: &&str| line.is_empty() || line.starts_with(' ');
    patterns
        .lines()
        .take_while(of_setting)
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
}

const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "mkosi-initrd",
        texts: &[
            INITRD,
            include_str!("builtin/initrd-debian.conf"),
            include_str!("builtin/initrd-debian-split.conf"),
        ],
        profiles: &[
            ("lvm", "[Content]\nPackages=lvm2\n"),
            ("network", "[Content]\nKernelModules=/drivers/net/\n"),
            (
                "nfs",
                "[Content]\nPackages=nfs-common\nKernelModules=/fs/nfs/ /net/sunrpc/\n",
            ),
            ("pkcs11", "[Content]\nPackages=p11-kit\n"),
            ("plymouth", "[Content]\nPackages=plymouth\n"),
            ("raid", "[Content]\nPackages=mdadm\n"),
        ],
    },
    Builtin {
        name: "mkosi-tools",
        texts: &[
            include_str!("builtin/tools.conf"),
            include_str!("builtin/tools-debian.conf"),
            include_str!("builtin/tools-ubuntu.conf"),
        ],
        profiles: &[
            ("debug", "[Content]\nPackages=gdb strace\n"),
            ("devel", "[Content]\nPackages=build-essential pkgconf\n"),
            ("gui", "[Content]\nPackages=qemu-system-gui\n"),
            ("misc", "[Content]\nPackages=file jq less\n"),
            ("package-manager", "[Content]\nPackages=dnf zypper\n"),
            (
                "runtime",
                "[Content]\nPackages=openssh-client ovmf qemu-system swtpm systemd-container\n",
            ),
        ],
    },
    Builtin {
        name: "mkosi-vm",
        texts: &[
            include_str!("builtin/vm.conf"),
            include_str!("builtin/vm-debian.conf"),
            include_str!("builtin/vm-debian-amd64.conf"),
            include_str!("builtin/vm-debian-arm64.conf"),
            include_str!("builtin/vm-ubuntu.conf"),
        ],
        profiles: &[],
    },
    Builtin {
        name: "mkosi-addon",
        texts: &[include_str!("builtin/addon.conf")],
        profiles: &[],
    },
    Builtin {
        name: "mkosi-obs",
        texts: &[include_str!("builtin/obs.conf")],
        profiles: &[],
    },
];

impl Reader<'_, '_> {
    /// Reads configuration that comes with the program; relative paths in it start at `directory`.
    pub(super) fn builtin(&mut self, builtin: &Builtin, directory: &Path) {
        for (index, text) in builtin.texts.iter().enumerate() {
            let matches = self.builtin_text(builtin, text, directory);
            if index == 0 && !matches {
                return;
            }
        }
        let selected = self.image.get(settings::known("Profiles"), self.around);
        for profile in selected.unwrap_or_default() {
            let name = profile.value.to_string();
            for (_, text) in builtin.profiles.iter().filter(|(known, _)| *known == name) {
                self.found_profiles.insert(name.clone());
                self.builtin_text(builtin, text, directory);
            }
        }
    }

    fn builtin_text(&mut self, builtin: &Builtin, text: &str, directory: &Path) -> bool {
        let shown = PathBuf::from(format!("{}/mkosi.conf", builtin.name));
        let document = Read::new(&shown, text.as_bytes());
        let matches = self.is_for_this_image(&document, directory);
        if matches {
            self.settings(&document.read, directory);
        }
        matches
    }
}
