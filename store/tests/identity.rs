//! Identities and sessions, on every database there is.

use protocol::UserId;
use protocol::rest::AccountRole;
use std::collections::BTreeSet;
use uuid::Uuid;
use veche_store::testing::TestDatabase;
use veche_store::{AccountCreated, NewAccount, NewSession, Rotated, Store};

const NOW: i64 = 1_800_000_000_000;

fn account(username: &str, email: &str) -> NewAccount {
    NewAccount {
        id: UserId(Uuid::now_v7()),
        username: username.into(),
        email: email.into(),
        display_name: format!("{username} shown"),
        password_hash: format!("digest of {username}"),
        is_first_admin: false,
    }
}

async fn created(store: &Store, new: &NewAccount) -> protocol::rest::User {
    match store.create_account(new, NOW).await.expect("stores") {
        AccountCreated::Yes(user) => user,
        other => panic!("{other:?}"),
    }
}

async fn session(store: &Store, user: UserId, hash: &str, expires_ms: i64) -> Uuid {
    let id = Uuid::now_v7();
    let new = NewSession { id, user_id: user, refresh_hash: hash.to_owned(), expires_ms };
    store.open_session(&new, NOW).await.expect("stores");
    id
}

#[tokio::test]
async fn a_database_is_reached_without_being_made_or_changed() {
    for database in TestDatabase::all().await {
        Store::reach(&database.url)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", database.name));
    }
    let nowhere = std::env::temp_dir().join(format!("veche-{}.db", Uuid::now_v7()));
    Store::reach(&format!("sqlite://{}", nowhere.display())).await.expect("is made at first start");
    assert!(!nowhere.exists());
    Store::reach("postgresql://me@127.0.0.1:1/veche").await.expect_err("nobody listens there");
    Store::reach("mysql://me@127.0.0.1/veche").await.expect_err("is none of ours");
}

#[tokio::test]
async fn a_database_opens_again_with_what_was_stored() {
    for database in TestDatabase::all().await {
        let guest = UserId(Uuid::now_v7());
        database.store.create_guest(guest, "Ада", None, NOW).await.expect("stores");
        database.store.close().await;
        let again = Store::connect(&database.url).await.expect("opens again");
        let user = again.user(guest).await.expect("reads").expect("is there");
        assert_eq!(user.display_name, "Ада", "{}", database.name);
        again.ping().await.expect("answers");
        again.close().await;
        assert!(again.ping().await.is_err(), "a closed store does not answer");
    }
}

#[tokio::test]
async fn many_open_one_fresh_database_at_once() {
    let folder = std::env::temp_dir().join(format!("veche-race-{}", Uuid::new_v4()));
    let url = format!("sqlite://{}", folder.join("new/veche.db").display());
    let opening: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { Store::connect(&url).await.map(drop) }
            })
        })
        .collect();
    let mut opened = 0;
    for task in opening {
        opened += usize::from(task.await.expect("does not panic").is_ok());
    }
    assert!(opened >= 1, "one of them makes the schema");
    Store::connect(&url).await.expect("whoever lost the race starts again");
    std::fs::remove_dir_all(folder).ok();
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let database = TestDatabase::sqlite().await;
    let path = database.url.strip_prefix("sqlite://").expect("a SQLite URL");
    for suffix in ["", "-wal", "-shm"] {
        let mode =
            std::fs::metadata(format!("{path}{suffix}")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_guest_has_a_name_and_nothing_to_log_in_with() {
    for database in TestDatabase::all().await {
        let id = UserId(Uuid::now_v7());
        let made = database.store.create_guest(id, "Guest", None, NOW).await.expect("stores");
        assert_eq!(made.role, AccountRole::Guest);
        assert_eq!(database.store.user(id).await.expect("reads"), Some(made));
        let nobody = UserId(Uuid::now_v7());
        assert_eq!(database.store.user(nobody).await.expect("reads"), None);
        assert_eq!(database.store.account_by_login("Guest").await.expect("reads"), None);
        assert_eq!(database.store.account_by_login("").await.expect("reads"), None);
    }
}

#[tokio::test]
async fn a_guest_comes_with_a_session_or_not_at_all() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let [anna, boris] = [UserId(Uuid::now_v7()), UserId(Uuid::now_v7())];
        let session = |user_id| NewSession {
            id: Uuid::from_u128(1),
            user_id,
            refresh_hash: "digest".into(),
            expires_ms: NOW + 1_000,
        };
        let made = store.create_guest(anna, "Anna", Some(&session(anna)), NOW).await;
        let made = made.expect("stores");
        assert_eq!(store.session_user(session(anna).id, NOW).await.expect("reads"), Some(made));
        let taken = store.create_guest(boris, "Boris", Some(&session(boris)), NOW).await;
        assert!(taken.is_err(), "the id of that session is another's");
        assert_eq!(store.user(boris).await.expect("reads"), None, "{}", database.name);
    }
}

