//! Breakout rooms as people live them: two rooms and a main room, over sockets and REST.

use super::text;
use crate::live::{Client, Live, Person};
use crate::settings::Settings;
use protocol::server::close::{KICKED, SENT_BACK};
use serde_json::{Value, json};

const MAIN: &str = "weekly";

/// A room with an owner, two guests and a member who is not assigned; the first guest belongs to the first
/// breakout room and the second to the second.
struct Evening {
    live: Live,
    owner: Person,
    guests: Vec<Person>,
    main: Client,
    slugs: Vec<String>,
}

async fn evening(more: Value) -> Evening {
    let live = Live::new().await;
    let owner = live.guest("Owner").await;
    live.room(&owner, MAIN).await;
    let (mut main, _) = live.enter(&owner, MAIN).await;
    let mut guests = Vec::new();
    for name in ["Grace", "Edsger", "Tony"] {
        let guest = live.guest(name).await;
        live.enter(&guest, MAIN).await.0.send(json!({ "type": "leave" })).await;
        guests.push(guest);
    }
    let mut open = json!({
        "type": "breakout.open", "rooms": [{ "name": "Tea" }, { "name": "Coffee" }],
        "assignments": { guests[0].id.as_str(): 0, guests[1].id.as_str(): 1 },
    });
    open.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    main.send(open).await;
    let opened = main.wait("breakout.opened").await;
    let rooms = opened["breakouts"]["rooms"].as_array().unwrap();
    let slugs = rooms.iter().map(|room| text(&room["slug"])).collect();
    Evening { live, owner, guests, main, slugs }
}

impl Evening {
    /// Status of a ticket for somebody.
    async fn ticket(&self, person: &Person, slug: &str) -> u16 {
        self.live.post(&format!("rooms/{slug}/ticket"), &person.token, json!({})).await.status
    }

    async fn get(&self, person: &Person, path: &str) -> u16 {
        self.live.http(&format!("GET /api/v1/{path}"), &person.token, "", "").await.status
    }
}

#[tokio::test]
async fn only_who_belongs_to_a_breakout_room_and_moderators_find_it() {
    let evening = evening(json!({})).await;
    let (tea, coffee) = (&evening.slugs[0], &evening.slugs[1]);
    let outsider = evening.live.guest("Outsider").await;
    let [grace, edsger, tony] = &evening.guests[..] else { panic!("three") };
    for (person, tea_says, coffee_says) in [
        (&evening.owner, 200, 200),
        (grace, 200, 404),
        (edsger, 404, 200),
        (tony, 404, 404),
        (&outsider, 404, 404),
    ] {
        for (slug, says) in [(tea, tea_says), (coffee, coffee_says)] {
            assert_eq!(evening.ticket(person, slug).await, says);
            for path in ["", "/participants", "/messages", "/events", "/members"] {
                assert_eq!(
                    evening.get(person, &format!("rooms/{slug}{path}")).await,
                    says,
                    "{path}"
                );
            }
        }
    }
    let rooms = evening.live.http("GET /api/v1/rooms", &grace.token, "", "").await.json();
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 1, "they stand in no list");
}

#[tokio::test]
async fn a_breakout_room_has_no_keys_invites_bans_or_audit_of_its_own_and_is_deleted_by_nobody() {
    let evening = evening(json!({})).await;
    let token = &evening.owner.token;
    for call in ["PATCH", "DELETE", "GET /invites", "POST /invites", "GET /bans", "GET /audit"] {
        let (method, path) = call.split_once(' ').unwrap_or((call, ""));
        let call = format!("{method} /api/v1/rooms/{}{path}", evening.slugs[0]);
        let answer = evening.live.http(&call, token, "application/json", "{}").await;
        assert_eq!(answer.refusal(), (404, "not_found".into()), "{call}");
    }
    let shown = format!("GET /api/v1/rooms/{}", evening.slugs[0]);
    let shown = evening.live.http(&shown, token, "", "").await.json();
    assert_eq!((&shown["parent"], &shown["name"]), (&json!(MAIN), &json!("Tea")));
    assert_eq!(shown["invite_code"], Value::Null);
}

