#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| overcoat::fuzzing::checked_extension(bytes));
