//! Configuration that recipes include by a name: `mkosi-initrd`, `mkosi-tools`, `mkosi-vm`, `mkosi-addon` and
//! `mkosi-obs`.
//!
//! The names and what they install are mkosi's, for Debian, Kali and Ubuntu; the texts are ours, and are read as files
//! of a recipe are.

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

const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "mkosi-initrd",
        texts: &[
            include_str!("builtin/initrd.conf"),
            include_str!("builtin/initrd-debian.conf"),
            include_str!("builtin/initrd-fdisk.conf"),
            include_str!("builtin/initrd-dpkg.conf"),
            include_str!("builtin/initrd-cryptsetup.conf"),
            include_str!("builtin/repart.conf"),
            include_str!("builtin/initrd-tss.conf"),
            include_str!("builtin/initrd-tpm.conf"),
        ],
        profiles: &[
            ("lvm", "[Content]\nPackages=lvm2\n"),
            ("pkcs11", "[Content]\nPackages=p11-kit\n"),
            ("raid", "[Content]\nPackages=mdadm\n"),
            ("plymouth", "[Content]\nPackages=plymouth\n"),
            ("plymouth", include_str!("builtin/initrd-plymouth.conf")),
            (
                "plymouth",
                include_str!("builtin/initrd-plymouth-debian.conf"),
            ),
            (
                "nfs",
                "[Content]\nKernelModules=fs/nfs/ net/sunrpc/ nfs_acl\n",
            ),
            ("nfs", include_str!("builtin/initrd-nfs.conf")),
        ],
    },
    Builtin {
        name: "mkosi-tools",
        texts: &[
            include_str!("builtin/tools.conf"),
            include_str!("builtin/tools-debian.conf"),
            include_str!("builtin/tools-ubuntu.conf"),
            include_str!("builtin/tools-x86.conf"),
            include_str!("builtin/tools-efi.conf"),
            include_str!("builtin/tools-boot-old.conf"),
            include_str!("builtin/tools-boot.conf"),
            include_str!("builtin/tools-not-jammy.conf"),
            include_str!("builtin/repart.conf"),
        ],
        profiles: &[
            ("debug", "[Content]\nPackages=gdb\n"),
            ("debug", include_str!("builtin/tools-debug-debian.conf")),
            ("devel", include_str!("builtin/tools-devel.conf")),
            ("gui", include_str!("builtin/tools-gui-debian.conf")),
            ("misc", include_str!("builtin/tools-misc.conf")),
            ("misc", include_str!("builtin/tools-misc-debian.conf")),
            (
                "package-manager",
                include_str!("builtin/tools-packages-debian.conf"),
            ),
            (
                "package-manager",
                include_str!("builtin/tools-packages-keyring.conf"),
            ),
            (
                "package-manager",
                include_str!("builtin/tools-packages-dnf.conf"),
            ),
            (
                "package-manager",
                include_str!("builtin/tools-packages-dnf5.conf"),
            ),
            ("runtime", include_str!("builtin/tools-runtime.conf")),
            ("runtime", include_str!("builtin/tools-runtime-debian.conf")),
            (
                "runtime",
                include_str!("builtin/tools-runtime-firmware.conf"),
            ),
            (
                "runtime",
                include_str!("builtin/tools-runtime-virtiofsd.conf"),
            ),
        ],
    },
    Builtin {
        name: "mkosi-vm",
        texts: &[
            include_str!("builtin/vm.conf"),
            include_str!("builtin/vm-debian.conf"),
            "[Match]\nDistribution=ubuntu\n[Distribution]\nRepositories=universe\n",
            include_str!("builtin/vm-kernel-arm64.conf"),
            include_str!("builtin/vm-kernel.conf"),
            include_str!("builtin/vm-boot.conf"),
            include_str!("builtin/vm-boot-signed.conf"),
            include_str!("builtin/vm-resolved.conf"),
            include_str!("builtin/vm-tpm.conf"),
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