#[tokio::test]
async fn an_account_is_found_by_username_or_email_in_any_case() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let user = created(store, &account("Ada.L", "Ada@Example.org")).await;
        assert_eq!(user.role, AccountRole::User);
        for login in ["Ada.L", "ada.l", "ADA.L", "ada@example.ORG"] {
            let found = store.account_by_login(login).await.expect("reads");
            assert_eq!(found, Some((user.clone(), "digest of Ada.L".into())), "{login}");
        }
        assert_eq!(store.account_by_login("ada").await.expect("reads"), None);
    }
}

#[tokio::test]
async fn names_are_unique_without_case_in_every_script() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        created(store, &account("ada", "ада@пример.рф")).await;
        for (new, answer) in [
            (account("ADA", "new@example.org"), AccountCreated::UsernameTaken),
            (account("bob", "АДА@ПРИМЕР.РФ"), AccountCreated::EmailTaken),
            (account("Ada", "Ада@пример.рф"), AccountCreated::UsernameTaken),
        ] {
            assert_eq!(store.create_account(&new, NOW).await.expect("answers"), answer);
            assert_eq!(store.user(new.id).await.expect("reads"), None);
        }
    }
}

#[tokio::test]
async fn of_fifty_at_once_with_one_name_exactly_one_is_made() {
    for database in TestDatabase::all().await {
        let racers: Vec<_> = (0..50)
            .map(|racer| {
                let store = database.store.clone();
                let new = account("ada", &format!("{racer}@example.org"));
                tokio::spawn(async move { store.create_account(&new, NOW).await })
            })
            .collect();
        let mut made = 0;
        for racer in racers {
            match racer.await.expect("does not panic").expect("answers") {
                AccountCreated::Yes(_) => made += 1,
                AccountCreated::UsernameTaken => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(made, 1, "{}", database.name);
    }
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        assert!(!store.has_admin().await.expect("reads"));
        created(store, &account("taken", "taken@example.org")).await;
        // A refused attempt does not use the set-up link up.
        let refused = NewAccount { is_first_admin: true, ..account("taken", "a@example.org") };
        let answer = store.create_account(&refused, NOW).await.expect("answers");
        assert_eq!(answer, AccountCreated::UsernameTaken);
        assert!(!store.has_admin().await.expect("reads"));

        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let store = store.clone();
                let (name, email) = (format!("admin{racer}"), format!("{racer}@example.org"));
                let new = NewAccount { is_first_admin: true, ..account(&name, &email) };
                tokio::spawn(async move { store.create_account(&new, NOW).await })
            })
            .collect();
        let mut admins = 0;
        for racer in racers {
            match racer.await.expect("does not panic").expect("answers") {
                AccountCreated::Yes(user) => {
                    assert_eq!(user.role, AccountRole::Admin);
                    admins += 1;
                }
                AccountCreated::AdminExists => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(admins, 1, "{}", database.name);
        assert!(store.has_admin().await.expect("reads"));
    }
}

#[tokio::test]
async fn a_session_signs_in_until_it_ends() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let user = created(store, &account("ada", "ada@example.org")).await;
        let first = session(store, user.id, "a", NOW + 10).await;
        let second = session(store, user.id, "b", NOW + 10).await;
        let third = session(store, user.id, "c", NOW + 10).await;
        assert_eq!(store.session_user(first, NOW).await.expect("reads"), Some(user.clone()));
        assert_eq!(store.session_user(first, NOW + 10).await.expect("reads"), None);
        store.end_session(first).await.expect("ends");
        assert_eq!(store.session_user(first, NOW).await.expect("reads"), None);
        assert_eq!(store.session_user(second, NOW).await.expect("reads"), Some(user.clone()));
        store.end_sessions_of(user.id).await.expect("ends");
        for gone in [second, third] {
            assert_eq!(store.session_user(gone, NOW).await.expect("reads"), None);
        }
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let user = created(store, &account("ada", "ada@example.org")).await;
        let id = session(store, user.id, "one", NOW + 10).await;
        let rotate = |shown: &'static str, next: &'static str, at: i64| {
            store.rotate_refresh(id, shown, next, at + 10, at)
        };
        assert_eq!(rotate("one", "two", NOW).await.expect("answers"), Rotated::Yes(user.clone()));
        // The session lives on from the exchange.
        assert_eq!(rotate("two", "three", NOW + 9).await.expect("answers"), Rotated::Yes(user));
        assert_eq!(rotate("two", "four", NOW + 9).await.expect("answers"), Rotated::Reused);
        assert_eq!(rotate("three", "four", NOW + 9).await.expect("answers"), Rotated::Ended);
        assert_eq!(store.session_user(id, NOW).await.expect("reads"), None);
    }
}

