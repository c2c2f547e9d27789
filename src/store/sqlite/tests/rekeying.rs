//! A new store key, and what a cut on the way to it leaves.

use std::fs;
use std::sync::Arc;

use super::{Place, account, secret, token};
use crate::config::{Environment, SecretRef};
use crate::store::key::KeyPlace;
use crate::store::seal::Key;
use crate::store::sqlite::SqliteStore;
use crate::store::{AccountStore, GrantStore, StoreError};
use crate::types::clock::WallTime;

async fn still_opens(place: &Place) {
    let store = place.open().await.unwrap();
    for (name, expected) in [("acme", "acme-credential"), ("shop", "shop-credential")] {
        let secrets = store.secrets(&account(name)).await.unwrap().unwrap();
        assert_eq!(secrets.secret.unwrap().expose(), expected);
    }
}

#[tokio::test]
async fn everything_opens_with_the_new_key_and_nothing_with_the_old_one() {
    let place = Place::filled().await;
    let old = fs::read_to_string(place.key()).unwrap();
    let (store, running) = (place.open().await.unwrap(), place.open().await.unwrap());
    assert!(running.look(&account("acme")).await.unwrap().is_some());
    assert!(store.rekey().await.unwrap());
    let new = fs::read_to_string(place.key()).unwrap();
    assert_ne!(new, old);
    assert!(!new.contains(','));
    still_opens(&place).await;
    // A process that has the old key in memory notices, in reading and in writing.
    let mut grant = running.lock(&account("acme")).await.unwrap();
    let stored = grant.read().await.unwrap().unwrap();
    let version = grant.begin(stored.version, WallTime(1)).await.unwrap();
    grant.commit(version, &secret("after"), &token("t")).await.unwrap();
    drop(grant);
    let reopened = place.open().await.unwrap();
    let grant = reopened.look(&account("acme")).await.unwrap().unwrap();
    assert_eq!(grant.refresh_token.expose(), "after");
    fs::write(place.key(), old).unwrap();
    let locked_out = place.open().await.unwrap().look(&account("acme")).await;
    assert!(matches!(locked_out, Err(StoreError::Broken(_))));
}

#[tokio::test]
async fn a_cut_at_any_step_leaves_a_store_that_opens_and_can_go_on() {
    // After the place has got both keys, and after everything has been sealed with the new one.
    for sealed in [false, true] {
        let place = Place::filled().await;
        let store = place.open().await.unwrap();
        let before = place.key_place().read(None).unwrap();
        let in_use = before.current.id();
        let (both, _) = place.key_place().renew(&before, in_use).unwrap();
        if sealed {
            store.0.seal_anew(&both).await.unwrap();
        }
        drop(store);
        assert!(fs::read_to_string(place.key()).unwrap().contains(','));
        still_opens(&place).await;
        assert!(place.open().await.unwrap().rekey().await.unwrap());
        assert!(!fs::read_to_string(place.key()).unwrap().contains(','), "sealed: {sealed}");
        still_opens(&place).await;
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_names_both_keys_meanwhile() {
    let place = Place::new();
    let ((_, old), (_, new)) = (Key::generate().unwrap(), Key::generate().unwrap());
    let open = async |value: String| {
        let env = Arc::new(Environment::from_iter([("STORE_KEY", value)]));
        let configured = Some(SecretRef::Env("STORE_KEY".to_owned()));
        let key = KeyPlace { configured, folder: None, store: String::new(), env };
        SqliteStore::open(&place.store(), key, super::origins("https://api.example")).await.unwrap()
    };
    let store = open(old.expose().to_owned()).await;
    assert!(!store.rekey().await.unwrap(), "nothing is sealed yet");
    super::fill(&store).await;
    let refused = store.rekey().await.unwrap_err();
    assert!(matches!(&refused, StoreError::Broken(what) if what.contains("put `NEW,OLD` there")));
    let both = open(format!("{},{}", new.expose(), old.expose())).await;
    assert!(both.rekey().await.unwrap());
    let with_new = open(new.expose().to_owned()).await;
    assert!(with_new.look(&account("acme")).await.unwrap().is_some());
    let with_old = open(old.expose().to_owned()).await;
    assert!(with_old.look(&account("acme")).await.is_err());
}

#[tokio::test]
async fn who_reads_while_keys_change_notices_nothing() {
    let place = Place::filled().await;
    let (store, running) = (place.open().await.unwrap(), place.open().await.unwrap());
    let done = std::cell::Cell::new(false);
    let rekey = async {
        for _ in 0..60 {
            assert!(store.rekey().await.unwrap());
        }
        done.set(true);
    };
    let read = async {
        while !done.get() {
            let secrets = running.secrets(&account("acme")).await.unwrap().unwrap();
            assert_eq!(secrets.secret.unwrap().expose(), "acme-credential");
            assert!(running.look(&account("acme")).await.unwrap().is_some());
        }
    };
    tokio::join!(rekey, read);
}

#[tokio::test]
async fn two_who_change_the_key_at_once_do_so_one_after_the_other() {
    let place = Place::filled().await;
    let (one, another) = (place.open().await.unwrap(), place.open().await.unwrap());
    for _ in 0..20 {
        let (first, second) = tokio::join!(one.rekey(), another.rekey());
        assert!(first.unwrap() && second.unwrap());
        still_opens(&place).await;
    }
}
