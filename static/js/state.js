// The meeting as this client knows it. Every change is a pure function of the state, an event and the time;
// views draw what is here and never keep a second copy.

import { brokenOut } from './breakouts.js';
import { mergeMessages } from './chat.js';
import { batched, inOrder, paged } from './crowd.js';
import { ended, ordered, withHands } from './orders.js';
import { callsMe, isTalk, talked } from './talk.js';
import { LIMITS } from './limits.js';

/** @typedef {import('./types.js').Participant} Participant */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {import('./types.js').ChatMessage} ChatMessage */
/** @typedef {import('./chat.js').PendingMessage} PendingMessage */

/** @typedef {'room' | 'socket' | 'media'} Step */
/** @typedef {'left' | 'kicked' | 'closed' | 'replaced' | 'flooding' | 'refused' | 'full' | 'banned' | 'locked' | 'turned_away' | 'sent_back' | 'signed_out'} EndReason */
/** @typedef {'chat' | 'people' | 'details'} Panel */
/** @typedef {'waiting' | 'connecting' | 'connected' | 'blocked'} Flow */

/**
 * @typedef {object} Meeting
 * @property {'connecting' | 'waiting' | 'joined' | 'reconnecting' | 'ended'} phase `waiting`: in the lobby
 * @property {Step} step what is being done while connecting
 * @property {boolean} restarting the server said that it restarts
 * @property {EndReason | null} ended
 * @property {{by: string, isBanned: boolean, reason: string} | null} removal who removed me, and why
 * @property {readonly import('./types.js').Knock[]} lobby who waits there, first come first; moderators see it
 * @property {Flow} flow whether sound and picture get through
 * @property {string | null} me my participant id
 * @property {string | null} userId
 * @property {import('./types.js').Room | null} room
 * @property {import('./types.js').RoomState} state
 * @property {readonly Participant[]} participants in order of joining; in a large room those who are known yet
 * @property {number | null} people how many are here, while not all of them are known
 * @property {readonly string[]} speakers loudest first
 * @property {readonly ChatMessage[]} messages oldest first, without gaps
 * @property {boolean} hasOlder whether the room may hold older messages
 * @property {boolean} loadingOlder
 * @property {readonly PendingMessage[]} pending
 * @property {Readonly<Record<string, number>>} typing participant id → when it goes stale
 * @property {number} unread messages of others since the chat was last open
 * @property {number | null} unreadFrom seq of the first of them
 * @property {boolean} isCalled one of the unread messages names me, answers me or is private
 * @property {readonly ChatMessage[]} pins the last pinned first
 * @property {import('./types.js').Breakouts | null} breakouts while they are open
 * @property {{by: import('./types.js').By, text: string} | null} broadcast words for all rooms that nobody has put away yet
 * @property {readonly {room: number, by: import('./types.js').By}[]} calls for help from breakout rooms that nobody has answered here, the newest last
 * @property {Departure | null} departure to a breakout room, while it can still be called off
 * @property {Draft} draft what the next line of chat is about
 * @property {Panel | null} panel
 * @property {string | null} pinned key of the tile on the stage
 * @property {number} page
 * @property {Readonly<Record<string, number>>} volumes user id → 0..1
 * @property {boolean} silent the browser wants a click before it plays sound
 * @property {boolean} saving the server has too much to do, and pictures are smaller or missing
 */

/**
 * What happens here, beside what the server says.
 * @typedef {{type: 'local.step', step: Step}
 *   | {type: 'local.dropped', restarting: boolean}
 *   | {type: 'local.ended', reason: EndReason}
 *   | {type: 'local.flow', flow: Flow}
 *   | {type: 'local.pending', message: PendingMessage}
 *   | {type: 'local.draft', draft: Partial<Draft>}
 *   | {type: 'local.failed', client_id: string}
 *   | {type: 'local.resend', client_id: string}
 *   | {type: 'local.loading', loading: boolean}
 *   | {type: 'local.older', messages: ChatMessage[], has_more: boolean}
 *   | {type: 'local.panel', panel: Panel | null}
 *   | {type: 'local.pin', key: string | null}
 *   | {type: 'local.page', page: number}
 *   | {type: 'local.volume', user_id: string, volume: number}
 *   | {type: 'local.silent', silent: boolean}
 *   | {type: 'local.departure', departure: Departure | null}
 *   | {type: 'local.read'}
 *   | {type: 'local.answered', room: number}
 *   | {type: 'local.tick'}
 * } LocalEvent
 */

