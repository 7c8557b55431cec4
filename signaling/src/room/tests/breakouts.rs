//! Breakout rooms: the main room and one of them, each alone, as given, when, then.

use super::*;
use protocol::breakout::{Breakouts, NewBreakout, NewBreakouts};
use protocol::client::StateChange;
use protocol::room::By;
use std::collections::BTreeMap;

const OWNER: u64 = 1;
const GUEST: u64 = 3;
const MAIN: RoomId = RoomId(Uuid::from_u128(5));

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// Owner 1 and guests 3 and 4, each on the socket of that number.
fn meeting(mut stage: Stage) -> Stage {
    stage.enrol(1, Role::Owner);
    stage.enrol(3, Role::Guest);
    stage.enrol(4, Role::Guest);
    stage.join(OWNER, 1);
    stage.join(GUEST, 3);
    stage.join(4, 4);
    stage.look();
    stage
}

/// Two rooms, guest 3 in the first.
fn two() -> NewBreakouts {
    NewBreakouts {
        rooms: ["Tea", "Coffee"].map(|name| NewBreakout { name: name.into() }).into(),
        assignments: BTreeMap::from([(user(3), 0)]),
        self_choice: false,
        minutes: Some(2),
    }
}

fn opened(stage: &mut Stage) -> Breakouts {
    stage.ask(OWNER, ClientMessage::BreakoutOpen(two()));
    let told = stage.heard(SocketId(GUEST));
    let opened = told.into_iter().find_map(|message| match message {
        ServerMessage::BreakoutOpened { breakouts, .. } => Some(*breakouts),
        _ => None,
    });
    opened.expect("they are open")
}

/// This stage's room as the first of two breakout rooms, with guest 3 in it and guest 4 in the other.
fn breakout() -> Stage {
    let mut breakouts = opened(&mut meeting(Stage::new()));
    breakouts.rooms[0].id = ROOM;
    breakouts.assignments.insert(user(4), 0);
    let log = RoomLog {
        next_seq: 1,
        parent: Some(MAIN),
        breakouts: Some(breakouts),
        ..RoomLog::default()
    };
    meeting(Stage::with(log))
}

fn relayed(stage: &mut Stage, message: ServerMessage) {
    let by = By { user_id: user(1), display_name: "user 1".into() };
    let note = Noted { by, power: None, audience: store::Audience::Everybody, message };
    stage.apply(Input::Noted { note: Box::new(note), reply: Reply::Nobody });
}

fn by() -> By {
    By { user_id: user(1), display_name: "user 1".into() }
}

fn closed(seen: &[Seen]) -> Vec<(u64, u16)> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Closed(socket, code) => Some((socket.0, *code)),
            _ => None,
        })
        .collect()
}

fn is_closed_event(message: &ServerMessage) -> bool {
    matches!(message, ServerMessage::BreakoutClosed { .. })
}

#[test]
fn rooms_that_are_opened_have_addresses_of_their_own_and_stand_in_every_snapshot() {
    let mut stage = meeting(Stage::new());
    let breakouts = opened(&mut stage);
    assert_ne!(breakouts.rooms[0].slug, breakouts.rooms[1].slug);
    assert!(breakouts.rooms.iter().all(|room| room.slug.starts_with("b-")));
    assert_eq!(breakouts.ends_ms, Some(breakouts.opened_ms + 120_000));
    let (snapshot, _) = stage.room.snapshot(user(4), false);
    assert_eq!(snapshot.breakouts, Some(breakouts));
    stage.ask(OWNER, ClientMessage::BreakoutOpen(two()));
    let complaint = errors(&stage.heard(SocketId(OWNER)));
    assert_eq!(complaint, [(ErrorCode::Conflict, Some(OWNER.into()))], "once is enough");
}

