use super::*;

#[test]
fn an_offer_is_answered_to_its_asker_with_its_id() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, publish("pub"));
    let commands = stage.commands();
    let [Command::Publish { peer, participant, tracks: TrackNames::Named(tracks), .. }] =
        &commands[..]
    else {
        panic!("{commands:?}")
    };
    assert_eq!((*participant, tracks.len()), (anna, 1));
    assert_eq!(Room::index_of(*peer), crate::room::stage::INDEX);
    stage.media(Event::Answered { peer: *peer, sdp: "answer".into() });
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Sent(SocketId(ANNA), ServerMessage::MediaPublished { pc, sdp, re })]
            if pc == "pub" && sdp == "answer" && *re == Some(Value::from(ANNA))),
        "{seen:?}"
    );
}

#[test]
fn the_same_pc_is_the_same_transport_and_another_replaces_it_once_it_is_taken() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, publish("one"));
    let one = published(&stage.commands());
    stage.media(Event::Answered { peer: one, sdp: String::new() });
    stage.ask(ANNA, publish("one"));
    assert_eq!(published(&stage.commands()), one);
    stage.media(Event::Answered { peer: one, sdp: String::new() });
    stage.ask(ANNA, publish("two"));
    let two = published(&stage.commands());
    assert_ne!(one, two);
    stage.media(Event::Answered { peer: two, sdp: String::new() });
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [
            Seen::Sent(_, ServerMessage::MediaPublished { .. }),
            Seen::Media(Command::Close { peer }),
        ] if *peer == one),
        "{seen:?}"
    );
    stage.media(Event::Closed { peer: one, reason: CloseReason::Commanded });
    assert_eq!(stage.look().len(), 0);
}

#[test]
fn a_replacement_that_is_refused_leaves_the_old_transport_alone() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, publish("one"));
    let one = published(&stage.commands());
    stage.media(Event::Answered { peer: one, sdp: String::new() });
    stage.ask(ANNA, publish("two"));
    let two = published(&stage.commands());
    stage.media(Event::Refused { peer: two, reason: "no fingerprint".into() });
    let heard = stage.heard(SocketId(ANNA));
    assert_eq!(errors(&heard), [(ErrorCode::BadSdp, Some(Value::from(ANNA)))]);
    stage.ask(ANNA, publish("one"));
    assert_eq!(published(&stage.commands()), one);
}

#[test]
fn publishing_and_subscribing_do_not_replace_each_other() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, publish("pc"));
    let publisher = published(&stage.commands());
    stage.ask(ANNA, subscribe("pc"));
    let subscriber = subscribed(&stage.commands());
    stage.media(Event::Answered { peer: publisher, sdp: String::new() });
    stage.media(Event::Offered { peer: subscriber, sdp: String::new() });
    assert_eq!(kinds(&stage.heard(SocketId(ANNA))), ["media.published", "media.offer"]);
}