/** @typedef {{room: import('./types.js').Breakout, at_ms: number}} Departure */

/** What a line answers, for whom alone it is, or which line it replaces.
 * @typedef {{replyTo: string | null, to: string | null, editing: string | null}} Draft */

/** @type {Draft} */
const NO_DRAFT = { replyTo: null, to: null, editing: null };

/** A typing mark that nobody renews goes away after this: longer lies, shorter flickers between renewals (3 s). */
const TYPING_MS = 6000;

/**
 * @param {Readonly<Record<string, number>>} volumes
 * @returns {Meeting}
 */
export function newMeeting(volumes) {
  return {
    phase: 'connecting',
    step: 'room',
    restarting: false,
    ended: null,
    removal: null,
    lobby: [],
    flow: 'waiting',
    me: null,
    userId: null,
    room: null,
    state: { topic: '', is_locked: false, mute_all: false, has_lobby: false, capacity: LIMITS.capacity, recording_active: false, hands_up: [] },
    participants: [],
    people: null,
    speakers: [],
    messages: [],
    hasOlder: false,
    loadingOlder: false,
    pending: [],
    typing: {},
    unread: 0,
    unreadFrom: null,
    isCalled: false,
    pins: [],
    breakouts: null,
    broadcast: null,
    calls: [],
    departure: null,
    draft: NO_DRAFT,
    panel: null,
    pinned: null,
    page: 0,
    volumes,
    silent: false,
    saving: false,
  };
}

/**
 * The meeting after an event.
 * @param {Meeting} meeting
 * @param {ServerMessage | LocalEvent} event
 * @param {number} now milliseconds
 * @returns {Meeting}
 */
