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
