//! Rooms and members, on every database there is.

use protocol::breakout::{Breakout, Breakouts};
use protocol::room::{By, Role};
use protocol::{Power, RoomId, ServerMessage, UserId};
use uuid::Uuid;
use veche_store::testing::TestDatabase;
use veche_store::{
    Added, Audience, BreakoutChange, Change, Fact, NewEvent, NewRoom, Ordered, Parent, Refused,
    Room, RoomChange, RoomCreated, Store, Stored,
};

const NOW: i64 = 1_800_000_000_000;

async fn guest(store: &Store) -> UserId {
    let id = UserId(Uuid::now_v7());
    store.create_guest(id, "Guest", None, NOW).await.expect("stores");
    id
}

fn new_room(slug: &str, owner: UserId) -> NewRoom {
    NewRoom {
        id: RoomId(Uuid::now_v7()),
        slug: slug.into(),
        name: format!("Комната {slug}"),
        owner_id: owner,
        invite_key_hash: None,
        invite_code_hash: format!("digest of the code of {slug}"),
        invite_code_sealed: "sealed".into(),
    }
}

async fn created(store: &Store, new: &NewRoom, at: i64) -> Room {
    match store.create_room(new, at).await.expect("stores") {
        RoomCreated::Yes(room) => *room,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_room_is_found_by_slug_by_id_and_by_its_invite_code() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let owner = guest(store).await;
        let room = created(store, &new_room("weekly", owner), NOW).await;
        assert_eq!(store.room_by_slug("weekly").await.expect("reads"), Some(room.clone()));
        assert_eq!(store.room(room.id).await.expect("reads"), Some(room.clone()));
        let code = "digest of the code of weekly";
        assert_eq!(store.room_by_invite(code).await.expect("reads"), Some(room));
        assert_eq!(store.room_by_slug("other").await.expect("reads"), None);
        assert_eq!(store.room(RoomId(Uuid::now_v7())).await.expect("reads"), None);
        assert_eq!(store.room_by_invite("other").await.expect("reads"), None);
    }
}

#[tokio::test]
async fn of_many_at_once_with_one_slug_exactly_one_is_made() {
    for database in TestDatabase::all().await {
        let owner = guest(&database.store).await;
        let racers: Vec<_> = (0..20)
            .map(|_| {
                let store = database.store.clone();
                let new = new_room("weekly", owner);
                tokio::spawn(async move { store.create_room(&new, NOW).await })
            })
            .collect();
        let mut made = 0;
        for racer in racers {
            match racer.await.expect("does not panic").expect("answers") {
                RoomCreated::Yes(_) => made += 1,
                RoomCreated::SlugTaken => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(made, 1, "{}", database.name);
    }
}

#[tokio::test]
async fn one_person_owns_a_bounded_number_of_rooms() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let owner = guest(store).await;
        for number in 0..200 {
            created(store, &new_room(&format!("room-{number}"), owner), NOW).await;
        }
        let refused = store.create_room(&new_room("one-more", owner), NOW).await.expect("answers");
        assert_eq!(refused, RoomCreated::TooMany);
        let other = guest(store).await;
        created(store, &new_room("one-more", other), NOW).await;
    }
}

#[tokio::test]
async fn rooms_are_listed_newest_first_with_ones_own_role_and_no_one_elses() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let (owner, member) = (guest(store).await, guest(store).await);
        let old = created(store, &new_room("old", owner), NOW).await;
        let new = created(store, &new_room("new", owner), NOW + 1).await;
        created(store, &new_room("alien", guest(store).await), NOW).await;
        store.add_member(old.id, member, Role::Member, NOW).await.expect("stores");
        assert_eq!(
            store.rooms_of(owner).await.expect("reads"),
            [(new, Role::Owner), (old.clone(), Role::Owner)]
        );
        assert_eq!(store.rooms_of(member).await.expect("reads"), [(old, Role::Member)]);
    }
}

