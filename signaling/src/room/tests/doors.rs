use super::*;

#[test]
fn an_encoder_is_a_participant_once_its_offer_is_taken_and_its_joining_stored() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    let (encoder, peer) = stage.knock("s", 2, DoorKind::Publish);
    assert_eq!(stage.room.count(), 1);
    let tracks = vec![Track { id: TrackId(Uuid::nil()), source: Source::Camera, csrc: 1 }];
    stage.media(Event::TracksChanged { room: ROOM, participant: encoder, tracks });
    assert_eq!(stage.look().len(), 0, "nobody knows them yet");
    stage.media(Event::Answered { peer, sdp: "answer".into() });
    let seen = stage.look();
    let [
        Seen::Stored(2, Fact::Joined(_)),
        Seen::Broadcast(None, ServerMessage::MemberJoined { participant, .. }),
        Seen::Door(session, Door::Open(sdp)),
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((participant.id, participant.tracks.len()), (encoder, 1));
    assert_eq!((session.as_str(), sdp.as_str()), ("s", "answer"));
}

#[test]
fn an_encoder_whose_joining_cannot_be_stored_is_sent_away() {
    let mut stage = Stage::new();
    let (_, peer) = stage.knock("s", 2, DoorKind::Publish);
    stage.is_store_failing = true;
    stage.media(Event::Answered { peer, sdp: "answer".into() });
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Door(_, Door::Refused(Refusal { code: ErrorCode::Unavailable, .. })),
                Seen::Media(Command::Leave { .. }),
            ]
        ),
        "{seen:?}"
    );
    assert!(stage.room.is_empty());
}

#[test]
fn an_encoder_leaves_at_once_when_its_session_or_its_transport_ends() {
    for by_delete in [true, false] {
        let mut stage = Stage::new();
        let (encoder, peer) = stage.knock("s", 2, DoorKind::Publish);
        stage.media(Event::Answered { peer, sdp: String::new() });
        assert!(stage.room.has_door("s"));
        stage.look();
        if by_delete {
            stage.apply(Input::DoorGone { session: "s".into() });
        } else {
            stage.media(Event::Closed { peer, reason: CloseReason::ClosedByPeer });
        }
        assert_eq!(left(&stage.look()), [(encoder, LeaveReason::Left)]);
        assert!(stage.room.is_empty() && !stage.room.has_door("s"));
    }
}

#[test]
fn an_encoder_that_never_connects_has_left_after_twenty_five_seconds() {
    let mut stage = Stage::new();
    let (encoder, peer) = stage.knock("s", 2, DoorKind::Publish);
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.pass(24);
    assert_eq!(presences(&stage.look()), [Presence::Reconnecting]);
    stage.pass(1);
    assert_eq!(left(&stage.look()), [(encoder, LeaveReason::TimedOut)]);
}

#[test]
fn an_encoder_that_streams_stays_without_a_socket() {
    let mut stage = Stage::new();
    let (_, peer) = stage.knock("s", 2, DoorKind::Publish);
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.media(Event::Connected { peer });
    stage.look();
    stage.pass(60);
    assert_eq!(stage.look().len(), 0);
}

#[test]
fn a_bad_offer_at_a_door_is_told_and_leaves_nothing() {
    for kind in [DoorKind::Publish, DoorKind::Watch { follow: None }] {
        let mut stage = Stage::new();
        let (_, peer) = stage.knock("s", 2, kind);
        stage.media(Event::Refused { peer, reason: "no ICE".into() });
        let seen = stage.look();
        assert!(
            matches!(&seen[..], [Seen::Media(Command::Leave { .. }), Seen::Door(_, Door::Refused(refusal))]
                if refusal.code == ErrorCode::BadSdp && refusal.reason == "no ICE"),
            "{seen:?}"
        );
        assert!(stage.room.is_empty() && stage.log.is_empty());
    }
}

#[test]
fn a_door_that_the_media_plane_does_not_answer_is_refused_after_five_seconds() {
    let mut stage = Stage::new();
    stage.knock("s", 2, DoorKind::Publish);
    stage.pass(5);
    let seen = stage.look();
    assert!(
        seen.iter().any(|seen| matches!(seen, Seen::Door(_, Door::Refused(refusal)) if refusal.code == ErrorCode::Unavailable)),
        "{seen:?}"
    );
    assert!(stage.room.is_empty());
}

#[test]
fn a_viewer_is_seen_by_nobody_and_gone_without_a_trace() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    let (viewer, peer) = stage.knock("s", 2, DoorKind::Watch { follow: None });
    stage.media(Event::Answered { peer, sdp: "answer".into() });
    stage.media(Event::Connected { peer });
    let seen = stage.look();
    assert!(matches!(&seen[..], [Seen::Door(_, Door::Open(_))]), "{seen:?}");
    assert!(stage.room.participants().iter().all(|person| person.id != viewer));
    stage.pass(60);
    stage.media(Event::Closed { peer, reason: CloseReason::ClosedByPeer });
    let seen = stage.look();
    assert!(matches!(&seen[..], [Seen::Media(Command::Leave { .. })]), "{seen:?}");
    assert_eq!(stage.log.len(), 1, "only Anna's joining is stored");
}

#[test]
fn a_viewer_that_never_connects_is_let_go() {
    let mut stage = Stage::new();
    let (_, peer) = stage.knock("s", 2, DoorKind::Watch { follow: None });
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.pass(29);
    assert!(!stage.room.is_empty());
    stage.pass(1);
    assert!(stage.room.is_empty());
}

