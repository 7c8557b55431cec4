//! What clients ask for, and whether they get it.

use crate::allocation::{Allocation, AllocationKey};
use crate::channel;
use crate::credentials::Claims;
use crate::message::{self as m, Class, Integrity, LongTermKey, Message, Method, Writer};
use crate::peers::Family;
use crate::server::{COMPREHENSION_OPTIONAL, Client, Moment, Server};

/// Who asks, once it is known.
struct Asker<'a> {
    claims: Claims<'a>,
    key: LongTermKey,
}

/// Why a request is refused: a code of RFC 8489 §14.8 or RFC 8656 §19, with what belongs to some of them.
enum Refusal {
    Code(u16),
    Unknown(Vec<u16>),
}

impl From<u16> for Refusal {
    fn from(code: u16) -> Self {
        Refusal::Code(code)
    }
}

impl Server {
    /// Answers one request.
    pub(crate) fn request(&mut self, at: Moment, from: Client, message: &Message<'_>) {
        if message.method() == Method::Binding {
            return self.binding(at, from, message);
        }
        let asker = match self.authenticate(at, from, message) {
            Ok(asker) => asker,
            Err(code) => return self.refuse_stranger(at, from, message, code),
        };
        let answer = match self.granted(at, from, message, &asker.claims) {
            Ok(mut answer) => {
                answer.integrity(message.integrity(), &asker.key);
                answer
            }
            Err(refusal) => refused(message, &refusal, message.integrity(), &asker.key),
        };
        self.answer(from, answer.finish(message.has_fingerprint()));
    }

    /// What a STUN server does: tells somebody how they are seen.
    fn binding(&mut self, at: Moment, from: Client, message: &Message<'_>) {
        let mut answer = Writer::new(Method::Binding, Class::Success, message.transaction());
        answer.address(m::XOR_MAPPED_ADDRESS, from.address);
        let unknown = unknown_attributes(message, &[]);
        if !unknown.is_empty() {
            answer = Writer::new(Method::Binding, Class::Error, message.transaction());
            answer.error(420).attribute(m::UNKNOWN_ATTRIBUTES, &listed(&unknown));
        }
        let answer = answer.finish(message.has_fingerprint());
        self.answer_stranger(at.now, from, message.len(), answer);
    }