#[test]
fn offers_that_break_a_rule_never_reach_the_media_plane() {
    let track = |mid: &str, source| TrackOffer { mid: mid.into(), source };
    let with = |pc: &str, sdp: &str, tracks| ClientMessage::MediaPublish {
        pc: pc.into(),
        sdp: sdp.into(),
        tracks,
    };
    let mic = || vec![track("0", Source::Microphone)];
    let slots = |audio, video| ClientMessage::MediaSubscribe {
        pc: "p".into(),
        audio_slots: Some(audio),
        video_slots: Some(video),
    };
    let twice = vec![track("0", Source::Camera), track("1", Source::Camera)];
    let same_mid = vec![track("0", Source::Camera), track("0", Source::Microphone)];
    let many = (0..7).map(|n| track(&n.to_string(), Source::Camera)).collect();
    for (message, code) in [
        (with("", "v=0", mic()), ErrorCode::Invalid),
        (with(&"x".repeat(65), "v=0", mic()), ErrorCode::Invalid),
        (with("p", &"x".repeat(96 * 1024 + 1), mic()), ErrorCode::TooLarge),
        (with("p", "v=0", twice), ErrorCode::Invalid),
        (with("p", "v=0", same_mid), ErrorCode::Invalid),
        (with("p", "v=0", many), ErrorCode::Invalid),
        (with("p", "v=0", vec![track("", Source::Camera)]), ErrorCode::Invalid),
        (slots(9, 0), ErrorCode::Invalid),
        (slots(0, 26), ErrorCode::Invalid),
        (slots(0, 0), ErrorCode::Invalid),
        (answer("nothing"), ErrorCode::Conflict),
        (
            ClientMessage::ViewSet(View {
                tiles: None,
                silenced: vec![ParticipantId(Uuid::nil()); 1_025],
            }),
            ErrorCode::Invalid,
        ),
    ] {
        let mut stage = Stage::new();
        stage.join(ANNA, 1);
        stage.look();
        stage.ask(ANNA, message.clone());
        let seen = stage.look();
        assert!(
            matches!(&seen[..], [Seen::Sent(_, ServerMessage::Error { code: said, .. })] if *said == code),
            "{message:?}: {seen:?}"
        );
    }
}

#[test]
fn a_refused_answer_is_told_apart_from_the_offer_after_it() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, subscribe("sub"));
    let peer = subscribed(&stage.commands());
    stage.media(Event::Offered { peer, sdp: String::new() });
    stage.ask(ANNA, answer("sub"));
    stage.media(Event::Refused { peer, reason: "no".into() });
    assert_eq!(errors(&stage.heard(SocketId(ANNA))).len(), 1);
    stage.ask(ANNA, answer("sub"));
    stage.ask(ANNA, subscribe("sub"));
    stage.look();
    stage.media(Event::Offered { peer, sdp: "more".into() });
    let heard = stage.heard(SocketId(ANNA));
    assert!(
        matches!(&heard[..], [ServerMessage::MediaOffer { re: Some(_), .. }]),
        "the answer before it was taken without a word: {heard:?}"
    );
}

#[test]
fn a_negotiation_without_answer_is_given_up() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, publish("pub"));
    let peer = published(&stage.commands());
    stage.pass(4);
    assert_eq!(stage.look().len(), 0);
    stage.pass(1);
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [
            Seen::Media(Command::Close { peer: closed }),
            Seen::Sent(_, ServerMessage::Error { code: ErrorCode::Unavailable, re: Some(_), .. }),
            Seen::Sent(_, ServerMessage::MediaClosed { .. }),
        ] if *closed == peer),
        "{seen:?}"
    );
    stage.media(Event::Answered { peer, sdp: String::new() });
    assert_eq!(stage.look().len(), 0, "too late");
}

#[test]
fn a_flood_of_negotiations_is_bounded() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    for _ in 0..20 {
        stage.ask(ANNA, publish("pub"));
    }
    let seen = stage.look();
    let commands = seen.iter().filter(|seen| matches!(seen, Seen::Media(_))).count();
    assert_eq!(commands, 8);
    for n in 0..20 {
        stage.ask(ANNA, publish(&n.to_string()));
    }
    assert_eq!(stage.room.peers.len(), 1, "only the newest of those that nobody has answered");
}

#[test]
fn a_transport_that_ends_by_itself_is_told_to_its_owner_only() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, publish("pub"));
    let peer = published(&stage.commands());
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.media(Event::Connected { peer });
    stage.look();
    stage.media(Event::Closed { peer, reason: CloseReason::Silent });
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Sent(SocketId(ANNA), ServerMessage::MediaClosed { pc, .. })] if pc == "pub"),
        "{seen:?}"
    );
    stage.drop_socket(ANNA);
    stage.pass(25);
    assert_eq!(left(&stage.look()).len(), 1, "its media does not count any more");
}