#[test]
fn what_is_out_of_bounds_opens_nothing() {
    let mut stage = meeting(Stage::new());
    let many = vec![NewBreakout { name: "x".into() }; 51];
    let nobody = BTreeMap::new();
    for new in [
        NewBreakouts { rooms: Vec::new(), assignments: nobody.clone(), ..two() },
        NewBreakouts { rooms: many, ..two() },
        NewBreakouts {
            rooms: vec![NewBreakout { name: " ".into() }],
            assignments: nobody,
            ..two()
        },
        NewBreakouts { minutes: Some(0), ..two() },
        NewBreakouts { assignments: BTreeMap::from([(user(3), 2)]), ..two() },
    ] {
        stage.ask(OWNER, ClientMessage::BreakoutOpen(new));
        let complaint = errors(&stage.heard(SocketId(OWNER)));
        assert_eq!(complaint, [(ErrorCode::Invalid, Some(OWNER.into()))]);
    }
    stage.ask(GUEST, ClientMessage::BreakoutOpen(two()));
    assert_eq!(errors(&stage.heard(SocketId(GUEST)))[0].0, ErrorCode::Forbidden);
    assert_eq!(stage.room.snapshot(user(1), true).0.breakouts, None);
}

#[test]
fn what_the_store_does_not_take_is_not_open_and_can_be_opened_again() {
    let mut stage = meeting(Stage::new());
    stage.is_store_failing = true;
    stage.ask(OWNER, ClientMessage::BreakoutOpen(two()));
    assert_eq!(errors(&stage.heard(SocketId(OWNER)))[0].0, ErrorCode::Unavailable);
    stage.is_store_failing = false;
    opened(&mut stage);
}

#[test]
fn assignments_change_one_by_one_and_their_places_are_checked() {
    let mut stage = meeting(Stage::new());
    opened(&mut stage);
    let assign = |n, place| ClientMessage::BreakoutAssign {
        assignments: BTreeMap::from([(user(n), place)]),
    };
    stage.ask(OWNER, assign(4, Some(1)));
    stage.ask(OWNER, assign(3, None));
    stage.look();
    stage.ask(OWNER, assign(3, Some(2)));
    assert_eq!(errors(&stage.heard(SocketId(OWNER)))[0].0, ErrorCode::Invalid);
    let breakouts = stage.room.snapshot(user(1), true).0.breakouts.unwrap();
    assert_eq!(breakouts.assignments, BTreeMap::from([(user(4), 1)]));
}

#[test]
fn breakout_rooms_end_when_their_time_is_over() {
    let mut stage = meeting(Stage::new());
    opened(&mut stage);
    stage.pass(119);
    assert!(!stage.heard(SocketId(GUEST)).iter().any(is_closed_event));
    stage.pass(2);
    let told = stage.heard(SocketId(GUEST));
    let ends: Vec<_> = told.iter().filter(|m| is_closed_event(m)).collect();
    assert!(matches!(ends[..], [ServerMessage::BreakoutClosed { by: None, .. }]), "{ends:?}");
    assert_eq!(stage.room.snapshot(user(1), true).0.breakouts, None);
    opened(&mut stage);
}

#[test]
fn a_moderator_announces_the_end_and_the_earliest_end_counts() {
    let mut stage = meeting(Stage::new());
    let ends_ms = opened(&mut stage).ends_ms;
    stage.ask(OWNER, ClientMessage::BreakoutClose { seconds: Some(300) });
    let told = stage.heard(SocketId(GUEST));
    assert!(told.iter().any(
        |m| matches!(m, ServerMessage::BreakoutClosing { ends_ms: at, .. } if Some(*at) == ends_ms)
    ));
    stage.ask(OWNER, ClientMessage::BreakoutClose { seconds: Some(5) });
    stage.pass(6);
    assert!(stage.heard(SocketId(GUEST)).iter().any(is_closed_event));
    stage.ask(OWNER, ClientMessage::BreakoutClose { seconds: Some(0) });
    assert_eq!(errors(&stage.heard(SocketId(OWNER)))[0].0, ErrorCode::Conflict);
}

