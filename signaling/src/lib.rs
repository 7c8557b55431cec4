//! The control plane: identity, rooms, the room's socket, chat, and the doors of the media plane
//! (media signaling, WHIP, WHEP). It sends [`sfu::Command`]s and hears [`sfu::Event`]s; it must never
//! know about RTP or threads, and of files only those that people upload.

mod accounts;
pub mod admission;
mod app;
pub mod bucket;
mod checkup;
mod clock;
mod directory;
pub mod exports;
mod extract;
pub mod files;
mod hub;
mod ice;
mod identity;
mod invites;
mod keys;
mod limits;
#[cfg(test)]
mod live;
mod names;
mod passwords;
mod pictures;
pub mod recorder;
mod recordings;
pub mod records;
mod rest;
mod resume;
pub mod room;
mod sdpfrag;
pub mod settings;
mod signed_in;
mod socket;
mod stream_keys;
mod tickets;
mod uploads;
mod whip;
pub mod words;

pub use app::ApiError;
pub use ice::turn_password;
pub use identity::Identity;
pub use settings::{
    BuiltinTurn, MediaBusy, MediaPlane, RecordingSettings, Secret, Settings, TurnUrls,
};

use crate::admission::Admission;
use crate::checkup::Checkups;
use crate::files::Files;
use crate::hub::Hub;
use crate::identity::Tokens;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::passwords::Passwords;
use crate::resume::ResumeKey;
use crate::signed_in::SignedIn;
use crate::tickets::Tickets;
use axum::Router;
use axum::routing::any;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use store::Store;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// The control plane of one process, and the state of its doors. Cheap to clone; clones are the same one.
#[derive(Clone)]
pub struct Signaling {
    pub(crate) inner: Arc<Inner>,
}

/// What every door can reach.
pub(crate) struct Inner {
    pub settings: Settings,
    pub store: Store,
    pub hub: Hub,
    /// Held for the few lines that take or give one; any door may do either.
    pub tickets: Mutex<Tickets>,
    pub signed_in: SignedIn,
    pub checkups: Checkups,
    pub admission: Admission,
    pub tokens: Tokens,
    pub keys: Keys,
    pub limits: Limits,
    pub passwords: Passwords,
    pub files: Files,
    /// Places for pictures that are made anew.
    pub drawing: Semaphore,
    /// Uploads of recordings into which somebody writes now; held for a line.
    pub uploading: Mutex<BTreeSet<Uuid>>,
}

impl Signaling {
    /// Takes the settings as checked by the process. Needs a running tokio runtime.
    pub fn new(settings: Settings, store: Store, media: Arc<dyn MediaPlane>) -> Self {
        let resume = ResumeKey::new(settings.jwt_secret.expose().as_bytes());
        let inner = Arc::new(Inner {
            hub: Hub::new(
                store.clone(),
                media,
                settings.recording.recorder.clone(),
                resume,
                settings.rules.clone(),
            ),
            tickets: Mutex::default(),
            signed_in: SignedIn::default(),
            checkups: Checkups::default(),
            admission: Admission::new(settings.capacity),
            tokens: Tokens::new(&settings),
            keys: Keys::new(&settings.jwt_secret),
            limits: Limits::new(&settings),
            passwords: Passwords::new(),
            files: settings.files.clone(),
            drawing: Semaphore::new(PICTURES_AT_ONCE),
            uploading: Mutex::default(),
            settings,
            store,
        });
        identity::forget_the_gone(&inner);
        Self { inner }
    }

    /// Every door of the control plane: `/api/v1/*`, `/ws/*`, `/whip/*`, `/whep/*`, `/health`, `/ready`.
    /// Rate limits need the client's address: serve it with `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn router(&self) -> Router {
        let (api, _) = rest::routes().split_for_parts();
        let api = api.fallback(app::unknown_path);
        let (doors, _) = doors().split_for_parts();
        Router::new()
            .nest(rest::PREFIX, api)
            // A nested router answers below its prefix and at it, not at its bare slash.
            .route(&format!("{}/", rest::PREFIX), any(app::unknown_path))
            .merge(doors)
            .method_not_allowed_fallback(app::wrong_method)
            .layer(axum::extract::DefaultBodyLimit::max(app::MAX_BODY_BYTES))
            .with_state(self.clone())
    }

    /// The OpenAPI document, made from the handlers.
    pub fn openapi() -> utoipa::openapi::OpenApi {
        OpenApiRouter::with_openapi(rest::document())
            .nest(rest::PREFIX, rest::routes())
            .merge(doors())
            .into_openapi()
    }

    /// Hears what the media plane has to say. Never blocks.
    pub fn media_event(&self, event: sfu::Event) {
        if let Some((index, event)) = self.inner.hub.media_event(event) {
            self.inner.checkups.media_event(index, event);
        }
    }

    /// Closes every socket with 1012, so that clients come back with some jitter, and waits for what is
    /// still to be stored.
    pub async fn shutdown(&self) {
        self.inner.hub.shutdown().await;
    }
}

/// Each takes a core and up to 160 MB. More starve the meeting, fewer keep people waiting.
const PICTURES_AT_ONCE: usize = 2;

/// The doors outside the REST prefix.
fn doors() -> OpenApiRouter<Signaling> {
    rest::health::routes().merge(socket::routes()).merge(whip::routes())
}
