//! Roles, orders, lobby and hands, each as given, when, then.

use super::*;
use protocol::client::StateChange;
use protocol::room::{Forcible, KnockOutcome};

const OWNER: u64 = 1;
const ADMIN: u64 = 2;
const GUEST: u64 = 3;

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// Owner 1, admin 2 and guest 3, each on the socket of that number.
fn meeting() -> (Stage, [ParticipantId; 3]) {
    let mut stage = Stage::new();
    stage.enrol(1, Role::Owner);
    stage.enrol(2, Role::Admin);
    stage.enrol(3, Role::Guest);
    let people = [stage.join(OWNER, 1), stage.join(ADMIN, 2), stage.join(GUEST, 3)];
    stage.look();
    (stage, people)
}

fn mute(n: u128, forced: bool) -> ClientMessage {
    ClientMessage::MediaForce { user_id: Some(user(n)), source: Forcible::Microphone, forced }
}

fn kick(n: u128) -> ClientMessage {
    ClientMessage::MemberKick { user_id: user(n), reason: None }
}

fn state(change: StateChange) -> ClientMessage {
    ClientMessage::StateSet(change)
}

fn muting(on: bool) -> ClientMessage {
    state(StateChange { mute_all: Some(on), ..StateChange::default() })
}

fn lobby(on: bool) -> ClientMessage {
    state(StateChange { has_lobby: Some(on), ..StateChange::default() })
}

fn media_of(stage: &Stage, id: ParticipantId) -> MediaState {
    let people = stage.room.participants();
    people.into_iter().find(|person| person.id == id).unwrap().media
}

fn told(commands: &[Command]) -> Vec<(ParticipantId, MediaState)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::SetMedia { participant, media, .. } => Some((*participant, *media)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_forced_mute_is_told_by_name_reaches_the_media_plane_and_is_answered() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.ask(ADMIN, mute(3, true));
    let seen = stage.look();
    assert!(
        matches!(
            &seen[..],
            [
                Seen::Stored(4, Fact::Ordered(_)),
                Seen::Broadcast(None, ServerMessage::MediaForced { forced: true, by, seq: 4, .. }),
                Seen::Media(Command::SetMedia { media: MediaState { mic_forced: true, .. }, .. }),
                Seen::Broadcast(None, ServerMessage::MediaUpdated { .. }),
                Seen::Sent(SocketId(ADMIN), ServerMessage::Done { re: Some(_) }),
            ] if by.user_id == user(2)
        ),
        "{seen:?}"
    );
    let people = stage.room.participants();
    let muted = people.iter().find(|person| person.id == guest).unwrap();
    assert_eq!(muted.orders.microphone.as_ref().unwrap().user_id, user(2));
}

#[test]
fn a_forced_mute_outlives_the_participant_and_holds_on_every_device_and_door() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.ask(OWNER, mute(3, true));
    let own = ClientMessage::MediaSelf { mic_muted: false, cam_off: false };
    stage.ask(GUEST, own);
    assert!(media_of(&stage, guest).mic_forced, "their own word does not lift it");
    stage.commands();
    let second = stage.join(9, 3);
    assert_eq!(told(&stage.commands()).len(), 1);
    assert!(media_of(&stage, second).mic_forced);
    stage.ask(GUEST, ClientMessage::Leave);
    stage.ask(9, ClientMessage::Leave);
    stage.look();
    let third = stage.join(10, 3);
    assert!(media_of(&stage, third).mic_forced);
    stage.look();
    let request = stage.door_request("s", 3, DoorKind::Publish);
    stage.apply(Input::Door(Box::new(request)));
    let commands = stage.commands();
    assert!(
        matches!(
            &commands[..],
            [Command::SetMedia { media, .. }, Command::Publish { .. }] if media.mic_forced
        ),
        "muted before the first packet: {commands:?}"
    );
}

#[test]
fn lifting_a_mute_opens_nothing_that_its_owner_has_closed() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.ask(GUEST, ClientMessage::MediaSelf { mic_muted: true, cam_off: true });
    stage.ask(ADMIN, mute(3, true));
    stage.ask(ADMIN, mute(3, false));
    let media = media_of(&stage, guest);
    assert_eq!((media.mic_muted, media.mic_forced), (true, false));
    assert!(media.cam_off);
}