export function reduce(meeting, event, now) {
  switch (event.type) {
    case 'joined':
      return {
        ...meeting,
        step: 'media',
        restarting: false,
        me: event.participant_id,
        userId: event.user_id,
        room: event.room,
      };
    case 'lobby.waiting':
      return { ...meeting, phase: meeting.phase === 'ended' ? 'ended' : 'waiting', restarting: false, room: event.room };
    case 'state.snapshot':
      return snapshot(meeting, event);
    case 'state.changed':
      return { ...meeting, state: event.state };
    case 'room.changed':
      return { ...meeting, room: meeting.room && { ...meeting.room, name: event.name, has_invite_key: event.has_invite_key, cover_id: event.cover } };
    case 'record.started': {
      const { recording_id, since_ms, by } = event;
      return { ...meeting, state: { ...meeting.state, recording_active: true, recording: { recording_id, since_ms, by } } };
    }
    case 'record.stopped': {
      const { recording: _, ...state } = meeting.state;
      return { ...meeting, state: { ...state, recording_active: false } };
    }
    case 'member.joined': {
      const others = meeting.participants.filter((p) => p.id !== event.participant.id);
      const people = meeting.people !== null && others.length === meeting.participants.length ? meeting.people + 1 : meeting.people;
      return { ...meeting, people, participants: [...others, event.participant].sort(inOrder) };
    }
    case 'hand.raised':
    case 'hand.lowered':
    case 'role.changed':
    case 'media.forced':
    case 'media.video_forced':
    case 'speak.allowed':
    case 'member.kicked':
    case 'lobby.knocked':
    case 'lobby.left':
      return ordered(meeting, event);
    case 'breakout.opened':
    case 'breakout.assigned':
    case 'breakout.broadcast':
    case 'breakout.closing':
    case 'breakout.closed':
    case 'breakout.people':
    case 'breakout.help':
      return brokenOut(meeting, event);
    case 'member.left':
      return {
        ...withHands(meeting, meeting.state.hands_up.filter((id) => id !== event.participant_id)),
        participants: meeting.participants.filter((p) => p.id !== event.participant_id),
        people: meeting.people === null ? null : meeting.people - 1,
        speakers: meeting.speakers.filter((id) => id !== event.participant_id),
        typing: without(meeting.typing, event.participant_id),
        pinned: meeting.pinned?.startsWith(`${event.participant_id}:`) ? null : meeting.pinned,
      };
    case 'member.presence':
    case 'media.updated':
    case 'tracks.changed':
      return batched(meeting, [event], (same) => same);
    case 'events.batch':
      return batched(meeting, event.events, (before, one) => reduce(before, one, now));
    case 'roster.page':
      return paged(meeting, event);
    case 'speakers.changed':
      return { ...meeting, speakers: event.speakers };
    case 'chat.message':
    case 'chat.message.enc':
    case 'chat.edited':
    case 'chat.deleted':
    case 'chat.reacted':
    case 'chat.pinned':
    case 'poll.voted':
    case 'poll.closed':
      return talked(meeting, event);
    case 'sync.batch':
      // The snapshot before it says how people and the room are now; what was said is in the pages.
      return event.events.filter(isTalk).reduce(talked, meeting);
    case 'slots.changed': {
      const saving = event.slots.some((slot) => slot.reason === 'server');
      return saving === meeting.saving ? meeting : { ...meeting, saving };
    }
    case 'chat.typing': {
      const typing = without(meeting.typing, event.participant_id);
      return { ...meeting, typing: event.is_typing ? { ...typing, [event.participant_id]: now + TYPING_MS } : typing };
    }
    case 'sync.info':
    case 'invite.created':
    case 'invite.revoked':
    case 'stream_key.created':
    case 'stream_key.revoked':
    case 'keys.published':
    case 'signal':
    case 'member.unbanned':
    case 'done':
    case 'media.published':
    case 'media.offer':
    case 'media.closed':
    case 'media.layers':
    case 'reaction':
    case 'signal.message':
    case 'pong':
    case 'error':
      return meeting;

    case 'local.step':
      return meeting.phase === 'connecting' ? { ...meeting, step: event.step } : meeting;
    case 'local.dropped':
      if (meeting.phase !== 'joined' && meeting.phase !== 'reconnecting') return meeting;
      return { ...meeting, phase: 'reconnecting', restarting: event.restarting || meeting.restarting, speakers: [], typing: {} };
    case 'local.ended':
      if (meeting.phase === 'ended') return meeting;
      return { ...meeting, phase: 'ended', ended: event.reason === 'kicked' && meeting.removal?.isBanned ? 'banned' : event.reason };
    case 'local.flow':
      return { ...meeting, flow: event.flow };
    case 'local.pending':
      return { ...meeting, pending: [...meeting.pending, event.message], draft: NO_DRAFT, unread: 0, unreadFrom: null, isCalled: false };
    case 'local.draft':
      return { ...meeting, draft: { ...meeting.draft, ...event.draft } };
    case 'local.failed':
      return { ...meeting, pending: mark(meeting.pending, event.client_id, true) };
    case 'local.resend':
      return { ...meeting, pending: mark(meeting.pending, event.client_id, false) };
    case 'local.loading':
      return { ...meeting, loadingOlder: event.loading };
    case 'local.older':
      return { ...meeting, loadingOlder: false, hasOlder: event.has_more, messages: mergeMessages(meeting.messages, event.messages) };
    case 'local.panel':
      // What was unread stays marked while the chat is open, and is forgotten when it closes.
      return {
        ...meeting,
        panel: event.panel,
        unread: event.panel === 'chat' ? 0 : meeting.unread,
        isCalled: event.panel === 'chat' ? false : meeting.isCalled,
        unreadFrom: meeting.panel === 'chat' && event.panel !== 'chat' ? null : meeting.unreadFrom,
      };
    case 'local.pin':
      return { ...meeting, pinned: event.key };
    case 'local.page':
      return { ...meeting, page: event.page };
    case 'local.volume':
      return { ...meeting, volumes: { ...meeting.volumes, [event.user_id]: event.volume } };
    case 'local.departure':
      return { ...meeting, departure: event.departure };
    case 'local.read':
      return { ...meeting, broadcast: null };
    case 'local.answered':
      return { ...meeting, calls: meeting.calls.filter((call) => call.room !== event.room) };
    case 'local.silent':
      return { ...meeting, silent: event.silent };
    case 'local.tick': {
      const live = Object.entries(meeting.typing).filter(([, until]) => until > now);
      const calm = live.length === Object.keys(meeting.typing).length ? meeting : { ...meeting, typing: Object.fromEntries(live) };
      return ended(calm, now);
    }
    default: {
      // A newer server may say more than we know; a message that we know and forgot above fails the type check here.
      /** @type {never} */
      const unknown = event;
      void unknown;
      return meeting;
    }
  }
}

