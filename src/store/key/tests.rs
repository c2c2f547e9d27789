use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{DefaultPlace, KeyPlace};
use crate::config::Environment;
#[cfg(unix)]
use crate::store::StoreError;

fn place(folder: &Path) -> KeyPlace {
    let env = Arc::new(Environment::from_iter::<[(&str, &str); 0]>([]));
    let folder = Some(folder.join("config"));
    KeyPlace { configured: None, folder, store: "1a2b".to_owned(), env }
}

/// The machine that runs this may have a keyring: it is not asked, since there is a file.
#[test]
fn a_key_file_that_is_there_is_used_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let (_, text) = crate::store::seal::Key::generate().unwrap();
    let file = folder.path().join("config/store-1a2b.key");
    super::write_file(&file, &text).unwrap();
    let keys = place.read_or_make().unwrap();
    assert_eq!(keys.default, Some(DefaultPlace::File));
    assert_eq!(place.read(Some(DefaultPlace::File)).unwrap().current.id(), keys.current.id());
    assert!(place.read(None).is_err());
    fs::remove_file(&file).unwrap();
    assert!(place.read(Some(DefaultPlace::File)).is_err(), "none is made where one has been used");
    assert!(!file.exists());
}

/// Only root can give files away: elsewhere this is skipped, and says so.
#[cfg(unix)]
#[test]
fn a_key_file_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let (_, text) = crate::store::seal::Key::generate().unwrap();
    let file = folder.path().join("config/store-1a2b.key");
    super::write_file(&file, &text).unwrap();
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        assert!(std::env::var_os("CI").is_none(), "cannot give a file away");
        eprintln!("skipped: only root can give a file away");
        return;
    }
    for outcome in [place.read_or_make(), place.read(Some(DefaultPlace::File))] {
        let Err(StoreError::Broken(why)) = outcome else { panic!("it is used") };
        assert!(why.contains("belongs to another user"), "{why}");
    }
}

#[test]
fn a_name_of_a_place_is_known_again() {
    for place in [DefaultPlace::Keyring, DefaultPlace::File] {
        assert_eq!(DefaultPlace::named(place.name()), Some(place));
    }
    assert_eq!(DefaultPlace::named("elsewhere"), None);
}

/// A change of one store's key would lock another that shares it.
#[test]
fn each_store_has_default_places_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let one = place(folder.path());
    let another = KeyPlace { store: "3c4d".to_owned(), ..place(folder.path()) };
    for default in [DefaultPlace::Keyring, DefaultPlace::File] {
        let places = [&one, &another].map(|place| place.default_place(default).unwrap());
        assert_ne!(places[0], places[1]);
    }
}
