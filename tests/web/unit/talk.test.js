// What is said and done in the chat: edits, feelings, pins, polls, who is called, and what was missed.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Catchup } from '../../../static/js/catchup.js';
import { choose, mentionAt, mentions, sizeOf, tally } from '../../../static/js/chat.js';
import { newMeeting, reduce } from '../../../static/js/state.js';
import { callsMe, powersOver } from '../../../static/js/talk.js';

/** @typedef {import('../../../static/js/types.js').ServerMessage} ServerMessage */
/** @typedef {import('../../../static/js/types.js').ChatMessage} ChatMessage */
/** @typedef {import('../../../static/js/state.js').LocalEvent} LocalEvent */

const OPEN = { mic_muted: false, cam_off: false, mic_forced: false, cam_forced: false, screen_forced: false };
const STATE = { topic: '', is_locked: false, mute_all: false, has_lobby: false, capacity: 100, recording_active: false, hands_up: [] };
const ADA = { user_id: 'u-ada', display_name: 'Ada' };
const room = { id: 'r', slug: 'daily', name: 'Daily', has_invite_key: false, owner_id: 'u-ada', participants: 1, created_ms: 0 };
const person = (/** @type {string} */ name) => ({ id: name, user_id: `u-${name}`, display_name: name, role: /** @type {const} */ ('member'), presence: /** @type {const} */ ('online'), media: OPEN, tracks: [], joined_ms: 0 });

/**
 * @param {number} seq
 * @param {string} user
 * @param {Partial<ChatMessage>} [rest]
 * @returns {ChatMessage}
 */
const said = (seq, user, rest = {}) => ({ id: `m${seq}`, seq, user_id: `u-${user}`, display_name: user, text: `text ${seq}`, sent_ms: seq, ...rest });

/**
 * @param {import('../../../static/js/state.js').Meeting} meeting
 * @param {...(ServerMessage | LocalEvent)} events
 */
const after = (meeting, ...events) => events.reduce((state, event) => reduce(state, event, 0), meeting);

/** @param {ChatMessage[]} messages @param {ChatMessage[]} [pinned] */
const inside = (messages, pinned = []) =>
  after(
    newMeeting({}),
    { type: 'joined', participant_id: 'me', user_id: 'u-me', role: 'member', room, resume: 's', resumed: false },
    { type: 'state.snapshot', state: STATE, participants: [person('me'), person('anna')], messages, speakers: [], pinned },
  );

test('an edit replaces the text, and an older one that comes later does not', () => {
  const meeting = after(inside([said(1, 'anna')]), { type: 'chat.edited', message_id: 'm1', text: 'new', edited_ms: 20, seq: 3 }, { type: 'chat.edited', message_id: 'm1', text: 'old', edited_ms: 10, seq: 2 });
  assert.deepEqual([meeting.messages[0]?.text, meeting.messages[0]?.edited_ms], ['new', 20]);
});

test('a deleted message keeps its place and nothing else, and is no longer answered', () => {
  const full = said(1, 'anna', { reactions: [{ emoji: '👍', user_ids: ['u-me'] }], pinned_ms: 5, attachments: [{ id: 'a', name: 'x', mime: 'image/png', bytes: 1 }] });
  const meeting = after(inside([full], [full]), { type: 'local.draft', draft: { replyTo: 'm1' } }, { type: 'chat.deleted', message_id: 'm1', deleted_ms: 9, by: ADA, seq: 2 });
  const [gone] = meeting.messages;
  assert.deepEqual([gone?.text, gone?.deleted_ms, gone?.reactions, gone?.attachments, gone?.pinned_ms], ['', 9, undefined, undefined, undefined]);
  assert.deepEqual([meeting.pins, meeting.draft.replyTo], [[], null]);
  assert.equal(after(meeting, { type: 'chat.edited', message_id: 'm1', text: 'back', edited_ms: 99, seq: 3 }).messages[0]?.text, '', 'nothing brings it back');
});

