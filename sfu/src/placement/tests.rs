use super::*;
use crate::command::TrackNames;
use proptest::prelude::*;
use uuid::Uuid;

const PLANES: usize = 3;
const ROOM: RoomId = RoomId(Uuid::from_u128(1));

fn person(number: u128) -> ParticipantId {
    ParticipantId(Uuid::from_u128(number))
}

fn idle() -> [Load; PLANES] {
    busy([0.0; PLANES])
}

fn busy(busy: [f32; PLANES]) -> [Load; PLANES] {
    busy.map(|busy| Load { busy, is_open: true, round: 1 })
}

fn publish(peer: u64, room: RoomId, who: u128) -> Command {
    Command::Publish {
        peer: PeerId(peer),
        room,
        participant: person(who),
        offer: String::new(),
        tracks: TrackNames::ByOrder,
    }
}

fn subscribe(peer: u64, room: RoomId, who: u128) -> Command {
    let participant = person(who);
    Command::Subscribe { peer: PeerId(peer), room, participant, audio_slots: 1, video_slots: 1 }
}

fn leave(room: RoomId, who: u128) -> Command {
    Command::Leave { room, participant: person(who) }
}

/// The plane of the last order.
fn last(orders: &[(PlaneId, Command)]) -> PlaneId {
    orders.last().expect("an order").0
}

fn of_room(spread: Spread) -> Placement {
    Placement::new(PLANES, spread)
}

#[test]
fn rooms_fill_one_plane_after_the_other() {
    let goes_to = |loads: [f32; PLANES]| {
        let mut placement = of_room(Spread::Above(0.65));
        last(&placement.route(publish(1, ROOM, 1), &busy(loads)))
    };
    assert_eq!(goes_to([0.3, 0.0, 0.0]), PlaneId(0));
    assert_eq!(goes_to([0.5, 0.1, 0.0]), PlaneId(1));
    assert_eq!(goes_to([0.6, 0.45, 0.5]), PlaneId(1), "all are busy: where there is least to do");
    // Those who came since the last measurement count: a hundred and some of them fill a plane.
    let mut placement = of_room(Spread::Above(0.65));
    for n in 0..150 {
        let room = RoomId(Uuid::from_u128(1_000 + u128::from(n)));
        placement.route(publish(n, room, u128::from(n)), &idle());
    }
    let people: Vec<usize> = (0..PLANES).map(|plane| placement.people_on(id(plane))).collect();
    assert_eq!(people, [100, 50, 0]);
}

#[test]
fn a_room_stays_at_home_until_that_is_loaded() {
    let mut placement = of_room(Spread::Above(0.65));
    for n in 0..20 {
        let orders = placement.route(publish(n, ROOM, u128::from(n)), &busy([0.2, 0.3, 0.3]));
        assert_eq!(last(&orders), PlaneId(0));
        assert_eq!(orders.len(), 1, "one plane alone is not spread");
    }
    // Loaded, but so are the others: spreading would not pay.
    let measured = |loads: [f32; PLANES]| busy(loads).map(|load| Load { round: 2, ..load });
    let orders = placement.route(publish(50, ROOM, 50), &measured([0.7, 0.62, 0.64]));
    assert_eq!(last(&orders), PlaneId(0));
    // Loaded, and another has clearly less to do.
    let orders = placement.route(publish(51, ROOM, 51), &measured([0.7, 0.5, 0.2]));
    assert_eq!(last(&orders), PlaneId(2));
    assert_eq!(placement.spread_rooms(), 1);
    // From now on the second one, while the third plane has nothing to do.
    let orders = placement.route(publish(52, ROOM, 52), &measured([0.8, 0.0, 0.4]));
    assert_eq!(last(&orders), PlaneId(2));
    // Whoever has a place keeps it.
    let orders = placement.route(subscribe(53, ROOM, 3), &busy([0.9, 0.0, 0.0]));
    assert_eq!(orders.len(), 1);
    assert_eq!(last(&orders), PlaneId(0));
}

