//! One text frame of a client becomes a request or a complaint, and nothing stringly goes further inward.

use protocol::limits::MAX_REQUEST_ID_CHARS;
use protocol::{ClientMessage, ErrorCode};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;

/// A request, and the id that its answer will carry.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub message: ClientMessage,
    pub re: Option<Value>,
}

/// Why a frame is no request.
#[derive(Debug, PartialEq)]
pub(crate) struct Complaint {
    pub code: ErrorCode,
    pub reason: String,
    pub re: Option<Value>,
}

/// Reads a frame.
pub(crate) fn parse(text: &str) -> Result<Asked, Complaint> {
    let complaint = |code, reason: &str, re| Complaint { code, reason: reason.to_owned(), re };
    let mut value = match serde_json::from_str(text) {
        Ok(Unambiguous(value)) => value,
        // The only rule that is not syntax.
        Err(error) if error.is_data() => {
            return Err(complaint(ErrorCode::BadRequest, "an object has a key twice", None));
        }
        Err(_) => return Err(complaint(ErrorCode::BadRequest, "the frame is not JSON", None)),
    };
    let Some(fields) = value.as_object_mut() else {
        return Err(complaint(ErrorCode::BadRequest, "the frame is not a JSON object", None));
    };
    let re = match fields.remove("id") {
        None | Some(Value::Null) => None,
        Some(id) if is_request_id(&id) => Some(id),
        Some(_) => {
            let reason = "id must be a number or a string of at most 64 characters";
            return Err(complaint(ErrorCode::BadRequest, reason, None));
        }
    };
    let Some(kind) = fields.get("type").and_then(Value::as_str) else {
        return Err(complaint(ErrorCode::BadRequest, "the message has no type", re));
    };
    if !ClientMessage::TYPES.contains(&kind) {
        return Err(complaint(ErrorCode::UnknownType, "there is no message of that type", re));
    }
    match ClientMessage::deserialize(value) {
        Ok(message) => Ok(Asked { message, re }),
        Err(error) => {
            // serde repeats what it did not expect, however long that is.
            let reason: String = error.to_string().chars().take(MAX_REASON_CHARS).collect();
            Err(Complaint { code: ErrorCode::BadRequest, reason, re })
        }
    }
}

/// Longer would send a client's own garbage back to it; shorter would cut off what serde expected.
const MAX_REASON_CHARS: usize = 200;

fn is_request_id(id: &Value) -> bool {
    match id {
        Value::Number(_) => true,
        Value::String(text) => text.chars().count() <= MAX_REQUEST_ID_CHARS,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// JSON in which no object has a key twice: programs disagree about which of the two counts, and whoever
/// checks one of them lets the other pass.
pub(crate) struct Unambiguous(pub Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Unambiguous)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unambiguous(value))) = entries.next_entry::<String, _>()? {
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("a key twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
        for text in [
            r#"{"type":"ping","type":"leave"}"#,
            r#"{"type":"ping","id":1,"id":2}"#,
            r#"{"type":"role.set","user_id":"a","role":"admin","role":"guest"}"#,
            r#"{"type":"signal.message","topic":"t","data":{"a":[{"b":1,"\u0062":2}]}}"#,
        ] {
            let complaint = parse(text).unwrap_err();
            assert_eq!(complaint.code, ErrorCode::BadRequest, "{text}");
            assert_eq!(complaint.reason, "an object has a key twice", "{text}");
        }
        let fine = r#"{"type":"signal.message","topic":"t","data":[{"a":1},{"a":{"a":-1.5e3}}]}"#;
        let asked = parse(fine).unwrap();
        let data = json!([{ "a": 1 }, { "a": { "a": -1.5e3 } }]);
        assert_eq!(
            asked.message,
            ClientMessage::SignalMessage { to: None, topic: "t".into(), data }
        );
    }

    fn complaint(text: &str) -> (ErrorCode, Option<Value>) {
        let complaint = parse(text).unwrap_err();
        (complaint.code, complaint.re)
    }

    #[test]
    fn a_request_keeps_its_id_and_ignores_fields_that_are_none() {
        let asked =
            parse(r#"{"type":"chat.typing","is_typing":true,"id":"7","from":"me"}"#).unwrap();
        assert_eq!(asked.message, ClientMessage::ChatTyping { is_typing: true });
        assert_eq!(asked.re, Some(json!("7")));
        assert_eq!(parse(r#"{"type":"ping","id":7}"#).unwrap().re, Some(json!(7)));
        assert_eq!(parse(r#"{"type":"ping"}"#).unwrap().re, None);
    }

    #[test]
    fn what_is_wrong_decides_the_code() {
        for text in ["", "{", "[]", "7", "\"ping\"", "{}", r#"{"type":7}"#] {
            assert_eq!(complaint(text), (ErrorCode::BadRequest, None), "{text}");
        }
        assert_eq!(
            complaint(r#"{"type":"dance","id":1}"#),
            (ErrorCode::UnknownType, Some(json!(1)))
        );
        assert_eq!(
            complaint(r#"{"type":"chat.typing","id":1}"#),
            (ErrorCode::BadRequest, Some(json!(1)))
        );
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(complaint(&deep), (ErrorCode::BadRequest, None));
    }

    #[test]
    fn an_id_that_is_too_much_is_not_handed_back() {
        let long = "x".repeat(65);
        for id in [json!(long), json!(true), json!({}), json!([1])] {
            let text = json!({ "type": "ping", "id": id }).to_string();
            assert_eq!(complaint(&text), (ErrorCode::BadRequest, None));
        }
        let longest = json!({ "type": "ping", "id": "ж".repeat(64) }).to_string();
        assert!(parse(&longest).is_ok());
    }

    #[test]
    fn a_complaint_does_not_repeat_a_flood() {
        let text = json!({ "type": "media.publish", "pc": "p", "sdp": "s",
            "tracks": [{ "mid": "0", "source": "x".repeat(100_000) }] });
        let complaint = parse(&text.to_string()).unwrap_err();
        assert!(complaint.reason.chars().count() <= MAX_REASON_CHARS);
    }
}
