//! The programs with which maintainer scripts make users and give files to them, run by a maintainer script.

use crate::harness::World;
use crate::hostile::write_extension;
use crate::repository::Repository;
use crate::require::{self, Tool, tool};

/// Writes what each program makes of owners to `/usr/lib/programs/report`, as a program sees it.
const POSTINST: &str = r#"#!/bin/sh
set -e
mkdir -p /usr/lib/programs
cd /usr/lib/programs
exec >report
show() { stat -c '%n %U:%G %u:%g %a' "$@"; }

groupadd --system --gid 810 tool
useradd --system --uid 810 --gid tool --home-dir /usr/lib/programs/home --create-home --shell /bin/sh tool
usermod --append --groups staff tool
show home /etc/shadow /etc/gshadow
printf 'u sysuser 811 "made by systemd-sysusers"\n' | systemd-sysusers -
printf '%s\n' 'd /usr/lib/programs/tmpfiles 2750 sysuser tool' 'f /usr/lib/programs/tmpfiles/file 0640 - -' \
    'a+ /usr/lib/programs/tmpfiles - - - - u:tool:rwx,d:u:tool:rwx' >tmpfiles.conf
systemd-tmpfiles --create "$PWD/tmpfiles.conf"
show tmpfiles tmpfiles/file
mkdir tmpfiles/below
touch tmpfiles/below/file
show tmpfiles/below tmpfiles/below/file

install -d -o tool -g staff -m 2775 shared
touch shared/root
su -s /bin/sh tool -c 'id; touch shared/su; test -O shared/su && echo su owns'
runuser -u tool -g tool -- sh -c 'id -un; mkdir shared/runuser'
setpriv --reuid tool --regid tool --init-groups sh -c 'id -Gn; ln -s su shared/setpriv; mkfifo shared/fifo'
start-stop-daemon --start --quiet --chuid tool --exec /usr/bin/touch -- /usr/lib/programs/shared/daemon
perl -e '($(, $)) = (810, "810 810"); ($<, $>) = (810, 810); open F, ">shared/perl" or die; print "perl $< $> $(\n"'
show shared/*
su -s /bin/sh tool -c 'chown root shared/su 2>/dev/null || echo cannot give away; chgrp staff shared/su && echo staff'
su -s /bin/sh tool -c 'cp -p shared/su home/copy; cp shared/root home/plain'
show home/copy home/plain

printf text >plain
dpkg-statoverride --update --add tool staff 4750 /usr/lib/programs/plain
show plain
cp -a plain copied
cp plain /tmp/moved && chown tool /tmp/moved && mv /tmp/moved moved
tar --create --directory shared . | (mkdir unpacked && tar --extract --directory unpacked --preserve-permissions)
sed -i s/text/other/ plain
chown --from=tool:staff root:tool copied
show plain copied moved unpacked/*
find . -user tool -type f | sort
find . -group staff ! -type l | sort | tr '\n' ' '
echo
find . -nouser -o -nogroup
"#;

/// The same whether ids are recorded or real.
const REPORT: &str = r#"home tool:tool 810:810 755
/etc/shadow root:shadow 0:42 640
/etc/gshadow root:shadow 0:42 640
tmpfiles sysuser:tool 811:810 2770
tmpfiles/file root:tool 0:810 640
tmpfiles/below root:tool 0:810 2770
tmpfiles/below/file root:tool 0:810 660
uid=810(tool) gid=810(tool) groups=810(tool),50(staff)
su owns
tool
tool staff
perl 810 810 810 810
shared/daemon tool:staff 810:50 644
shared/fifo tool:staff 810:50 644
shared/perl tool:staff 810:50 644
shared/root root:staff 0:50 644
shared/runuser tool:staff 810:50 2755
shared/setpriv tool:staff 810:50 777
shared/su tool:staff 810:50 644
cannot give away
staff
home/copy tool:staff 810:50 644
home/plain tool:tool 810:810 644
plain tool:staff 810:50 4750
plain tool:staff 810:50 750
copied root:tool 0:810 750
moved tool:root 810:0 750
unpacked/daemon tool:staff 810:50 644
unpacked/fifo tool:staff 810:50 644
unpacked/perl tool:staff 810:50 644
unpacked/root root:staff 0:50 644
unpacked/runuser tool:staff 810:50 2755
unpacked/setpriv tool:staff 810:50 777
unpacked/su tool:staff 810:50 644
./home/.bash_logout
./home/.bashrc
./home/.profile
./home/copy
./home/plain
./moved
./plain
./shared/daemon
./shared/perl
./shared/su
./unpacked/daemon
./unpacked/perl
./unpacked/su
./home/copy ./plain ./shared ./shared/daemon ./shared/fifo ./shared/perl ./shared/root ./shared/runuser ./shared/su ./unpacked ./unpacked/daemon ./unpacked/fifo ./unpacked/perl ./unpacked/root ./unpacked/runuser ./unpacked/su 
"#;

#[test]
fn programs_of_maintainer_scripts_work_with_owners() {
    require!(require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    assert_eq!(report(&dpkg_deb, &["-f", "--debug"]), REPORT);
}

#[test]
fn range_of_real_ids_gives_the_same_report() {
    require!(require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    if require::has_range() {
        let arguments = ["-f", "--debug", "--userns=range"];
        assert_eq!(report(&dpkg_deb, &arguments), REPORT);
    }
}

fn report(dpkg_deb: &Tool, arguments: &[&str]) -> String {
    let repository = Repository::of(dpkg_deb, "programs", Some(POSTINST));
    let world = World::new();
    write_extension(&world, &repository, "programs");
    let build = world.finish(world.command(arguments));
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let made = world.path("mkosi.output/extension/usr/lib/programs");
    fs_err::read_to_string(made.join("report")).unwrap()
}