/**
 * @param {Meeting} meeting
 * @param {Extract<ServerMessage, {type: 'state.snapshot'}>} event
 * @returns {Meeting}
 */
function snapshot(meeting, event) {
  // A snapshot that does not reach back to what we hold would leave a gap: history is then fetched anew from it.
  const newestHeld = meeting.messages.at(-1);
  const overlaps = newestHeld !== undefined && event.messages.some((m) => m.id === newestHeld.id);
  const messages = overlaps ? mergeMessages(meeting.messages, event.messages) : event.messages;
  const missed =
    meeting.phase === 'reconnecting' ? event.messages.filter((m) => m.seq > (newestHeld?.seq ?? 0) && m.user_id !== meeting.userId) : [];
  const isOpen = meeting.panel === 'chat';
  return {
    ...meeting,
    phase: meeting.phase === 'ended' ? 'ended' : 'joined',
    state: event.state,
    participants: [...event.participants].sort(inOrder),
    people: event.people ?? null,
    speakers: event.speakers,
    lobby: event.lobby ?? [],
    messages,
    hasOlder: overlaps ? meeting.hasOlder : event.messages.length >= LIMITS.history,
    loadingOlder: false,
    pending: meeting.pending.filter((p) => !event.messages.some((m) => m.client_id === p.client_id && m.user_id === meeting.userId)),
    typing: {},
    unread: isOpen ? 0 : meeting.unread + missed.length,
    unreadFrom: meeting.unreadFrom ?? missed[0]?.seq ?? null,
    isCalled: !isOpen && (meeting.isCalled || missed.some((m) => callsMe(meeting, m))),
    pins: event.pinned ?? [],
    breakouts: event.breakouts ?? null,
  };
}

/**
 * @param {readonly PendingMessage[]} pending
 * @param {string} clientId
 * @param {boolean} failed
 */
function mark(pending, clientId, failed) {
  return pending.map((p) => (p.client_id === clientId ? { ...p, failed } : p));
}

/**
 * @param {Readonly<Record<string, number>>} record
 * @param {string} key
 */
function without(record, key) {
  const { [key]: _, ...rest } = record;
  return rest;
}

// ---- What views ask of the state ----

/**
 * Names are not unique; where two people share one, nothing is invented: the order of joining tells them apart.
 * @param {Meeting} meeting
 */
export function others(meeting) {
  return meeting.participants.filter((p) => p.id !== meeting.me);
}

/**
 * @param {Meeting} meeting
 * @returns {Participant | null}
 */
export function self(meeting) {
  return meeting.participants.find((p) => p.id === meeting.me) ?? null;
}

/**
 * Whose packets carry this CSRC.
 * @param {Meeting} meeting
 * @param {number} csrc
 * @returns {{participant: Participant, source: import('./types.js').Source} | null}
 */
export function ownerOf(meeting, csrc) {
  for (const participant of meeting.participants) {
    const track = participant.tracks.find((t) => t.csrc === csrc);
    if (track) return { participant, source: track.source };
  }
  return null;
}

/**
 * Names of the others who are writing now.
 * @param {Meeting} meeting
 */
export function typingNames(meeting) {
  return others(meeting)
    .filter((p) => meeting.typing[p.id] !== undefined)
    .map((p) => p.display_name);
}

/**
 * How loud a person is played here.
 * @param {Meeting} meeting
 * @param {string} userId
 */
export function volumeOf(meeting, userId) {
  return meeting.volumes[userId] ?? 1;
}