#[test]
fn muting_everybody_spares_moderators_and_whoever_may_speak_for_as_long_as_they_may() {
    let (mut stage, [owner, admin, guest]) = meeting();
    stage.ask(ADMIN, muting(true));
    assert!(media_of(&stage, guest).mic_forced && !media_of(&stage, guest).cam_forced);
    assert!(!media_of(&stage, owner).mic_forced && !media_of(&stage, admin).mic_forced);
    let allow = |allowed, minutes| ClientMessage::SpeakAllow { user_id: user(3), allowed, minutes };
    stage.ask(ADMIN, allow(true, Some(1)));
    assert!(!media_of(&stage, guest).mic_forced);
    stage.pass(59);
    assert!(!media_of(&stage, guest).mic_forced);
    stage.pass(1);
    assert!(media_of(&stage, guest).mic_forced, "the minute is over");
    stage.ask(ADMIN, allow(true, None));
    stage.pass(3_600);
    assert!(!media_of(&stage, guest).mic_forced);
    stage.ask(ADMIN, allow(false, None));
    assert!(media_of(&stage, guest).mic_forced);
    stage.ask(ADMIN, muting(false));
    assert!(!media_of(&stage, guest).mic_forced);
}

#[test]
fn who_is_muted_by_name_stays_muted_when_everybody_is_unmuted() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.ask(ADMIN, mute(3, true));
    stage.ask(ADMIN, muting(true));
    stage.ask(ADMIN, muting(false));
    assert!(media_of(&stage, guest).mic_forced);
}

#[test]
fn stopping_everybodys_camera_reaches_all_who_are_no_moderators() {
    let (mut stage, [owner, _, guest]) = meeting();
    let other = stage.join(4, 4);
    let stop =
        |forced| ClientMessage::MediaForce { user_id: None, source: Forcible::Camera, forced };
    stage.ask(ADMIN, stop(true));
    assert!(media_of(&stage, guest).cam_forced && media_of(&stage, other).cam_forced);
    assert!(!media_of(&stage, owner).cam_forced);
    stage.look();
    stage.ask(ADMIN, stop(true));
    assert_eq!(kinds(&stage.heard(SocketId(ADMIN))), ["done"], "there is nobody left to stop");
}

#[test]
fn orders_of_those_without_power_or_against_their_betters_change_nothing() {
    let (mut stage, [owner, ..]) = meeting();
    for (socket, message, code) in [
        (GUEST, mute(2, true), ErrorCode::Forbidden),
        (GUEST, muting(true), ErrorCode::Forbidden),
        (GUEST, kick(1), ErrorCode::Forbidden),
        (GUEST, ClientMessage::LobbyAdmit { participant_id: None }, ErrorCode::Forbidden),
        (ADMIN, mute(1, true), ErrorCode::Forbidden),
        (ADMIN, kick(1), ErrorCode::Forbidden),
        (ADMIN, kick(2), ErrorCode::Forbidden),
        (ADMIN, kick(77), ErrorCode::NotFound),
        (OWNER, kick(1), ErrorCode::Forbidden),
        (
            ADMIN,
            ClientMessage::RoleSet { user_id: user(3), role: Role::Admin },
            ErrorCode::Forbidden,
        ),
        (
            ADMIN,
            ClientMessage::RoleSet { user_id: user(3), role: Role::Owner },
            ErrorCode::Forbidden,
        ),
        (
            ADMIN,
            ClientMessage::RoleSet { user_id: user(2), role: Role::Owner },
            ErrorCode::Forbidden,
        ),
        (
            OWNER,
            ClientMessage::RoleSet { user_id: user(1), role: Role::Guest },
            ErrorCode::Forbidden,
        ),
        (
            GUEST,
            ClientMessage::HandLower { participant_id: Some(owner), everybody: false },
            ErrorCode::Forbidden,
        ),
        (
            GUEST,
            ClientMessage::HandLower { participant_id: None, everybody: true },
            ErrorCode::Forbidden,
        ),
    ] {
        let stored = stage.log.len();
        stage.look();
        stage.ask(socket, message.clone());
        let heard = stage.heard(SocketId(socket));
        let codes: Vec<_> = errors(&heard).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, [code], "{message:?}");
        assert_eq!(stage.log.len(), stored, "{message:?}");
    }
}

#[test]
fn an_order_that_the_store_does_not_take_did_not_happen() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.is_store_failing = true;
    for message in [mute(3, true), kick(3), muting(true)] {
        stage.look();
        stage.ask(OWNER, message);
        let heard = stage.heard(SocketId(OWNER));
        assert_eq!(errors(&heard).first().map(|(code, _)| *code), Some(ErrorCode::Unavailable));
        assert_eq!(heard.len(), 1);
    }
    assert_eq!(media_of(&stage, guest), MediaState::default());
    assert!(!stage.room.wanted.mute_all);
}

