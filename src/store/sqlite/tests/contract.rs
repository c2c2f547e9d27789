//! What the engine and the commands rely on.

use std::time::Duration;

use super::{Place, account, fill, login, secret, token};
use crate::store::{AccountStore, GrantStore, KeyStore, StoreError, StoredKey, StoredKind};
use crate::types::account::AccountName;
use crate::types::client_key::KeyHash;
use crate::types::clock::WallTime;
use crate::types::policy::Mode;

#[tokio::test]
async fn a_grant_outlives_the_process_and_the_same_seed_and_gives_way_to_another() {
    let (place, acme) = (Place::new(), account("acme"));
    let store = place.open().await.unwrap();
    assert!(store.lock(&acme).await.unwrap().read().await.unwrap().is_none());
    store.seed(&acme, &secret("one")).await.unwrap();
    let mut grant = store.lock(&acme).await.unwrap();
    let seeded = grant.read().await.unwrap().unwrap();
    assert_eq!(seeded.refresh_token.expose(), "one");
    let epoch = store.epoch(&acme).await;
    let version = grant.begin(seeded.version, WallTime(5)).await.unwrap();
    assert_eq!(grant.read().await.unwrap().unwrap().begun, Some(WallTime(5)));
    grant.commit(version, &secret("grown"), &token("a")).await.unwrap();
    drop((grant, store));
    let store = place.open().await.unwrap();
    for (seed, expected, access_token) in [("one", "grown", Some("a")), ("two", "two", None)] {
        store.seed(&acme, &secret(seed)).await.unwrap();
        let grant = store.look(&acme).await.unwrap().unwrap();
        assert_eq!(grant.refresh_token.expose(), expected);
        let stored = grant.access_token.as_ref().map(|token| token.token.expose());
        assert_eq!((stored, grant.begun), (access_token, None));
        assert_eq!(store.epoch(&acme).await == epoch, seed == "one");
    }
}

#[tokio::test]
async fn a_write_under_an_old_version_changes_nothing() {
    let (place, acme) = (Place::new(), account("acme"));
    let store = place.open().await.unwrap();
    store.seed(&acme, &secret("one")).await.unwrap();
    let mut grant = store.lock(&acme).await.unwrap();
    let version = grant.read().await.unwrap().unwrap().version;
    store.seed(&acme, &secret("another")).await.unwrap();
    let conflict = Err(StoreError::Conflict);
    assert_eq!(grant.begin(version, WallTime(1)).await, conflict);
    assert_eq!(grant.commit(version, &secret("x"), &token("y")).await, conflict);
    assert_eq!(grant.abandon(version).await, conflict);
    assert_eq!(grant.read().await.unwrap().unwrap().refresh_token.expose(), "another");
}

#[tokio::test]
async fn a_login_takes_the_place_of_all_and_a_seed_that_is_known_does_not_undo_it() {
    let (place, acme) = (Place::new(), account("acme"));
    let store = place.open().await.unwrap();
    store.seed(&acme, &secret("seed")).await.unwrap();
    let epoch = store.epoch(&acme).await;
    store.replace(&acme, &login(StoredKind::OAuth, "from the login")).await.unwrap();
    store.seed(&acme, &secret("seed")).await.unwrap();
    let grant = store.look(&acme).await.unwrap().unwrap();
    assert_eq!(grant.refresh_token.expose(), "from the login");
    assert_eq!(grant.access_token.unwrap().hub_id, Some(u64::MAX));
    assert_ne!(store.epoch(&acme).await, epoch);
    let stored = store.accounts().await.unwrap().remove(0);
    assert_eq!(stored.about, login(StoredKind::OAuth, "").about);
    assert!(stored.has_secret && stored.has_client_secret && stored.since == WallTime(5));
    // The same app's secret stays where a login brings none.
    let mut again = login(StoredKind::OAuth, "second");
    again.client_secret = None;
    store.replace(&acme, &again).await.unwrap();
    let secrets = store.secrets(&acme).await.unwrap().unwrap();
    assert_eq!(secrets.client_secret.unwrap().expose(), "client-secret-4711");
    again.client_id = Some("another app".to_owned());
    store.replace(&acme, &again).await.unwrap();
    assert!(store.secrets(&acme).await.unwrap().unwrap().client_secret.is_none());
}

