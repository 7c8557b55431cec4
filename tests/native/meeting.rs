//! Two people, and what the packets between them say.

use crate::{both_kinds, flow, server};
use protocol::{Kind, ServerMessage, SlotReason, Source};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use testkit::{Person, Publication, Received};

fn in_slot(received: &[Received], slot: usize) -> Vec<&Received> {
    received.iter().filter(|packet| packet.slot == slot && !packet.is_retransmission).collect()
}

#[test]
fn two_people_get_each_others_media_named_by_csrc_without_gaps() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut from_anna = anna.publish(Publication::default()).unwrap();
    let mut from_boris = boris.publish(Publication::default()).unwrap();
    let mut to_anna = anna.subscribe(4, 9).unwrap();
    let mut to_boris = boris.subscribe(4, 9).unwrap();
    let ids = (anna.id, boris.id);

    for (sender, publisher, receiver, subscriber) in [
        (ids.0, &mut from_anna, &mut boris, &mut to_boris),
        (ids.1, &mut from_boris, &mut anna, &mut to_anna),
    ] {
        let received = flow(publisher, subscriber, "media", both_kinds(50)).unwrap();
        let slots = receiver
            .wait_for_slots(|slots| {
                slots.iter().filter(|s| s.participant_id == Some(sender)).count() == 2
            })
            .unwrap();
        for (index, slot) in slots.iter().enumerate() {
            let packets = in_slot(&received, index);
            let Some(track) = &slot.track else {
                assert!(packets.is_empty(), "a slot of nobody carries nothing");
                continue;
            };
            assert_eq!(slot.participant_id, Some(sender), "nobody hears themselves");
            assert!(!packets.is_empty());
            let csrcs: HashSet<_> = packets.iter().map(|packet| packet.csrc).collect();
            assert_eq!(csrcs, HashSet::from([Some(track.csrc)]));
            for pair in packets.windows(2) {
                assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "no gap");
            }
            assert!(packets.iter().all(|p| p.payload_type == subscriber.slots[index].payload_type));
            if slot.kind == Kind::Video {
                assert_eq!(track.source, Source::Camera);
                assert!(packets[0].is_keyframe(), "a decoder can begin with the first packet");
                assert_eq!(packets.iter().filter(|p| p.marker).count(), packets.len() / 2);
            } else {
                assert_eq!(track.source, Source::Microphone);
                let steps: HashSet<u32> = packets
                    .windows(2)
                    .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp))
                    .collect();
                assert_eq!(steps, HashSet::from([960]), "20 ms each");
            }
        }
    }
}

#[test]
fn a_publisher_without_audio_levels_is_heard() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let publication = Publication { levels: false, ..Publication::default() };
    let mut publisher = anna.publish(publication).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "sound without levels", both_kinds(20)).unwrap();
}

#[test]
fn who_turns_off_a_camera_is_not_seen_and_seen_again_after() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();

    let set = |person: &mut Person, off| {
        let message = protocol::ClientMessage::MediaSelf { mic_muted: off, cam_off: off };
        person.socket.send(message).unwrap();
    };
    let heard = |person: &mut Person, wanted: bool| {
        let is = |m: &ServerMessage| matches!(m, ServerMessage::MediaUpdated { media, .. } if media.mic_muted == wanted);
        person.socket.wait_for(is).unwrap();
    };
    let reasons = |person: &mut Person, wanted: [SlotReason; 2]| {
        person.wait_for_slots(|slots| slots.iter().map(|s| s.reason).eq(wanted)).unwrap();
    };
    set(&mut anna, true);
    heard(&mut boris, true);
    // The slot of the voice waits for it; that of the camera is free for others.
    reasons(&mut boris, [SlotReason::Muted, SlotReason::Empty]);
    subscriber.drive().unwrap();
    subscriber.drain();
    let sound_only = |received: &[Received]| received.len() >= 20;
    let received = flow(&mut publisher, &mut subscriber, "what else there is", sound_only).unwrap();
    let seen = in_slot(&received, 1).len();
    assert_eq!(seen, 0, "a camera that is off is not forwarded");

    set(&mut anna, false);
    heard(&mut boris, false);
    reasons(&mut boris, [SlotReason::Best, SlotReason::Best]);
    flow(&mut publisher, &mut subscriber, "media after", both_kinds(20)).unwrap();
}

