//! Stream keys, on every database there is.

use protocol::rest::StreamKeyPurpose;
use protocol::room::Role;
use protocol::{RoomId, StreamKeyId, UserId};
use uuid::Uuid;
use veche_store::testing::TestDatabase;
use veche_store::{NewRoom, RoomCreated, Store, StreamKey};

const NOW: i64 = 1_800_000_000_000;

async fn room(store: &Store, slug: &str) -> (RoomId, UserId) {
    let owner_id = UserId(Uuid::now_v7());
    store.create_guest(owner_id, "Owner", None, NOW).await.expect("stores");
    let id = RoomId(Uuid::now_v7());
    let new = NewRoom {
        id,
        slug: slug.into(),
        name: "Стрим".into(),
        owner_id,
        invite_key_hash: None,
        invite_code_hash: format!("digest of {slug}"),
        invite_code_sealed: "sealed".into(),
    };
    let created = store.create_room(&new, NOW).await.expect("stores");
    assert!(matches!(created, RoomCreated::Yes(_)));
    (id, owner_id)
}

fn key(room_id: RoomId, created_by: UserId, expires_ms: Option<i64>) -> StreamKey {
    StreamKey {
        id: StreamKeyId(Uuid::now_v7()),
        room_id,
        user_id: UserId(Uuid::now_v7()),
        purpose: StreamKeyPurpose::Publish,
        name: "Камера".into(),
        expires_ms,
        used_ms: None,
        created_by,
        created_ms: NOW,
    }
}

#[tokio::test]
async fn a_key_is_found_by_its_digest_used_and_gone_with_its_membership_when_revoked() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let (room_id, owner) = room(store, "stream").await;
        let mut new = key(room_id, owner, Some(NOW + 1_000));
        assert!(store.create_stream_key(&new, "digest").await.expect("stores"));
        assert_eq!(store.stream_key_by_hash("digest").await.expect("reads"), Some(new.clone()));
        assert_eq!(store.stream_key_by_hash("other").await.expect("reads"), None);
        assert_eq!(store.role_of(room_id, new.user_id).await.expect("reads"), Some(Role::Guest));
        assert!(new.is_good(NOW + 999) && !new.is_good(NOW + 1_000));
        assert!(store.use_stream_key(new.id, NOW + 5).await.expect("stores"));
        new.used_ms = Some(NOW + 5);
        assert_eq!(store.stream_keys(room_id).await.expect("reads"), [new.clone()]);
        // Nobody is signed in as it, and it is kept all the same.
        store.purge_expired(NOW + 1, NOW + 1).await.expect("stores");
        assert_eq!(store.role_of(room_id, new.user_id).await.expect("reads"), Some(Role::Guest));

        let (elsewhere, _) = room(store, "elsewhere").await;
        assert_eq!(store.revoke_stream_key(elsewhere, new.id).await.expect("stores"), None);
        let revoked = store.revoke_stream_key(room_id, new.id).await.expect("stores");
        assert_eq!(revoked, Some(new.clone()));
        assert_eq!(store.role_of(room_id, new.user_id).await.expect("reads"), None);
        assert_eq!(store.stream_key_by_hash("digest").await.expect("reads"), None);
        assert!(!store.use_stream_key(new.id, NOW).await.expect("stores"));
        assert_eq!(store.revoke_stream_key(room_id, new.id).await.expect("stores"), None);
        store.purge_expired(NOW + 1, NOW + 1).await.expect("stores");
        assert_eq!(store.user(new.user_id).await.expect("reads"), None);
    }
}

#[tokio::test]
async fn keys_that_are_over_make_room_for_new_ones() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let (room_id, owner) = room(store, "stream").await;
        for n in 0..protocol::limits::MAX_STREAM_KEYS {
            let new = key(room_id, owner, Some(NOW + 1 + i64::from(n > 0) * 1_000_000));
            assert!(store.create_stream_key(&new, &format!("{n}")).await.expect("stores"));
        }
        let more = key(room_id, owner, None);
        assert!(!store.create_stream_key(&more, "more").await.expect("stores"));
        let later = StreamKey { created_ms: NOW + 1, ..more };
        assert!(store.create_stream_key(&later, "more").await.expect("stores"));
        assert_eq!(store.stream_key_by_hash("0").await.expect("reads"), None);
    }
}
