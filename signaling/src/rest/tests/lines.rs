//! The life of a line of chat, over real sockets and the store.

use crate::live::{Client, Live, Person, text};
use crate::room::Rules;
use crate::settings::Settings;
use crate::words::WordFilter;
use serde_json::{Value, json};

struct Talk {
    live: Live,
    people: [Person; 3],
    clients: [Client; 3],
}

/// An owner and two guests in a room.
async fn talk() -> Talk {
    let words = WordFilter::new(&["darn".into()]).expect("a short list");
    let rules = Rules { words, ..Rules::default() };
    let live = Live::with(Settings { rules, ..Settings::for_tests() }).await;
    let people = [live.guest("Ada").await, live.guest("Bob").await, live.guest("Cyd").await];
    live.room(&people[0], "weekly").await;
    let mut clients = Vec::new();
    for person in &people {
        clients.push(live.enter(person, "weekly").await.0);
    }
    let clients = clients.try_into().unwrap_or_else(|_| panic!("three"));
    Talk { live, people, clients }
}

impl Talk {
    async fn say(&mut self, who: usize, mut message: Value) -> Value {
        message["type"] = json!("chat.message");
        self.clients[who].ask(message).await
    }

    async fn history(&self, who: usize) -> Vec<Value> {
        let call = "GET /api/v1/rooms/weekly/messages";
        let page = self.live.http(call, &self.people[who].token, "", "").await.json();
        page["messages"].as_array().expect("a list").clone()
    }

    async fn events(&self, who: usize) -> Vec<Value> {
        let call = "GET /api/v1/rooms/weekly/events?after_seq=0";
        let page = self.live.http(call, &self.people[who].token, "", "").await.json();
        page["events"].as_array().expect("a list").clone()
    }

    /// Whether anything that this person can read holds the word.
    async fn can_read(&self, who: usize, word: &str) -> bool {
        let history = json!(self.history(who).await).to_string();
        let events = json!(self.events(who).await).to_string();
        history.contains(word) || events.contains(word)
    }
}

