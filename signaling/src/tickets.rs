//! Tickets: one-use doors to a room's socket, so that no access token stands in a URL. Held as digests and
//! for half a minute; how many may wait is bounded for one person and for all.

use crate::Signaling;
use crate::app::ApiError;
use crate::extract::{ClientAddress, Json, Path};
use crate::identity::Identity;
use crate::room::Place;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::limits::{MAX_TICKETS, MAX_TICKETS_PER_USER, TICKET_TTL};
use protocol::rest::{TicketRequest, TicketResponse};
use protocol::{ErrorBody, RoomId, UserId};
use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(issue))
}

/// Get a ticket for the room's socket. Whoever is let in is a member from now on.
#[utoipa::path(post, path = "/rooms/{slug}/ticket", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = Option<TicketRequest>, responses(
    (status = 200, description = "The ticket", body = TicketResponse),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`wrong_invite_key`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`, `server_full` with Retry-After", body = ErrorBody)))]
async fn issue(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Path(slug): Path<String>,
    body: Option<Json<TicketRequest>>,
) -> Result<axum::Json<TicketResponse>, ApiError> {
    signaling.inner.limits.ticket.check(address)?;
    let request = body.map(|Json(body)| body).unwrap_or_default();
    let TicketRequest { invite_key, resume, take_over } = request;
    if invite_key.is_some() {
        signaling.inner.limits.invite.check(address)?;
    }
    let (room, _) = signaling.enter(&identity, &slug, invite_key.as_deref()).await?;
    let place = signaling.place(room.id, resume, take_over);
    signaling.has_place(place)?;
    let ticket = signaling.issue_ticket(Ticket { identity, room: room.id, place })?;
    Ok(axum::Json(TicketResponse { ticket, expires_in: TICKET_TTL.as_secs() }))
}

impl Signaling {
    fn issue_ticket(&self, ticket: Ticket) -> Result<String, ApiError> {
        let mut tickets = self.inner.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets
            .issue(Instant::now(), rand::random(), ticket)
            .map_err(|TicketsFull| ApiError::rate_limited(Duration::from_secs(1)))
    }

    /// What a ticket opens, once.
    pub(crate) fn redeem_ticket(&self, secret: &str) -> Option<Ticket> {
        let mut tickets = self.inner.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.redeem(Instant::now(), secret)
    }
}

/// What a ticket opens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticket {
    /// Who may come in.
    pub identity: Identity,
    /// Where.
    pub room: RoomId,
    /// Whom they take over.
    pub place: Place,
}

/// The tickets that wait to be used.
#[derive(Default)]
pub(crate) struct Tickets {
    waiting: HashMap<Digest, (Instant, Ticket)>,
    /// Oldest first; holds used ones until they are over.
    order: VecDeque<(Instant, Digest)>,
    /// Of each person, oldest first.
    by_user: HashMap<UserId, VecDeque<Digest>>,
}

type Digest = [u8; 32];

/// Too many tickets wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TicketsFull;

impl Tickets {
    /// Keeps a ticket under a secret made from `chance`, and gives the secret. Whoever has too many loses the
    /// oldest.
    pub(crate) fn issue(
        &mut self,
        now: Instant,
        chance: [u8; 32],
        ticket: Ticket,
    ) -> Result<String, TicketsFull> {
        self.forget_old(now);
        let user = ticket.identity.user_id;
        let of_user = self.by_user.get(&user).map_or(0, VecDeque::len);
        if of_user >= MAX_TICKETS_PER_USER {
            let oldest = self.by_user.get_mut(&user).and_then(VecDeque::pop_front);
            oldest.map(|digest| self.waiting.remove(&digest));
        }
        if self.order.len() >= MAX_TICKETS {
            return Err(TicketsFull);
        }
        let secret = URL_SAFE_NO_PAD.encode(chance);
        let digest = digest_of(&secret);
        let ends = now + TICKET_TTL;
        self.waiting.insert(digest, (ends, ticket));
        self.order.push_back((ends, digest));
        self.by_user.entry(user).or_default().push_back(digest);
        Ok(secret)
    }

    /// What the secret opens, once.
    pub(crate) fn redeem(&mut self, now: Instant, secret: &str) -> Option<Ticket> {
        if secret.len() > MAX_SECRET_CHARS {
            return None;
        }
        // Found by digest, so the time it takes says nothing about the secret.
        let digest = digest_of(secret);
        let (ends, ticket) = self.waiting.remove(&digest)?;
        self.forget_of_user(ticket.identity.user_id, digest);
        (now < ends).then_some(ticket)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((ends, digest)) = self.order.front().copied()
            && ends <= now
        {
            self.order.pop_front();
            if let Some((_, ticket)) = self.waiting.remove(&digest) {
                self.forget_of_user(ticket.identity.user_id, digest);
            }
        }
    }

    fn forget_of_user(&mut self, user: UserId, digest: Digest) {
        if let Some(digests) = self.by_user.get_mut(&user) {
            digests.retain(|other| *other != digest);
            if digests.is_empty() {
                self.by_user.remove(&user);
            }
        }
    }
}

/// Ours have 43; longer ones are not digested at all.
const MAX_SECRET_CHARS: usize = 64;

fn digest_of(secret: &str) -> Digest {
    digest(&SHA256, secret.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::rest::AccountRole;
    use std::time::Duration;
    use uuid::Uuid;

    fn ticket(user: u128) -> Ticket {
        let identity = Identity {
            user_id: UserId(Uuid::from_u128(user)),
            display_name: "Anna".into(),
            role: AccountRole::Guest,
            session_id: Uuid::nil(),
            expires_ms: 0,
        };
        Ticket { identity, room: RoomId(Uuid::from_u128(7)), place: Place::New }
    }

    fn chance(n: u64) -> [u8; 32] {
        let mut chance = [0; 32];
        chance[..8].copy_from_slice(&n.to_be_bytes());
        chance
    }

    #[test]
    fn a_ticket_opens_once() {
        let mut tickets = Tickets::default();
        let now = Instant::now();
        let secret = tickets.issue(now, chance(1), ticket(1)).unwrap();
        assert_eq!(tickets.redeem(now, &secret), Some(ticket(1)));
        assert_eq!(tickets.redeem(now, &secret), None);
        assert_eq!(tickets.redeem(now, "another"), None);
        assert_eq!(tickets.redeem(now, &"x".repeat(1_000)), None);
    }

    #[test]
    fn a_ticket_ends_after_half_a_minute() {
        let mut tickets = Tickets::default();
        let now = Instant::now();
        let [good, late] = [1, 2].map(|n| tickets.issue(now, chance(n), ticket(1)).unwrap());
        assert!(tickets.redeem(now + Duration::from_millis(29_999), &good).is_some());
        assert_eq!(tickets.redeem(now + TICKET_TTL, &late), None);
    }

    #[test]
    fn a_person_who_asks_for_more_loses_the_oldest() {
        let mut tickets = Tickets::default();
        let now = Instant::now();
        let secrets: Vec<_> =
            (0..9).map(|n| tickets.issue(now, chance(n), ticket(1)).unwrap()).collect();
        let other = tickets.issue(now, chance(99), ticket(2)).unwrap();
        assert_eq!(tickets.redeem(now, &secrets[0]), None);
        assert!(secrets[1..].iter().all(|secret| tickets.redeem(now, secret).is_some()));
        assert!(tickets.redeem(now, &other).is_some());
        assert!(tickets.by_user.is_empty());
    }

    #[test]
    fn what_is_held_is_bounded_and_forgotten() {
        let mut tickets = Tickets::default();
        let now = Instant::now();
        let issued = (0..MAX_TICKETS as u64 * 2)
            .filter(|n| tickets.issue(now, chance(*n), ticket(u128::from(*n % 100))).is_ok())
            .count();
        assert_eq!(issued, MAX_TICKETS);
        assert!(tickets.waiting.len() <= 100 * MAX_TICKETS_PER_USER);
        let later = now + TICKET_TTL;
        assert!(tickets.issue(later, chance(1), ticket(1)).is_ok());
        assert_eq!((tickets.waiting.len(), tickets.order.len(), tickets.by_user.len()), (1, 1, 1));
    }
}