#[test]
fn a_main_room_waits_while_breakout_rooms_are_open_and_closes_them_when_all_are_deserted() {
    let mut stage = meeting(Stage::new());
    stage.ask(OWNER, ClientMessage::BreakoutOpen(NewBreakouts { minutes: None, ..two() }));
    let breakouts = stage.room.snapshot(user(1), true).0.breakouts.unwrap();
    let people = |stage: &mut Stage, people| {
        stage.apply(Input::People { room: breakouts.rooms[0].id, people });
    };
    people(&mut stage, vec![by()]);
    for socket in [OWNER, GUEST, 4] {
        stage.ask(socket, ClientMessage::Leave);
    }
    stage.pass(3_000);
    assert!(!stage.room.is_empty(), "somebody is in a breakout room");
    people(&mut stage, Vec::new());
    stage.pass(599);
    assert!(!stage.room.is_empty());
    stage.pass(3);
    assert!(stage.room.is_empty());
}

#[test]
fn whoever_comes_back_passes_lock_and_capacity_and_nobody_else_does() {
    let mut stage = meeting(Stage::new());
    opened(&mut stage);
    stage.ask(GUEST, ClientMessage::Leave);
    stage.ask(4, ClientMessage::Leave);
    let shut = StateChange { is_locked: Some(true), capacity: Some(1), ..StateChange::default() };
    stage.ask(OWNER, ClientMessage::StateSet(shut));
    stage.ask(OWNER, ClientMessage::BreakoutClose { seconds: Some(0) });
    stage.look();
    stage.join(13, 3);
    assert!(matches!(stage.heard(SocketId(13))[1], ServerMessage::Joined { .. }));
    stage.join(14, 4);
    assert_eq!(errors(&stage.heard(SocketId(14)))[0].0, ErrorCode::Locked);
    stage.ask(13, ClientMessage::Leave);
    stage.pass(601);
    stage.join(23, 3);
    assert_eq!(errors(&stage.heard(SocketId(23)))[0].0, ErrorCode::Locked, "too late");
}

#[test]
fn what_concerns_people_is_relayed_and_what_concerns_the_room_is_not() {
    let mut stage = meeting(Stage::new());
    let breakouts = opened(&mut stage);
    let kick = ClientMessage::MemberKick { user_id: user(4), reason: None };
    stage.ask(OWNER, kick);
    stage.ask(OWNER, ClientMessage::BreakoutBroadcast { text: "darn soon".into() });
    let topic = StateChange { topic: Some("x".into()), ..StateChange::default() };
    stage.ask(OWNER, ClientMessage::StateSet(topic));
    let mut relayed = Vec::new();
    for seen in stage.look() {
        if let Seen::Relayed(rooms, relay) = seen {
            assert_eq!(rooms, [breakouts.rooms[0].id, breakouts.rooms[1].id]);
            relayed.push(relay.message);
        }
    }
    let [
        ServerMessage::MemberKicked { user_id, .. },
        ServerMessage::BreakoutBroadcast { text, .. },
    ] = &relayed[..]
    else {
        panic!("{relayed:?}");
    };
    assert_eq!((*user_id, text.as_str()), (user(4), "**** soon"));
}

#[test]
fn a_breakout_room_passes_orders_about_people_on_and_answers_with_the_main_rooms_word() {
    let mut stage = breakout();
    let kick = ClientMessage::MemberKick { user_id: user(4), reason: None };
    stage.ask(OWNER, kick.clone());
    let passed = stage.look().into_iter().find_map(|seen| match seen {
        Seen::Passed(passed) => Some(passed),
        _ => None,
    });
    let passed = passed.expect("it is not decided here");
    assert_eq!((passed.to, passed.message, passed.by), (MAIN, kick, by()));
    let refusal = Refusal { code: ErrorCode::NotFound, reason: "gone".into() };
    stage.apply(Input::Answered { reply: passed.reply, answer: Err(refusal) });
    let complaint = errors(&stage.heard(SocketId(OWNER)));
    assert_eq!(complaint, [(ErrorCode::NotFound, Some(OWNER.into()))]);
}

