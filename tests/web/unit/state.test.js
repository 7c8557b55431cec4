import assert from 'node:assert/strict';
import test from 'node:test';
import { newMeeting, others, ownerOf, reduce, typingNames, volumeOf } from '../../../static/js/state.js';
import { Store } from '../../../static/js/store.js';
import { tilesOf } from '../../../static/js/tiles.js';

/** @typedef {import('../../../static/js/state.js').Meeting} Meeting */
/** @typedef {import('../../../static/js/types.js').ServerMessage} ServerMessage */
/** @typedef {import('../../../static/js/state.js').LocalEvent} LocalEvent */

const NOW = 1_000_000;
const OPEN = { mic_muted: false, cam_off: false, mic_forced: false, cam_forced: false, screen_forced: false };

/**
 * @param {string} id
 * @param {Partial<import('../../../static/js/types.js').Participant>} [rest]
 * @returns {import('../../../static/js/types.js').Participant}
 */
const person = (id, rest = {}) => ({
  id,
  user_id: `u-${id}`,
  display_name: id.toUpperCase(),
  role: 'member',
  presence: 'online',
  media: OPEN,
  tracks: [],
  joined_ms: 0,
  ...rest,
});

/**
 * @param {number} seq
 * @param {string} user
 * @param {string} [clientId]
 * @returns {import('../../../static/js/types.js').ChatMessage}
 */
const said = (seq, user, clientId) => ({ id: `m${seq}`, seq, user_id: user, display_name: user, text: `text ${seq}`, sent_ms: seq, ...(clientId ? { client_id: clientId } : {}) });

const room = { id: 'r', slug: 'daily', name: 'Daily', has_invite_key: false, owner_id: 'u-me', participants: 1, created_ms: 0 };

/**
 * @param {Meeting} meeting
 * @param {...(ServerMessage | LocalEvent)} events
 */
const after = (meeting, ...events) => events.reduce((state, event) => reduce(state, event, NOW), meeting);

/**
 * @param {import('../../../static/js/types.js').Participant[]} participants
 * @param {import('../../../static/js/types.js').ChatMessage[]} messages
 * @returns {ServerMessage}
 */
const snapshot = (participants, messages = []) => ({
  type: 'state.snapshot',
  state: { topic: '', is_locked: false, mute_all: false, has_lobby: false, capacity: 100, recording_active: false, hands_up: [] },
  participants,
  messages,
  speakers: [],
});

/** @type {ServerMessage} */
const joined = { type: 'joined', participant_id: 'me', user_id: 'u-me', role: 'owner', room, resume: 's', resumed: false };
const inside = (/** @type {import('../../../static/js/types.js').ChatMessage[]} */ messages = []) =>
  after(newMeeting({}), joined, snapshot([person('me'), person('anna')], messages));

test('a snapshot makes the meeting joined, and I am not among the others', () => {
  const meeting = inside();
  assert.equal(meeting.phase, 'joined');
  assert.deepEqual(others(meeting).map((p) => p.id), ['anna']);
});

test('a reducer changes nothing in the state it was given', () => {
  const meeting = inside([said(1, 'u-anna')]);
  const before = JSON.stringify(meeting);
  after(
    meeting,
    { type: 'member.joined', participant: person('boris'), seq: 2 },
    { type: 'media.updated', participant_id: 'anna', media: { ...OPEN, mic_muted: true } },
    { type: 'chat.message', ...said(3, 'u-anna') },
    { type: 'chat.typing', participant_id: 'anna', is_typing: true },
    { type: 'local.volume', user_id: 'u-anna', volume: 0 },
    { type: 'member.left', participant_id: 'anna', reason: 'left', seq: 4 },
  );
  assert.equal(JSON.stringify(meeting), before);
});

test('a participant who is announced twice stands once', () => {
  const meeting = after(inside(), { type: 'member.joined', participant: person('anna', { display_name: 'Anna 2' }), seq: 2 });
  assert.deepEqual(others(meeting).map((p) => p.display_name), ['Anna 2']);
});

test('whoever leaves takes speaking, typing and pin along', () => {
  const meeting = after(
    inside(),
    { type: 'speakers.changed', speakers: ['anna'] },
    { type: 'chat.typing', participant_id: 'anna', is_typing: true },
    { type: 'local.pin', key: 'anna:camera' },
    { type: 'member.left', participant_id: 'anna', reason: 'timed_out', seq: 3 },
  );
  assert.deepEqual([meeting.speakers, typingNames(meeting), meeting.pinned, others(meeting)], [[], [], null, []]);
});