#[tokio::test]
async fn people_go_are_called_hear_the_broadcast_and_come_back() {
    let mut evening = evening(json!({})).await;
    let grace = &evening.guests[0];
    let (mut tea, joined) = evening.live.enter(grace, &evening.slugs[0]).await;
    assert_eq!(joined["room"]["parent"], MAIN);
    assert_eq!(joined["role"], "guest");
    assert_eq!(joined["snapshot"]["breakouts"]["assignments"][&grace.id], 0);
    assert_eq!(tea.ask(json!({ "type": "chat.message", "text": "just us" })).await["seq"], 2);
    let people = evening.main.wait("breakout.people").await;
    assert_eq!((&people["room"], &people["people"][0]["user_id"]), (&json!(0), &json!(grace.id)));

    assert_eq!(tea.ask(json!({ "type": "breakout.help" })).await["type"], "done");
    let help = evening.main.wait("breakout.help").await;
    assert_eq!((&help["room"], &help["by"]["display_name"]), (&json!(0), &json!("Grace")));

    evening.main.send(json!({ "type": "breakout.broadcast", "text": "Five minutes" })).await;
    assert_eq!(tea.wait("breakout.broadcast").await["text"], "Five minutes");

    let lock = json!({ "type": "state.set", "is_locked": true });
    assert_eq!(evening.main.ask(lock).await["type"], "done");
    evening.main.send(json!({ "type": "breakout.close", "seconds": 1 })).await;
    assert!(tea.wait("breakout.closing").await["ends_ms"].is_i64());
    let closed = tea.wait("breakout.closed").await;
    assert_eq!(closed["seq"], 6, "join, line, broadcast, closing, closed in a log of its own");
    assert_eq!(tea.closed().await, SENT_BACK);
    evening.main.wait("breakout.closed").await;

    // Back through the lock; the breakout room is gone for them and stays readable for moderators.
    let (_main, joined) = evening.live.enter(grace, MAIN).await;
    assert_eq!(joined["snapshot"]["breakouts"], Value::Null);
    let messages = format!("rooms/{}/messages", evening.slugs[0]);
    assert_eq!(evening.get(grace, &messages).await, 404);
    assert_eq!(evening.get(&evening.owner, &messages).await, 200);
    assert_eq!(evening.ticket(&evening.owner, &evening.slugs[0]).await, 404);
}

#[tokio::test]
async fn a_kick_given_in_a_breakout_room_holds_in_all_and_stands_in_the_main_rooms_audit() {
    let evening = evening(json!({ "self_choice": true })).await;
    let grace = &evening.guests[0];
    let (mut tea, _) = evening.live.enter(&evening.owner, &evening.slugs[0]).await;
    let (mut coffee, _) = evening.live.enter(grace, &evening.slugs[1]).await;
    let kick = json!({ "type": "member.kick", "user_id": grace.id });
    assert_eq!(tea.ask(kick).await["type"], "done");
    assert_eq!(coffee.closed().await, KICKED);
    let call = format!("GET /api/v1/rooms/{MAIN}/audit");
    let audit = evening.live.http(&call, &evening.owner.token, "", "").await.json();
    assert_eq!(audit["entries"][0]["action"], "member.kicked");
    assert_eq!(audit["entries"][1]["action"], "breakout.opened");
    let order = json!({ "type": "member.kick", "user_id": evening.guests[1].id });
    let path = format!("rooms/{}/orders", evening.slugs[0]);
    assert_eq!(evening.live.post(&path, &evening.guests[2].token, order).await.status, 403);
}

#[tokio::test]
async fn who_is_assigned_elsewhere_is_sent_there() {
    let mut evening = evening(json!({})).await;
    let grace = &evening.guests[0];
    let (mut tea, _) = evening.live.enter(grace, &evening.slugs[0]).await;
    let assign = json!({ "type": "breakout.assign", "assignments": { grace.id.as_str(): 1 } });
    assert_eq!(evening.main.ask(assign).await["type"], "done");
    assert_eq!(tea.wait("breakout.assigned").await["assignments"][&grace.id], 1);
    assert_eq!(tea.closed().await, SENT_BACK);
    assert_eq!(evening.ticket(grace, &evening.slugs[0]).await, 404);
    assert_eq!(evening.ticket(grace, &evening.slugs[1]).await, 200);
}

