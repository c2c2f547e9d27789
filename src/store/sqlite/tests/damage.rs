//! Files that are not as they were: a clear error, and nothing of them is changed.

use std::fs;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Place, account, login, secret};
use crate::store::{AccountStore, GrantStore, StoreError, StoredKind};

fn broken(outcome: Result<impl Sized, StoreError>, expected: &str) {
    match outcome {
        Err(StoreError::Broken(what)) => assert!(what.contains(expected), "{what}"),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is not noticed: {expected}"),
    }
}

#[tokio::test]
async fn a_store_that_was_cut_off_anywhere_is_refused_and_left_as_it_is() {
    let whole = Place::filled().await;
    let bytes = fs::read(whole.store()).unwrap();
    let cut_off: Vec<usize> = (0..bytes.len()).step_by(512).chain([1, bytes.len() - 1]).collect();
    assert!(cut_off.len() > 50, "{}", bytes.len());
    for size in cut_off {
        fs::write(whole.store(), &bytes[..size]).unwrap();
        broken(whole.open().await, "is damaged");
        assert_eq!(fs::read(whole.store()).unwrap(), bytes[..size], "{size}");
    }
    fs::write(whole.store(), &bytes).unwrap();
    assert_eq!(whole.open().await.unwrap().accounts().await.unwrap().len(), 3);
}

/// After a kill the newest pages are in the log alone. What is in neither file is missed, and then
/// neither is changed: not even by what is in the log being moved over.
#[tokio::test]
async fn a_store_that_was_cut_off_beside_its_log_is_refused_or_whole_and_never_changed_by_a_refusal()
 {
    let place = Place::filled().await;
    let store = place.open().await.unwrap();
    // Long enough for pages of its own, the last of which SQLite takes for whole when it is missing.
    let long = login(StoredKind::AccessToken, &"long".repeat(10_000));
    store.replace(&account("long"), &long).await.unwrap();
    store.0.pool.close().await;
    let store = place.open().await.unwrap();
    store.seed(&account("late"), &secret("in the log")).await.unwrap();
    let log_of = |path: &Path| path.with_file_name("store.sqlite-wal");
    let (whole, log) =
        (fs::read(place.store()).unwrap(), fs::read(log_of(&place.store())).unwrap());
    assert!(!log.is_empty());
    let (mut refused, mut opened) = (0, 0);
    for size in (0..=whole.len()).step_by(512) {
        let copy = Place::new();
        for path in [copy.store(), copy.key()] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(copy.store(), &whole[..size]).unwrap();
        fs::write(log_of(&copy.store()), &log).unwrap();
        fs::copy(place.key(), copy.key()).unwrap();
        set_private(&copy);
        match copy.open().await {
            Err(StoreError::Broken(what)) => {
                assert!(what.contains("is damaged"), "{what}");
                refused += 1;
            }
            Err(error) => panic!("{size}: {error:?}"),
            Ok(store) => {
                for name in ["acme", "shop", "cli", "long", "late"] {
                    let secrets = store.secrets(&account(name)).await.unwrap().unwrap();
                    assert!(secrets.secret.is_some(), "{size}: {name}");
                }
                opened += 1;
                continue;
            }
        }
        assert!(fs::read(copy.store()).unwrap() == whole[..size], "{size}");
        assert!(fs::read(log_of(&copy.store())).unwrap() == log, "{size}");
    }
    assert!(opened >= 1 && refused > 50, "{opened} opened, {refused} refused");
}

