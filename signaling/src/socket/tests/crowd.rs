//! A crowd that comes within seconds: what each of them is told, how often, and that all end up with the same room.

use super::*;
use crate::live::Client;
use protocol::limits::{MAX_BATCH_BYTES, ROSTER_PAGE, SNAPSHOT_PEOPLE};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

const CROWD: usize = 200;
/// Fifty a second.
const EVERY: Duration = Duration::from_millis(20);
const OVER: &str = "that is all";

/// A room as a client knows it, and what that cost.
#[derive(Default)]
struct Known {
    /// Whether each is muted, by participant.
    people: BTreeMap<String, bool>,
    hands: Vec<String>,
    seqs: Vec<i64>,
    frames: u32,
    largest: usize,
    is_complete: bool,
    is_over: bool,
}

impl Known {
    fn of(snapshot: &Value) -> Self {
        let mut known = Self { is_complete: snapshot["people"].is_null(), ..Self::default() };
        let people = snapshot["participants"].as_array().unwrap();
        assert!(people.len() <= SNAPSHOT_PEOPLE);
        people.iter().for_each(|person| known.add(person));
        let hands = snapshot["state"]["hands_up"].as_array().unwrap();
        known.hands = hands.iter().map(text).collect();
        known
    }

    fn add(&mut self, person: &Value) {
        let is_muted = person["media"]["mic_muted"].as_bool().unwrap();
        self.people.insert(text(&person["id"]), is_muted);
    }

    fn hear(&mut self, message: &Value) {
        if let Some(seq) = message["seq"].as_i64() {
            self.seqs.push(seq);
        }
        let who = || text(&message["participant_id"]);
        match message["type"].as_str().unwrap() {
            "events.batch" => {
                message["events"].as_array().unwrap().iter().for_each(|event| self.hear(event));
            }
            "roster.page" => {
                let people = message["participants"].as_array().unwrap();
                assert!(people.len() <= ROSTER_PAGE);
                people.iter().for_each(|person| self.add(person));
                self.is_complete |= message["has_more"] == false;
            }
            "member.joined" => self.add(&message["participant"]),
            "member.left" => drop(self.people.remove(&who())),
            "media.updated" => {
                if let Some(is_muted) = self.people.get_mut(&who()) {
                    *is_muted = message["media"]["mic_muted"].as_bool().unwrap();
                }
            }
            "hand.raised" => self.hands.push(who()),
            "chat.message" => self.is_over |= message["text"] == OVER,
            _ => {}
        }
    }

    async fn listen(&mut self, client: &mut Client) {
        while !(self.is_complete && self.is_over) {
            let message = client.next_frame().await.unwrap();
            self.largest = self.largest.max(message.to_string().len());
            // Answers are no news of the room.
            self.frames += u32::from(message["type"] != "done");
            self.hear(&message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_comes_hears_four_times_a_second_and_knows_everybody() {
    let (live, anna, _) = stage().await;
    let live = std::sync::Arc::new(live);
    let room = live.http(&format!("GET /api/v1/rooms/{SLUG}"), &anna.token, "", "").await.json();
    let room: RoomId = text(&room["id"]).parse().unwrap();
    let (mut owner, _) = live.enter(&anna, SLUG).await;
    let mut listeners = JoinSet::new();
    let mut coming = tokio::time::interval(EVERY);
    for n in 0..CROWD {
        coming.tick().await;
        let live = std::sync::Arc::clone(&live);
        listeners.spawn(async move {
            let person = live.guest(&format!("Guest {n}")).await;
            let (mut client, joined) = live.enter(&person, SLUG).await;
            let began = Instant::now();
            let mut known = Known::of(&joined["snapshot"]);
            client
                .send(json!({ "type": "media.self", "mic_muted": n % 2 == 0, "cam_off": true }))
                .await;
            if n % 20 == 0 {
                client.send(json!({ "type": "hand.raise" })).await;
            }
            if n % 5 == 4 {
                // Some go again at once.
                client.send(json!({ "type": "leave" })).await;
                client.closed().await;
                return None;
            }
            known.listen(&mut client).await;
            Some((known, began.elapsed()))
        });
    }
    // Everybody is in, and has said what they say, before the last word.
    let (left, muted) = (CROWD / 5, CROWD / 2 - CROWD / 10);
    loop {
        let people = live.signaling.inner.hub.participants(room).await;
        let is_muted = |person: &&protocol::room::Participant| person.media.mic_muted;
        let said = people.iter().filter(|person| person.media.cam_off).count();
        if people.len() == CROWD + 1 - left
            && people.iter().filter(is_muted).count() == muted
            && said == CROWD - left
        {
            break;
        }
        tokio::time::sleep(5 * EVERY).await;
    }
    owner.ask(json!({ "type": "hand.raise" })).await;
    // Its answer stands in its place among the events.
    owner.ask(json!({ "type": "chat.message", "text": OVER })).await;
    let right: BTreeMap<String, bool> = live
        .signaling
        .inner
        .hub
        .participants(room)
        .await
        .into_iter()
        .map(|person| (person.id.to_string(), person.media.mic_muted))
        .collect();
    let mut hands: Option<Vec<String>> = None;
    while let Some(done) = listeners.join_next().await {
        let Some((known, lasted)) = done.unwrap() else { continue };
        assert_eq!(known.people, right);
        assert_eq!(known.hands, *hands.get_or_insert_with(|| known.hands.clone()));
        let is_in_order = known.seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(is_in_order, "each event once and in order: {:?}", known.seqs);
        // Each hand is heard at once while the room is small; and the last word.
        let at_once = f64::from(u32::try_from(CROWD / 20).unwrap());
        let most = 4.0 * lasted.as_secs_f64() + at_once + 4.0;
        assert!(f64::from(known.frames) <= most, "{} frames in {lasted:?}", known.frames);
        assert!(known.largest <= MAX_BATCH_BYTES + 64, "{}", known.largest);
    }
    assert_eq!(hands.unwrap().len(), CROWD / 20 + 1);
}

#[tokio::test]
async fn who_is_removed_from_a_crowd_still_hears_why() {
    let (live, anna, boris) = stage().await;
    let (mut owner, _) = live.enter(&anna, SLUG).await;
    let mut others = Vec::new();
    for _ in 0..protocol::limits::CROWD_FROM {
        others.push(live.enter(&boris, SLUG).await.0);
    }
    let clara = live.guest("Clara").await;
    let (mut removed, _) = live.enter(&clara, SLUG).await;
    // Two in a row: the second waits for its turn.
    owner.send(json!({ "type": "hand.raise" })).await;
    owner.ask(json!({ "type": "member.kick", "user_id": clara.id, "reason": "noise" })).await;
    let mut words = Vec::new();
    let code = loop {
        match removed.next_or_close().await {
            Ok(message) => words.push(message),
            Err(code) => break code,
        }
    };
    assert_eq!(code, close::KICKED);
    assert!(words.iter().any(|word| word["type"] == "member.kicked" && word["reason"] == "noise"));
}
