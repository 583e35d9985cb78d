//! Makes small objects for tests.

use super::{Linkage, Machine};

pub(crate) const X86_64: Machine = Machine {
    number: 62,
    is_64_bit: true,
    is_little_endian: true,
};

/// Returns what an object says that neither needs nor offers anything.
pub(crate) fn linkage(machine: Machine) -> Linkage {
    Linkage {
        machine,
        interpreter: None,
        soname: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        required: Vec::new(),
        defined: std::collections::BTreeSet::new(),
    }
}

/// Returns an object that says all of `linkage`. The versions of one library must follow each other.
pub(crate) fn object(linkage: &Linkage) -> Vec<u8> {
    Writer {
        machine: linkage.machine,
        strings: vec![0],
    }
    .object(linkage)
}

struct Writer {
    machine: Machine,
    strings: Vec<u8>,
}

impl Writer {
    fn number(&self, into: &mut Vec<u8>, number: usize, length: usize) {
        let bytes = (number as u64).to_be_bytes();
        let mut bytes = bytes[8 - length..].to_vec();
        if self.machine.is_little_endian {
            bytes.reverse();
        }
        into.extend(bytes);
    }

    fn numbers(&self, numbers: &[(usize, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, length) in numbers {
            self.number(&mut bytes, *number, *length);
        }
        bytes
    }

    fn string(&mut self, text: &str) -> usize {
        let at = self.strings.len();
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn required(&mut self, linkage: &Linkage) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        let groups: Vec<_> = linkage
            .required
            .chunk_by(|one, other| one.library == other.library)
            .collect();
        for (index, group) in groups.iter().enumerate() {
            let library = self.string(&group[0].library);
            let next = match index + 1 == groups.len() {
                true => 0,
                false => 16 + 16 * group.len(),
            };
            let head = [(1, 2), (group.len(), 2), (library, 4), (16, 4), (next, 4)];
            bytes.extend(self.numbers(&head));
            for (index, version) in group.iter().enumerate() {
                let name = self.string(&version.version);
                let flags = if version.is_weak { 2 } else { 0 };
                let next = if index + 1 == group.len() { 0 } else { 16 };
                bytes.extend(self.numbers(&[(0, 4), (flags, 2), (2, 2), (name, 4), (next, 4)]));
            }
        }
        (bytes, groups.len())
    }

    fn defined(&mut self, linkage: &Linkage) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        if linkage.defined.is_empty() {
            return (bytes, 0);
        }
        let own = linkage.soname.iter().map(|name| (name, 1));
        let names: Vec<_> = own
            .chain(linkage.defined.iter().map(|name| (name, 0)))
            .collect();
        for (index, (name, flags)) in names.iter().enumerate() {
            let name = self.string(name);
            let next = if index + 1 == names.len() { 0 } else { 28 };
            let head = [(1, 2), (*flags, 2), (index + 1, 2), (1, 2), (0, 4), (20, 4)];
            bytes.extend(self.numbers(&head));
            bytes.extend(self.numbers(&[(next, 4), (name, 4), (0, 4)]));
        }
        (bytes, names.len())
    }

    fn object(mut self, linkage: &Linkage) -> Vec<u8> {
        let word = if self.machine.is_64_bit { 8 } else { 4 };
        let (header_length, segment_length) = if word == 8 { (64, 56) } else { (52, 32) };
        let mut entries: Vec<(usize, usize)> = Vec::new();
        for name in &linkage.needed {
            entries.push((1, self.string(name)));
        }
        let named = [
            (14, &linkage.soname),
            (15, &linkage.rpath),
            (29, &linkage.runpath),
        ];
        for (tag, name) in named {
            if let Some(name) = name {
                entries.push((tag, self.string(name)));
            }
        }
        let (required, required_count) = self.required(linkage);
        let (defined, defined_count) = self.defined(linkage);
        let mut interpreter = linkage.interpreter.clone().unwrap_or_default().into_bytes();
        interpreter.push(0);

        // What is in the file comes in this order, and is mapped at its offset and a page.
        let interpreter_at = header_length + 3 * segment_length;
        let strings_at = interpreter_at + interpreter.len();
        let required_at = strings_at + self.strings.len();
        let defined_at = required_at + required.len();
        let dynamic_at = defined_at + defined.len();
        let mapped = |at: usize| at + 0x1000;
        entries.extend([(5, mapped(strings_at)), (10, self.strings.len())]);
        if required_count > 0 {
            entries.extend([
                (0x6fff_fffe, mapped(required_at)),
                (0x6fff_ffff, required_count),
            ]);
        }
        if defined_count > 0 {
            entries.extend([
                (0x6fff_fffc, mapped(defined_at)),
                (0x6fff_fffd, defined_count),
            ]);
        }
        entries.push((0, 0));
        let dynamic_length = entries.len() * 2 * word;
        let length = dynamic_at + dynamic_length;

        let mut bytes = b"\x7fELF".to_vec();
        bytes.push(if word == 8 { 2 } else { 1 });
        bytes.push(if self.machine.is_little_endian { 1 } else { 2 });
        bytes.resize(16, 0);
        let start = [(3, 2), (self.machine.number.into(), 2), (1, 4), (0, word)];
        bytes.extend(self.numbers(&start));
        bytes.extend(self.numbers(&[(header_length, word), (0, word), (0, 4)]));
        let sizes = [(header_length, 2), (segment_length, 2), (3, 2)];
        bytes.extend(self.numbers(&sizes));
        bytes.resize(header_length, 0);
        let interpreter_kind = if linkage.interpreter.is_some() { 3 } else { 0 };
        for (kind, at, length) in [
            (1, 0, length),
            (2, dynamic_at, dynamic_length),
            (interpreter_kind, interpreter_at, interpreter.len()),
        ] {
            let places = [(at, word), (mapped(at), word), (mapped(at), word)];
            let sizes = [(length, word), (length, word)];
            let rest = match word {
                8 => [
                    self.numbers(&[(kind, 4), (4, 4)]),
                    self.numbers(&places),
                    self.numbers(&sizes),
                    self.numbers(&[(4096, 8)]),
                ],
                _ => [
                    self.numbers(&[(kind, 4)]),
                    self.numbers(&places),
                    self.numbers(&sizes),
                    self.numbers(&[(4, 4), (4096, 4)]),
                ],
            };
            bytes.extend(rest.concat());
        }
        bytes.extend(interpreter);
        bytes.extend(&self.strings);
        bytes.extend(required);
        bytes.extend(defined);
        for (tag, value) in entries {
            bytes.extend(self.numbers(&[(tag, word), (value, word)]));
        }
        bytes
    }
}