#[tokio::test]
async fn of_many_exchanges_of_one_refresh_token_one_succeeds() {
    for database in TestDatabase::all().await {
        let user = created(&database.store, &account("ada", "ada@example.org")).await;
        let id = session(&database.store, user.id, "one", NOW + 10).await;
        let racers: Vec<_> = (0..10)
            .map(|racer| {
                let store = database.store.clone();
                tokio::spawn(async move {
                    store.rotate_refresh(id, "one", &format!("next {racer}"), NOW + 10, NOW).await
                })
            })
            .collect();
        let mut rotated = 0;
        for racer in racers {
            let answer = racer.await.expect("does not panic").expect("answers");
            rotated += usize::from(matches!(answer, Rotated::Yes(_)));
        }
        assert_eq!(rotated, 1, "{}", database.name);
    }
}

#[tokio::test]
async fn the_oldest_sessions_of_one_person_end_where_there_are_too_many() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let user = created(store, &account("ada", "ada@example.org")).await;
        let mut all = Vec::new();
        for number in 0..55 {
            let id = Uuid::now_v7();
            let new = NewSession {
                id,
                user_id: user.id,
                refresh_hash: number.to_string(),
                expires_ms: NOW + 99,
            };
            store.open_session(&new, NOW + number).await.expect("stores");
            all.push(id);
        }
        let mut alive = BTreeSet::new();
        for id in &all {
            if store.session_user(*id, NOW).await.expect("reads").is_some() {
                alive.insert(*id);
            }
        }
        assert_eq!(alive, all[5..].iter().copied().collect(), "{}", database.name);
    }
}

#[tokio::test]
async fn guests_are_forgotten_when_nobody_can_be_them_again() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let mut guests = Vec::new();
        for (expires_ms, created_ms) in [(NOW - 1, NOW - 100), (NOW + 1, NOW - 100), (NOW - 1, NOW)]
        {
            let id = UserId(Uuid::now_v7());
            store.create_guest(id, "Guest", None, created_ms).await.expect("stores");
            session(store, id, "g", expires_ms).await;
            guests.push(id);
        }
        let account = created(store, &account("ada", "ada@example.org")).await;
        session(store, account.id, "x", NOW - 1).await;
        store.purge_expired(NOW - 50, NOW).await.expect("purges");
        let mut there = Vec::new();
        for id in guests {
            there.push(store.user(id).await.expect("reads").is_some());
        }
        assert_eq!(there, [false, true, true], "{}", database.name);
        assert!(store.user(account.id).await.expect("reads").is_some());
    }
}
