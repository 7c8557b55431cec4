//! A person in a room: signed in, with a socket, able to publish and subscribe.

use crate::description::Description;
use crate::link::Local;
use crate::publisher::{Offer, Publication, Publisher};
use crate::subscriber::Subscriber;
use crate::viewer::Viewer;
use crate::{Api, Error, RoomSocket};
use protocol::media::SlotBinding;
use protocol::room::{Participant, Room, RoomState};
use protocol::{ClientMessage, ParticipantId, ServerMessage};

/// A person whose socket is open.
pub struct Person {
    /// The server.
    pub api: Api,
    /// Bearer token.
    pub token: String,
    /// The room.
    pub slug: String,
    /// Who they are there.
    pub id: ParticipantId,
    /// Everybody there when they came, themselves included.
    pub present: Vec<Participant>,
    /// The room's state when they came.
    pub state: RoomState,
    /// What takes this participant over on another socket.
    pub resume: String,
    /// The socket.
    pub socket: RoomSocket,
    slots: Vec<SlotBinding>,
    transports: u32,
}

impl Person {
    /// Signs in as a guest and makes a room.
    pub fn host(api: Api, name: &str) -> Result<(Self, Room), Error> {
        let token = api.guest(name)?.access_token;
        let room = api.create_room(&token, "Test")?;
        Ok((Self::enter(api, token, &room.slug, None)?, room))
    }

    /// Signs in as a guest and enters a room by its invite code.
    pub fn guest(api: Api, name: &str, room: &Room) -> Result<Self, Error> {
        let token = api.guest(name)?.access_token;
        let code = room.invite_code.as_deref().unwrap_or_default();
        api.join_by_invite(&token, code)?;
        Self::enter(api, token, &room.slug, None)
    }

    /// Opens the socket of a room that the holder of the token may enter.
    pub fn enter(
        api: Api,
        token: String,
        slug: &str,
        resume: Option<String>,
    ) -> Result<Self, Error> {
        let ticket = api.ticket(&token, slug, resume)?;
        let mut socket = RoomSocket::open(api.server, slug, &ticket)?;
        let joined = socket.wait_for(|m| matches!(m, ServerMessage::Joined { .. }))?;
        let ServerMessage::Joined { participant_id, resume, .. } = joined else {
            unreachable!("it was waited for")
        };
        let snapshot = socket.wait_for(|m| matches!(m, ServerMessage::StateSnapshot(_)))?;
        let ServerMessage::StateSnapshot(snapshot) = snapshot else {
            unreachable!("it was waited for")
        };
        Ok(Self {
            api,
            token,
            slug: slug.to_owned(),
            id: participant_id,
            present: snapshot.participants,
            state: snapshot.state,
            resume,
            socket,
            slots: Vec::new(),
            transports: 0,
        })
    }

    /// Publishes; the transport is connected when this returns.
    pub fn publish(&mut self, publication: Publication) -> Result<Publisher, Error> {
        let mut publisher = self.offer(Offer::new(publication))?;
        publisher.link.connect()?;
        Ok(publisher)
    }

    /// Sends an offer and takes its answer; the transport has not begun.
    pub fn offer(&mut self, offer: Offer) -> Result<Publisher, Error> {
        let pc = self.next_pc("publish");
        let answer = self.socket.request(ClientMessage::MediaPublish {
            pc,
            sdp: offer.sdp.clone(),
            tracks: offer.tracks.clone(),
        })?;
        match answer {
            ServerMessage::MediaPublished { sdp, .. } => offer.answered(&sdp),
            other => Err(Error::Answer(format!("{other:?}"))),
        }
    }

    /// Subscribes; the transport is connected when this returns.
    pub fn subscribe(&mut self, audio_slots: u8, video_slots: u8) -> Result<Subscriber, Error> {
        let mut subscriber = self.answer(&Local::generate(), audio_slots, video_slots)?;
        subscriber.link.connect()?;
        Ok(subscriber)
    }

    /// Asks for an offer and answers it; the transport has not begun.
    pub fn answer(
        &mut self,
        local: &Local,
        audio_slots: u8,
        video_slots: u8,
    ) -> Result<Subscriber, Error> {
        let pc = self.next_pc("subscribe");
        let offered = self.socket.request(ClientMessage::MediaSubscribe {
            pc: pc.clone(),
            audio_slots: Some(audio_slots),
            video_slots: Some(video_slots),
        })?;
        let ServerMessage::MediaOffer { sdp, .. } = offered else {
            return Err(Error::Answer(format!("{offered:?}")));
        };
        let (subscriber, answer) = Subscriber::answer(&sdp, local)?;
        self.socket.send(ClientMessage::MediaAnswer { pc, sdp: answer })?;
        Ok(subscriber)
    }

    /// Waits until the slots carry what `is_wanted` wants; only their newest state counts.
    pub fn wait_for_slots(
        &mut self,
        is_wanted: impl Fn(&[SlotBinding]) -> bool,
    ) -> Result<Vec<SlotBinding>, Error> {
        let is_news = |m: &ServerMessage| matches!(m, ServerMessage::SlotsChanged { .. });
        loop {
            while let Some(ServerMessage::SlotsChanged { slots, .. }) = self.socket.take(is_news)? {
                self.slots = slots;
            }
            if is_wanted(&self.slots) {
                return Ok(self.slots.clone());
            }
            if let ServerMessage::SlotsChanged { slots, .. } = self.socket.wait_for(is_news)? {
                self.slots = slots;
            }
        }
    }

    /// Publishes over WHIP, without the socket; also the resource to delete.
    pub fn whip(&self, publication: Publication) -> Result<(Publisher, String), Error> {
        let offer = Offer::new(publication);
        let (answer, location) = self.post_sdp("whip", &offer.sdp)?;
        let mut publisher = offer.answered(&answer)?;
        publisher.link.connect()?;
        Ok((publisher, location))
    }

    /// Watches over WHEP, without the socket; also the resource to delete.
    pub fn whep(&self) -> Result<(Subscriber, String), Error> {
        let viewer = Viewer::generate();
        let (answer, location) = self.post_sdp("whep", &viewer.sdp)?;
        let mut subscriber = viewer.answered(&answer)?;
        subscriber.link.connect()?;
        Ok((subscriber, location))
    }

    fn post_sdp(&self, door: &str, sdp: &str) -> Result<(String, String), Error> {
        let answer = self.api.call(&crate::http::Request {
            method: "POST",
            path: &format!("/{door}/{}", self.slug),
            token: Some(&self.token),
            body: Some(("application/sdp", sdp.as_bytes())),
        })?;
        if answer.status != 201 {
            return Err(Error::Refused { status: answer.status, body: answer.text() });
        }
        let location = answer.header("location").unwrap_or_default().to_owned();
        Description::read(&answer.text())?;
        Ok((answer.text(), location))
    }

    fn next_pc(&mut self, what: &str) -> String {
        self.transports += 1;
        format!("{what}-{}", self.transports)
    }
}