test('feelings are counted by person, once each, and go when nobody feels them', () => {
  /** @param {string} user @param {boolean} on @returns {ServerMessage} */
  const feel = (user, on) => ({ type: 'chat.reacted', message_id: 'm1', user_id: `u-${user}`, emoji: '🎉', on, seq: 2 });
  let meeting = after(inside([said(1, 'anna')]), feel('me', true), feel('anna', true), feel('me', true));
  assert.deepEqual(meeting.messages[0]?.reactions, [{ emoji: '🎉', user_ids: ['u-anna', 'u-me'] }]);
  meeting = after(meeting, feel('me', false), feel('anna', false));
  assert.deepEqual(meeting.messages[0]?.reactions, []);
});

test('the last pinned stands first, also when its message is not loaded', () => {
  const meeting = after(
    inside([said(9, 'anna')]),
    { type: 'chat.pinned', message_id: 'm1', message: said(1, 'anna'), pinned: true, at_ms: 1, by: ADA, seq: 10 },
    { type: 'chat.pinned', message_id: 'm9', pinned: true, at_ms: 2, by: ADA, seq: 11 },
  );
  assert.deepEqual(meeting.pins.map((m) => m.id), ['m9', 'm1']);
  assert.equal(meeting.messages[0]?.pinned_ms, 2);
  assert.deepEqual(after(meeting, { type: 'chat.pinned', message_id: 'm9', pinned: false, at_ms: 3, by: ADA, seq: 12 }).pins.map((m) => m.id), ['m1']);
});

test('a vote replaces the one before, an empty one takes it back, and a closed poll says so', () => {
  const poll = { question: '?', options: ['a', 'b'], is_multiple: false, is_closed: false, votes: [] };
  let meeting = after(inside([said(1, 'anna', { poll })]), { type: 'poll.voted', message_id: 'm1', user_id: 'u-me', choices: [0], seq: 2 }, { type: 'poll.voted', message_id: 'm1', user_id: 'u-me', choices: [1], seq: 3 });
  const now = /** @type {import('../../../static/js/types.js').Poll} */ (meeting.messages[0]?.poll);
  assert.deepEqual(tally(now, 'u-me').options.map(({ count, part, mine }) => [count, part, mine]), [[0, 0, false], [1, 1, true]]);
  assert.deepEqual([choose(now, 'u-me', 1), choose(now, 'u-me', 0), choose({ ...now, is_multiple: true }, 'u-me', 0)], [[], [0], [0, 1]]);
  meeting = after(meeting, { type: 'poll.voted', message_id: 'm1', user_id: 'u-me', choices: [], seq: 4 }, { type: 'poll.closed', message_id: 'm1', by: ADA, seq: 5 });
  assert.deepEqual([meeting.messages[0]?.poll?.votes, meeting.messages[0]?.poll?.is_closed], [[], true]);
});

test('who is named, answered or written to alone is called', () => {
  const meeting = inside([said(1, 'me')]);
  const calls = (/** @type {Partial<ChatMessage>} */ rest) => callsMe(meeting, said(2, 'anna', rest));
  assert.deepEqual([calls({}), calls({ text: 'hi @ME!' }), calls({ reply_to: 'm1' }), calls({ to: 'u-me' })], [false, true, true, true]);
  assert.equal(after(meeting, { type: 'chat.message', ...said(2, 'anna', { text: '@me' }) }).isCalled, true);
  assert.equal(after(meeting, { type: 'local.panel', panel: 'chat' }, { type: 'chat.message', ...said(2, 'anna', { text: '@me' }) }).isCalled, false, 'it is being read');
});

test('what is offered on a line is what the server will do', () => {
  const meeting = inside([]);
  const mine = powersOver(meeting, said(1, 'me'), false);
  assert.deepEqual([mine.edit, mine.delete, mine.pin], [true, true, false]);
  const theirs = powersOver(meeting, said(1, 'anna'), true);
  assert.deepEqual([theirs.edit, theirs.delete, theirs.pin], [false, true, true]);
  assert.equal(powersOver(meeting, said(1, 'anna', { to: 'u-me' }), true).pin, false, 'a private word is not pinned for all');
  assert.ok(Object.values(powersOver(meeting, said(1, 'me', { text: '', deleted_ms: 1 }), true)).every((power) => power === false));
});

test('a name is meant after an @ that stands alone, and the longest name counts', () => {
  const names = ['Ann', 'Ann Lee', 'Боря'];
  assert.deepEqual(mentions('@ann lee, @Ann, @боря!', names).map((m) => m.name), ['Ann Lee', 'Ann', 'Боря']);
  assert.deepEqual(mentions('mail@Ann.org and @Anna', names), []);
  assert.deepEqual(mentions('@Ann', []), []);
});

