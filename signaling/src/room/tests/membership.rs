use super::*;

#[test]
fn a_newcomer_hears_joined_snapshot_and_sync_and_only_then_events() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    let heard = stage.look();
    let boris = stage.join(BORIS, 2);
    assert_eq!(stage.admitted, [SocketId(ANNA), SocketId(BORIS)]);
    let seen = stage.look();
    assert_eq!(heard.len(), 5, "stored, the broadcast nobody hears, three messages: {heard:?}");
    let [
        Seen::Stored(2, Fact::Joined(_)),
        Seen::Broadcast(None, ServerMessage::MemberJoined { participant, seq: 2 }),
        Seen::Sent(
            to,
            ServerMessage::Joined { participant_id, resume, resumed: false, room, role, .. },
        ),
        Seen::Sent(_, ServerMessage::StateSnapshot(snapshot)),
        Seen::Sent(_, ServerMessage::SyncInfo { next_seq: 3 }),
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((*to, *participant_id, participant.id), (SocketId(BORIS), boris, boris));
    assert_eq!(snapshot.participants.iter().map(|p| p.id).collect::<Vec<_>>(), [anna, boris]);
    assert_eq!(stage.resume.open(ROOM, resume), Some(boris));
    assert_eq!((room.participants, *role), (2, Role::Member));
}

#[test]
fn a_join_that_cannot_be_stored_did_not_happen() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.is_store_failing = true;
    stage.join(BORIS, 2);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Sent(
                    SocketId(BORIS),
                    ServerMessage::Error { code: ErrorCode::Unavailable, .. }
                ),
                Seen::Closed(SocketId(BORIS), close::TRY_LATER)
            ]
        ),
        "{seen:?}"
    );
    assert_eq!(stage.room.count(), 1);
    stage.is_store_failing = false;
    stage.join(CLARA, 3);
    let seen = stage.look();
    assert!(matches!(seen[0], Seen::Stored(2, _)), "the number was not used up: {seen:?}");
}

#[test]
fn a_full_room_takes_nobody_and_counts_those_on_their_way() {
    let mut stage = Stage::new();
    stage.room.state.capacity = 2;
    stage.knock("s", 9, DoorKind::Publish);
    stage.join(ANNA, 1);
    stage.look();
    stage.join(BORIS, 2);
    let heard = stage.look();
    let [Seen::Sent(_, ServerMessage::Error { code, .. }), Seen::Closed(_, close::TRY_LATER)] =
        &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!(*code, ErrorCode::RoomFull);
    stage.apply(Input::DoorGone { session: "s".into() });
    stage.join(BORIS, 2);
    assert_eq!(stage.room.count(), 2);
}

#[test]
fn a_socket_that_is_gone_before_its_join_is_stored_leaves_at_once() {
    let mut stage = Stage::new();
    let request = stage.join_request(ANNA, 1);
    let heard_at = stage.now;
    stage.apply_all(vec![
        Input::Join(Box::new(request)),
        Input::SocketGone { socket: SocketId(ANNA), heard_at },
    ]);
    let facts: Vec<_> = stage.log.iter().map(|event| &event.fact).collect();
    assert!(matches!(facts[..], [Fact::Joined(_), Fact::Left { .. }]), "{facts:?}");
    assert!(stage.room.is_empty() && stage.admitted.is_empty());
}

#[test]
fn leaving_is_told_once_and_ends_the_socket_and_the_media() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, ClientMessage::Leave);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Stored(3, Fact::Left { .. }),
                Seen::Closed(SocketId(ANNA), close::DONE),
                Seen::Broadcast(
                    None,
                    ServerMessage::MemberLeft { reason: LeaveReason::Left, seq: 3, .. }
                ),
                Seen::Media(Command::Leave { .. }),
            ]
        ),
        "{seen:?}"
    );
    stage.drop_socket(ANNA);
    stage.resume(CLARA, 1, anna);
    stage.pass(30);
    assert_eq!(left(&stage.look()), [], "who has left cannot be taken over");
}

#[test]
fn a_leave_that_cannot_be_stored_ends_the_media_and_is_told_when_the_store_is_back() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.is_store_failing = true;
    stage.ask(ANNA, ClientMessage::Leave);
    stage.pass(3);
    let seen = stage.look();
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Media(Command::Leave { .. }))));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Closed(SocketId(ANNA), close::DONE))));
    assert_eq!(left(&seen), []);
    assert_eq!(stage.room.count(), 2);
    stage.is_store_failing = false;
    stage.pass(1);
    assert_eq!(left(&stage.look()), [(anna, LeaveReason::Left)]);
    stage.pass(60);
    assert_eq!(left(&stage.look()), []);
}

