use std::os::unix::fs::PermissionsExt;

use crate::harness::World;

#[test]
fn key_and_certificate_are_made_once() {
    let world = World::new();
    let made = world.run(&["genkey"]);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let read = |name: &str| fs_err::read_to_string(world.path(name)).unwrap();
    let (key, certificate) = (read("mkosi.key"), read("mkosi.crt"));
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let mode = fs_err::metadata(world.path("mkosi.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);

    let again = world.run(&["genkey"]);
    assert_eq!(again.status, Some(2), "{}", again.stderr);
    assert_eq!(
        (read("mkosi.key"), read("mkosi.crt")),
        (key.clone(), certificate)
    );

    let forced = world.run(&["genkey", "-f"]);
    assert_eq!(forced.status, Some(0), "{}", forced.stderr);
    assert_ne!(read("mkosi.key"), key);
}
