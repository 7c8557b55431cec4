//! PROTOCOL.md says what the server does: all codes, all calls, and examples that are what the types are.

use crate::Signaling;
use protocol::chat::Attachment;
use protocol::recording::{
    Export, ExportList, ExportRequest, Recording, RecordingLink, RecordingList, RecordingPolicy,
};
use protocol::rest::{
    AuditPage, AuthResponse, BanList, Checkup, CheckupRequest, CreateInviteRequest,
    CreateRoomRequest, CreateStreamKeyRequest, EventList, GuestRequest, IceServers, Invite,
    InviteList, InvitedRoom, LoginRequest, LogoutRequest, MemberList, MessagePage, ParticipantList,
    PublicConfig, RefreshRequest, RegisterRequest, RenameRequest, RoomList, StreamKey,
    StreamKeyList, TicketRequest, TicketResponse, UpdateRoomRequest, User, WatchLayer,
};
use protocol::room::Room;
use protocol::stats::RoomStats;
use protocol::{ClientMessage, ErrorBody, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

const TEXT: &str = include_str!("../../../../PROTOCOL.md");

/// The example of this kind (`request`, `answer`) under the heading of a call.
fn example(call: &str, kind: &str) -> Option<Value> {
    let heading = format!("#### {call}");
    let (_, section) = TEXT.split_once(&format!("{heading}\n")).or_else(|| {
        let (_, section) = TEXT.split_once(&format!("{heading}?"))?;
        section.split_once('\n')
    })?;
    let section = section.split("\n#").next().unwrap_or(section);
    let (_, block) = section.split_once(&format!("```json {kind}\n"))?;
    let (json, _) = block.split_once("```")?;
    Some(serde_json::from_str(json).unwrap_or_else(|error| panic!("{call}, {kind}: {error}")))
}

/// The example reads as `T`, and `T` writes it back: no field is misspelt, invented or missing.
fn is<T: DeserializeOwned + Serialize>(call: &str, kind: &str) {
    let shown = example(call, kind).unwrap_or_else(|| panic!("{call} has no {kind}"));
    let read: T = serde_json::from_value(shown.clone())
        .unwrap_or_else(|error| panic!("{call}, {kind}: {error}"));
    let written = without_nulls(serde_json::to_value(read).expect("serializes"));
    assert_eq!(written, shown, "{call}, {kind}");
}

/// Absent and null are the same to every reader of ours.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[test]
fn every_error_code_stands_in_the_table_with_its_status() {
    for code in ErrorCode::ALL {
        let row = format!("| `{}` | {} | ", code.as_str(), code.status());
        assert_eq!(TEXT.matches(&row).count(), 1, "{row}");
    }
    let rows = TEXT.lines().filter(|line| line.starts_with("| `")).filter(|line| {
        line.split('|').nth(2).is_some_and(|status| status.trim().parse::<u16>().is_ok())
    });
    assert_eq!(rows.count(), ErrorCode::ALL.len(), "a code of the table is none");
}

#[test]
fn every_call_has_its_section_and_every_section_is_a_call() {
    let document = serde_json::to_value(Signaling::openapi()).expect("serializes");
    let mut calls = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if path.starts_with("/api/v1/") {
            for method in methods.as_object().expect("methods").keys() {
                calls.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let sections: BTreeSet<String> = TEXT
        .lines()
        .filter_map(|line| line.strip_prefix("#### "))
        .filter(|heading| heading.contains(" /api/v1/"))
        .map(|heading| heading.split('?').next().unwrap_or(heading).to_owned())
        .collect();
    assert_eq!(calls, sections);
}

#[test]
fn the_examples_are_what_the_types_are() {
    is::<Recording>("POST /api/v1/rooms/{slug}/recordings", "answer");
    is::<RecordingList>("GET /api/v1/rooms/{slug}/recordings", "answer");
    is::<Recording>("GET /api/v1/recordings/{id}", "answer");
    is::<RecordingLink>("POST /api/v1/recordings/{id}/links", "answer");
    is::<ExportRequest>("POST /api/v1/recordings/{id}/exports", "request");
    is::<Export>("POST /api/v1/recordings/{id}/exports", "answer");
    is::<ExportList>("GET /api/v1/recordings/{id}/exports", "answer");
    is::<RecordingPolicy>("GET /api/v1/rooms/{slug}/recording-policy", "answer");
    is::<RecordingPolicy>("PUT /api/v1/rooms/{slug}/recording-policy", "request");
    let error = TEXT.split_once("```json error\n").and_then(|(_, block)| block.split_once("```"));
    let error: ErrorBody = serde_json::from_str(error.expect("an example").0).expect("an error");
    assert_eq!(error.error.code, ErrorCode::Invalid);

    is::<GuestRequest>("POST /api/v1/auth/guest", "request");
    is::<AuthResponse>("POST /api/v1/auth/guest", "answer");
    is::<RegisterRequest>("POST /api/v1/auth/register", "request");
    is::<AuthResponse>("POST /api/v1/auth/register", "answer");
    is::<LoginRequest>("POST /api/v1/auth/login", "request");
    is::<RefreshRequest>("POST /api/v1/auth/refresh", "request");
    is::<LogoutRequest>("POST /api/v1/auth/logout", "request");
    is::<User>("GET /api/v1/auth/me", "answer");
    is::<RenameRequest>("PATCH /api/v1/auth/me", "request");
    is::<CreateRoomRequest>("POST /api/v1/rooms", "request");
    is::<Room>("POST /api/v1/rooms", "answer");
    is::<RoomList>("GET /api/v1/rooms", "answer");
    is::<Room>("GET /api/v1/rooms/{slug}", "answer");
    is::<UpdateRoomRequest>("PATCH /api/v1/rooms/{slug}", "request");
    is::<InvitedRoom>("GET /api/v1/rooms/by-invite/{code}", "answer");
    is::<TicketRequest>("POST /api/v1/rooms/{slug}/ticket", "request");
    is::<TicketResponse>("POST /api/v1/rooms/{slug}/ticket", "answer");
    is::<ParticipantList>("GET /api/v1/rooms/{slug}/participants", "answer");
    is::<CheckupRequest>("POST /api/v1/webrtc/checkups", "request");
    is::<Checkup>("POST /api/v1/webrtc/checkups", "answer");
    is::<RoomStats>("GET /api/v1/rooms/{slug}/stats", "answer");
    is::<MessagePage>("GET /api/v1/rooms/{slug}/messages", "answer");
    is::<MemberList>("GET /api/v1/rooms/{slug}/members", "answer");
    is::<BanList>("GET /api/v1/rooms/{slug}/bans", "answer");
    is::<AuditPage>("GET /api/v1/rooms/{slug}/audit", "answer");
    is::<EventList>("GET /api/v1/rooms/{slug}/events", "answer");
    is::<ClientMessage>("POST /api/v1/rooms/{slug}/orders", "request");
    is::<CreateInviteRequest>("POST /api/v1/rooms/{slug}/invites", "request");
    is::<Invite>("POST /api/v1/rooms/{slug}/invites", "answer");
    is::<InviteList>("GET /api/v1/rooms/{slug}/invites", "answer");
    is::<CreateStreamKeyRequest>("POST /api/v1/rooms/{slug}/stream-keys", "request");
    is::<StreamKey>("POST /api/v1/rooms/{slug}/stream-keys", "answer");
    is::<StreamKeyList>("GET /api/v1/rooms/{slug}/stream-keys", "answer");
    is::<WatchLayer>("POST /whep/{slug}/{session}/layer", "request");
    is::<Attachment>("POST /api/v1/rooms/{slug}/attachments", "answer");
    is::<IceServers>("GET /api/v1/webrtc/ice-servers", "answer");
    is::<PublicConfig>("GET /api/v1/config", "answer");
}
