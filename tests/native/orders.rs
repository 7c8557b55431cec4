//! A client that ignores every order goes on sending, and nobody hears it.

use crate::{FRAME, both_kinds, flow, server};
use protocol::room::Forcible;
use protocol::server::close;
use protocol::{ClientMessage, ServerMessage, UserId};
use std::time::Instant;
use testkit::{Person, Publication, Publisher, Received, Subscriber};

/// Sends for so many frames, whatever anybody says, and gives what the subscriber got that is no repetition.
pub fn go_on(publisher: &mut Publisher, subscriber: &mut Subscriber, frames: u32) -> Vec<Received> {
    let mut received = Vec::new();
    let mut next = Instant::now();
    for n in 0..frames {
        // A transport that the server has ended may fail to send: that is silence too.
        publisher.drive().ok();
        publisher.send_audio(20, 80).ok();
        publisher.send_frame(n % 10 == 0, 2, 600).ok();
        next += FRAME;
        subscriber.drive().expect("the subscriber's link lives");
        received.extend(subscriber.drain());
        subscriber.link.wait(next.saturating_duration_since(Instant::now()));
    }
    received.retain(|packet| !packet.is_retransmission);
    received
}

pub fn user_of(person: &Person) -> UserId {
    let own = person.present.iter().find(|participant| participant.id == person.id);
    own.expect("one's own entry is in the snapshot").user_id
}

pub fn force(moderator: &mut Person, user: UserId, forced: bool) {
    for source in [Forcible::Microphone, Forcible::Camera] {
        let order = ClientMessage::MediaForce { user_id: Some(user), source, forced };
        let answer = moderator.socket.request(order).expect("the order is taken");
        assert!(matches!(answer, ServerMessage::Done { .. }), "{answer:?}");
    }
}

#[test]
fn who_is_force_muted_sends_for_nobody_until_it_is_lifted_whatever_they_publish() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let user = user_of(&boris);
    let mut publisher = boris.publish(Publication::default()).unwrap();
    let mut subscriber = anna.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();

    force(&mut anna, user, true);
    // What was on its way when the order came.
    go_on(&mut publisher, &mut subscriber, 10);
    let heard = go_on(&mut publisher, &mut subscriber, 50);
    assert_eq!(heard.len(), 0, "packets of a muted person");

    let own = ClientMessage::MediaSelf { mic_muted: false, cam_off: false };
    boris.socket.send(own).unwrap();
    let mut again = boris.publish(Publication::default()).unwrap();
    let heard = go_on(&mut again, &mut subscriber, 50);
    assert_eq!(heard.len(), 0, "packets of a muted person who published anew");

    force(&mut anna, user, false);
    flow(&mut again, &mut subscriber, "media after", both_kinds(20)).unwrap();
}

#[test]
fn who_is_removed_is_heard_by_nobody_from_then_on() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let user_id = user_of(&boris);
    let mut publisher = boris.publish(Publication::default()).unwrap();
    let mut subscriber = anna.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();

    let kick = ClientMessage::MemberKick { user_id, reason: None };
    anna.socket.request(kick).unwrap();
    assert_eq!(boris.socket.wait_for_close().unwrap(), close::KICKED);
    go_on(&mut publisher, &mut subscriber, 10);
    let heard = go_on(&mut publisher, &mut subscriber, 50);
    assert_eq!(heard.len(), 0, "packets of somebody who was removed");
}