    /// The long-term mechanism (RFC 8489 §9.2.4), in the form that browsers speak: MD5 keys, and no cookie in
    /// nonces, so nobody is asked to choose algorithms or to hide a name that we could not find by its hash.
    fn authenticate<'a>(
        &mut self,
        at: Moment,
        from: Client,
        message: &Message<'a>,
    ) -> Result<Asker<'a>, u16> {
        if !message.has_integrity() {
            return Err(401);
        }
        let (Some(username), Some(realm), Some(nonce)) = (
            message.text(m::USERNAME),
            message.text(m::REALM),
            message.attribute(m::NONCE).map(|nonce| nonce.value),
        ) else {
            return Err(400);
        };
        if !self.nonces.is_good(at.unix_s, from.address, nonce) {
            return Err(438);
        }
        let key = LongTermKey::new(username, &self.realm, &self.secret.password(username));
        let claims = Claims::read(username).filter(|claims| {
            realm == self.realm
                && claims.is_current(at.unix_s)
                && !self.revoked.refuses(claims)
                && message.is_authentic(&key)
        });
        let Some(claims) = claims else {
            self.stats.unauthorized += 1;
            return Err(401);
        };
        Ok(Asker { claims, key })
    }

    fn refuse_stranger(&mut self, at: Moment, from: Client, message: &Message<'_>, code: u16) {
        let mut answer = Writer::new(message.method(), Class::Error, message.transaction());
        answer.error(code);
        if code == 401 || code == 438 {
            let nonce = self.nonces.make(at.unix_s, from.address);
            answer.attribute(m::REALM, self.realm.as_bytes()).attribute(m::NONCE, &nonce);
        }
        let answer = answer.finish(message.has_fingerprint());
        self.answer_stranger(at.now, from, message.len(), answer);
    }

    fn granted(
        &mut self,
        at: Moment,
        from: Client,
        message: &Message<'_>,
        claims: &Claims<'_>,
    ) -> Result<Writer, Refusal> {
        let unknown = unknown_attributes(message, attributes_of(message.method()));
        if !unknown.is_empty() {
            return Err(Refusal::Unknown(unknown));
        }
        let found = self.clients.get(&from).copied();
        if let Some(key) = found {
            let allocation = &self.allocations[key];
            // Fresh credentials may carry an allocation on, but those of somebody else, or for elsewhere, may not.
            if *allocation.person != *claims.person || *allocation.room != *claims.room {
                return Err(441.into());
            }
        }
        match (message.method(), found) {
            (Method::Allocate, _) => self.allocate(at, from, message, claims, found),
            (Method::Refresh, Some(key)) => self.refresh(at, message, key),
            (Method::CreatePermission, Some(key)) => self.create_permission(at, message, key),
            (Method::ChannelBind, Some(key)) => self.bind_channel(at, message, key),
            (Method::Refresh | Method::CreatePermission | Method::ChannelBind, None) => {
                Err(437.into())
            }
            (Method::Binding | Method::Send | Method::Data, _) => Err(400.into()),
        }
    }

    fn allocate(
        &mut self,
        at: Moment,
        from: Client,
        message: &Message<'_>,
        claims: &Claims<'_>,
        found: Option<AllocationKey>,
    ) -> Result<Writer, Refusal> {
        if let Some(key) = found {
            // The same request again: its answer was lost.
            if self.allocations[key].made_by == message.transaction() {
                return Ok(self.allocated(message, from, key));
            }
            return Err(437.into());
        }
        let wanted = Wanted::read(message)?;
        self.take_room(claims.person, from).inspect_err(|_| self.stats.refused += 1)?;
        let mut relayed = [None; 2];
        for family in wanted.families.into_iter().flatten() {
            relayed[family as usize] = self.free_address(family, wanted.is_even);
        }
        if relayed.iter().all(Option::is_none) {
            self.give_back_room(claims.person, from);
            return Err(440.into());
        }
        let rate = self.limits.rate;
        let who = (claims.person, claims.room);
        let mut made = Allocation::new(at.now, from, who, relayed, message.transaction(), rate);
        made.until = at.now + self.limits.lifetime;
        let key = self.insert(made);
        let mut answer = self.allocated(message, from, key);
        for family in wanted.families.into_iter().flatten() {
            if relayed[family as usize].is_none() {
                answer.attribute(m::ADDRESS_ERROR_CODE, &[family.number(), 0, 4, 40]);
            }
        }
        Ok(answer)
    }

    fn allocated(&self, message: &Message<'_>, from: Client, key: AllocationKey) -> Writer {
        let mut answer = success(message);
        for address in self.allocations[key].relayed.iter().flatten() {
            answer.address(m::XOR_RELAYED_ADDRESS, *address);
        }
        answer
            .attribute(m::LIFETIME, &(self.limits.lifetime.as_secs() as u32).to_be_bytes())
            .address(m::XOR_MAPPED_ADDRESS, from.address)
            .attribute(m::SOFTWARE, SOFTWARE);
        answer
    }

    fn refresh(
        &mut self,
        at: Moment,
        message: &Message<'_>,
        key: AllocationKey,
    ) -> Result<Writer, Refusal> {
        if let Some(family) = requested_family(message)?
            && self.allocations[key].relayed(family).is_none()
        {
            return Err(443.into());
        }
        let mut answer = success(message);
        if message.number(m::LIFETIME) == Some(0) {
            self.close(key);
            answer.attribute(m::LIFETIME, &[0; 4]);
            return Ok(answer);
        }
        // Whatever is asked for: the default is the most there is, and less is not worth a request (RFC 8656 §7.2).
        self.allocations[key].until = at.now + self.limits.lifetime;
        answer.attribute(m::LIFETIME, &(self.limits.lifetime.as_secs() as u32).to_be_bytes());
        Ok(answer)
    }

    /// All of the peers, or none.
    fn create_permission(
        &mut self,
        at: Moment,
        message: &Message<'_>,
        key: AllocationKey,
    ) -> Result<Writer, Refusal> {
        let addresses = message.addresses(m::XOR_PEER_ADDRESS).ok_or(400)?;
        if addresses.is_empty() {
            return Err(400.into());
        }
        let mut places = Vec::new();
        for address in addresses {
            if self.allocations[key].relayed(Family::of(address.ip())).is_none() {
                return Err(443.into());
            }
            let before = places.len();
            places.extend(self.peers.with_ip(address.ip()));
            if places.len() == before {
                self.stats.forbidden += 1;
                return Err(403.into());
            }
        }
        places.into_iter().for_each(|peer| self.allocations[key].permit(at.now, peer));
        Ok(success(message))
    }

    fn bind_channel(
        &mut self,
        at: Moment,
        message: &Message<'_>,
        key: AllocationKey,
    ) -> Result<Writer, Refusal> {
        let number = message.number(m::CHANNEL_NUMBER).map(|number| (number >> 16) as u16);
        let number = number.filter(|number| channel::NUMBERS.contains(number)).ok_or(400)?;
        let address = message.address(m::XOR_PEER_ADDRESS).ok_or(400)?;
        if self.allocations[key].relayed(Family::of(address.ip())).is_none() {
            return Err(443.into());
        }
        let Some(peer) = self.peers.find(address) else {
            self.stats.forbidden += 1;
            return Err(403.into());
        };
        self.allocations[key].bind(at.now, number, peer).map_err(|_| 400)?;
        Ok(success(message))
    }
}

