use super::*;
use crate::recorder::RecorderOrder;
use protocol::client::StateChange;
use protocol::recording::RecordEnd;

/// What the recorder is told, in short.
fn told(seen: &[Seen]) -> Vec<String> {
    let orders = seen.iter().filter_map(|seen| match seen {
        Seen::Record(RecorderOrder::Begin(beginning)) => {
            Some(format!("begin with {}", beginning.people.len()))
        }
        Seen::Record(RecorderOrder::Heard { message, .. }) => {
            Some(kinds(std::slice::from_ref(message))[0].clone())
        }
        Seen::Record(RecorderOrder::End { reason, .. }) => Some(reason.as_str().to_owned()),
        Seen::Record(RecorderOrder::Discard { .. }) => Some("discard".to_owned()),
        _ => None,
    });
    orders.collect()
}

fn taps(seen: &[Seen]) -> Vec<bool> {
    let taps = seen.iter().filter_map(|seen| match seen {
        Seen::Media(Command::Tap { wanted, .. }) => Some(*wanted),
        _ => None,
    });
    taps.collect()
}

/// Anna owns the room and is in it.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.enrol(1, Role::Owner);
    stage.join(ANNA, 1);
    stage.look();
    stage
}

#[test]
fn the_recorder_hears_what_everybody_hears_from_beginning_to_end() {
    let mut stage = stage();
    stage.ask(ANNA, ClientMessage::RecordStart);
    stage.ask(ANNA, ClientMessage::RecordStart);
    stage.join(BORIS, 2);
    stage.ask(BORIS, ClientMessage::MediaSelf { mic_muted: true, cam_off: false });
    stage.ask(BORIS, ClientMessage::HandRaise);
    stage.chat(BORIS, "the log has this", None);
    stage.ask(BORIS, ClientMessage::RecordStop);
    stage.ask(ANNA, ClientMessage::RecordStop);
    stage.ask(ANNA, ClientMessage::RecordStop);
    stage.ask(BORIS, ClientMessage::Leave);
    let seen = stage.look();
    let expected = ["begin with 1", "member.joined", "media.updated", "hand.raised", "stopped"];
    assert_eq!(told(&seen), expected);
    assert_eq!(taps(&seen), [true, false]);
}

#[test]
fn a_publisher_is_tapped_whether_the_media_plane_knew_the_room_or_not() {
    let mut stage = stage();
    stage.ask(ANNA, ClientMessage::RecordStart);
    stage.look();
    stage.ask(ANNA, publish("a"));
    let commands = stage.commands();
    assert!(matches!(commands[..], [Command::Tap { wanted: true, .. }, Command::Publish { .. }]));
}

#[test]
fn a_recording_that_nobody_is_there_for_ends_and_the_room_lives_until_then() {
    let mut stage = stage();
    stage.ask(ANNA, ClientMessage::RecordStart);
    stage.look();
    stage.ask(ANNA, ClientMessage::Leave);
    assert!(!stage.room.is_empty());
    stage.is_store_failing = true;
    stage.pass(3);
    stage.is_store_failing = false;
    stage.pass(1);
    assert_eq!(told(&stage.look()), ["member.left", "empty"]);
    assert!(stage.room.is_empty());
}

#[test]
fn a_recorder_that_cannot_go_on_ends_the_recording_and_nothing_else() {
    let mut stage = stage();
    stage.ask(ANNA, ClientMessage::RecordStart);
    let state = stage.room.snapshot(UserId(Uuid::from_u128(1)), true).0.state;
    assert!(state.recording_active);
    let recording = state.recording.unwrap().recording_id;
    stage.look();
    let reason = RecordEnd::NoSpace;
    stage.apply(Input::RecordingEnds { recording: protocol::RecordingId(Uuid::nil()), reason });
    assert!(stage.look().is_empty(), "that is another recording");
    stage.apply(Input::RecordingEnds { recording, reason });
    let seen = stage.look();
    assert!(seen.iter().any(|seen| matches!(
        seen,
        Seen::Broadcast(
            None,
            ServerMessage::RecordStopped { by: None, reason: RecordEnd::NoSpace, .. }
        )
    )));
    assert_eq!(told(&seen), ["no_space"]);
    assert_eq!(stage.room.count(), 1);
    let state = stage.room.snapshot(UserId(Uuid::from_u128(1)), true).0.state;
    assert!(!state.recording_active && state.recording.is_none());
}

#[test]
fn a_room_that_records_by_itself_does_until_somebody_stops_it() {
    let mut stage = stage();
    let change = StateChange {
        auto_record: Some(true),
        record_consent: Some("We keep this.".into()),
        ..StateChange::default()
    };
    stage.ask(ANNA, ClientMessage::StateSet(change));
    stage.look();
    stage.join(BORIS, 2);
    let seen = stage.look();
    assert!(seen.iter().any(|seen| matches!(
        seen,
        Seen::Broadcast(None, ServerMessage::RecordStarted { recording, consent: Some(words), .. })
            if recording.by.is_none() && words == "We keep this."
    )));
    stage.ask(ANNA, ClientMessage::RecordStop);
    stage.join(CLARA, 3);
    assert_eq!(told(&stage.look()), ["stopped"]);
    for socket in [ANNA, BORIS, CLARA] {
        stage.ask(socket, ClientMessage::Leave);
    }
    stage.pass(1);
    stage.look();
    stage.join(4, 4);
    assert_eq!(told(&stage.look()), ["begin with 1"]);
}

#[test]
fn a_deleted_room_takes_its_recording_along_and_a_stop_of_the_server_finishes_it() {
    for (input, expected) in
        [(Input::Close, "discard"), (Input::Suspend { code: 1012 }, "server_stopped")]
    {
        let mut stage = stage();
        stage.ask(ANNA, ClientMessage::RecordStart);
        stage.look();
        stage.apply(input);
        let told = told(&stage.look());
        assert!(told.iter().any(|order| order == expected), "{told:?}");
        assert!(stage.room.is_over());
    }
}