#[tokio::test]
async fn a_line_is_answered_edited_felt_about_pinned_and_deleted() {
    let mut talk = talk().await;
    let first = talk.say(1, json!({ "text": "what the DARN" })).await;
    assert_eq!(first["text"], "what the ****");
    let id = &first["id"];
    let reply = talk.say(2, json!({ "text": "indeed", "reply_to": id })).await;
    assert_eq!(reply["reply_to"], *id);
    let done = |answer: Value| assert_eq!(answer["type"], "done", "{answer}");
    let edit = json!({ "type": "chat.edit", "message_id": id, "text": "oh darn it" });
    done(talk.clients[1].ask(edit.clone()).await);
    assert_eq!(talk.clients[2].wait("chat.edited").await["text"], "oh **** it");
    assert_eq!(talk.clients[2].ask(edit).await["code"], "forbidden");
    done(
        talk.clients[2]
            .ask(json!({ "type": "chat.react", "message_id": id, "emoji": "👍", "on": true }))
            .await,
    );
    done(
        talk.clients[0].ask(json!({ "type": "chat.pin", "message_id": id, "pinned": true })).await,
    );
    let pin = json!({ "type": "chat.pin", "message_id": id, "pinned": false });
    assert_eq!(talk.clients[1].ask(pin).await["code"], "forbidden");
    assert_eq!(talk.clients[2].wait("chat.pinned").await["message"]["text"], "oh **** it");

    let (_late, joined) = talk.live.enter(&talk.people[2], "weekly").await;
    let line = &joined["snapshot"]["messages"][0];
    assert_eq!(
        (&line["text"], &line["reactions"][0]["emoji"]),
        (&json!("oh **** it"), &json!("👍"))
    );
    assert_eq!(joined["snapshot"]["pinned"][0]["id"], *id);
    let stored = &talk.history(2).await[0];
    assert_eq!(stored, line, "the room's memory is what the store has");

    let delete = json!({ "type": "chat.delete", "message_id": id });
    assert_eq!(talk.clients[2].ask(delete.clone()).await["code"], "forbidden");
    done(talk.clients[0].ask(delete.clone()).await);
    assert_eq!(talk.clients[0].ask(delete).await["code"], "not_found");
    let gone = &talk.history(1).await[0];
    assert_eq!((&gone["text"], gone["deleted_ms"].is_number()), (&json!(""), true));
    assert!(gone["reactions"].is_null() && gone["pinned_ms"].is_null());
    assert!(!talk.can_read(0, "oh ****").await, "the log of edits forgets as well");
    let audit =
        talk.live.http("GET /api/v1/rooms/weekly/audit", &talk.people[0].token, "", "").await;
    let actions: Vec<String> = audit.json()["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| text(&e["action"]))
        .collect();
    assert_eq!(actions, ["chat.deleted", "chat.pinned"]);
}

#[tokio::test]
async fn a_private_line_and_what_is_done_with_it_is_for_two() {
    let mut talk = talk().await;
    let to = talk.people[1].id.clone();
    let line = talk.say(0, json!({ "text": "between us", "to": to })).await;
    assert_eq!(talk.clients[1].wait("chat.message").await["to"], json!(to));
    let react =
        json!({ "type": "chat.react", "message_id": line["id"], "emoji": "👍", "on": true });
    assert_eq!(talk.clients[2].ask(react.clone()).await["code"], "not_found");
    assert_eq!(talk.clients[1].ask(react).await["type"], "done");
    assert_eq!(talk.clients[0].wait("chat.reacted").await["emoji"], "👍");
    let reply = talk.say(2, json!({ "text": "me too", "reply_to": line["id"] })).await;
    assert_eq!(reply["code"], "not_found", "an id of it opens nothing");
    for (who, reads) in [(0, true), (1, true), (2, false)] {
        assert_eq!(talk.can_read(who, "between us").await, reads, "{who}");
        assert_eq!(talk.can_read(who, "chat.reacted").await, reads, "{who}");
    }
    let (_late, joined) = talk.live.enter(&talk.people[2], "weekly").await;
    assert!(!joined["snapshot"].to_string().contains("between us"));
    let stranger = uuid::Uuid::now_v7().to_string();
    assert_eq!(talk.say(0, json!({ "text": "hello?", "to": stranger })).await["code"], "not_found");
}

#[tokio::test]
async fn a_poll_counts_each_person_once_until_it_is_closed() {
    let mut talk = talk().await;
    let poll = json!({ "question": "When?", "options": ["Monday", "Tuesday"] });
    let line = talk.say(1, json!({ "text": "", "poll": poll })).await;
    let id = &line["id"];
    let vote =
        |choices: Value| json!({ "type": "poll.vote", "message_id": id, "choices": choices });
    for (choices, code) in [
        (json!([0]), Value::Null),
        (json!([1]), Value::Null),
        (json!([2]), json!("not_found")),
        (json!([0, 1]), json!("not_found")),
    ] {
        assert_eq!(talk.clients[2].ask(vote(choices)).await["code"], code);
    }
    let shown = &talk.history(0).await[0]["poll"];
    assert_eq!(shown["votes"], json!([{ "user_id": talk.people[2].id, "choices": [1] }]));
    let close = json!({ "type": "poll.close", "message_id": id });
    assert_eq!(talk.clients[2].ask(close.clone()).await["code"], "forbidden");
    assert_eq!(talk.clients[1].ask(close).await["type"], "done");
    assert_eq!(talk.clients[2].ask(vote(json!([0]))).await["code"], "conflict");
    for options in [json!(["one"]), json!([" ", "two"]), json!(vec!["x"; 11])] {
        let poll = json!({ "question": "?", "options": options });
        assert_eq!(talk.say(0, json!({ "text": "", "poll": poll })).await["code"], "invalid");
    }
}

#[tokio::test]
async fn sealed_lines_keys_and_signals_pass_unread_and_signed_by_the_server() {
    let mut talk = talk().await;
    let sealed = json!({ "type": "chat.message.enc", "algo": "x", "ciphertext_b64": "c2VhbGVk" });
    let line = talk.clients[0].ask(sealed).await;
    assert_eq!((&line["type"], &line["text"]), (&json!("chat.message.enc"), &json!("")));
    let heard = talk.clients[1].wait("chat.message.enc").await;
    assert_eq!(heard["ciphertext_b64"], "c2VhbGVk");
    assert_eq!(talk.history(1).await[0]["ciphertext_b64"], "c2VhbGVk");
    for broken in ["", "not base64!", &"A".repeat(40_000)] {
        let sealed = json!({ "type": "chat.message.enc", "algo": "x", "ciphertext_b64": broken });
        assert_eq!(talk.clients[0].ask(sealed).await["type"], "error");
    }
    let keys = json!({ "type": "keys.publish", "identity_key": "ik", "pre_key": "pk" });
    assert_eq!(talk.clients[1].ask(keys).await["type"], "done");
    assert_eq!(talk.clients[2].wait("keys.published").await["keys"]["pre_key"], "pk");
    let (mut late, joined) = talk.live.enter(&talk.people[2], "weekly").await;
    let bob = &joined["snapshot"]["participants"][1];
    assert_eq!(bob["keys"]["identity_key"], "ik");
    let signal = json!({ "type": "signal", "to": bob["id"], "kind": "offer", "data": { "sdp": "v=0" }, "from": bob["id"] });
    assert_eq!(late.ask(signal).await["type"], "done");
    let heard = talk.clients[1].wait("signal").await;
    assert_eq!((&heard["from"], &heard["kind"]), (&joined["participant_id"], &json!("offer")));
}
