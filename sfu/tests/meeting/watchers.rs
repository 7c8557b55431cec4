//! Viewers without a socket (WHEP): what an offer that comes twice does.

use crate::client::value;
use crate::world::{ROOM, World, person};
use sfu::{Command, Event, PeerId};

const OFFER: &str = include_str!("../sdp/chromium-watch.offer.sdp");
const VIEWER: PeerId = PeerId(9);

fn watch(world: &mut World, who: u64, offer: &str) -> Event {
    world.events.clear();
    world.command(Command::Watch {
        peer: VIEWER,
        room: ROOM,
        participant: person(who),
        offer: offer.to_owned(),
        follow: None,
    });
    let is_said = |e: &&Event| matches!(e, Event::Answered { .. } | Event::Refused { .. });
    world.events.iter().find(is_said).cloned().expect("an answer")
}

fn ufrag(event: &Event) -> String {
    let Event::Answered { peer: VIEWER, sdp } = event else { panic!("{event:?}") };
    value(sdp, "a=ice-ufrag:").expect("credentials").to_owned()
}

#[test]
fn an_offer_with_other_credentials_restarts_ice_on_the_transport_that_there_is() {
    let mut world = World::new(91);
    let first = ufrag(&watch(&mut world, 9, OFFER));
    let own = value(OFFER, "a=ice-ufrag:").expect("credentials");
    let other = OFFER.replace(&format!("a=ice-ufrag:{own}"), "a=ice-ufrag:anew");
    let second = ufrag(&watch(&mut world, 9, &other));
    assert_ne!(first, second);
    assert_eq!(world.sfu.census().subscribers, 1);
    let refused = watch(&mut world, 8, &other);
    assert!(matches!(refused, Event::Refused { .. }), "another's transport: {refused:?}");
}
