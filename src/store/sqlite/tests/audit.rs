//! What the store knows of audit logs, and what it notes for them.

use std::path::Path;

use sqlx::{AssertSqlSafe, Row};

use super::{Place, account, login, secret};
use crate::store::sqlite::SqliteStore;
use crate::store::{AccountStore, GrantStore, KeyStore, StoredKey, StoredKind};
use crate::telemetry::audit::Progress;
use crate::telemetry::audit::chain::{ChainKey, Position};
use crate::types::client_key::KeyHash;
use crate::types::clock::WallTime;
use crate::types::policy::Mode;

const LOG: &str = "/state/audit.log";

async fn advanced(store: &SqliteStore, seq: u64) -> Progress {
    let chain = store.audit_chain(Path::new(LOG)).await.unwrap();
    let at = chain.key.append(chain.saved.at, "{}", &mut Vec::new());
    let progress = Progress { at: Position { seq, ..at }, noted: 3 };
    store.save_audit_head(&chain.id, Path::new(LOG), progress, &chain.key).await.unwrap();
    progress
}

#[tokio::test]
async fn a_chain_is_found_again_also_after_a_change_of_the_store_key() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    assert!(store.audit_known().await.unwrap().heads.is_empty(), "nothing is sealed yet");
    let begun = store.audit_chain(Path::new(LOG)).await.unwrap();
    assert_eq!(begun.saved, Progress { at: Position::beginning(), noted: 0 });
    let progress = advanced(&store, 7).await;
    for changes in 0..3 {
        let store = place.open().await.unwrap();
        let found = store.audit_chain(Path::new(LOG)).await.unwrap();
        assert_eq!((&found.id, found.saved), (&begun.id, progress), "after {changes} changes");
        assert_eq!(found.key.id == begun.key.id, changes == 0);
        let key = found.keys.iter().find(|key| key.id == begun.key.id).unwrap();
        let mac = |key: &ChainKey| key.mac(progress.at.mac, b"x");
        assert_eq!(mac(key), mac(&begun.key));
        let known = store.audit_known().await.unwrap();
        assert_eq!(known.heads[0].at, Some(progress.at));
        assert!(store.rekey().await.unwrap());
    }
    let other = store.audit_chain(Path::new("/state/other.log")).await.unwrap();
    assert_ne!(other.id, begun.id);
}

#[tokio::test]
async fn a_head_that_somebody_without_the_key_has_set_back_counts_for_nothing() {
    let changes = [
        "UPDATE audit_heads SET seq = 6",
        "UPDATE audit_heads SET mac = randomblob(32)",
        "UPDATE audit_heads SET tag = randomblob(32)",
        "UPDATE audit_heads SET chain = 'another'",
    ];
    for change in changes {
        let place = Place::new();
        let store = place.open().await.unwrap();
        advanced(&store, 7).await;
        let id = store.audit_chain(Path::new(LOG)).await.unwrap().id;
        sqlx::query(AssertSqlSafe(change)).execute(&store.0.pool).await.unwrap();
        assert!(store.audit_known().await.unwrap().heads[0].at.is_none(), "{change}");
        let after = store.audit_chain(Path::new(LOG)).await.unwrap();
        assert_ne!(after.id, id, "{change}");
        assert_eq!(after.saved.at, Position::beginning(), "{change}");
    }
}

#[tokio::test]
async fn what_becomes_of_accounts_and_keys_is_noted_with_it() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let acme = account("acme");
    store.seed(&acme, &secret("a seed")).await.unwrap();
    store.seed(&acme, &secret("a seed")).await.unwrap();
    store.replace(&acme, &login(StoredKind::OAuth, "a login")).await.unwrap();
    assert!(store.log_out(&acme).await.unwrap());
    assert!(!store.log_out(&acme).await.unwrap());
    assert!(store.remove(&acme).await.unwrap());
    assert!(!store.remove(&acme).await.unwrap());
    let key = StoredKey {
        name: "ci".parse().unwrap(),
        hash: KeyHash::of(b"hsp_x"),
        account: Some(acme),
        mode: Some(Mode::ReadOnly),
        created: WallTime(1),
        expires: None,
    };
    assert!(store.add_key(&key).await.unwrap());
    assert!(!store.add_key(&key).await.unwrap());
    assert!(store.revoked_keys().await.unwrap().is_empty());
    assert!(store.revoke_key(&key.name).await.unwrap());
    assert!(!store.revoke_key(&key.name).await.unwrap());
    assert_eq!(store.revoked_keys().await.unwrap(), [key.hash]);
    let noted = store.events_after(0).await.unwrap();
    let told: Vec<String> = noted.iter().map(|change| format!("{change:?}")).collect();
    let expected = ["Seeded", "Login", "Logout", "AccountRemoved", "KeyCreated", "KeyRevoked"];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, what) in told.iter().zip(expected) {
        assert!(told.starts_with(&format!("Change {{ what: {what},")), "{told}");
    }
    assert!(told[1].contains("oauth, Hub ID 1234567"), "{}", told[1]);
    assert!(told[4].contains("policy read-only"), "{}", told[4]);
    assert_eq!(store.events_after(4).await.unwrap().len(), 2);

    let many = "INSERT INTO account_events (time, event) \
                SELECT 1, 'seeded' FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1100) SELECT i FROM n)";
    sqlx::query(many).execute(&store.0.pool).await.unwrap();
    let count = sqlx::query("SELECT count(*) FROM account_events").fetch_one(&store.0.pool).await;
    assert_eq!(count.unwrap().get::<i64, _>(0), 1000);
}