/// What an Allocate request wants, in the order of RFC 8656 §7.2.
struct Wanted {
    /// The family asked for, and the one besides; one of them is enough.
    families: [Option<Family>; 2],
    is_even: bool,
}

impl Wanted {
    fn read(message: &Message<'_>) -> Result<Self, Refusal> {
        let transport = message.number(m::REQUESTED_TRANSPORT).ok_or(400)? >> 24;
        if transport != UDP {
            return Err(442.into());
        }
        let family = requested_family(message)?;
        let additional = message.attribute(m::ADDITIONAL_ADDRESS_FAMILY);
        let even = message.attribute(m::EVEN_PORT);
        let keeps_next = even.is_some_and(|even| even.value.first().is_some_and(|v| v & 0x80 != 0));
        let token = message.attribute(m::RESERVATION_TOKEN);
        if additional.is_some_and(|additional| additional.value.first() != Some(&m::FAMILY_IPV6))
            || (additional.is_some() && (family.is_some() || token.is_some() || keeps_next))
            || (token.is_some() && (even.is_some() || family.is_some()))
        {
            return Err(400.into());
        }
        // No port is ever kept for later: the media plane needs one, and RTCP goes with RTP.
        if token.is_some() || keeps_next {
            return Err(508.into());
        }
        Ok(Wanted {
            families: match additional {
                Some(_) => [Some(Family::V4), Some(Family::V6)],
                None => [Some(family.unwrap_or(Family::V4)), None],
            },
            is_even: even.is_some(),
        })
    }
}

fn requested_family(message: &Message<'_>) -> Result<Option<Family>, Refusal> {
    let Some(attribute) = message.attribute(m::REQUESTED_ADDRESS_FAMILY) else { return Ok(None) };
    let number = attribute.value.first().ok_or(400)?;
    Family::read(*number).map(Some).ok_or(440.into())
}

fn success(message: &Message<'_>) -> Writer {
    Writer::new(message.method(), Class::Success, message.transaction())
}

fn refused(
    message: &Message<'_>,
    refusal: &Refusal,
    integrity: Integrity,
    key: &LongTermKey,
) -> Writer {
    let mut answer = Writer::new(message.method(), Class::Error, message.transaction());
    match refusal {
        Refusal::Code(code) => answer.error(*code),
        Refusal::Unknown(unknown) => {
            answer.error(420).attribute(m::UNKNOWN_ATTRIBUTES, &listed(unknown))
        }
    };
    answer.integrity(integrity, key);
    answer
}

fn listed(unknown: &[u16]) -> Vec<u8> {
    unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect()
}

/// What a request has that must be understood and is not; the first few of them.
fn unknown_attributes(message: &Message<'_>, known: &[u16]) -> Vec<u16> {
    let is_unknown = |kind: &u16| {
        *kind < COMPREHENSION_OPTIONAL && !known.contains(kind) && !ALWAYS_KNOWN.contains(kind)
    };
    message.attributes().map(|a| a.kind).filter(is_unknown).take(MAX_UNKNOWN).collect()
}

fn attributes_of(method: Method) -> &'static [u16] {
    match method {
        Method::Allocate => &[
            m::REQUESTED_TRANSPORT,
            m::LIFETIME,
            m::DONT_FRAGMENT,
            m::EVEN_PORT,
            m::RESERVATION_TOKEN,
            m::REQUESTED_ADDRESS_FAMILY,
        ],
        Method::Refresh => &[m::LIFETIME, m::REQUESTED_ADDRESS_FAMILY],
        Method::CreatePermission => &[m::XOR_PEER_ADDRESS],
        Method::ChannelBind => &[m::XOR_PEER_ADDRESS, m::CHANNEL_NUMBER],
        Method::Binding | Method::Send | Method::Data => &[],
    }
}

const ALWAYS_KNOWN: [u16; 3] = [m::USERNAME, m::REALM, m::NONCE];
/// More tell a client nothing.
const MAX_UNKNOWN: usize = 8;
/// Protocol number of UDP, the only one towards peers.
const UDP: u32 = 17;
/// Who says it. No version: it would tell strangers which holes to try.
const SOFTWARE: &[u8] = b"Veche";
