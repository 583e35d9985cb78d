//! Keys, certificates and PKCS#7 signatures; never inside a sandbox.
