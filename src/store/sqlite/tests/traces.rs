//! What can be read in the files by whoever gets hold of them.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Place, account, bytes_below, fill, holds, secret, token};
use crate::store::{AccountStore, GrantStore, StoreError};
use crate::types::clock::WallTime;

#[tokio::test]
async fn no_secret_is_in_any_file_at_any_time() {
    let (place, acme) = (Place::new(), account("acme"));
    let store = place.open().await.unwrap();
    let secrets: [&[u8]; 6] = [
        b"acme-credential",
        b"client-secret-4711",
        b"access-of-the-login",
        b"the-seed-4711",
        b"refreshed-4711",
        b"access-4711",
    ];
    let folder = place.store().parent().unwrap().to_owned();
    let check = |when: &str| {
        let bytes = bytes_below(&folder);
        assert!(secrets.iter().all(|secret| !holds(&bytes, secret)), "{when}");
    };
    fill(&store).await;
    check("after a login");
    store.seed(&account("seeded"), &secret("the-seed-4711")).await.unwrap();
    check("after a seed");
    let mut grant = store.lock(&acme).await.unwrap();
    let version = grant.read().await.unwrap().unwrap().version;
    let version = grant.begin(version, WallTime(1)).await.unwrap();
    grant.commit(version, &secret("refreshed-4711"), &token("access-4711")).await.unwrap();
    check("after a refresh");
    drop(grant);
    store.rekey().await.unwrap();
    check("after a new key");
    store.0.pool.close().await;
    check("closed");
    assert!(holds(&bytes_below(&folder), b"ada@example.com"), "this finds what is there");
}

#[tokio::test]
async fn what_was_wiped_is_not_left_behind_even_encrypted() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    fill(&store).await;
    let sealed = async |name: &str| -> Vec<u8> {
        let row = sqlx::query("SELECT secret FROM accounts WHERE name = ?").bind(name.to_owned());
        let row = row.fetch_one(&store.0.pool).await.unwrap();
        sqlx::Row::get(&row, 0)
    };
    let folder = place.store().parent().unwrap().to_owned();
    let (acme, shop) = (sealed("acme").await, sealed("shop").await);
    let bytes = bytes_below(&folder);
    assert!(holds(&bytes, &acme) && holds(&bytes, &shop));
    store.log_out(&account("acme")).await.unwrap();
    store.remove(&account("shop")).await.unwrap();
    let bytes = bytes_below(&folder);
    assert!(!holds(&bytes, &acme) && !holds(&bytes, &shop));
}

#[tokio::test]
async fn what_another_process_keeps_in_the_log_is_told_and_wiped_by_a_further_call() {
    let place = Place::filled().await;
    let store = place.open().await.unwrap();
    let mut reader = SqliteConnectOptions::new().filename(place.store()).connect().await.unwrap();
    store.seed(&account("acme"), &secret("the seed")).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM accounts").execute(&mut reader).await.unwrap();
    let told = store.log_out(&account("acme")).await.unwrap_err();
    assert!(matches!(&told, StoreError::Unavailable(what) if what.contains("run this again")));
    assert!(store.look(&account("acme")).await.unwrap().is_none(), "it is logged out all the same");
    let log = place.store().with_file_name("store.sqlite-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    reader.close().await.unwrap();
    assert!(!store.log_out(&account("acme")).await.unwrap());
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
}