test('what is typed after an @ asks for names', () => {
  assert.deepEqual(mentionAt('hi @An', 6), { from: 3, query: 'An' });
  assert.deepEqual(mentionAt('@', 1), { from: 0, query: '' });
  assert.equal(mentionAt('a@b', 3), null);
  assert.equal(mentionAt('hi @An\nmore', 11), null);
});

test('sizes are said in the unit that people use', () => {
  assert.deepEqual([sizeOf(999, 'en'), sizeOf(48_213, 'en'), sizeOf(2_500_000, 'en')], ['999 byte', '48.2 kB', '2.5 MB']);
});

/** A server with a log, asked page by page. @param {number} newest @param {number} perPage */
function log(newest, perPage) {
  /** @type {number[]} */
  const asked = [];
  return {
    asked,
    ask: async (/** @type {number} */ afterSeq) => {
      asked.push(afterSeq);
      const upto = Math.min(newest, afterSeq + perPage);
      return { upto_seq: upto, has_more: upto < newest };
    },
  };
}
/** @type {ServerMessage} */
const joined = { type: 'joined', participant_id: 'me', user_id: 'u-me', role: 'member', room, resume: 's', resumed: true };
const info = (/** @type {number} */ next) => /** @type {ServerMessage} */ ({ type: 'sync.info', next_seq: next });
const settled = () => new Promise((done) => setImmediate(done));

test('a first visit asks for nothing, a return asks from the last number known', async () => {
  const { ask, asked } = log(25, 10);
  const catchup = new Catchup(ask, () => {});
  for (const message of [joined, info(5)]) catchup.take(message);
  catchup.take({ type: 'chat.message', ...said(7, 'anna') });
  for (const message of [joined, info(26)]) catchup.take(message);
  await settled();
  assert.deepEqual([asked, catchup.known], [[7, 17], 25]);
});

test('what comes live between the pages waits for them, and is delivered once and in order', async () => {
  const { ask } = log(25, 10);
  /** @type {ServerMessage[]} */
  const delivered = /** @type {ServerMessage[]} */ ([]);
  const catchup = new Catchup(ask, (message) => delivered.push(message));
  for (const message of [joined, info(5), joined, info(26)]) catchup.take(message);
  assert.equal(catchup.take({ type: 'chat.edited', message_id: 'm1', text: 'x', edited_ms: 1, seq: 26 }), false);
  assert.equal(catchup.take({ type: 'hand.raised', participant_id: 'anna', seq: 27 }), true, 'people are in the snapshot');
  assert.equal(delivered.length, 0);
  await settled();
  assert.deepEqual(delivered.map((message) => message.type), ['chat.edited']);
  assert.equal(catchup.known, 27);
});

test('a line that breaks while pages come loses nothing: the next one asks from where it stood', async () => {
  const { ask, asked } = log(25, 10);
  let isCut = true;
  const catchup = new Catchup(async (n) => {
    if (isCut && n === 14) throw new Error('cut');
    return ask(n);
  }, () => {});
  for (const message of [joined, info(5), joined, info(26)]) catchup.take(message);
  catchup.take({ type: 'chat.message', ...said(26, 'anna') });
  await settled();
  assert.equal(catchup.known, 14);
  isCut = false;
  for (const message of [joined, info(27)]) catchup.take(message);
  await settled();
  assert.deepEqual(asked, [4, 14, 24]);
  assert.equal(catchup.known, 25);
});

test('pages bring what was said, not who came and went', () => {
  const meeting = after(inside([said(1, 'anna')]), {
    type: 'sync.batch',
    events: [{ type: 'chat.message', ...said(2, 'anna') }, { type: 'member.left', participant_id: 'anna', reason: 'left', seq: 3 }, { type: 'chat.edited', message_id: 'm1', text: 'new', edited_ms: 1, seq: 4 }],
    upto_seq: 4,
    has_more: false,
  });
  assert.deepEqual(meeting.messages.map((m) => m.text), ['new', 'text 2']);
  assert.equal(meeting.participants.length, 2);
  assert.equal(meeting.unread, 1);
});
