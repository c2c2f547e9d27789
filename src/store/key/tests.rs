use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{DefaultPlace, KeyPlace};
use crate::config::Environment;

fn place(folder: &Path) -> KeyPlace {
    let env = Arc::new(Environment::from_iter::<[(&str, &str); 0]>([]));
    KeyPlace { configured: None, file: Some(folder.join("config/store.key")), env }
}

/// The machine that runs this may have a keyring: it is not asked, since there is a file.
#[test]
fn a_key_file_that_is_there_is_used_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let (_, text) = crate::store::seal::Key::generate().unwrap();
    let file = place.file.clone().unwrap();
    super::write_file(&file, &text).unwrap();
    let keys = place.read_or_make().unwrap();
    assert_eq!(keys.default, Some(DefaultPlace::File));
    assert_eq!(place.read(Some(DefaultPlace::File)).unwrap().current.id(), keys.current.id());
    assert!(place.read(None).is_err());
    fs::remove_file(&file).unwrap();
    assert!(place.read(Some(DefaultPlace::File)).is_err(), "none is made where one has been used");
    assert!(!file.exists());
}

#[test]
fn a_name_of_a_place_is_known_again() {
    for place in [DefaultPlace::Keyring, DefaultPlace::File] {
        assert_eq!(DefaultPlace::named(place.name()), Some(place));
    }
    assert_eq!(DefaultPlace::named("elsewhere"), None);
}