#[test]
fn a_demotion_counts_for_the_next_word_on_an_open_socket() {
    let (mut stage, _) = meeting();
    stage.ask(OWNER, ClientMessage::RoleSet { user_id: user(2), role: Role::Member });
    let heard = stage.heard(SocketId(ADMIN));
    assert_eq!(kinds(&heard), ["role.changed", "state.snapshot", "sync.info"]);
    stage.ask(ADMIN, mute(3, true));
    let heard = stage.heard(SocketId(ADMIN));
    assert_eq!(errors(&heard)[0].0, ErrorCode::Forbidden);
}

#[test]
fn who_loses_mute_all_immunity_by_demotion_is_silent_at_once() {
    let (mut stage, [_, admin, _]) = meeting();
    stage.ask(OWNER, muting(true));
    assert!(!media_of(&stage, admin).mic_forced);
    stage.ask(OWNER, ClientMessage::RoleSet { user_id: user(2), role: Role::Member });
    assert!(media_of(&stage, admin).mic_forced);
}

#[test]
fn of_two_transfers_of_one_room_the_first_counts() {
    let (mut stage, _) = meeting();
    let give = |n| ClientMessage::RoleSet { user_id: user(n), role: Role::Owner };
    let (first, second) = (stage.request(OWNER, give(2)), stage.request(OWNER, give(3)));
    stage.apply_all(vec![first, second]);
    let heard = stage.heard(SocketId(OWNER));
    assert_eq!(errors(&heard)[0].0, ErrorCode::Forbidden, "the owner is an admin by then");
    let roles: Vec<Role> = stage.room.participants().iter().map(|person| person.role).collect();
    assert_eq!(roles, [Role::Admin, Role::Owner, Role::Guest]);
}

#[test]
fn a_kick_ends_every_presence_transport_and_session_of_a_person() {
    let (mut stage, [_, _, guest]) = meeting();
    let second = stage.join(9, 3);
    stage.knock("whip", 3, DoorKind::Publish);
    let (viewer, _) = stage.knock("whep", 3, DoorKind::Watch { follow: None });
    stage.ask(GUEST, publish("p"));
    let mut late = stage.join_request(11, 3);
    late.place = Place::Of(guest);
    stage.look();
    stage.ask(ADMIN, kick(3));
    let seen = stage.look();
    let left_media: Vec<ParticipantId> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Media(Command::Leave { participant, .. }) => Some(*participant),
            _ => None,
        })
        .collect();
    assert!([guest, second, viewer].iter().all(|id| left_media.contains(id)), "{seen:?}");
    let closed: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Closed(socket, code) => Some((socket.0, *code)),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [(GUEST, close::KICKED), (9, close::KICKED)]);
    assert!(
        seen.iter()
            .any(|seen| matches!(seen, Seen::Door(session, Door::Refused(_)) if session == "whip"))
    );
    assert!(left(&seen).iter().all(|(_, reason)| *reason == LeaveReason::Kicked));
    stage.apply(Input::Join(Box::new(late)));
    assert_eq!(
        stage.room.count(),
        2,
        "they are no member any more, with whatever secret they come"
    );
}

#[test]
fn a_kick_overtakes_a_join_that_is_being_stored() {
    let (mut stage, _) = meeting();
    stage.enrol(4, Role::Guest);
    let join = stage.join_request(4, 4);
    let kick = stage.request(ADMIN, kick(4));
    stage.apply_all(vec![Input::Join(Box::new(join)), kick]);
    assert_eq!(stage.room.count(), 3);
    assert!(
        stage.look().iter().any(|seen| matches!(seen, Seen::Closed(SocketId(4), close::KICKED)))
    );
}

#[test]
fn hands_stand_in_order_and_go_with_their_owners() {
    let (mut stage, [owner, admin, guest]) = meeting();
    for socket in [GUEST, OWNER, ADMIN, GUEST] {
        stage.ask(socket, ClientMessage::HandRaise);
    }
    assert_eq!(stage.room.state.hands_up, [guest, owner, admin]);
    stage.ask(ADMIN, ClientMessage::HandLower { participant_id: Some(guest), everybody: false });
    assert_eq!(stage.room.state.hands_up, [owner, admin]);
    stage.ask(OWNER, ClientMessage::Leave);
    assert_eq!(stage.room.state.hands_up, [admin]);
    stage.look();
    stage.ask(ADMIN, ClientMessage::HandLower { participant_id: None, everybody: true });
    let heard = stage.heard(SocketId(GUEST));
    assert!(
        matches!(
            &heard[..],
            [ServerMessage::HandLowered { participant_id: None, by: Some(_), .. }]
        ),
        "{heard:?}"
    );
    assert_eq!(stage.room.wanted, stage.room.state);
}