#[test]
fn a_deleted_room_closes_every_door_and_stores_nothing() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.knock("s", 2, DoorKind::Publish);
    let stored = stage.log.len();
    stage.look();
    stage.apply(Input::Close);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Closed(SocketId(ANNA), close::ROOM_CLOSED),
                Seen::Door(_, Door::Refused(Refusal { code: ErrorCode::NotFound, .. })),
                Seen::Media(Command::CloseRoom { room: ROOM }),
            ]
        ),
        "{seen:?}"
    );
    stage.join(BORIS, 2);
    assert!(matches!(stage.look()[..], [Seen::Closed(SocketId(BORIS), close::ROOM_CLOSED)]));
    assert!(stage.room.is_empty());
    assert_eq!(stage.log.len(), stored);
}

#[test]
fn a_stopping_process_stores_that_everybody_has_left() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.apply(Input::Suspend { code: close::RESTARTING });
    let seen = stage.look();
    assert_eq!(left(&seen).len(), 2);
    let closed = |id| {
        seen.iter()
            .any(|seen| matches!(seen, Seen::Closed(s, close::RESTARTING) if *s == SocketId(id)))
    };
    assert!(closed(ANNA) && closed(BORIS));
    assert!(stage.room.is_empty());
}

#[test]
fn a_socket_that_comes_back_takes_over_without_leave_and_join() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.chat(BORIS, "hello", None);
    stage.drop_socket(ANNA);
    stage.pass(20);
    stage.look();
    stage.resume(CLARA, 1, anna);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Broadcast(
                    None,
                    ServerMessage::MemberPresence { presence: Presence::Online, .. }
                ),
                Seen::Media(Command::SetAway { away: false, .. }),
                Seen::Sent(SocketId(CLARA), ServerMessage::Joined { resumed: true, .. }),
                Seen::Sent(SocketId(CLARA), ServerMessage::StateSnapshot(_)),
                Seen::Sent(SocketId(CLARA), ServerMessage::SyncInfo { next_seq: 4 }),
            ]
        ),
        "{seen:?}"
    );
    stage.pass(60);
    assert_eq!(left(&stage.look()), []);
}

#[test]
fn taking_over_closes_the_old_socket_and_only_the_old_one() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    stage.resume(BORIS, 1, anna);
    let closed: Vec<_> = stage
        .look()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Closed(socket, code) => Some((socket, code)),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [(SocketId(ANNA), close::REPLACED)]);
    stage.drop_socket(ANNA);
    stage.pass(60);
    assert_eq!(stage.room.count(), 1, "the end of the old socket does not concern them");
}

#[test]
fn nobody_takes_over_a_participant_of_somebody_else() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    stage.resume(BORIS, 2, anna);
    let heard = stage.heard(SocketId(BORIS));
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Joined { resumed: false, .. })));
    assert_eq!(stage.room.count(), 2);
}

#[test]
fn one_person_may_be_in_twice() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 1);
    let people = stage.room.participants();
    assert_eq!(people.len(), 2);
    assert_eq!(people[0].user_id, people[1].user_id);
}

#[test]
fn who_comes_and_goes_without_end_has_to_wait() {
    let mut stage = Stage::new();
    for socket in 0..60 {
        stage.join(socket, 1);
        stage.ask(socket, ClientMessage::Leave);
    }
    assert_eq!(stage.log.len(), 120);
    stage.look();
    stage.join(60, 1);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Sent(_, ServerMessage::Error { code: ErrorCode::RateLimited, .. }),
                Seen::Closed(SocketId(60), close::TRY_LATER)
            ]
        ),
        "{seen:?}"
    );
    let request = stage.door_request("s", 1, DoorKind::Publish);
    stage.apply(Input::Door(Box::new(request)));
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Door(_, Door::Refused(refusal))]
        if refusal.code == ErrorCode::RateLimited),
        "{seen:?}"
    );
    stage.join(61, 2);
    assert_eq!(stage.room.count(), 1, "others may come");
    stage.pass(1);
    stage.join(62, 1);
    assert_eq!(stage.room.count(), 2);
}