#[tokio::test]
async fn a_change_touches_what_it_names_and_nothing_else() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let room = created(store, &new_room("weekly", guest(store).await), NOW).await;
        let other = created(store, &new_room("other", guest(store).await), NOW).await;
        let change = |change: RoomChange| store.update_room(room.id, change);
        let mut expected = room.clone();
        assert_eq!(change(RoomChange::default()).await.expect("stores"), Some(expected.clone()));
        expected.name = "New name".into();
        let answer = change(RoomChange { name: Some("New name".into()), ..Default::default() });
        assert_eq!(answer.await.expect("stores"), Some(expected.clone()));
        for key in [Some("digest".to_owned()), None] {
            expected.invite_key_hash = key.clone();
            let answer = change(RoomChange { invite_key_hash: Some(key), ..Default::default() });
            assert_eq!(answer.await.expect("stores"), Some(expected.clone()));
        }
        assert_eq!(store.room(room.id).await.expect("reads"), Some(expected));
        assert_eq!(store.room(other.id).await.expect("reads"), Some(other));
        let gone = RoomId(Uuid::now_v7());
        let change = RoomChange { name: Some("x".into()), ..Default::default() };
        assert_eq!(store.update_room(gone, change).await.expect("answers"), None);
    }
}

#[tokio::test]
async fn a_deleted_room_takes_its_members_along_and_leaves_its_slug_taken() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let owner = guest(store).await;
        let room = created(store, &new_room("weekly", owner), NOW).await;
        assert!(store.delete_room(room.id).await.expect("deletes"));
        assert!(!store.delete_room(room.id).await.expect("answers"));
        assert_eq!(store.room_by_slug("weekly").await.expect("reads"), None);
        assert_eq!(store.role_of(room.id, owner).await.expect("reads"), None);
        assert_eq!(store.rooms_of(owner).await.expect("reads"), []);
        let again = store.create_room(&new_room("weekly", owner), NOW).await.expect("answers");
        assert_eq!(again, RoomCreated::SlugTaken, "{}", database.name);
    }
}

#[tokio::test]
async fn a_member_keeps_the_role_they_have() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let (owner, other) = (guest(store).await, guest(store).await);
        let room = created(store, &new_room("weekly", owner), NOW).await;
        assert_eq!(store.role_of(room.id, owner).await.expect("reads"), Some(Role::Owner));
        assert_eq!(store.role_of(room.id, other).await.expect("reads"), None);
        for (user, role, has) in [
            (owner, Role::Guest, Role::Owner),
            (other, Role::Guest, Role::Guest),
            (other, Role::Member, Role::Guest),
        ] {
            let answer = store.add_member(room.id, user, role, NOW).await.expect("stores");
            assert_eq!(answer, Added::Member(has), "{}", database.name);
        }
    }
}

#[tokio::test]
async fn nobody_becomes_a_member_of_a_room_that_is_gone_nor_does_a_stranger_of_one_that_is_there() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let user = guest(store).await;
        let gone = RoomId(Uuid::now_v7());
        let answer = store.add_member(gone, user, Role::Guest, NOW).await.expect("answers");
        assert_eq!(answer, Added::Gone);
        let room = created(store, &new_room("weekly", user), NOW).await;
        let stranger = UserId(Uuid::now_v7());
        let answer = store.add_member(room.id, stranger, Role::Guest, NOW).await.expect("answers");
        assert_eq!(answer, Added::Gone, "{}", database.name);
    }
}

#[tokio::test]
async fn joining_many_times_at_once_is_joining_once() {
    for database in TestDatabase::all().await {
        let owner = guest(&database.store).await;
        let room = created(&database.store, &new_room("weekly", owner), NOW).await;
        let joiner = guest(&database.store).await;
        let racers: Vec<_> = (0..20)
            .map(|_| {
                let store = database.store.clone();
                tokio::spawn(
                    async move { store.add_member(room.id, joiner, Role::Member, NOW).await },
                )
            })
            .collect();
        for racer in racers {
            let answer = racer.await.expect("does not panic").expect("stores");
            assert_eq!(answer, Added::Member(Role::Member), "{}", database.name);
        }
    }
}

#[tokio::test]
async fn guests_who_own_a_room_are_kept() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let owner = guest(store).await;
        let visitor = guest(store).await;
        let room = created(store, &new_room("weekly", owner), NOW).await;
        store.add_member(room.id, visitor, Role::Guest, NOW).await.expect("stores");
        store.purge_expired(NOW + 100, NOW + 100).await.expect("purges");
        assert!(store.user(owner).await.expect("reads").is_some());
        assert_eq!(store.user(visitor).await.expect("reads"), None);
        assert_eq!(store.role_of(room.id, visitor).await.expect("reads"), None);
    }
}