#[test]
fn two_changes_of_the_state_at_once_are_both_in_the_seconds_message() {
    let (mut stage, _) = meeting();
    let topic = state(StateChange { topic: Some(" Budget ".into()), ..StateChange::default() });
    let (one, two) = (stage.request(OWNER, muting(true)), stage.request(ADMIN, topic));
    stage.apply_all(vec![one, two]);
    let heard = stage.heard(SocketId(GUEST));
    let last = heard.iter().rev().find_map(|message| match message {
        ServerMessage::StateChanged { state, .. } => Some(state.clone()),
        _ => None,
    });
    let last = last.unwrap();
    assert_eq!((last.topic.as_str(), last.mute_all), ("Budget", true));
    assert_eq!(stage.room.state, last);
}

#[test]
fn a_locked_room_takes_nobody_new_but_its_moderators_and_second_devices() {
    let (mut stage, [_, _, guest]) = meeting();
    let lock = state(StateChange { is_locked: Some(true), ..StateChange::default() });
    stage.ask(OWNER, lock);
    stage.look();
    stage.join(4, 4);
    assert_eq!(errors(&stage.heard(SocketId(4)))[0].0, ErrorCode::Locked);
    stage.join(5, 3);
    stage.resume(6, 3, guest);
    stage.ask(ADMIN, ClientMessage::Leave);
    stage.join(7, 2);
    assert_eq!(stage.room.count(), 4);
    let request = stage.door_request("s", 4, DoorKind::Publish);
    stage.look();
    stage.apply(Input::Door(Box::new(request)));
    assert!(matches!(
        &stage.look()[..],
        [Seen::Door(_, Door::Refused(Refusal { code: ErrorCode::Locked, .. }))]
    ));
}

#[test]
fn the_owner_comes_into_a_full_locked_room_with_a_lobby() {
    let (mut stage, _) = meeting();
    stage.ask(
        OWNER,
        state(StateChange {
            is_locked: Some(true),
            has_lobby: Some(true),
            capacity: Some(1),
            ..StateChange::default()
        }),
    );
    stage.ask(OWNER, ClientMessage::Leave);
    stage.look();
    stage.join(9, 1);
    assert_eq!(kinds(&stage.heard(SocketId(9)))[1], "joined");
}

#[test]
fn who_knocks_waits_and_comes_in_when_admitted_and_need_not_knock_again() {
    let (mut stage, _) = meeting();
    stage.ask(OWNER, lobby(true));
    stage.look();
    let clara = stage.join(4, 4);
    let seen = stage.look();
    let waits =
        |seen: &Seen| matches!(seen, Seen::Sent(SocketId(4), ServerMessage::LobbyWaiting { .. }));
    assert!(seen.iter().any(waits), "{seen:?}");
    let told: Vec<u64> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Sent(socket, ServerMessage::LobbyKnocked { .. }) => Some(socket.0),
            _ => None,
        })
        .collect();
    assert_eq!(told, [OWNER, ADMIN], "moderators and nobody else");
    stage.ask(4, line("hello", None));
    assert_eq!(errors(&stage.heard(SocketId(4)))[0].0, ErrorCode::Lobby);
    stage.ask(ADMIN, ClientMessage::LobbyAdmit { participant_id: Some(clara) });
    assert_eq!(
        kinds(&stage.heard(SocketId(4))),
        ["member.joined", "joined", "state.snapshot", "sync.info"]
    );
    stage.ask(4, ClientMessage::Leave);
    stage.look();
    stage.join(5, 4);
    assert_eq!(stage.room.count(), 4);
    stage.ask(5, ClientMessage::Leave);
    stage.pass(13 * 3_600);
    stage.look();
    stage.join(6, 4);
    assert_eq!(kinds(&stage.heard(SocketId(6))), ["lobby.waiting"]);
}

#[test]
fn who_is_refused_is_closed_and_who_goes_is_told() {
    let (mut stage, _) = meeting();
    stage.ask(OWNER, lobby(true));
    let clara = stage.join(4, 4);
    stage.look();
    stage.ask(ADMIN, ClientMessage::LobbyRefuse { participant_id: clara });
    assert!(
        stage.look().iter().any(|seen| matches!(seen, Seen::Closed(SocketId(4), close::REFUSED)))
    );
    stage.join(5, 4);
    stage.drop_socket(5);
    let heard = stage.heard(SocketId(ADMIN));
    assert!(matches!(
        heard.last(),
        Some(ServerMessage::LobbyLeft { outcome: KnockOutcome::Gone, by: None, .. })
    ));
    assert!(stage.room.lobby.is_empty());
    assert_eq!(stage.room.sockets.len(), 3);
}

