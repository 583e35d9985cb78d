//! The recipe that is read: many small files, as large recipes have, and every way to bring them in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

/// How many images there are besides the main one.
pub(crate) const IMAGES: usize = 50;

/// What all images share.
const COMMON: [(&str, &str); 6] = [
    (
        "mkosi.conf",
        "[Config]\nProfiles=desktop\nPassEnvironment=STAGE\n\n\
         [Distribution]\nDistribution=debian\nRelease=bookworm\nArchitecture=x86-64\nRepositories=main,contrib\n\n\
         [Output]\nImageVersion=1.2.3\nOutputDirectory=out\n\n\
         [Build]\nIncremental=yes\nEnvironment=STAGE=test LEVEL=3\n",
    ),
    (
        "mkosi.conf.d/10-repositories.conf",
        "[Match]\nDistribution=|debian\nDistribution=|ubuntu\n\n[Distribution]\nRepositories=non-free-firmware\n",
    ),
    ("mkosi.profiles/desktop.conf", "[Content]\nHostname=%i\n"),
    (
        "common/mkosi.conf",
        "[Content]\nPackages=\n    apt\n    bash\n    ca-certificates\n    systemd\nWithDocs=no\n",
    ),
    (
        "common/mkosi.conf.d/debian.conf",
        "[Match]\nDistribution=debian\n\n[Content]\nPackages=\n    libpam-systemd\n    systemd-sysv\n",
    ),
    (
        "common/mkosi.conf.d/fedora.conf",
        "[Match]\nDistribution=fedora\n\n[Content]\nPackages=systemd-udev\n",
    ),
];

/// What each image has, in files of its directory.
const IMAGE: [(&str, &str); 10] = [
    (
        "mkosi.conf",
        "# An extension.\n[Match]\nArchitecture=uefi\n\n\
         [Include]\nInclude=../../common\n\n\
         [Output]\nFormat=sysext\nOverlay=yes\nManifestFormat=json\n\n\
         [Content]\nBaseTrees=%O/base\nExtraTrees=tree:/usr/share/%I\nRemoveFiles=/usr/share/doc /usr/share/man\n",
    ),
    (
        "mkosi.conf.d/10-tools.conf",
        "[Content]\nPackages=\n    curl\n    gdb # the debugger\n    less\n    strace\n    vim-tiny\n",
    ),
    (
        "mkosi.conf.d/20-old.conf",
        "[Match]\nImageVersion=<1.0\n\n[Content]\nPackages=old\n",
    ),
    (
        "mkosi.conf.d/30-new.conf",
        "[Match]\nImageVersion=>=1.0\nProfiles=desktop\n\n[Content]\nPackages=new\n",
    ),
    (
        "mkosi.conf.d/40-arm.conf",
        "[Match]\nArchitecture=arm64\n\n[Content]\nPackages=arm\n",
    ),
    (
        "mkosi.conf.d/50-path.conf",
        "[Match]\nPathExists=mkosi.extra\n\n[Build]\nEnvironment=EXTRA=%P/mkosi.extra\n",
    ),
    (
        "mkosi.conf.d/60-more/mkosi.conf",
        "[TriggerMatch]\nRelease=trixie\n\n[TriggerMatch]\nRelease=bookworm\n\n[Content]\nPackages=more-%r\n",
    ),
    (
        "mkosi.profiles/desktop.conf",
        "[Content]\nPackages=desktop-%d\n",
    ),
    ("mkosi.postinst.chroot", "#!/bin/sh\ntrue\n"),
    ("mkosi.extra/usr/share/file", "content\n"),
];

/// Writes the recipe and returns of how many files it is.
pub(crate) fn write(directory: &Path) -> Result<usize, std::io::Error> {
    let mut count = 0;
    let mut write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().expect("it is in a directory"))?;
        fs::write(path, text)?;
        if text.starts_with("#!") {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
        }
        count += 1;
        Ok::<(), std::io::Error>(())
    };
    for (name, text) in COMMON {
        write(&directory.join(name), text)?;
    }
    for image in 0..IMAGES {
        let image = directory.join(format!("mkosi.images/image-{image:02}"));
        for (name, text) in IMAGE {
            write(&image.join(name), text)?;
        }
    }
    Ok(count)
}