#[test]
fn muting_everybody_in_a_breakout_room_is_passed_on_for_each() {
    let mut stage = breakout();
    let source = protocol::room::Forcible::Microphone;
    stage.ask(OWNER, ClientMessage::MediaForce { user_id: None, source, forced: true });
    let mut whom = Vec::new();
    for seen in stage.look() {
        if let Seen::Passed(passed) = seen {
            let ClientMessage::MediaForce { user_id, forced: true, .. } = passed.message else {
                panic!("{:?}", passed.message);
            };
            whom.push((user_id, passed.reply != Reply::Nobody));
        }
    }
    assert_eq!(whom, [(Some(user(3)), false), (Some(user(4)), true)]);
}

#[test]
fn a_kick_in_the_main_room_counts_here_under_this_rooms_own_number() {
    let mut stage = breakout();
    let message = ServerMessage::MemberKicked {
        user_id: user(4),
        display_name: None,
        is_banned: false,
        reason: None,
        by: by(),
        seq: 900,
    };
    relayed(&mut stage, message);
    let seen = stage.look();
    assert_eq!(closed(&seen), [(4, protocol::server::close::KICKED)]);
    let numbers: Vec<i64> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Broadcast(_, ServerMessage::MemberKicked { seq, .. }) => Some(*seq),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [4], "three have joined before");
}

#[test]
fn who_is_assigned_elsewhere_is_sent_back_and_at_the_end_everybody() {
    let sent_back = protocol::server::close::SENT_BACK;
    let mut stage = breakout();
    let assignments = BTreeMap::from([(user(4), Some(1)), (user(3), Some(0))]);
    relayed(&mut stage, ServerMessage::BreakoutAssigned { assignments, by: by(), seq: 0 });
    assert_eq!(closed(&stage.look()), [(4, sent_back)]);
    stage.join(14, 4);
    assert_eq!(closed(&stage.look()), [(14, sent_back)], "they belong elsewhere now");
    relayed(&mut stage, ServerMessage::BreakoutClosed { by: None, seq: 0 });
    let seen = stage.look();
    assert_eq!(closed(&seen), [(OWNER, sent_back), (GUEST, sent_back)]);
    assert!(stage.room.is_empty());
    stage.join(11, 1);
    assert_eq!(closed(&stage.look()), [(11, sent_back)]);
}

#[test]
fn a_breakout_room_has_no_lobby() {
    let mut stage = breakout();
    let lobby = StateChange { has_lobby: Some(true), ..StateChange::default() };
    stage.ask(OWNER, ClientMessage::StateSet(lobby));
    assert_eq!(errors(&stage.heard(SocketId(OWNER)))[0].0, ErrorCode::Conflict);
}

#[test]
fn a_cry_for_help_names_the_breakout_room_that_passed_it_on() {
    let mut stage = meeting(Stage::new());
    let breakouts = opened(&mut stage);
    let call = |breakout| Input::Call {
        call: 1,
        by: By { user_id: user(3), display_name: "user 3".into() },
        role: Role::Guest,
        message: Box::new(ClientMessage::BreakoutHelp),
        breakout,
        fresh: Uuid::nil(),
    };
    stage.apply(call(Some(breakouts.rooms[1].id)));
    let seen = stage.look();
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Sent(SocketId(OWNER),
        ServerMessage::BreakoutHelp { room: 1, by, .. }) if by.user_id == user(3))));
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Sent(SocketId(4), _))));
    stage.apply(call(None));
    assert!(stage.answers.last().is_some_and(|(_, answer)| answer.is_err()));
}