#[test]
fn slots_go_to_their_owner_and_again_to_a_socket_that_comes_back() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, subscribe("sub"));
    let peer = subscribed(&stage.commands());
    stage.media(Event::Offered { peer, sdp: String::new() });
    stage.look();
    let slots = vec![SlotBinding {
        mid: "0".into(),
        kind: Kind::Audio,
        participant_id: None,
        track: None,
        layer: None,
        reason: SlotReason::Empty,
    }];
    stage.media(Event::SlotsChanged { room: ROOM, participant: anna, peer, slots });
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Sent(SocketId(ANNA), ServerMessage::SlotsChanged { pc, .. })] if pc == "sub"),
        "{seen:?}"
    );
    stage.drop_socket(ANNA);
    stage.resume(CLARA, 1, anna);
    let heard = kinds(&stage.heard(SocketId(CLARA)));
    assert_eq!(heard, ["joined", "state.snapshot", "sync.info", "slots.changed"]);
}

#[test]
fn the_layers_that_are_taken_go_to_the_publisher_and_again_to_a_socket_that_comes_back() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, publish("pub"));
    let peer = published(&stage.commands());
    stage.media(Event::Answered { peer, sdp: String::new() });
    stage.look();
    let wanted = |rids: &[&str]| Event::LayersWanted {
        peer,
        participant: anna,
        room: ROOM,
        mid: "1".into(),
        rids: rids.iter().map(|rid| (*rid).to_owned()).collect(),
        spatial: rids.is_empty().then_some(1),
    };
    stage.media(wanted(&["q", "h", "f"]));
    stage.media(wanted(&[]));
    let seen = stage.look();
    let [Seen::Sent(SocketId(ANNA), _), Seen::Sent(SocketId(ANNA), message)] = &seen[..] else {
        panic!("{seen:?}")
    };
    let newest = ServerMessage::MediaLayers {
        pc: "pub".into(),
        mid: "1".into(),
        rids: vec![],
        spatial: Some(1),
    };
    assert_eq!(*message, newest);
    stage.drop_socket(ANNA);
    stage.resume(CLARA, 1, anna);
    assert_eq!(stage.heard(SocketId(CLARA)).last(), Some(&newest));
}

#[test]
fn an_answer_that_an_old_socket_asked_for_does_not_reach_the_new_one() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, publish("pub"));
    let peer = published(&stage.commands());
    stage.resume(BORIS, 1, anna);
    stage.look();
    stage.media(Event::Answered { peer, sdp: "old".into() });
    assert_eq!(stage.look().len(), 0);
    stage.ask(BORIS, publish("pub"));
    assert_eq!(published(&stage.commands()), peer);
    stage.media(Event::Answered { peer, sdp: "new".into() });
    assert_eq!(kinds(&stage.heard(SocketId(BORIS))), ["media.published"]);
}

#[test]
fn speakers_and_tracks_are_told_to_everybody_and_stand_in_the_snapshot() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    let track = Track { id: TrackId(Uuid::from_u128(5)), source: Source::Microphone, csrc: 7 };
    let tracks = vec![track];
    stage.media(Event::TracksChanged { room: ROOM, participant: anna, tracks: tracks.clone() });
    let stranger = ParticipantId(Uuid::nil());
    stage.media(Event::SpeakersChanged { room: ROOM, speakers: vec![stranger, anna] });
    stage.media(Event::SpeakersChanged { room: ROOM, speakers: vec![anna, stranger] });
    assert_eq!(kinds(&stage.heard(SocketId(ANNA))), ["tracks.changed", "speakers.changed"]);
    stage.join(BORIS, 2);
    let snapshot = stage.heard(SocketId(BORIS)).into_iter().find_map(|message| match message {
        ServerMessage::StateSnapshot(snapshot) => {
            let (participants, speakers) = (snapshot.participants, snapshot.speakers);
            Some((participants, speakers))
        }
        _ => None,
    });
    let (participants, speakers) = snapshot.unwrap();
    assert_eq!((participants[0].tracks.clone(), speakers), (tracks, vec![anna]));
}
