//! What tests and benchmarks need beside a client: the server's process, films, a relay, options. The client is
//! `veche-client`, shown here under the same names.

pub mod coturn;
pub mod film;
pub mod options;
pub mod server;

pub use client::{
    Api, Error, Person, Publication, Publisher, Received, RoomSocket, Subscriber, VideoCodec,
    Weather, api, description, drain, http, link, person, publisher, relay, socket, subscriber,
    weather,
};
pub use film::{Film, Scene, Take};
pub use server::Server;
