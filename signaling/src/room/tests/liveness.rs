use super::*;

#[test]
fn ten_seconds_of_silence_are_reconnecting_and_twenty_five_are_left() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.join(BORIS, 2);
    stage.drop_socket(ANNA);
    stage.look();
    stage.pass(9);
    assert_eq!(stage.look().len(), 0);
    stage.pass(1);
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Broadcast(
                    None,
                    ServerMessage::MemberPresence { presence: Presence::Reconnecting, .. }
                ),
                Seen::Media(Command::SetAway { away: true, .. }),
            ]
        ),
        "{seen:?}"
    );
    stage.pass(14);
    assert_eq!(stage.look().len(), 0);
    stage.pass(1);
    assert_eq!(left(&stage.look()), [(anna, LeaveReason::TimedOut)]);
}

#[test]
fn silence_counts_from_when_the_socket_was_last_heard() {
    let mut stage = Stage::new();
    stage.join(ANNA, 1);
    stage.look();
    let heard_at = stage.now;
    stage.now += Duration::from_secs(10);
    stage.apply(Input::SocketGone { socket: SocketId(ANNA), heard_at });
    assert_eq!(presences(&stage.look()), [Presence::Reconnecting]);
    stage.pass(15);
    assert_eq!(left(&stage.look()).len(), 1);
}

#[test]
fn media_alone_keeps_a_participant_here() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: true });
    stage.drop_socket(ANNA);
    stage.look();
    stage.pass(60);
    assert_eq!(stage.look().len(), 0);
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: false });
    assert_eq!(
        presences(&stage.look()),
        [Presence::Reconnecting],
        "the media plane has waited ten seconds already"
    );
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: true });
    assert_eq!(presences(&stage.look()), [Presence::Online]);
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: false });
    stage.pass(15);
    assert_eq!(left(&stage.look()), [(anna, LeaveReason::TimedOut)]);
}

#[test]
fn a_socket_alone_keeps_a_participant_here() {
    let mut stage = Stage::new();
    let anna = stage.join(ANNA, 1);
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: true });
    stage.media(Event::Alive { room: ROOM, participant: anna, alive: false });
    stage.look();
    stage.pass(60);
    assert_eq!(stage.look().len(), 0);
}
