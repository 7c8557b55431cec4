//! Lines of chat and what is done with them.

use crate::id::{AttachmentId, MessageId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stored chat message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// Id.
    pub id: MessageId,
    /// The room's event number of it.
    pub seq: i64,
    /// Who wrote it.
    pub user_id: UserId,
    /// Name of the author when it was written.
    pub display_name: String,
    /// The text; empty when it was deleted, is sealed, or is a file alone.
    pub text: String,
    /// When it was stored, milliseconds since 1970.
    pub sent_ms: i64,
    /// The author's own id of it, so that a resend is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The one person whom it is for; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<UserId>,
    /// How it is sealed; only sealed messages have this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algo: Option<String>,
    /// What is sealed, in base64; only sealed messages have this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphertext_b64: Option<String>,
    /// When its author last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_ms: Option<i64>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_ms: Option<i64>,
    /// When it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_ms: Option<i64>,
    /// What people feel about it, in order of the first of each feeling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// A question to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

impl ChatMessage {
    /// Whether this person may read it.
    pub fn is_for(&self, user: UserId) -> bool {
        self.to.is_none_or(|to| to == user || self.user_id == user)
    }
}

/// One feeling about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// One emoji.
    pub emoji: String,
    /// Who feels it, first come first.
    pub user_ids: Vec<UserId>,
}

/// A question with its answers so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// The question.
    pub question: String,
    /// What one may answer.
    pub options: Vec<String>,
    /// Whether one may choose several.
    pub is_multiple: bool,
    /// Whether it takes no more votes.
    pub is_closed: bool,
    /// Who chose what, in order of voting.
    pub votes: Vec<Vote>,
}

/// What one person chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vote {
    /// Who.
    pub user_id: UserId,
    /// Numbers of options, the first is 0.
    pub choices: Vec<u8>,
}

/// A question to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPoll {
    /// The question, 1–500 characters.
    pub question: String,
    /// 2–10 answers of 1–200 characters.
    pub options: Vec<String>,
    /// Whether one may choose several.
    #[serde(default)]
    pub is_multiple: bool,
}

/// A file of the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Its id: `GET rooms/{slug}/attachments/{id}`.
    pub id: AttachmentId,
    /// Name to show and to save under.
    pub name: String,
    /// Type, by what it holds.
    pub mime: String,
    /// Size.
    pub bytes: u64,
    /// Width of a picture; files that are none have neither size nor thumbnail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}