#[test]
fn a_class_that_joins_between_two_measurements_does_not_all_go_to_one_plane() {
    let mut placement = of_room(Spread::Above(0.65));
    for n in 0..300 {
        placement.route(publish(n, ROOM, u128::from(n)), &busy([0.6, 0.1, 0.1]));
    }
    // Nobody has looked at the first one since; those who came count all the same.
    assert!(placement.people_on(PlaneId(0)) < 200, "{}", placement.people_on(PlaneId(0)));
    assert!(placement.people_on(PlaneId(1)) > 30);
}

#[test]
fn spread_always_shares_people_out_evenly() {
    let mut placement = of_room(Spread::Always);
    for n in 0..30 {
        placement.route(publish(n, ROOM, u128::from(n)), &idle());
    }
    for plane in 0..PLANES {
        assert_eq!(placement.people_on(id(plane)), 10);
    }
}

#[test]
fn a_plane_that_takes_nobody_gets_nobody() {
    let mut placement = of_room(Spread::Always);
    let mut loads = idle();
    loads[0].is_open = false;
    for n in 0..10 {
        let orders = placement.route(publish(n, ROOM, u128::from(n)), &loads);
        assert_ne!(last(&orders), PlaneId(0));
    }
    // Where none does, they must go somewhere.
    let shut = idle().map(|load| Load { is_open: false, ..load });
    assert!(!placement.route(publish(99, ROOM, 99), &shut).is_empty());
}

#[test]
fn a_lost_plane_takes_its_own_people_down_and_nobody_else() {
    let mut placement = of_room(Spread::Always);
    for n in 0..6 {
        placement.route(publish(n, ROOM, u128::from(n)), &idle());
        placement.route(subscribe(10 + n, ROOM, u128::from(n)), &idle());
    }
    let lost = placement.lose(PlaneId(0));
    let closed: Vec<u64> = lost
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Closed { peer, reason: CloseReason::Fault } => Some(peer.0),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [0, 10, 3, 13]);
    let silent =
        |event: &&Event| matches!(event, Event::TracksChanged { tracks, .. } if tracks.is_empty());
    assert_eq!(lost.events.iter().filter(silent).count(), 2);
    let told = |plane: u16, lost: &Lost| {
        let of_plane = lost.orders.iter().filter(|(to, _)| to.0 == plane);
        of_plane.map(|(_, command)| command.clone()).collect::<Vec<_>>()
    };
    assert!(told(0, &lost).is_empty());
    for plane in 1..3 {
        let orders = told(plane, &lost);
        let [Command::LosePlane { plane: PlaneId(0) }, Command::SetPlanes { home, planes, .. }] =
            &orders[..]
        else {
            panic!("{orders:?}");
        };
        assert_eq!((*home, &planes[..]), (PlaneId(1), &[PlaneId(1), PlaneId(2)][..]));
    }
    // They come back elsewhere.
    let mut loads = idle();
    loads[0].is_open = false;
    assert_ne!(last(&placement.route(publish(20, ROOM, 0), &loads)), PlaneId(0));
    assert_eq!(placement.lose(PlaneId(0)).events.len(), 0);
}

#[test]
fn a_transport_that_never_came_into_being_is_forgotten() {
    let mut placement = of_room(Spread::Always);
    for n in 0..100 {
        placement.route(publish(n, ROOM, 1), &idle());
        placement.hear(&Event::Refused { peer: PeerId(n), reason: String::new() });
    }
    assert!(placement.peers.is_empty());
    // One that was there goes on when its next offer is refused.
    placement.route(publish(200, ROOM, 1), &idle());
    placement.hear(&Event::Answered { peer: PeerId(200), sdp: String::new() });
    placement.hear(&Event::Refused { peer: PeerId(200), reason: String::new() });
    assert_eq!(placement.peers.len(), 1);
    placement.hear(&Event::Closed { peer: PeerId(200), reason: CloseReason::Silent });
    assert!(placement.peers.is_empty());
}

