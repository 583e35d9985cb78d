//! What must hold of any ELF object.

use super::Elf;

/// Whatever is read lies in the object, and is no more than it can hold.
pub fn elf_object(bytes: &[u8]) {
    let Ok(elf) = Elf::new(bytes) else {
        return;
    };
    if let Ok(section) = elf.section(b".modinfo") {
        assert!(section.len() <= bytes.len());
    }
    let Ok(linkage) = elf.linkage() else {
        return;
    };
    let _ = linkage.machine.architecture();
    let names = linkage.needed.iter().chain(&linkage.defined);
    for name in names {
        assert!(!name.contains('\0'));
    }
}
