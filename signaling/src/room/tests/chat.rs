use super::*;

#[test]
fn a_line_is_stored_answered_and_told_to_the_others() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.chat(ANNA, "hello", None);
    let seen = stage.look();
    let [
        Seen::Stored(3, Fact::Chat(_)),
        Seen::Sent(SocketId(ANNA), ServerMessage::ChatMessage { message: own, re: Some(_) }),
        Seen::Broadcast(Some(SocketId(ANNA)), ServerMessage::ChatMessage { message, re: None }),
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(own, message);
    assert_eq!((message.text.as_str(), message.seq), ("hello", 3));
    assert_eq!(message.display_name, "user 1");
}

#[test]
fn a_resend_is_answered_with_the_first_and_told_to_nobody_else() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    let first = stage.request(ANNA, line("hello", Some("c1".into())));
    let again = stage.request(ANNA, line("hello", Some("c1".into())));
    stage.look();
    stage.apply_all(vec![first, again]);
    stage.chat(ANNA, "hello", Some("c1"));
    stage.chat(BORIS, "hello", Some("c1"));
    let mut anna = Vec::new();
    let mut broadcasts = 0;
    for seen in stage.look() {
        match seen {
            Seen::Sent(SocketId(ANNA), ServerMessage::ChatMessage { message, .. }) => {
                anna.push(message.id);
            }
            Seen::Broadcast(..) => broadcasts += 1,
            _ => {}
        }
    }
    assert_eq!(anna.len(), 3);
    assert!(anna.iter().all(|id| *id == anna[0]));
    assert_eq!(broadcasts, 2, "one of Anna's and one of Boris's, whose client_id is his own");
}

#[test]
fn a_line_that_cannot_be_stored_is_refused_and_told_to_nobody() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.is_store_failing = true;
    stage.chat(ANNA, "hello", None);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [Seen::Sent(_, ServerMessage::Error { code: ErrorCode::Unavailable, re: Some(_), .. })]
        ),
        "{seen:?}"
    );
    stage.is_store_failing = false;
    stage.join(BORIS, 2);
    let heard = stage.heard(SocketId(BORIS));
    let snapshot = heard.iter().find_map(|message| match message {
        ServerMessage::StateSnapshot(snapshot) => Some(snapshot.messages.len()),
        _ => None,
    });
    assert_eq!(snapshot, Some(0));
}

#[test]
fn lines_that_break_a_rule_are_refused_and_not_stored() {
    let long = "x".repeat(4_001);
    let cases = [
        ("", None, ErrorCode::Invalid),
        (" \n\t", None, ErrorCode::Invalid),
        ("a\0b", None, ErrorCode::Invalid),
        (&long, None, ErrorCode::TooLarge),
        ("a", Some(""), ErrorCode::Invalid),
        ("a", Some(&long[..65]), ErrorCode::TooLarge),
    ];
    for (text, client_id, code) in cases {
        let mut stage = Stage::new();
        stage.join(ANNA, 1);
        let stored = stage.log.len();
        stage.look();
        stage.chat(ANNA, text, client_id);
        assert_eq!(errors(&stage.heard(SocketId(ANNA))), [(code, Some(Value::from(ANNA)))]);
        assert_eq!(stage.log.len(), stored);
    }
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.chat(ANNA, &"ж".repeat(4_000), None);
    assert_eq!(errors(&stage.heard(SocketId(ANNA))), [], "characters count, not bytes");
}

#[test]
fn a_person_who_writes_too_fast_is_refused_on_every_device() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 1);
    stage.join(CLARA, 3);
    stage.look();
    for _ in 0..5 {
        stage.chat(ANNA, "a", None);
        stage.chat(BORIS, "a", None);
    }
    stage.chat(ANNA, "a", None);
    stage.chat(BORIS, "a", None);
    stage.chat(CLARA, "a", None);
    let seen = stage.look();
    let refused = |id| {
        seen.iter()
            .filter(|seen| {
                matches!(seen, Seen::Sent(s, ServerMessage::Error { code: ErrorCode::RateLimited, .. })
                    if *s == SocketId(id))
            })
            .count()
    };
    assert_eq!((refused(ANNA), refused(BORIS), refused(CLARA)), (1, 1, 0));
    stage.pass(1);
    stage.chat(ANNA, "a", None);
    assert_eq!(errors(&stage.heard(SocketId(ANNA))), []);
}

#[test]
fn the_snapshot_has_the_newest_fifty_lines_oldest_first() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    for n in 0..60 {
        stage.chat(ANNA, &n.to_string(), None);
        stage.pass(1);
    }
    stage.look();
    stage.join(BORIS, 2);
    let messages = stage
        .heard(SocketId(BORIS))
        .into_iter()
        .find_map(|message| match message {
            ServerMessage::StateSnapshot(snapshot) => Some(snapshot.messages),
            _ => None,
        })
        .unwrap();
    let texts: Vec<_> =
        messages.iter().map(|message| message.text.parse::<u32>().unwrap()).collect();
    assert_eq!(texts, (10..60).collect::<Vec<_>>());
}

#[test]
fn typing_is_told_to_the_others_and_stored_nowhere() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, ClientMessage::ChatTyping { is_typing: true });
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Broadcast(Some(SocketId(ANNA)), ServerMessage::ChatTyping { participant_id, is_typing: true })] if *participant_id == anna),
        "{seen:?}"
    );
}

#[test]
fn own_mutes_reach_the_media_plane_and_everybody() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.look();
    let muted = ClientMessage::MediaSelf { mic_muted: true, cam_off: false };
    stage.ask(ANNA, muted.clone());
    let media = MediaState { mic_muted: true, ..MediaState::default() };
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [
            Seen::Broadcast(None, ServerMessage::MediaUpdated { participant_id, media: told }),
            Seen::Media(Command::SetMedia { participant, media: set, .. }),
        ] if (*participant_id, *participant) == (anna, anna) && (*told, *set) == (media, media)),
        "{seen:?}"
    );
    assert_eq!(stage.room.participants()[0].media, media);
    stage.ask(ANNA, muted);
    assert!(
        matches!(stage.look()[..], [Seen::Sent(SocketId(ANNA), _)]),
        "nothing changed for others"
    );
}

#[test]
fn who_toggles_too_fast_is_refused() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    for n in 0..30 {
        stage.ask(ANNA, ClientMessage::MediaSelf { mic_muted: n % 2 == 0, cam_off: false });
    }
    assert_eq!(errors(&stage.heard(SocketId(ANNA))).len(), 10);
}
