#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| overcoat::fuzzing::layer_attributes(bytes));
