use super::*;
use serde_json::json;
use std::time::Duration;

fn reaction() -> ClientMessage {
    ClientMessage::Reaction { emoji: "👍".into() }
}

fn note(to: Option<ParticipantId>, data: Value) -> ClientMessage {
    ClientMessage::SignalMessage { to, topic: "cursor".into(), data }
}

fn refusals(heard: &[ServerMessage]) -> Vec<ErrorCode> {
    let code = |message: &ServerMessage| match message {
        ServerMessage::Error { code, re: Some(_), .. } => Some(*code),
        _ => None,
    };
    heard.iter().filter_map(code).collect()
}

#[test]
fn a_reaction_is_seen_by_everybody_and_stored_nowhere() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, reaction());
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Broadcast(None, ServerMessage::Reaction { participant_id, emoji })]
            if *participant_id == anna && emoji == "👍"),
        "{seen:?}"
    );
}

#[test]
fn words_are_no_reaction() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    stage.ask(ANNA, ClientMessage::Reaction { emoji: "look here".into() });
    assert_eq!(refusals(&stage.heard(SocketId(ANNA))), [ErrorCode::Invalid]);
}

#[test]
fn reactions_have_a_rate_that_messages_to_everybody_share() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    for _ in 0..6 {
        stage.ask(ANNA, reaction());
        stage.ask(ANNA, note(None, json!(1)));
    }
    let seen = stage.look();
    let told = seen.iter().filter(|seen| matches!(seen, Seen::Broadcast(..))).count();
    assert_eq!(told, 10, "{seen:?}");
    assert_eq!(seen.len(), 12);
    stage.ask(BORIS, reaction());
    assert!(matches!(&stage.look()[..], [Seen::Broadcast(..)]), "Boris has a rate of his own");
    stage.now += Duration::from_millis(200);
    stage.ask(ANNA, reaction());
    assert!(matches!(&stage.look()[..], [Seen::Broadcast(..)]), "one fifth of a second later");
}

#[test]
fn a_message_reaches_the_one_it_is_for_with_its_true_sender() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    let boris = stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, note(Some(boris), json!({"x": 1})));
    let seen = stage.look();
    assert!(
        matches!(&seen[..], [Seen::Sent(SocketId(BORIS), ServerMessage::SignalMessage { from, topic, data })]
            if *from == anna && topic == "cursor" && *data == json!({"x": 1})),
        "{seen:?}"
    );
}

#[test]
fn a_message_to_all_reaches_all_others() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, note(None, Value::Null));
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [Seen::Broadcast(Some(SocketId(ANNA)), ServerMessage::SignalMessage { .. })]
        ),
        "{seen:?}"
    );
}

#[test]
fn a_message_to_nobody_is_told_so() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    let boris = stage.join(BORIS, 2);
    stage.apply(Input::SocketGone { socket: SocketId(BORIS), heard_at: stage.now });
    stage.look();
    stage.ask(ANNA, note(Some(boris), Value::Null));
    stage.ask(ANNA, note(Some(ParticipantId(Uuid::nil())), Value::Null));
    let codes = refusals(&stage.heard(SocketId(ANNA)));
    assert_eq!(codes, [ErrorCode::Unavailable, ErrorCode::NotFound]);
}

#[test]
fn a_message_has_bounds() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    let boris = stage.join(BORIS, 2);
    stage.look();
    stage.ask(ANNA, note(Some(boris), Value::String("x".repeat(4_094))));
    stage.ask(ANNA, note(Some(boris), Value::String("x".repeat(4_095))));
    for topic in [String::new(), "x".repeat(33), "a\nb".into()] {
        let data = Value::Null;
        stage.ask(ANNA, ClientMessage::SignalMessage { to: Some(boris), topic, data });
    }
    let seen = stage.look();
    let sent = |socket| {
        seen.iter().filter(|seen| matches!(seen, Seen::Sent(to, _) if to.0 == socket)).count()
    };
    assert_eq!((sent(BORIS), sent(ANNA)), (1, 4), "{seen:?}");
    for _ in 0..50 {
        stage.ask(ANNA, note(Some(boris), Value::Null));
    }
    let seen = stage.look();
    let passed = seen.iter().filter(|seen| matches!(seen, Seen::Sent(SocketId(BORIS), _))).count();
    assert_eq!(passed, 35, "40 at once, 5 of them used before");
}