test('a message is unread while the chat is closed, and read when it opens', () => {
  let meeting = after(inside(), { type: 'chat.message', ...said(5, 'u-anna') }, { type: 'chat.message', ...said(6, 'u-anna') });
  assert.deepEqual([meeting.unread, meeting.unreadFrom], [2, 5]);
  meeting = after(meeting, { type: 'local.panel', panel: 'chat' });
  assert.deepEqual([meeting.unread, meeting.unreadFrom], [0, 5], 'the mark stays while one reads');
  meeting = after(meeting, { type: 'chat.message', ...said(7, 'u-anna') });
  assert.equal(meeting.unread, 0);
  meeting = after(meeting, { type: 'local.panel', panel: null });
  assert.equal(meeting.unreadFrom, null);
});

test('own messages are never unread, and arriving they replace what was on its way', () => {
  const pending = { client_id: 'c1', text: 'hi', sent_ms: 0, failed: false };
  const meeting = after(inside(), { type: 'local.pending', message: pending }, { type: 'chat.message', ...said(5, 'u-me', 'c1') });
  assert.deepEqual([meeting.unread, meeting.pending, meeting.messages.length], [0, [], 1]);
});

test("somebody else's message with my client id does not swallow mine", () => {
  const pending = { client_id: 'c1', text: 'hi', sent_ms: 0, failed: false };
  const meeting = after(inside(), { type: 'local.pending', message: pending }, { type: 'chat.message', ...said(5, 'u-anna', 'c1') });
  assert.equal(meeting.pending.length, 1);
});

test('a message told twice stands once', () => {
  const meeting = after(inside(), { type: 'chat.message', ...said(5, 'u-anna') }, { type: 'chat.message', ...said(5, 'u-anna') });
  assert.deepEqual([meeting.messages.length, meeting.unread], [1, 1]);
});

test('after a reconnect what was missed is there, once, and counts as unread', () => {
  const held = inside([said(1, 'u-anna'), said(2, 'u-anna')]);
  const meeting = after(held, { type: 'local.dropped', restarting: false }, joined, snapshot([person('me')], [said(2, 'u-anna'), said(3, 'u-me'), said(4, 'u-anna')]));
  assert.deepEqual(meeting.messages.map((m) => m.seq), [1, 2, 3, 4]);
  assert.deepEqual([meeting.unread, meeting.unreadFrom, meeting.phase], [1, 4, 'joined']);
});

test('the first words of a chat, missed while the line was down, are unread too', () => {
  const meeting = after(inside(), { type: 'local.dropped', restarting: false }, joined, snapshot([person('me')], [said(1, 'u-anna')]));
  assert.deepEqual([meeting.unread, meeting.unreadFrom], [1, 1]);
});

test('a snapshot that does not reach back leaves no gap: older messages are fetched again', () => {
  const held = inside([said(1, 'u-anna')]);
  const meeting = after(held, { type: 'local.dropped', restarting: false }, joined, snapshot([person('me')], Array.from({ length: 50 }, (_, index) => said(70 + index, 'u-anna'))));
  assert.deepEqual([meeting.messages.length, meeting.messages[0]?.seq], [50, 70]);
  assert.equal(meeting.hasOlder, true);
});

test('a chat that fits into the snapshot has nothing older', () => {
  assert.equal(inside([said(1, 'u-anna')]).hasOlder, false);
  assert.equal(inside(Array.from({ length: 50 }, (_, index) => said(index + 1, 'u-anna'))).hasOlder, true);
});

test('what was sent while the line was down is not sent again when the snapshot has it', () => {
  const pending = { client_id: 'c1', text: 'hi', sent_ms: 0, failed: false };
  const meeting = after(inside(), { type: 'local.pending', message: pending }, { type: 'local.dropped', restarting: false }, joined, snapshot([person('me')], [said(3, 'u-me', 'c1')]));
  assert.deepEqual(meeting.pending, []);
});

test('history goes before what is here', () => {
  const meeting = after(inside([said(8, 'u-anna')]), { type: 'local.loading', loading: true }, { type: 'local.older', messages: [said(6, 'u-anna'), said(7, 'u-anna')], has_more: false });
  assert.deepEqual([meeting.messages.map((m) => m.seq), meeting.hasOlder, meeting.loadingOlder], [[6, 7, 8], false, false]);
});