#[test]
fn orders_about_nobody_reach_a_plane_that_can_say_so() {
    let mut placement = of_room(Spread::Always);
    let answer = Command::Answer { peer: PeerId(9), answer: String::new() };
    assert_eq!(placement.route(answer, &idle()).len(), 1);
    assert_eq!(placement.route(Command::Report { room: ROOM, request: 1 }, &idle()).len(), 1);
    assert!(placement.route(Command::Close { peer: PeerId(9) }, &idle()).is_empty());
    assert!(placement.route(leave(ROOM, 1), &idle()).is_empty());
    assert_eq!(placement.rooms.len(), 0);
}

/// What a plane believes, by its orders alone.
#[derive(Default)]
struct Believed {
    people: BTreeMap<ParticipantId, (MediaState, bool)>,
    views: BTreeMap<ParticipantId, View>,
    peers: BTreeMap<PeerId, ParticipantId>,
    is_tapped: bool,
    planes: Option<(PlaneId, Vec<PlaneId>)>,
}

#[derive(Default)]
struct World {
    planes: [HashMap<RoomId, Believed>; PLANES],
}

impl World {
    fn carry_out(&mut self, orders: Vec<(PlaneId, Command)>) {
        for (PlaneId(plane), command) in orders {
            let rooms = &mut self.planes[usize::from(plane)];
            match command {
                Command::Publish { peer, room, participant, .. }
                | Command::Subscribe { peer, room, participant, .. } => {
                    let room = rooms.entry(room).or_default();
                    room.people.entry(participant).or_default();
                    room.peers.insert(peer, participant);
                }
                Command::SetMedia { room, participant, media } => {
                    rooms.entry(room).or_default().people.entry(participant).or_default().0 = media;
                }
                Command::SetAway { room, participant, away } => {
                    rooms.entry(room).or_default().people.entry(participant).or_default().1 = away;
                }
                Command::SetView { room, participant, view } => {
                    rooms.entry(room).or_default().views.insert(participant, view);
                }
                Command::Tap { room, wanted } => {
                    rooms.entry(room).or_default().is_tapped = wanted;
                }
                Command::SetPlanes { room, home, planes } => {
                    rooms.entry(room).or_default().planes = Some((home, planes));
                }
                Command::Close { peer } => {
                    for room in rooms.values_mut() {
                        room.peers.remove(&peer);
                    }
                }
                Command::Leave { room: id, participant } => {
                    if let Some(room) = rooms.get_mut(&id) {
                        room.people.remove(&participant);
                        room.views.remove(&participant);
                        room.peers.retain(|_, owner| *owner != participant);
                        if room.people.is_empty() {
                            rooms.remove(&id);
                        }
                    }
                }
                Command::CloseRoom { room } => {
                    rooms.remove(&room);
                }
                Command::LosePlane { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn plane_with(&self, peer: PeerId) -> Option<usize> {
        let has = |rooms: &HashMap<RoomId, Believed>| {
            rooms.values().any(|room| room.peers.contains_key(&peer))
        };
        self.planes.iter().position(has)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u8, u8),
    Subscribe(u8, u8),
    Close(u8),
    Answer(u8),
    Media(u8, u8, bool),
    Away(u8, u8, bool),
    View(u8, u8, bool),
    Tap(u8, bool),
    Leave(u8, u8),
    CloseRoom(u8),
    Lose(u8),
    Loads([u8; PLANES]),
}

fn step() -> impl Strategy<Value = Step> {
    let (room, who) = (0..3u8, 0..6u8);
    prop_oneof![
        6 => (room.clone(), who.clone()).prop_map(|(r, w)| Step::Publish(r, w)),
        6 => (room.clone(), who.clone()).prop_map(|(r, w)| Step::Subscribe(r, w)),
        3 => any::<u8>().prop_map(Step::Close),
        2 => any::<u8>().prop_map(Step::Answer),
        3 => (room.clone(), who.clone(), any::<bool>()).prop_map(|(r, w, m)| Step::Media(r, w, m)),
        2 => (room.clone(), who.clone(), any::<bool>()).prop_map(|(r, w, a)| Step::Away(r, w, a)),
        2 => (room.clone(), who.clone(), any::<bool>()).prop_map(|(r, w, a)| Step::View(r, w, a)),
        2 => (room.clone(), any::<bool>()).prop_map(|(r, t)| Step::Tap(r, t)),
        4 => (room.clone(), who).prop_map(|(r, w)| Step::Leave(r, w)),
        1 => room.prop_map(Step::CloseRoom),
        1 => (0..PLANES as u8).prop_map(Step::Lose),
        2 => any::<[u8; PLANES]>().prop_map(Step::Loads),
    ]
}

fn view(hears: bool) -> View {
    View { silenced: if hears { Vec::new() } else { vec![person(1)] }, tiles: None }
}

proptest! {
    #[test]
    fn every_plane_of_a_room_knows_what_it_has_to_and_nothing_stays_behind(
        steps in prop::collection::vec(step(), 1..80),
        is_spread in any::<bool>(),
    ) {
        let spread = if is_spread { Spread::Always } else { Spread::Above(0.5) };
        let mut placement = of_room(spread);
        let mut world = World::default();
        let mut loads = idle();
        let mut peers: Vec<(PeerId, RoomId, ParticipantId)> = Vec::new();
        let mut truth: HashMap<RoomId, Believed> = HashMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            let room = |n: u8| RoomId(Uuid::from_u128(100 + u128::from(n)));
            let (peer, now) = (at as u64, loads);
            let mut order = |command: Command, world: &mut World| {
                for (plane, order) in placement.route(command, &now) {
                    world.carry_out(vec![(plane, order)]);
                }
            };
            match step {
                Step::Publish(r, w) | Step::Subscribe(r, w) => {
                    let command = match step {
                        Step::Publish(..) => publish(peer, room(r), u128::from(w)),
                        _ => subscribe(peer, room(r), u128::from(w)),
                    };
                    peers.push((PeerId(peer), room(r), person(w.into())));
                    let known = truth.entry(room(r)).or_default();
                    known.people.entry(person(w.into())).or_default();
                    order(command, &mut world);
                }
                Step::Close(n) => {
                    if !peers.is_empty() {
                        let (peer, ..) = peers.remove(usize::from(n) % peers.len());
                        prop_assert!(world.plane_with(peer).is_some());
                        order(Command::Close { peer }, &mut world);
                        prop_assert!(world.plane_with(peer).is_none());
                    }
                }
                Step::Answer(n) => {
                    if !peers.is_empty() {
                        let (peer, ..) = peers[usize::from(n) % peers.len()];
                        let answer = Command::Answer { peer, answer: String::new() };
                        let orders = placement.route(answer, &loads);
                        prop_assert_eq!(orders.len(), 1);
                        let plane = usize::from(orders[0].0.0);
                        prop_assert_eq!(Some(plane), world.plane_with(peer));
                    }
                }
                Step::Media(r, w, muted) => {
                    let media = MediaState { mic_forced: muted, ..MediaState::default() };
                    let (room, participant) = (room(r), person(w.into()));
                    truth.entry(room).or_default().people.entry(participant).or_default().0 = media;
                    order(Command::SetMedia { room, participant, media }, &mut world);
                }
                Step::Away(r, w, away) => {
                    let (room, participant) = (room(r), person(w.into()));
                    truth.entry(room).or_default().people.entry(participant).or_default().1 = away;
                    order(Command::SetAway { room, participant, away }, &mut world);
                }
                Step::View(r, w, hears) => {
                    let (room, participant) = (room(r), person(w.into()));
                    let known = truth.entry(room).or_default();
                    known.people.entry(participant).or_default();
                    known.views.insert(participant, view(hears));
                    order(Command::SetView { room, participant, view: view(hears) }, &mut world);
                }
                Step::Tap(r, wanted) => {
                    let known = truth.entry(room(r)).or_default();
                    known.is_tapped = wanted;
                    if known.people.is_empty() && !wanted {
                        truth.remove(&room(r));
                    }
                    order(Command::Tap { room: room(r), wanted }, &mut world);
                }
                Step::Leave(r, w) => {
                    if let Some(known) = truth.get_mut(&room(r))
                        && known.people.remove(&person(w.into())).is_some()
                    {
                        known.views.remove(&person(w.into()));
                        if known.people.is_empty() {
                            truth.remove(&room(r));
                        }
                    }
                    peers.retain(|(_, of, who)| (*of, *who) != (room(r), person(w.into())));
                    order(leave(room(r), u128::from(w)), &mut world);
                }
                Step::CloseRoom(r) => {
                    truth.remove(&room(r));
                    peers.retain(|(_, of, _)| *of != room(r));
                    order(Command::CloseRoom { room: room(r) }, &mut world);
                }
                Step::Lose(plane) => {
                    let gone: Vec<PeerId> = world.planes[usize::from(plane)]
                        .drain()
                        .flat_map(|(_, room)| room.peers.into_keys())
                        .collect();
                    let lost = placement.lose(PlaneId(plane.into()));
                    let mut told: Vec<PeerId> = lost
                        .events
                        .iter()
                        .filter_map(|event| match event {
                            Event::Closed { peer, .. } => Some(*peer),
                            _ => None,
                        })
                        .collect();
                    let mut gone_sorted = gone.clone();
                    gone_sorted.sort();
                    told.sort();
                    prop_assert_eq!(gone_sorted, told);
                    peers.retain(|(peer, ..)| !gone.contains(peer));
                    world.carry_out(lost.orders);
                }
                Step::Loads(percent) => {
                    let round = loads[0].round + 1;
                    loads = percent.map(|p| Load {
                        busy: f32::from(p % 100) / 100.0,
                        is_open: p < 230,
                        round,
                    });
                }
            }
            // Peers are where they belong, all of one person on one plane.
            let mut homes: HashMap<(RoomId, ParticipantId), usize> = HashMap::new();
            for (peer, room, who) in &peers {
                let plane = world.plane_with(*peer);
                prop_assert!(plane.is_some(), "{:?} is nowhere", peer);
                let plane = plane.unwrap_or_default();
                prop_assert_eq!(*homes.entry((*room, *who)).or_insert(plane), plane);
            }
            for (room, known) in &truth {
                let on: Vec<PlaneId> = (0..PLANES)
                    .filter(|&plane| world.planes[plane].contains_key(room))
                    .map(id)
                    .collect();
                for &PlaneId(plane) in &on {
                    let believed = &world.planes[usize::from(plane)][room];
                    for (who, state) in &known.people {
                        prop_assert_eq!(believed.people.get(who).copied().unwrap_or_default(), *state);
                    }
                    prop_assert!(believed.people.keys().all(|who| known.people.contains_key(who)));
                    prop_assert_eq!(believed.is_tapped, known.is_tapped);
                    for (who, shown) in &believed.views {
                        prop_assert_eq!(Some(shown), known.views.get(who));
                    }
                    for who in believed.peers.values() {
                        prop_assert_eq!(believed.views.get(who), known.views.get(who));
                    }
                    match &believed.planes {
                        Some((home, planes)) => {
                            prop_assert_eq!(planes, &on);
                            prop_assert!(on.contains(home));
                        }
                        None => prop_assert_eq!(on.len(), 1),
                    }
                }
            }
            for plane in &world.planes {
                prop_assert!(plane.keys().all(|room| truth.contains_key(room)));
            }
        }
        for room in truth.keys().copied().collect::<Vec<_>>() {
            placement.route(Command::Tap { room, wanted: false }, &loads);
            for who in 0..6 {
                let orders = placement.route(leave(room, who), &loads);
                world.carry_out(orders);
            }
        }
        prop_assert!(placement.rooms.is_empty() && placement.peers.is_empty());
        prop_assert!((0..PLANES).all(|plane| placement.people_on(id(plane)) == 0));
        prop_assert!(world.planes.iter().all(HashMap::is_empty));
    }
}