#[test]
fn who_leaves_frees_their_slots_and_who_comes_takes_them() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut subscriber = anna.subscribe(1, 1).unwrap();
    let mut before: Option<u32> = None;
    for name in ["Boris", "Clara"] {
        let mut guest = Person::guest(server.api, name, &room).unwrap();
        let mut publisher = guest.publish(Publication::default()).unwrap();
        subscriber.drain();
        let received = flow(&mut publisher, &mut subscriber, "media", both_kinds(20)).unwrap();
        let id = guest.id;
        anna.wait_for_slots(|slots| slots.iter().all(|s| s.participant_id == Some(id))).unwrap();
        let video = in_slot(&received, 1);
        assert!(video[0].is_keyframe());
        assert_ne!(video[0].csrc, before, "a new person has a new number");
        before = video[0].csrc;
        guest.socket.send(protocol::ClientMessage::Leave).unwrap();
        let left = |m: &ServerMessage| matches!(m, ServerMessage::MemberLeft { participant_id, .. } if *participant_id == id);
        anna.socket.wait_for(left).unwrap();
        anna.wait_for_slots(|slots| slots.iter().all(|s| s.participant_id.is_none())).unwrap();
        subscriber.drive().unwrap();
    }
}

#[test]
fn sender_reports_put_sound_and_pictures_on_one_clock() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    let ssrcs: Vec<u32> = subscriber.slots.iter().map(|slot| slot.ssrc).collect();
    let end = Instant::now() + testkit::socket::PATIENCE;
    loop {
        publisher.send_reports().unwrap();
        flow(&mut publisher, &mut subscriber, "media", both_kinds(25)).unwrap();
        let reports = subscriber.reports();
        if ssrcs.iter().all(|ssrc| reports.iter().filter(|r| r.ssrc == *ssrc).count() >= 3) {
            break;
        }
        assert!(Instant::now() < end, "no sender reports: {reports:?}");
    }
    for (ssrc, rate) in [(ssrcs[0], 48_000.0), (ssrcs[1], 90_000.0)] {
        let reports: Vec<_> = subscriber.reports().iter().filter(|r| r.ssrc == ssrc).collect();
        let (first, last) = (reports[1], reports[reports.len() - 1]);
        let seconds = last.ntp.wrapping_sub(first.ntp) as f64 / (1u64 << 32) as f64;
        let ticks = f64::from(last.rtp.wrapping_sub(first.rtp) as i32);
        // The made-up sound is sent by a sleeping loop: its clock waits for the loop between two calls.
        let off = (ticks / rate - seconds).abs();
        assert!(off < 0.05 + seconds * 0.1, "{seconds} s are {} s of media", ticks / rate);
    }
}

#[test]
fn a_whip_publisher_is_seen_until_its_resource_is_deleted() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let encoder = Person::guest(server.api, "Encoder", &room).unwrap();
    let mut subscriber = anna.subscribe(1, 1).unwrap();
    let (mut publisher, location) = encoder.whip(Publication::default()).unwrap();
    flow(&mut publisher, &mut subscriber, "media of the encoder", both_kinds(20)).unwrap();
    let delete = testkit::http::Request {
        method: "DELETE",
        path: &location,
        token: Some(&encoder.token),
        body: None,
    };
    let answer = server.api.call(&delete).unwrap();
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    anna.wait_for_slots(|slots| slots.iter().all(|s| s.participant_id.is_none())).unwrap();
    publisher.drive_for(Duration::from_millis(50)).unwrap();
    assert!(publisher.link.closed().is_some(), "the encoder is told");
}

#[test]
fn who_closes_the_page_leaves_at_once_and_who_loses_the_line_does_not() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut closed = Person::guest(server.api, "Boris", &room).unwrap();
    let lost = Person::guest(server.api, "Clara", &room).unwrap();
    let (closed_id, lost_id) = (closed.id, lost.id);
    drop(lost);
    closed.socket.close(protocol::server::close::GOING_AWAY).unwrap();
    let start = Instant::now();
    let left = anna.socket.wait_for(|m| matches!(m, ServerMessage::MemberLeft { .. })).unwrap();
    let ServerMessage::MemberLeft { participant_id, .. } = left else { unreachable!() };
    assert_eq!(participant_id, closed_id);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let is_left = |m: &ServerMessage| matches!(m, ServerMessage::MemberLeft { participant_id, .. } if *participant_id == lost_id);
    assert!(anna.socket.take(is_left).unwrap().is_none(), "a lost line may come back");
}
