//! `schema.json` is made from the Rust types: JSON Schema of everything that crosses the room's socket.

use serde_json::{Value, json};
use std::path::PathBuf;
use utoipa::OpenApi;
use veche_protocol::{ClientRequest, ServerMessage};

#[derive(OpenApi)]
#[openapi(components(schemas(ClientRequest, ServerMessage)))]
struct Messages;

#[test]
fn the_schema_is_that_of_the_types() {
    let document = serde_json::to_value(Messages::openapi()).unwrap();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of Veche's room socket",
        "anyOf": [
            { "$ref": "#/components/schemas/ClientRequest" },
            { "$ref": "#/components/schemas/ServerMessage" }
        ],
        "components": { "schemas": document["components"]["schemas"] }
    });
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    if std::env::var_os("REGENERATE_SCHEMA").is_some() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
    assert!(
        kept == schema,
        "protocol/schema.json is stale; REGENERATE_SCHEMA=1 cargo test -p veche-protocol --test schema"
    );
}