#[test]
fn a_viewer_can_only_follow_somebody_who_is_here() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.knock("s", 2, DoorKind::Watch { follow: Some(anna) });
    let stranger = DoorKind::Watch { follow: Some(ParticipantId(Uuid::nil())) };
    let request = stage.door_request("t", 2, stranger);
    stage.look();
    stage.apply(Input::Door(Box::new(request)));
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Door(_, Door::Refused(refusal))] if refusal.code == ErrorCode::NotFound),
        "{seen:?}"
    );
}

/// Opens a session with a pass of its own; the media plane takes it.
fn opened(
    stage: &mut Stage,
    session: &str,
    user: u128,
    kind: DoorKind,
    pass: Pass,
) -> ParticipantId {
    let request = DoorRequest { pass, ..stage.door_request(session, user, kind) };
    let id = request.participant;
    stage.apply(Input::Door(Box::new(request)));
    let Some(Command::Publish { peer, .. } | Command::Watch { peer, .. }) = stage.commands().pop()
    else {
        panic!("no transport was asked for")
    };
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.media(Event::Connected { peer });
    stage.look();
    id
}

fn token(session: u128) -> Pass {
    Pass::Token { signed_in: Uuid::from_u128(session) }
}

/// Of whom relays end.
fn sent_away(seen: &[Seen]) -> Vec<UserId> {
    let away = |seen: &Seen| match seen {
        Seen::Media(Command::SendAway { user, .. }) => Some(*user),
        _ => None,
    };
    seen.iter().filter_map(away).collect()
}

#[test]
fn what_a_key_opened_ends_with_the_key_and_nothing_else_does() {
    let mut stage = Stage::new();
    let until_ms = Some(stage.wall_ms + 5_000);
    let camera = opened(&mut stage, "camera", 2, DoorKind::Publish, Pass::Key { until_ms });
    opened(&mut stage, "wall", 3, DoorKind::Watch { follow: None }, Pass::Key { until_ms });
    opened(&mut stage, "other", 4, DoorKind::Publish, Pass::Key { until_ms: None });
    opened(&mut stage, "own", 5, DoorKind::Publish, token(1));
    stage.pass(4);
    assert!(["camera", "wall", "other", "own"].iter().all(|name| stage.room.has_door(name)));
    stage.look();
    stage.pass(2);
    assert_eq!(
        ["camera", "wall", "other", "own"].map(|name| stage.room.has_door(name)),
        [false, false, true, true]
    );
    let seen = stage.look();
    assert_eq!(left(&seen), [(camera, LeaveReason::Left)]);
    assert_eq!(sent_away(&seen), [2, 3].map(|n| UserId(Uuid::from_u128(n))));
}

#[test]
fn a_sign_out_ends_the_sessions_it_opened_and_relays_that_nobody_else_of_theirs_needs() {
    let mut stage = Stage::new();
    let (boris, cara) = (UserId(Uuid::from_u128(2)), UserId(Uuid::from_u128(3)));
    let encoder = opened(&mut stage, "camera", 2, DoorKind::Publish, token(1));
    opened(&mut stage, "wall", 2, DoorKind::Watch { follow: None }, token(2));
    opened(&mut stage, "key", 2, DoorKind::Publish, Pass::Key { until_ms: None });
    opened(&mut stage, "hers", 3, DoorKind::Watch { follow: None }, token(3));
    stage.apply(Input::SignedOut(SignedOut::Session(Uuid::from_u128(1))));
    let seen = stage.look();
    assert_eq!(left(&seen), [(encoder, LeaveReason::Left)]);
    assert_eq!(sent_away(&seen), [], "another session of theirs still watches");
    stage.apply(Input::DoorGone { session: "key".into() });
    stage.look();
    stage.apply(Input::SignedOut(SignedOut::Person(boris)));
    assert_eq!(sent_away(&stage.look()), [boris]);
    assert_eq!(
        ["camera", "wall", "hers"].map(|name| stage.room.has_door(name)),
        [false, false, true]
    );
    // Who has not been answered yet hears why.
    stage.knock("late", 3, DoorKind::Publish);
    stage.apply(Input::SignedOut(SignedOut::Person(cara)));
    let seen = stage.look();
    let refused = |seen: &Seen| matches!(seen, Seen::Door(session, Door::Refused(refusal)) if session == "late" && refusal.code == ErrorCode::Unauthorized);
    assert!(seen.iter().any(refused), "{seen:?}");
    assert!(!stage.room.has_door("hers") && !stage.room.has_door("late"));
}

#[test]
fn a_device_that_signs_out_leaves_and_its_relays_end_unless_another_is_here() {
    let mut stage = Stage::new();
    let (phone, laptop) = (SocketId(1), SocketId(2));
    let first = stage.join(1, 2);
    let second = stage.join(2, 2);
    stage.look();
    stage.apply(Input::SocketSignedOut { socket: phone });
    let seen = stage.look();
    assert_eq!((left(&seen), sent_away(&seen)), (vec![(first, LeaveReason::Left)], vec![]));
    stage.apply(Input::SocketSignedOut { socket: laptop });
    let seen = stage.look();
    assert_eq!(left(&seen), [(second, LeaveReason::Left)]);
    assert_eq!(sent_away(&seen), [UserId(Uuid::from_u128(2))]);
    stage.apply(Input::SocketSignedOut { socket: laptop });
    assert_eq!(sent_away(&stage.look()), [], "once");
}