fn breakouts(of: usize, first: u128, by: UserId) -> Breakouts {
    let room = |n: usize| {
        let id = RoomId(Uuid::from_u128(first + n as u128));
        Breakout {
            id,
            slug: format!("b-{}", id.0.simple()),
            name: "Tea".into(),
            people: Vec::new(),
        }
    };
    Breakouts {
        rooms: (0..of).map(room).collect(),
        assignments: [(by, 0)].into(),
        self_choice: false,
        opened_ms: NOW,
        ends_ms: None,
        by: By { user_id: by, display_name: "Guest".into() },
    }
}

/// What became of the order that changes breakout rooms, given by this person.
async fn break_out(store: &Store, room: RoomId, by: UserId, change: BreakoutChange) -> Stored {
    let by = By { user_id: by, display_name: "Guest".into() };
    let ordered = Ordered {
        message: ServerMessage::BreakoutClosed { by: Some(by.clone()), seq: 0 },
        by,
        power: Some(Power::BreakOut),
        target: None,
        change: Change::BreakOut(Box::new(change)),
        audience: Audience::Everybody,
    };
    let event = NewEvent { at_ms: NOW, fact: Fact::Ordered(Box::new(ordered)) };
    store.append_events(room, &[event]).await.expect("stores").remove(0)
}

#[tokio::test]
async fn breakout_rooms_open_once_and_belong_to_the_members_of_their_main_room() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let (owner, visitor) = (guest(store).await, guest(store).await);
        let room = created(store, &new_room("weekly", owner), NOW).await;
        store.add_member(room.id, visitor, Role::Guest, NOW).await.expect("stores");
        let open = breakouts(2, 1, owner);
        let change = || BreakoutChange::Open(open.clone());
        let refused = break_out(store, room.id, visitor, change()).await;
        assert_eq!(refused, Stored::Refused(Refused::NoPower), "{}", database.name);
        assert!(matches!(break_out(store, room.id, owner, change()).await, Stored::New { .. }));
        let refused = break_out(store, room.id, owner, change()).await;
        assert_eq!(refused, Stored::Refused(Refused::Outdated), "they are open already");
        assert_eq!(store.breakouts(room.id).await.expect("reads"), Some(open.clone()));

        let tea = store.room(open.rooms[0].id).await.expect("reads").expect("is there");
        assert_eq!(tea.parent, Some(Parent { id: room.id, slug: "weekly".into() }));
        assert_eq!(store.role_of(tea.id, visitor).await.expect("reads"), Some(Role::Guest));
        assert_eq!(store.role_of(tea.id, guest(store).await).await.expect("reads"), None);
        assert_eq!(store.members(tea.id).await.expect("reads").len(), 2);
        assert_eq!(store.rooms_of(owner).await.expect("reads").len(), 1, "they are in no list");
        let log = store.room_log(tea.id, 1, NOW).await.expect("reads");
        assert_eq!((log.parent, log.breakouts), (Some(room.id), Some(open)));

        break_out(store, room.id, owner, BreakoutChange::Close).await;
        assert_eq!(store.breakouts(room.id).await.expect("reads"), None);
        assert!(store.room(tea.id).await.expect("reads").is_some(), "its chat is kept");
        store.delete_room(room.id).await.expect("deletes");
        assert_eq!(store.room(tea.id).await.expect("reads"), None);
    }
}

#[tokio::test]
async fn of_many_breakout_rooms_the_oldest_are_forgotten_with_their_slugs() {
    for database in TestDatabase::all().await {
        let store = &database.store;
        let owner = guest(store).await;
        let room = created(store, &new_room("weekly", owner), NOW).await;
        for n in 0..5 {
            let open = breakouts(50, 1 + 1_000 * n, owner);
            let opened = break_out(store, room.id, owner, BreakoutChange::Open(open)).await;
            assert!(matches!(opened, Stored::New { .. }), "{}", database.name);
            break_out(store, room.id, owner, BreakoutChange::Close).await;
        }
        for (n, is_kept) in [(1, false), (50, false), (1_001, true), (4_050, true)] {
            let found = store.room(RoomId(Uuid::from_u128(n))).await.expect("reads");
            assert_eq!(found.is_some(), is_kept, "{n}");
        }
        // The slug is free again, which is of no use to anybody but the disk.
        let forgotten = breakouts(1, 1, owner);
        break_out(store, room.id, owner, BreakoutChange::Open(forgotten.clone())).await;
        assert_eq!(store.breakouts(room.id).await.expect("reads"), Some(forgotten));
    }
}