#[tokio::test]
async fn a_logout_is_remembered_and_a_removal_forgets_all() {
    let (place, acme) = (Place::new(), account("acme"));
    let store = place.open().await.unwrap();
    store.seed(&acme, &secret("seed")).await.unwrap();
    let before = store.epoch(&acme).await;
    assert!(store.log_out(&acme).await.unwrap());
    assert!(!store.log_out(&acme).await.unwrap());
    store.seed(&acme, &secret("seed")).await.unwrap();
    assert!(store.look(&acme).await.unwrap().is_none());
    let stored = store.accounts().await.unwrap().remove(0);
    assert!(!stored.has_secret && stored.epoch != before);
    assert!(store.remove(&acme).await.unwrap());
    assert!(!store.remove(&acme).await.unwrap());
    assert!(store.accounts().await.unwrap().is_empty());
    store.seed(&acme, &secret("seed")).await.unwrap();
    let grown = store.look(&acme).await.unwrap().unwrap();
    assert!(grown.version > stored.version, "no version comes twice");
}

#[tokio::test]
async fn a_grant_is_handed_out_for_its_own_origins_alone() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    fill(&store).await;
    store.seed(&account("seeded"), &secret("seed")).await.unwrap();
    let other = place.open_for("https://api.other.example").await.unwrap();
    for name in ["acme", "shop", "cli", "seeded"] {
        let name = account(name);
        let refused = other.secrets(&name).await.unwrap_err();
        assert!(matches!(&refused, StoreError::OtherOrigin(what) if what.contains("upstream.url")));
        assert!(other.look(&name).await.is_err());
        assert!(other.lock(&name).await.unwrap().read().await.is_err());
        assert!(store.secrets(&name).await.is_ok());
    }
    let seeded = account("seeded");
    assert!(matches!(other.seed(&seeded, &secret("seed")).await, Err(StoreError::OtherOrigin(_))));
    other.seed(&seeded, &secret("another seed")).await.unwrap();
    assert_eq!(other.look(&seeded).await.unwrap().unwrap().refresh_token.expose(), "another seed");
    assert_eq!(other.accounts().await.unwrap().len(), 4, "all are listed");
    assert!(other.remove(&account("acme")).await.unwrap());
}

#[tokio::test]
async fn one_account_is_locked_by_one_at_a_time_and_others_are_not_held_up() {
    let place = Place::new();
    let (one, another) = (place.open().await.unwrap(), place.open().await.unwrap());
    let acme = account("acme");
    let held = one.lock(&acme).await.unwrap();
    for store in [&one, &another] {
        let waiting = tokio::time::timeout(Duration::from_millis(100), store.lock(&acme));
        assert!(waiting.await.is_err());
        assert!(store.lock(&account("beta")).await.is_ok());
    }
    drop(held);
    assert!(another.lock(&acme).await.is_ok());
}

#[tokio::test]
async fn a_thousand_refreshes_by_two_lose_no_update() {
    let (place, acme) = (Place::new(), account("acme"));
    place.open().await.unwrap().seed(&acme, &secret("0")).await.unwrap();
    let refresh = async |acme: AccountName| {
        let store = place.open().await.unwrap();
        for _ in 0..500 {
            let mut grant = store.lock(&acme).await.unwrap();
            let stored = grant.read().await.unwrap().unwrap();
            let version = grant.begin(stored.version, WallTime(1)).await.unwrap();
            let next = stored.refresh_token.expose().parse::<u32>().unwrap() + 1;
            grant.commit(version, &secret(&next.to_string()), &token("t")).await.unwrap();
        }
    };
    tokio::join!(refresh(acme.clone()), refresh(acme.clone()));
    let store = place.open().await.unwrap();
    assert_eq!(store.look(&acme).await.unwrap().unwrap().refresh_token.expose(), "1000");
}

#[tokio::test]
async fn client_keys_are_kept_until_they_are_revoked() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = StoredKey {
        name: "ci".parse().unwrap(),
        hash: KeyHash::of(b"hsp_x"),
        account: Some(account("acme")),
        mode: Some(Mode::ReadOnly),
        created: WallTime(1),
        expires: Some(WallTime(9)),
    };
    assert!(store.add_key(&key).await.unwrap());
    assert!(!store.add_key(&key).await.unwrap());
    let store = place.open().await.unwrap();
    let kept = store.keys().await.unwrap().remove(0);
    assert!(kept.hash == key.hash && kept.mode == key.mode && kept.expires == key.expires);
    assert!(store.revoke_key(&key.name).await.unwrap());
    assert!(!store.revoke_key(&key.name).await.unwrap());
    assert!(store.keys().await.unwrap().is_empty());
    assert!(!place.key().exists(), "hashes need no store key");
}

#[tokio::test]
async fn a_change_by_another_is_told() {
    let (place, acme) = (Place::new(), account("acme"));
    let (one, another) = (place.open().await.unwrap(), place.open().await.unwrap());
    let mut watch = one.watch();
    another.seed(&acme, &secret("seed")).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(5), watch.changed()).await;
    assert_eq!(told, Ok(true));
}
