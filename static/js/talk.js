// What is said and done in the chat, as the state holds it: new lines, edits, feelings, pins, polls. Pure.

import { mergeMessages, mentions } from './chat.js';

/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').ChatMessage} ChatMessage */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {Extract<ServerMessage, {type: 'chat.message' | 'chat.message.enc' | 'chat.edited' | 'chat.deleted' | 'chat.reacted' | 'chat.pinned' | 'poll.voted' | 'poll.closed'}>} TalkEvent */

const TALK = new Set(['chat.message', 'chat.message.enc', 'chat.edited', 'chat.deleted', 'chat.reacted', 'chat.pinned', 'poll.voted', 'poll.closed']);

/**
 * Whether a message of the server is a stored event of the chat.
 * @param {ServerMessage} event
 * @returns {event is TalkEvent}
 */
export function isTalk(event) {
  return TALK.has(event.type);
}

/**
 * @param {Meeting} meeting
 * @param {TalkEvent} event
 * @returns {Meeting}
 */
export function talked(meeting, event) {
  switch (event.type) {
    case 'chat.message':
    case 'chat.message.enc':
      return arrived(meeting, event);
    case 'chat.edited':
      return change(meeting, event.message_id, (m) => (event.edited_ms < (m.edited_ms ?? 0) || m.deleted_ms ? m : { ...m, text: event.text, edited_ms: event.edited_ms }));
    case 'chat.deleted': {
      const { replyTo, editing } = meeting.draft;
      const isGone = replyTo === event.message_id || editing === event.message_id;
      const next = change(meeting, event.message_id, (m) => erased(m, event.deleted_ms));
      return {
        ...next,
        pins: next.pins.filter((m) => m.id !== event.message_id),
        draft: isGone ? { ...meeting.draft, replyTo: null, editing: null } : meeting.draft,
      };
    }
    case 'chat.reacted':
      return change(meeting, event.message_id, (m) => ({ ...m, reactions: felt(m.reactions ?? [], event.emoji, event.user_id, event.on) }));
    case 'chat.pinned': {
      const held = meeting.messages.find((m) => m.id === event.message_id) ?? event.message;
      const others = meeting.pins.filter((m) => m.id !== event.message_id);
      const next = change(meeting, event.message_id, (m) => ({ ...m, pinned_ms: event.pinned ? event.at_ms : undefined }));
      return { ...next, pins: event.pinned && held ? [{ ...held, pinned_ms: event.at_ms }, ...others] : others };
    }
    case 'poll.voted':
      return change(meeting, event.message_id, (m) => {
        if (!m.poll) return m;
        const votes = m.poll.votes.filter((vote) => vote.user_id !== event.user_id);
        return { ...m, poll: { ...m.poll, votes: event.choices.length > 0 ? [...votes, { user_id: event.user_id, choices: event.choices }] : votes } };
      });
    case 'poll.closed':
      return change(meeting, event.message_id, (m) => (m.poll ? { ...m, poll: { ...m.poll, is_closed: true } } : m));
  }
}

/**
 * @param {Meeting} meeting
 * @param {Extract<ServerMessage, {type: 'chat.message' | 'chat.message.enc'}>} event
 * @returns {Meeting}
 */
function arrived(meeting, event) {
  if (meeting.messages.some((m) => m.id === event.id)) return meeting;
  const { type: _type, re: _re, ...message } = event;
  const isMine = message.user_id === meeting.userId;
  const isUnread = !isMine && meeting.panel !== 'chat';
  const { [authorOf(meeting, message.user_id)]: _, ...typing } = meeting.typing;
  return {
    ...meeting,
    messages: mergeMessages(meeting.messages, [message]),
    pending: isMine ? meeting.pending.filter((p) => p.client_id !== message.client_id) : meeting.pending,
    typing,
    unread: isUnread ? meeting.unread + 1 : meeting.unread,
    unreadFrom: isUnread && meeting.unreadFrom === null ? message.seq : meeting.unreadFrom,
    isCalled: meeting.isCalled || (isUnread && callsMe(meeting, message)),
  };
}

/**
 * Which of a person's participants is writing.
 * @param {Meeting} meeting
 * @param {string} userId
 */
function authorOf(meeting, userId) {
  return meeting.participants.find((p) => p.user_id === userId && meeting.typing[p.id] !== undefined)?.id ?? '';
}

/**
 * Whether a message is for me more than for others: it names me, answers me, or is private.
 * @param {Meeting} meeting
 * @param {ChatMessage} message
 */
export function callsMe(meeting, message) {
  if (message.user_id === meeting.userId) return false;
  const me = meeting.participants.find((p) => p.id === meeting.me);
  const answered = message.reply_to === undefined ? undefined : meeting.messages.find((m) => m.id === message.reply_to);
  return message.to !== undefined || answered?.user_id === meeting.userId || (me !== undefined && mentions(message.text, [me.display_name]).length > 0);
}

/**
 * @param {Meeting} meeting
 * @param {string} id
 * @param {(message: ChatMessage) => ChatMessage} how
 * @returns {Meeting}
 */
function change(meeting, id, how) {
  const each = (/** @type {ChatMessage} */ m) => (m.id === id ? how(m) : m);
  if (!meeting.messages.some((m) => m.id === id) && !meeting.pins.some((m) => m.id === id)) return meeting;
  return { ...meeting, messages: meeting.messages.map(each), pins: meeting.pins.map(each) };
}

/**
 * @param {ChatMessage} message
 * @param {number} deletedMs
 * @returns {ChatMessage}
 */
function erased({ id, seq, user_id, display_name, sent_ms, client_id, to }, deletedMs) {
  return { id, seq, user_id, display_name, sent_ms, client_id, to, text: '', deleted_ms: deletedMs };
}

/**
 * @param {readonly import('./types.js').Feeling[]} feelings
 * @param {string} emoji
 * @param {string} userId
 * @param {boolean} on
 * @returns {import('./types.js').Feeling[]}
 */
function felt(feelings, emoji, userId, on) {
  const without = feelings.map((f) => (f.emoji === emoji ? { ...f, user_ids: f.user_ids.filter((id) => id !== userId) } : f));
  if (!on) return without.filter((f) => f.user_ids.length > 0);
  if (!without.some((f) => f.emoji === emoji)) return [...without, { emoji, user_ids: [userId] }];
  return without.map((f) => (f.emoji === emoji ? { ...f, user_ids: [...f.user_ids, userId] } : f));
}

/**
 * What I may do with a message.
 * @param {Meeting} meeting
 * @param {ChatMessage} message
 * @param {boolean} isModerator
 */
export function powersOver(meeting, message, isModerator) {
  const isMine = message.user_id === meeting.userId;
  const isThere = message.deleted_ms === undefined;
  return {
    reply: isThere,
    react: isThere,
    edit: isThere && isMine && message.algo === undefined && message.text !== '',
    delete: isThere && (isMine || isModerator),
    pin: isThere && isModerator && message.to === undefined,
    closePoll: isThere && message.poll !== undefined && !message.poll.is_closed && (isMine || isModerator),
  };
}
