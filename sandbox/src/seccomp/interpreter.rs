//! A small interpreter of the instructions that the assemblers emit.

use libc::sock_filter;

/// Returns what the kernel would do, after the instruction set's description in the kernel's
/// `Documentation/networking/filter.rst`.
pub(super) fn interpret(
    program: &[sock_filter],
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    for argument in arguments {
        data.extend(argument.to_ne_bytes());
    }
    let (mut accumulator, mut counter) = (0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[counter];
        counter += 1;
        let taken = match code {
            0x20 => {
                let at = usize::try_from(k).unwrap();
                accumulator = u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                counter += usize::try_from(k).unwrap();
                continue;
            }
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            other => panic!("the interpreter lacks instruction {other:#x}"),
        };
        counter += usize::from(if taken { jt } else { jf });
    }
}