#[tokio::test]
async fn garbage_and_other_programs_files_are_refused_and_left_as_they_are() {
    let place = Place::filled().await;
    let bytes = fs::read(place.store()).unwrap();
    let mut scrambled = bytes.clone();
    for byte in &mut scrambled[4096..] {
        *byte ^= 0x5a;
    }
    for content in [b"not a database".repeat(50), vec![0; 8192], scrambled] {
        fs::write(place.store(), &content).unwrap();
        broken(place.open().await, "is damaged");
        assert_eq!(fs::read(place.store()).unwrap(), content);
    }
    fs::remove_file(place.store()).unwrap();
    let options = SqliteConnectOptions::new().filename(place.store()).create_if_missing(true);
    let mut foreign = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (x)").execute(&mut foreign).await.unwrap();
    foreign.close().await.unwrap();
    set_private(&place);
    let before = fs::read(place.store()).unwrap();
    broken(place.open().await, "it is another program's");
    assert_eq!(fs::read(place.store()).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let place = Place::filled().await;
    let mut connection =
        SqliteConnectOptions::new().filename(place.store()).connect().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', true, x'00', 0)";
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = fs::read(place.store()).unwrap();
    broken(place.open().await, "was written by a newer version");
    assert_eq!(fs::read(place.store()).unwrap(), before);
}

#[tokio::test]
async fn a_log_that_a_killed_process_has_left_is_taken_over() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    store.seed(&account("acme"), &secret("in the log")).await.unwrap();
    let copy = Place::new();
    // As a kill leaves it: the main file without what is in the log alone.
    for (from, to) in [(place.store(), copy.store()), (place.key(), copy.key())] {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        for suffix in ["", "-wal"] {
            let named = |path: &std::path::Path| format!("{}{suffix}", path.display());
            let _ = fs::copy(named(&from), named(&to));
        }
    }
    set_private(&copy);
    let grant = copy.open().await.unwrap().look(&account("acme")).await.unwrap().unwrap();
    assert_eq!(grant.refresh_token.expose(), "in the log");
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_an_error_and_never_replaced() {
    let place = Place::filled().await;
    let right = fs::read(place.key()).unwrap();
    let wrong = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let cases = [
        (Some(wrong.to_owned()), "is encrypted with another key"),
        (Some("nonsense".to_owned()), "does not hold a store key"),
        (None, "the store key cannot be read"),
    ];
    for (content, expected) in cases {
        match &content {
            Some(content) => fs::write(place.key(), content).unwrap(),
            None => fs::remove_file(place.key()).unwrap(),
        }
        let store = place.open().await.unwrap();
        assert_eq!(store.accounts().await.unwrap().len(), 3, "they are listed all the same");
        broken(store.check_key().await, expected);
        broken(store.look(&account("acme")).await, expected);
        broken(store.seed(&account("new"), &secret("seed")).await, expected);
        let left = fs::read_to_string(place.key()).ok();
        assert_eq!(left, content, "the key file is left as it is");
    }
    fs::write(place.key(), right).unwrap();
    set_private(&place);
    assert!(place.open().await.unwrap().look(&account("acme")).await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn what_others_could_write_or_read_is_refused_with_the_mend() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::filled().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = place.store().parent().unwrap().to_owned();
    let (locks, lock) = (folder.join("locks"), folder.join("locks/acme.lock"));
    let expected = [
        (&folder, 0o700),
        (&place.store(), 0o600),
        (&place.key(), 0o600),
        (&locks, 0o700),
        (&lock, 0o600),
        (&folder.join("store.sqlite.lock"), 0o600),
    ];
    for (path, made_with) in expected {
        assert_eq!(mode(path), made_with, "{}", path.display());
    }
    for (path, bad) in [(&folder, 0o720), (&folder, 0o702), (&place.store(), 0o622)] {
        let good = mode(path);
        fs::set_permissions(path, fs::Permissions::from_mode(bad)).unwrap();
        broken(place.open().await, "run `chmod ");
        fs::set_permissions(path, fs::Permissions::from_mode(good)).unwrap();
    }
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o640)).unwrap();
    let store = place.open().await.unwrap();
    broken(store.look(&account("acme")).await, "run `chmod 600 ");
}

/// Only root can mount: elsewhere this is skipped, and says so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_an_error_that_passes_and_costs_nothing() {
    let place = Place::new();
    let folder = place.store().parent().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    let mount = |arguments: &[&str]| {
        let run = std::process::Command::new("mount").args(arguments).output();
        run.is_ok_and(|output| output.status.success())
    };
    let folder_text = folder.to_str().unwrap();
    if !mount(&["-t", "tmpfs", "-o", "size=600k,mode=700", "tmpfs", folder_text]) {
        assert!(std::env::var_os("CI").is_none(), "cannot mount a small disk");
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let _mounted = Mounted(folder.clone());
    fill_disk(&place).await.unwrap();
    // The same disk, once it can no longer be written at all.
    let before = fs::read(place.store()).unwrap();
    assert!(mount(&["-o", "remount,ro", folder_text]));
    let Err(error) = place.open().await else { panic!("it opens") };
    assert!(matches!(&error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("store.sqlite"), "{error}");
    assert_eq!(fs::read(place.store()).unwrap(), before);
}

#[cfg(target_os = "linux")]
struct Mounted(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
async fn fill_disk(place: &Place) -> Result<(), String> {
    use super::token;
    let acme = account("acme");
    let store = place.open().await.map_err(|error| error.to_string())?;
    store.seed(&acme, &secret("seed")).await.map_err(|error| error.to_string())?;
    let filler = place.store().with_file_name("filler");
    let mut size = 600 * 1024;
    while fs::write(&filler, vec![1; size]).is_err() {
        size -= 1024;
    }
    let mut grant = store.lock(&acme).await.map_err(|error| error.to_string())?;
    let version = grant.read().await.unwrap().unwrap().version;
    let large = "x".repeat(60_000);
    let full = grant.commit(version, &secret(&large), &token(&large)).await;
    let Err(StoreError::Unavailable(what)) = full else { return Err(format!("{full:?}")) };
    assert!(what.contains("disk"), "{what}");
    assert_eq!(grant.read().await.unwrap().unwrap().refresh_token.expose(), "seed");
    fs::remove_file(&filler).map_err(|error| error.to_string())?;
    grant.commit(version, &secret("new"), &token("t")).await.map_err(|error| error.to_string())?;
    assert_eq!(grant.read().await.unwrap().unwrap().refresh_token.expose(), "new");
    store.0.pool.close().await;
    Ok(())
}

#[cfg(unix)]
fn set_private(place: &Place) {
    use std::os::unix::fs::PermissionsExt;
    for path in [place.store(), place.key()] {
        if path.exists() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let folder = path.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[cfg(not(unix))]
fn set_private(_: &Place) {}