#[test]
fn admitting_all_and_opening_the_lobby_let_everybody_in() {
    for message in [ClientMessage::LobbyAdmit { participant_id: None }, lobby(false)] {
        let (mut stage, _) = meeting();
        stage.ask(OWNER, lobby(true));
        for n in 4..10 {
            stage.join(n, n.into());
        }
        assert_eq!(stage.room.count(), 3);
        stage.ask(ADMIN, message);
        assert_eq!(stage.room.count(), 9);
        assert!(stage.room.lobby.is_empty());
    }
}

#[test]
fn a_new_moderator_sees_who_waits() {
    let (mut stage, _) = meeting();
    stage.join(4, 4);
    stage.ask(OWNER, lobby(true));
    stage.join(5, 5);
    stage.look();
    stage.ask(OWNER, ClientMessage::RoleSet { user_id: user(4), role: Role::Admin });
    let heard = stage.heard(SocketId(4));
    let waiting = heard.iter().find_map(|message| match message {
        ServerMessage::StateSnapshot(snapshot) => Some(snapshot.lobby.len()),
        _ => None,
    });
    assert_eq!(waiting, Some(1));
}

#[test]
fn a_guest_who_is_given_the_room_is_shown_one_owner() {
    let (mut stage, _) = meeting();
    stage.ask(OWNER, ClientMessage::RoleSet { user_id: user(3), role: Role::Owner });
    let heard = stage.heard(SocketId(GUEST));
    let roles = heard.iter().rev().find_map(|message| match message {
        ServerMessage::StateSnapshot(snapshot) => {
            Some(snapshot.participants.iter().map(|person| person.role).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(roles, Some(vec![Role::Admin, Role::Admin, Role::Owner]));
}

#[test]
fn an_order_over_rest_is_the_same_order() {
    let (mut stage, [_, _, guest]) = meeting();
    stage.call(2, Role::Admin, mute(3, true));
    assert!(media_of(&stage, guest).mic_forced);
    assert!(matches!(stage.answers[..], [(_, Ok(()))]));
    // Somebody whose role was taken a moment ago: the store decides.
    stage.enrol(2, Role::Member);
    stage.call(2, Role::Admin, mute(3, false));
    let (_, answer) = stage.answers.last().unwrap();
    assert_eq!(answer.as_ref().unwrap_err().code, ErrorCode::Forbidden);
    assert!(media_of(&stage, guest).mic_forced);
    stage.call(1, Role::Owner, ClientMessage::HandRaise);
    let (_, answer) = stage.answers.last().unwrap();
    assert_eq!(answer.as_ref().unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn an_empty_room_obeys_too() {
    let mut stage = Stage::new();
    stage.enrol(1, Role::Owner);
    stage.enrol(3, Role::Guest);
    stage.call(1, Role::Owner, mute(3, true));
    let id = stage.join(GUEST, 3);
    assert!(media_of(&stage, id).mic_forced);
}

#[test]
fn orders_without_end_are_slowed_down() {
    let (mut stage, _) = meeting();
    for _ in 0..70 {
        stage.ask(ADMIN, mute(3, true));
    }
    let heard = stage.heard(SocketId(ADMIN));
    assert_eq!(errors(&heard).len(), 10);
    assert!(errors(&heard).iter().all(|(code, _)| *code == ErrorCode::RateLimited));
}

#[test]
fn a_page_is_asked_for_once_at_a_time_and_a_gap_too_old_brings_everything() {
    let (mut stage, _) = meeting();
    stage.ask(GUEST, ClientMessage::SyncSub { after_seq: 1 });
    stage.ask(GUEST, ClientMessage::SyncSub { after_seq: 1 });
    assert_eq!(errors(&stage.heard(SocketId(GUEST)))[0].0, ErrorCode::RateLimited);
    let missed = Box::new(stage.fetched.pop().unwrap());
    assert_eq!((missed.after_seq, missed.is_moderator), (1, false));
    let page = Some(store::EventPage::Forgotten);
    stage.apply(Input::Fetched { missed: missed.clone(), page });
    let heard = stage.heard(SocketId(GUEST));
    assert_eq!(kinds(&heard), ["state.snapshot", "sync.info", "sync.batch"]);
    stage.apply(Input::Fetched { missed, page: None });
    assert_eq!(errors(&stage.heard(SocketId(GUEST)))[0].0, ErrorCode::Unavailable);
}