#[tokio::test]
async fn a_demotion_and_a_mute_of_the_main_room_count_in_the_breakout_room() {
    let mut evening = evening(json!({})).await;
    let grace = &evening.guests[0];
    let (mut tea, joined) = evening.live.enter(grace, &evening.slugs[0]).await;
    let path = format!("rooms/{MAIN}/orders");
    let promote = json!({ "type": "role.set", "user_id": grace.id, "role": "admin" });
    evening.live.post(&path, &evening.owner.token, promote).await;
    assert_eq!(tea.wait("role.changed").await["role"], "admin");
    let topic = json!({ "type": "state.set", "topic": "Biscuits" });
    assert_eq!(tea.ask(topic).await["type"], "done");
    let mute =
        json!({ "type": "media.force", "user_id": grace.id, "source": "camera", "forced": true });
    assert_eq!(evening.main.ask(mute).await["type"], "done");
    let updated = tea.wait("media.updated").await;
    assert_eq!(updated["participant_id"], joined["participant_id"]);
    assert_eq!(updated["media"]["cam_forced"], true);
    // It stands in the main room's row, so it holds in a breakout room that opens later as well.
    let (_, joined) = evening.live.enter(grace, &evening.slugs[1]).await;
    let me = &joined["snapshot"]["participants"][0];
    assert_eq!((&me["role"], &me["media"]["cam_forced"]), (&json!("admin"), &json!(true)));
}

#[tokio::test]
async fn open_breakout_rooms_outlive_a_restart() {
    let evening = evening(json!({ "minutes": 5 })).await;
    let Evening { live, owner, guests, slugs, .. } = evening;
    let (mut tea, _) = live.enter(&guests[0], &slugs[0]).await;
    live.signaling.shutdown().await;
    assert_eq!(tea.closed().await, protocol::server::close::RESTARTING);
    let live = Live::on(live.database, Settings::for_tests()).await;
    let (mut tea, joined) = live.enter(&guests[0], &slugs[0]).await;
    assert_eq!(joined["snapshot"]["breakouts"]["rooms"][1]["name"], "Coffee");
    let close = json!({ "type": "breakout.close", "seconds": 0 });
    assert_eq!(live.post(&format!("rooms/{MAIN}/orders"), &owner.token, close).await.status, 204);
    assert_eq!(tea.closed().await, SENT_BACK);
}

#[tokio::test]
async fn a_main_room_that_is_deleted_takes_its_breakout_rooms_along() {
    let evening = evening(json!({})).await;
    let (mut tea, _) = evening.live.enter(&evening.guests[0], &evening.slugs[0]).await;
    let call = format!("DELETE /api/v1/rooms/{MAIN}");
    assert_eq!(evening.live.http(&call, &evening.owner.token, "", "").await.status, 204);
    assert_eq!(tea.closed().await, protocol::server::close::ROOM_CLOSED);
    assert_eq!(evening.ticket(&evening.owner, &evening.slugs[0]).await, 404);
}

#[tokio::test]
async fn of_many_who_open_breakout_rooms_at_once_one_does() {
    let live = Live::new().await;
    let owner = live.guest("Owner").await;
    live.room(&owner, MAIN).await;
    let open = json!({ "type": "breakout.open", "rooms": [{ "name": "Tea" }] });
    let path = format!("rooms/{MAIN}/orders");
    let calls = (0..10).map(|_| live.post(&path, &owner.token, open.clone()));
    let answers = futures_util::future::join_all(calls).await;
    let mut said: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    said.sort_unstable();
    assert_eq!(said, [[204].as_slice(), &[409; 9]].concat());
    let (_, joined) = live.enter(&owner, MAIN).await;
    assert_eq!(joined["snapshot"]["breakouts"]["rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_comes_while_breakout_rooms_close_is_sent_back_or_not_let_in() {
    let evening = evening(json!({ "self_choice": true })).await;
    let (live, tea) = (&evening.live, &evening.slugs[0]);
    let (mut first, _) = live.enter(&evening.guests[0], tea).await;
    let comes = evening.guests.iter().cycle().take(30).map(async |guest| {
        let path = format!("/ws/rooms/{tea}?token={}", guest.token);
        match live.open(&path, &[]).await {
            Ok(mut socket) => socket.closed().await,
            Err(status) => status,
        }
    });
    let close = json!({ "type": "breakout.close", "seconds": 0 });
    let path = format!("rooms/{MAIN}/orders");
    let (ends, closed) = tokio::join!(
        futures_util::future::join_all(comes),
        live.post(&path, &evening.owner.token, close)
    );
    assert_eq!(closed.status, 204);
    assert!(ends.iter().all(|end| [SENT_BACK, 404].contains(end)), "{ends:?}");
    assert_eq!(first.closed().await, SENT_BACK);
    // The last leave is stored when its socket has been closed already.
    let log = async || {
        let room = live.database.store.room_by_slug(tea).await.unwrap().unwrap();
        live.database.store.room_log(room.id, 1, 0).await.unwrap()
    };
    live.signaling.shutdown().await;
    assert_eq!(log().await.abandoned, [], "nobody is left behind");
}
