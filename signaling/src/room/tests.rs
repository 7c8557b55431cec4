//! The rules of a room, each as given, when, then.

mod breakouts;
mod chat;
mod crowd;
mod doors;
mod liveness;
mod media;
mod membership;
mod orders;
mod recording;
mod signals;

use super::stage::{ROOM, Seen, Stage, errors, line};
use super::*;
use protocol::media::{TrackOffer, View};
use protocol::room::{MediaState, Presence, Role};
use protocol::server::{LeaveReason, close};
use protocol::{Kind, SlotBinding, SlotReason, Source, Track, TrackId};
use sfu::{CloseReason, Command, Event, TrackNames};
use std::time::Duration;
use store::Fact;
use uuid::Uuid;

const ANNA: u64 = 1;
const BORIS: u64 = 2;
const CLARA: u64 = 3;

fn publish(pc: &str) -> ClientMessage {
    let tracks = vec![TrackOffer { mid: "0".into(), source: Source::Microphone }];
    ClientMessage::MediaPublish { pc: pc.into(), sdp: "v=0".into(), tracks }
}

fn subscribe(pc: &str) -> ClientMessage {
    ClientMessage::MediaSubscribe { pc: pc.into(), audio_slots: None, video_slots: None }
}

fn answer(pc: &str) -> ClientMessage {
    ClientMessage::MediaAnswer { pc: pc.into(), sdp: "v=0".into() }
}

fn kinds(messages: &[ServerMessage]) -> Vec<String> {
    let kind =
        |message| serde_json::to_value(message).unwrap()["type"].as_str().unwrap().to_owned();
    messages.iter().map(kind).collect()
}

fn published(commands: &[Command]) -> PeerId {
    match commands {
        [Command::Publish { peer, .. }] => *peer,
        other => panic!("not one publish: {other:?}"),
    }
}

fn subscribed(commands: &[Command]) -> PeerId {
    match commands {
        [Command::Subscribe { peer, .. }] => *peer,
        other => panic!("not one subscribe: {other:?}"),
    }
}

fn left(seen: &[Seen]) -> Vec<(ParticipantId, LeaveReason)> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Broadcast(_, ServerMessage::MemberLeft { participant_id, reason, .. }) => {
                Some((*participant_id, *reason))
            }
            _ => None,
        })
        .collect()
}

fn presences(seen: &[Seen]) -> Vec<Presence> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Broadcast(_, ServerMessage::MemberPresence { presence, .. }) => Some(*presence),
            _ => None,
        })
        .collect()
}
