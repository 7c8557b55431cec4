//! The examples of PROTOCOL.md are files that the types here, and the client's, read and write back.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use veche_protocol::{ClientMessage, ClientRequest, ServerMessage};

const TEXT: &str = include_str!("../../PROTOCOL.md");

/// Side (`client` or `server`), type, and text of each example.
fn fixtures() -> Vec<(String, String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut fixtures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (side, rest) = name.split_once('.').unwrap();
        let kind = rest.strip_suffix(".json").unwrap_or_else(|| panic!("{name} is no .json"));
        fixtures.push((side.to_owned(), kind.to_owned(), fs::read_to_string(&path).unwrap()));
    }
    fixtures.sort();
    fixtures
}

fn written_back(side: &str, text: &str) -> Value {
    match side {
        "client" => {
            let request: ClientRequest = serde_json::from_str(text).unwrap();
            serde_json::to_value(request).unwrap()
        }
        "server" => {
            let message: ServerMessage = serde_json::from_str(text).unwrap();
            serde_json::to_value(message).unwrap()
        }
        other => panic!("there is no side {other}"),
    }
}

/// Every type of a side, from the schema that is made from the Rust types.
fn types(side: &str) -> BTreeSet<String> {
    let name = if side == "client" { "ClientMessage" } else { "ServerMessage" };
    let schema: Value =
        serde_json::from_str(include_str!("../schema.json")).expect("the schema is JSON");
    let mut types = BTreeSet::new();
    collect_types(&schema["components"]["schemas"][name], &schema, &mut types);
    types
}

fn collect_types(schema: &Value, root: &Value, types: &mut BTreeSet<String>) {
    if let Some(pointer) = schema["$ref"].as_str() {
        return collect_types(root.pointer(&pointer[1..]).unwrap(), root, types);
    }
    for value in schema["properties"]["type"]["enum"].as_array().into_iter().flatten() {
        types.insert(value.as_str().unwrap().to_owned());
    }
    for key in ["oneOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            collect_types(part, root, types);
        }
    }
}

#[test]
fn every_example_is_what_the_types_write() {
    for (side, kind, text) in fixtures() {
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["type"], kind.as_str(), "the file of {side} {kind} has another's name");
        assert_eq!(written_back(&side, &text), shown, "{side} {kind}");
    }
}

#[test]
fn every_type_has_an_example_and_every_example_a_type() {
    for side in ["client", "server"] {
        let shown: BTreeSet<String> =
            fixtures().into_iter().filter(|(s, ..)| s == side).map(|(_, kind, _)| kind).collect();
        assert_eq!(shown, types(side), "{side}");
    }
    let listed: BTreeSet<String> = ClientMessage::TYPES.iter().map(|t| (*t).to_owned()).collect();
    assert_eq!(listed, types("client"));
}

#[test]
fn the_document_shows_every_example_under_its_heading() {
    for (side, kind, text) in fixtures() {
        let sender = if side == "client" { "→" } else { "←" };
        let heading = format!("\n#### {sender} {kind}\n");
        let (_, section) = TEXT.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
        let section = section.split("\n#").next().unwrap();
        let block = format!("```json\n{}\n```", text.trim_end());
        assert!(section.contains(&block), "{side} {kind} has another example than its file");
    }
    let headings = TEXT.matches("\n#### → ").count() + TEXT.matches("\n#### ← ").count();
    assert_eq!(headings, fixtures().len(), "a message is described that is none");
}

#[test]
fn the_document_has_every_close_code() {
    use veche_protocol::server::close;
    for (code, _) in close::ALL {
        assert!(TEXT.contains(&format!("| {code} | ")), "{code} is not described");
    }
}
