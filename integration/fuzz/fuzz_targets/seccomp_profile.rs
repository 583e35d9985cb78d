#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| overcoat_sandbox::fuzzing::seccomp_profile(bytes));