test('writing is forgotten when nobody renews it, and when the message is here', () => {
  const typing = after(inside(), { type: 'chat.typing', participant_id: 'anna', is_typing: true });
  assert.deepEqual(typingNames(typing), ['ANNA']);
  assert.deepEqual(typingNames(reduce(typing, { type: 'local.tick' }, NOW + 5_999)), ['ANNA']);
  assert.deepEqual(typingNames(reduce(typing, { type: 'local.tick' }, NOW + 6_001)), []);
  assert.deepEqual(typingNames(after(typing, { type: 'chat.message', ...said(5, 'u-anna') })), []);
});

test('a lost line makes a joined meeting reconnecting, and never one that is over', () => {
  assert.equal(after(inside(), { type: 'local.dropped', restarting: true }).restarting, true);
  assert.equal(after(inside(), { type: 'local.dropped', restarting: false }).phase, 'reconnecting');
  const over = after(inside(), { type: 'local.ended', reason: 'kicked' });
  assert.equal(after(over, { type: 'local.dropped', restarting: false }).phase, 'ended');
  assert.equal(after(over, { type: 'local.ended', reason: 'left' }).ended, 'kicked', 'the first reason counts');
});

test('a tile has a picture only when there is a camera track that nobody has turned off', () => {
  const camera = { id: 't1', source: /** @type {const} */ ('camera'), csrc: 7 };
  const look = (/** @type {Partial<import('../../../static/js/types.js').Participant>} */ rest) => tilesOf(after(inside(), snapshot([person('me'), person('anna', rest)]))).people[0]?.csrc;
  assert.equal(look({ tracks: [camera] }), 7);
  assert.equal(look({}), null);
  assert.equal(look({ tracks: [camera], media: { ...OPEN, cam_off: true } }), null);
  assert.equal(look({ tracks: [camera], media: { ...OPEN, cam_forced: true } }), null);
});

test('the screens of others are tiles of their own; my own is not shown back to me', () => {
  const screen = { id: 't2', source: /** @type {const} */ ('screen'), csrc: 9 };
  const { screens, people, me } = tilesOf(after(inside(), snapshot([person('me', { tracks: [screen] }), person('anna', { tracks: [screen] })])));
  assert.deepEqual(screens.map((tile) => tile.key), ['anna:screen']);
  assert.deepEqual([people.length, me?.key], [1, 'me:camera']);
});

test('packets are owned by whoever publishes their csrc now', () => {
  const track = { id: 't', source: /** @type {const} */ ('microphone'), csrc: 3 };
  const meeting = after(inside(), { type: 'tracks.changed', participant_id: 'anna', tracks: [track] });
  assert.equal(ownerOf(meeting, 3)?.participant.id, 'anna');
  assert.equal(ownerOf(after(meeting, { type: 'tracks.changed', participant_id: 'anna', tracks: [] }), 3), null);
});

test('a volume belongs to the person and is full where nobody changed it', () => {
  const meeting = after(newMeeting({ 'u-anna': 0.4 }), { type: 'local.volume', user_id: 'u-boris', volume: 0 });
  assert.deepEqual([volumeOf(meeting, 'u-anna'), volumeOf(meeting, 'u-boris'), volumeOf(meeting, 'u-else')], [0.4, 0, 1]);
});

test('a listener that another one ends in the same round hears nothing more', async () => {
  const store = new Store(0, (/** @type {number} */ state, /** @type {number} */ event) => state + event);
  /** @type {string[]} */
  const heard = [];
  store.subscribe(() => {
    heard.push('first');
    stopSecond();
  });
  const stopSecond = store.subscribe(() => heard.push('second'));
  store.dispatch(1);
  await Promise.resolve();
  assert.deepEqual(heard, ['first']);
});

test('a store tells once per turn, with the last state, and stops when asked', async () => {
  const store = new Store(0, (/** @type {number} */ state, /** @type {number} */ event) => state + event);
  /** @type {number[]} */
  const seen = [];
  const stop = store.subscribe((state) => seen.push(state));
  store.dispatch(1);
  store.dispatch(2);
  store.dispatch(0);
  await Promise.resolve();
  assert.deepEqual(seen, [3]);
  stop();
  store.dispatch(4);
  await Promise.resolve();
  assert.deepEqual(seen, [3]);
});
