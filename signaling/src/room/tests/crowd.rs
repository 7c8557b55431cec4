//! Rooms of hundreds: who is shown first, what pages bring, and that one more costs what it costs in a small room.

use super::*;
use protocol::limits::{ROSTER_PAGE, SNAPSHOT_PEOPLE};
use std::collections::BTreeSet;

/// A room with that many people, whose sockets are numbered from 1.
fn crowd(people: u64) -> (Stage, Vec<ParticipantId>) {
    let mut stage = Stage::new();
    let ids = (1..=people).map(|n| stage.join(n, u128::from(n))).collect();
    stage.look();
    stage.paged.clear();
    (stage, ids)
}

fn snapshot(stage: &mut Stage, socket: u64) -> Snapshot {
    let heard = stage.heard(SocketId(socket));
    let mut snapshots = heard.into_iter().filter_map(|message| match message {
        ServerMessage::StateSnapshot(snapshot) => Some(*snapshot),
        _ => None,
    });
    snapshots.next().expect("a snapshot")
}

/// Everybody, as pages bring them.
fn pages(room: &Room) -> Vec<Vec<Participant>> {
    let mut pages = Vec::new();
    let mut after = -1;
    loop {
        let (message, next) = room.roster_page(after);
        let ServerMessage::RosterPage { participants, has_more } = message else {
            panic!("{message:?}")
        };
        assert_eq!(has_more, next.is_some());
        pages.push(participants);
        match next {
            Some(next) => after = next,
            None => return pages,
        }
    }
}

#[test]
fn a_room_that_fits_a_snapshot_is_in_it_and_has_no_pages() {
    let most = SNAPSHOT_PEOPLE as u64;
    let (mut stage, _) = crowd(most - 1);
    stage.join(most, u128::from(most));
    let shown = snapshot(&mut stage, most);
    assert_eq!((shown.participants.len(), shown.people), (SNAPSHOT_PEOPLE, None));
    assert!(stage.paged.is_empty());
}

#[test]
fn a_large_room_shows_those_who_matter_first_and_then_everybody_by_pages() {
    let (mut stage, ids) = crowd(300);
    let track = |n: u128, source| Track { id: TrackId(Uuid::from_u128(n)), source, csrc: 1 };
    let (speaker, screen, camera, hand) = (ids[290], ids[291], ids[292], ids[293]);
    for (participant, source) in [(screen, Source::Screen), (camera, Source::Camera)] {
        let tracks = vec![track(participant.0.as_u128(), source)];
        stage.media(Event::TracksChanged { room: ROOM, participant, tracks });
    }
    stage.media(Event::SpeakersChanged { room: ROOM, speakers: vec![speaker] });
    stage.ask(294, ClientMessage::HandRaise);
    stage.enrol(9_999, Role::Owner);
    stage.call(
        9_999,
        Role::Owner,
        ClientMessage::RoleSet { user_id: UserId(Uuid::from_u128(296)), role: Role::Admin },
    );
    stage.look();
    stage.paged.clear();
    let me = stage.join(400, 400);
    let shown = snapshot(&mut stage, 400);
    assert_eq!((shown.participants.len(), shown.people), (SNAPSHOT_PEOPLE, Some(301)));
    let first: Vec<ParticipantId> = shown.participants.iter().map(|person| person.id).collect();
    for who in [me, speaker, screen, camera, hand] {
        assert!(first.contains(&who));
    }
    assert_eq!(first[0], ids[0], "the rest of the places is for those who came first");
    let mut in_order = shown.participants.clone();
    in_order.sort_by_key(|person| person.joined_ms);
    assert_eq!(in_order, shown.participants);
    assert_eq!(stage.paged, [SocketId(400)]);

    let pages = pages(&stage.room);
    assert!(pages.iter().all(|page| page.len() <= ROSTER_PAGE));
    assert_eq!(pages.concat(), stage.room.participants());
}

#[test]
fn pages_go_on_behind_whoever_left_meanwhile() {
    let (mut stage, ids) = crowd(250);
    let (_, next) = stage.room.roster_page(-1);
    // The last of the first page goes, and somebody of the next.
    for socket in [96, 100] {
        stage.ask(socket, ClientMessage::Leave);
    }
    let (message, _) = stage.room.roster_page(next.unwrap());
    let ServerMessage::RosterPage { participants, .. } = message else { panic!("{message:?}") };
    assert_eq!(participants[0].id, ids[96]);
    assert!(participants.iter().all(|person| person.id != ids[99]));
    let known: BTreeSet<_> = pages(&stage.room).concat().into_iter().map(|p| p.id).collect();
    assert_eq!(known.len(), 248);
}

#[test]
fn a_new_moderator_of_a_large_room_gets_the_pages_anew() {
    let (mut stage, _) = crowd(100);
    stage.enrol(9_999, Role::Owner);
    stage.paged.clear();
    let user_id = UserId(Uuid::from_u128(7));
    stage.call(9_999, Role::Owner, ClientMessage::RoleSet { user_id, role: Role::Admin });
    assert_eq!(stage.paged, [SocketId(7)]);
    assert_eq!(snapshot(&mut stage, 7).people, Some(100));
}

/// The quickest of some joins and leaves beside that many people, with what the newcomer is told made into text.
fn cost_of_one_more(people: u64) -> Duration {
    let (mut stage, _) = crowd(people);
    let mut quickest = Duration::MAX;
    for n in 0..40 {
        let began = std::time::Instant::now();
        stage.join(10_000 + n, u128::from(10_000 + n));
        stage.ask(10_000 + n, ClientMessage::MediaSelf { mic_muted: true, cam_off: true });
        stage.ask(
            10_000 + n,
            ClientMessage::MediaSubscribe { pc: "s".into(), audio_slots: None, video_slots: None },
        );
        for seen in &stage.look() {
            if let Seen::Sent(_, message) = seen {
                assert!(serde_json::to_string(message).unwrap().len() < 64 * 1024);
            }
        }
        stage.ask(10_000 + n, ClientMessage::Leave);
        quickest = quickest.min(began.elapsed());
        stage.look();
        // Nobody joins too often, and the stage's own log is no part of this.
        stage.log.clear();
        stage.admitted.clear();
    }
    quickest
}

#[test]
fn one_more_among_a_thousand_costs_little_more_than_one_among_a_hundred() {
    let (hundred, thousand) = (cost_of_one_more(100), cost_of_one_more(950));
    // Without the indices it was above ten times; a look at everybody for the snapshot is what is left.
    println!("{hundred:?} {thousand:?}");
    assert!(thousand < hundred * 5, "{hundred:?} among 100, {thousand:?} among 950");
}
