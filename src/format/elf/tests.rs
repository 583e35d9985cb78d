use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fixture::{X86_64, linkage, object};
use super::{Elf, Linkage, Machine, RequiredVersion};

fn full(machine: Machine) -> Linkage {
    let required = |library: &str, version: &str, is_weak| RequiredVersion {
        library: library.into(),
        version: version.into(),
        is_weak,
    };
    Linkage {
        interpreter: Some("/lib64/ld.so.2".into()),
        soname: Some("liba.so.1".into()),
        needed: vec!["libc.so.6".into(), "libb.so.2".into()],
        rpath: Some("/opt/lib".into()),
        runpath: Some("$ORIGIN/../lib".into()),
        required: vec![
            required("libc.so.6", "GLIBC_2.2.5", false),
            required("libc.so.6", "GLIBC_2.38", true),
            required("libb.so.2", "B_1", false),
        ],
        defined: BTreeSet::from(["A_1".to_owned(), "A_2".to_owned()]),
        ..linkage(machine)
    }
}

#[test]
fn what_is_linked_is_read_whatever_the_machine() {
    for (number, is_64_bit, is_little_endian, name) in [
        (62, true, true, "x86-64"),
        (3, false, true, "x86"),
        (22, true, false, "s390x"),
        (20, false, false, "ppc"),
    ] {
        let machine = Machine {
            number,
            is_64_bit,
            is_little_endian,
        };
        assert_eq!(machine.architecture(), Some(name));
        let bytes = object(&full(machine));
        assert_eq!(Elf::new(&bytes).unwrap().linkage().unwrap(), full(machine));
        let bytes = object(&linkage(machine));
        let read = Elf::new(&bytes).unwrap().linkage().unwrap();
        assert_eq!(read, linkage(machine));
    }
}

#[test]
fn what_is_cut_off_is_told() {
    let bytes = object(&full(X86_64));
    for length in 0..bytes.len() {
        let cut = Elf::new(&bytes[..length]).and_then(Elf::linkage);
        assert!(cut.is_err(), "{length}");
    }
}

#[test]
fn this_program_is_an_object() {
    let program = std::env::current_exe().unwrap();
    let bytes = fs_err::read(program).unwrap();
    let linkage = Elf::new(&bytes).unwrap().linkage().unwrap();
    assert!(linkage.machine.architecture().is_some());
    // One that is linked statically needs nothing.
    assert_eq!(linkage.interpreter.is_some(), !linkage.needed.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_an_object_or_refused(
        changes in proptest::collection::vec((0_usize..900, any::<u8>()), 0..12),
        length in 0_usize..900,
    ) {
        let mut bytes = object(&full(X86_64));
        for (at, byte) in changes {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        bytes.truncate(length);
        super::fuzzing::elf_object(&bytes);
    }
}
