use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use super::{PlaceError, fillable_by_nobody, secret};

#[test]
fn caches_elsewhere_are_where_they_are_named() {
    let world = tempfile::tempdir().unwrap();
    let place = |name: &str| world.path().join(name);
    for name in ["recipe", "elsewhere"] {
        fs::create_dir(place(name)).unwrap();
    }
    let found = fillable_by_nobody(&place("elsewhere/cache"), &place("recipe"), None).unwrap();
    assert_eq!(found, place("elsewhere/cache"));
    // A directory that only starts with the same letters.
    let found = fillable_by_nobody(&place("recipes"), &place("recipe"), None).unwrap();
    assert_eq!(found, place("recipes"));
}

#[test]
fn caches_in_the_recipes_directory_have_a_name_that_takes_the_secret() {
    let world = tempfile::tempdir().unwrap();
    let place = |name: &str| world.path().join(name);
    fs::create_dir_all(place("recipe/mkosi.cache")).unwrap();
    fs::create_dir_all(place("recipe/other")).unwrap();
    let find = |directory: &str, personal: &str| {
        fillable_by_nobody(&place(directory), &place("recipe"), Some(&place(personal))).unwrap()
    };
    let found = find("recipe/mkosi.cache", "mine");
    assert_eq!(found.parent(), Some(place("recipe/mkosi.cache").as_path()));
    let name = found.file_name().unwrap().to_str().unwrap();
    assert_eq!(name.len(), "overcoat-".len() + 32);
    // The same again; another one for another place or another person.
    assert_eq!(find("recipe/mkosi.cache", "mine"), found);
    assert_ne!(find("recipe/other", "mine").file_name(), found.file_name());
    assert_ne!(find("recipe/mkosi.cache", "theirs"), found);
    // Through a link from outside it is the same place.
    fs::os::unix::fs::symlink(place("recipe/mkosi.cache"), place("link")).unwrap();
    assert_eq!(find("link", "mine").file_name(), found.file_name());
    // The recipe's own directory, and one that does not exist yet.
    assert_ne!(find("recipe", "mine"), place("recipe"));
    assert_ne!(
        find("recipe/later/cache", "mine"),
        place("recipe/later/cache")
    );
}

#[test]
fn without_a_directory_of_ones_own_there_is_no_secret() {
    let world = tempfile::tempdir().unwrap();
    let refused = fillable_by_nobody(&world.path().join("cache"), world.path(), None);
    assert!(matches!(refused, Err(PlaceError::NoSecret { .. })));
}

#[test]
fn the_secret_is_the_persons_alone_and_stays() {
    let world = tempfile::tempdir().unwrap();
    let personal = world.path().join("a/b");
    let made = secret(&personal).unwrap();
    assert_eq!(made.len(), 32);
    assert_eq!(secret(&personal).unwrap(), made);
    let mode = fs::metadata(personal.join("store-names"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(fs::read_dir(&personal).unwrap().count(), 1);
    assert_ne!(secret(&world.path().join("c")).unwrap(), made);
}

#[test]
fn what_is_no_secret_is_not_used() {
    let world = tempfile::tempdir().unwrap();
    fs::write(world.path().join("store-names"), "short").unwrap();
    assert!(matches!(
        secret(world.path()),
        Err(PlaceError::NotSecret { .. })
    ));
    fs::remove_file(world.path().join("store-names")).unwrap();
    fs::os::unix::fs::symlink(Path::new("/dev/zero"), world.path().join("store-names")).unwrap();
    assert!(matches!(
        secret(world.path()),
        Err(PlaceError::Secret { .. })
    ));
}
