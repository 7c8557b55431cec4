// What moderators' orders, hands, roles and the lobby do to the state, and who is offered which of them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { wordsOf } from '../../../static/js/call/audit.js';
import { newsOf } from '../../../static/js/call/news.js';
import { placeOfHand, roster } from '../../../static/js/orders.js';
import { LEAST, deedsFor, deedsForAbsent, may, orderOf, outranks, silencedBy } from '../../../static/js/powers.js';
import { newMeeting, reduce, self } from '../../../static/js/state.js';

/** @typedef {import('../../../static/js/types.js').Participant} Participant */
/** @typedef {import('../../../static/js/types.js').ServerMessage} ServerMessage */
/** @typedef {import('../../../static/js/state.js').LocalEvent} LocalEvent */

const NOW = 1_000_000;
const OPEN = { mic_muted: false, cam_off: false, mic_forced: false, cam_forced: false, screen_forced: false };
const ADA = { user_id: 'u-ada', display_name: 'Ada' };
const STATE = { topic: '', is_locked: false, mute_all: false, has_lobby: false, capacity: 100, recording_active: false, hands_up: [] };

/**
 * @param {string} id
 * @param {Partial<Participant>} [rest]
 * @returns {Participant}
 */
const person = (id, rest = {}) => ({ id, user_id: `u-${id}`, display_name: id, role: 'guest', presence: 'online', media: OPEN, tracks: [], joined_ms: 0, ...rest });
const room = { id: 'r', slug: 'daily', name: 'Daily', has_invite_key: false, owner_id: 'u-ada', participants: 1, created_ms: 0 };

/**
 * @param {import('../../../static/js/state.js').Meeting} meeting
 * @param {...(ServerMessage | LocalEvent)} events
 */
const after = (meeting, ...events) => events.reduce((state, event) => reduce(state, event, NOW), meeting);

/** Inside as `me`, with Ada the owner, Bob and Cleo.
 * @param {string} me
 * @param {Partial<typeof STATE>} [state]
 */
const inside = (me, state = {}) =>
  after(
    newMeeting({}),
    { type: 'joined', participant_id: me, user_id: `u-${me}`, role: 'guest', room, resume: 's', resumed: false },
    { type: 'state.snapshot', state: { ...STATE, ...state }, participants: [person('ada', { role: 'owner' }), person('bob'), person('cleo', { role: 'member' })], messages: [], speakers: [] },
  );

test('the client offers a power from the same role on as the server grants it', () => {
  const rust = readFileSync(new URL('../../../protocol/src/powers.rs', import.meta.url), 'utf8');
  const table = Object.fromEntries([...rust.matchAll(/\w+ = "([a-z_]+)", (\w+), "/g)].map(([, name, role]) => [name, String(role).toLowerCase()]));
  assert.ok(Object.keys(table).length > 15);
  for (const [power, role] of Object.entries(LEAST)) assert.equal(role, table[power], power);
});

test('nobody without a role may anything, and nobody outranks their equals', () => {
  assert.equal(may(null, 'take_part'), false);
  assert.equal(may('admin', 'kick'), true);
  assert.equal(may('admin', 'transfer'), false);
  assert.deepEqual([outranks('owner', 'admin'), outranks('admin', 'admin'), outranks('guest', 'member')], [true, false, false]);
});

test('deeds are offered only where they would do something', () => {
  const meeting = inside('ada');
  const [ada, bob] = /** @type {[Participant, Participant]} */ (/** @type {unknown} */ (meeting.participants));
  const quiet = deedsFor(ada, bob, STATE);
  assert.deepEqual(quiet, ['force_mic', 'force_camera', 'make_admin', 'make_member', 'give_room', 'kick', 'ban']);
  const busy = { ...bob, orders: { microphone: ADA }, tracks: [{ id: 't', source: /** @type {const} */ ('screen'), csrc: 1 }] };
  const offered = deedsFor(ada, busy, { ...STATE, mute_all: true, hands_up: ['bob'] });
  assert.ok(offered.includes('lower_hand') && offered.includes('release_mic') && offered.includes('stop_share') && offered.includes('let_speak_for'));
  assert.ok(!offered.includes('force_mic'));
  assert.ok(deedsFor(ada, { ...busy, orders: { may_speak: true } }, { ...STATE, mute_all: true }).includes('end_speak'));
});

test('a moderator does nothing to equals, members do nothing to anybody, nobody does anything to themselves', () => {
  const admin = person('eve', { role: 'admin' });
  assert.deepEqual(deedsFor(admin, person('fay', { role: 'admin' }), STATE), []);
  assert.deepEqual(deedsFor(admin, person('ada', { role: 'owner' }), STATE), []);
  assert.deepEqual(deedsFor(person('bob', { role: 'member' }), person('cleo'), { ...STATE, hands_up: ['cleo'] }), []);
  assert.deepEqual(deedsFor(admin, admin, STATE), []);
  const below = deedsFor(admin, person('cleo', { role: 'member' }), STATE);
  assert.ok(below.includes('make_guest') && !below.includes('make_admin') && !below.includes('give_room'), 'nobody makes others their equals');
});

test('a member who is not here can be given a role, freed and shut out, by those above', () => {
  const owner = person('ada', { role: 'owner' });
  const bob = { user_id: 'u-bob', display_name: 'bob', role: /** @type {const} */ ('member'), orders: { camera: ADA }, joined_ms: 0 };
  assert.deepEqual(deedsForAbsent(owner, bob), ['release_camera', 'make_admin', 'make_guest', 'give_room', 'kick', 'ban']);
  assert.deepEqual(deedsForAbsent(person('eve', { role: 'admin' }), { ...bob, orders: {} }), ['make_guest', 'kick', 'ban']);
  assert.deepEqual(deedsForAbsent(person('eve', { role: 'admin' }), { ...bob, role: 'admin' }), []);
  assert.deepEqual(deedsForAbsent(person('cleo', { role: 'member' }), { ...bob, role: 'guest' }), []);
});

test('the log says what an order did in the words of that moment, and a change by what was before it', () => {
  const entry = (/** @type {string} */ action, /** @type {Record<string, any>} */ detail) => ({ seq: 2, at_ms: 0, action, by: ADA, target: { user_id: 'u-bob', display_name: 'Bob' }, detail });
  assert.equal(wordsOf(entry('role.changed', { role: 'admin' }), null), 'Bob is a moderator now');
  assert.equal(wordsOf(entry('media.video_forced', { forced: true }), null), 'Bob: camera off');
  assert.equal(wordsOf(entry('media.forced', { source: 'screen', forced: false }), null), 'Bob: screen share allowed');
  assert.equal(wordsOf(entry('member.kicked', { is_banned: true, reason: 'noise' }), null), 'Bob was removed and banned: noise');
  assert.equal(wordsOf(entry('chat.deleted', {}), null), 'A message of Bob was deleted');
  assert.equal(wordsOf(entry('state.changed', { state: { ...STATE, is_locked: true, topic: 'Tea' } }), STATE), 'The room is locked. Topic: Tea');
  assert.equal(wordsOf(entry('state.changed', { state: STATE }), null), 'The room settings were changed');
  assert.match(wordsOf(entry('moon.landed', {}), null), /moon\.landed/);
});

test('a deed says the order that the protocol knows', () => {
  const bob = person('bob');
  assert.deepEqual(orderOf('force_mic', bob), { type: 'media.force', user_id: 'u-bob', source: 'microphone', forced: true });
  assert.deepEqual(orderOf('release_screen', bob), { type: 'media.force', user_id: 'u-bob', source: 'screen', forced: false });
  assert.deepEqual(orderOf('lower_hand', bob), { type: 'hand.lower', participant_id: 'bob' });
  assert.deepEqual(orderOf('give_room', bob), { type: 'role.set', user_id: 'u-bob', role: 'owner' });
});

test('who muted whom is known while it holds', () => {
  const muted = after(inside('bob'), { type: 'media.forced', user_id: 'u-bob', source: 'microphone', forced: true, by: ADA, seq: 1 }, { type: 'media.updated', participant_id: 'bob', media: { ...OPEN, mic_forced: true } });
  assert.deepEqual(silencedBy(self(muted)), { by: 'Ada' });
  const freed = after(muted, { type: 'media.forced', user_id: 'u-bob', source: 'microphone', forced: false, by: ADA, seq: 2 }, { type: 'media.updated', participant_id: 'bob', media: OPEN });
  assert.equal(silencedBy(self(freed)), null);
  assert.equal(freed.participants.find((p) => p.id === 'bob')?.orders?.microphone, undefined);
});

test("everybody's mute names nobody", () => {
  const meeting = after(inside('bob', { mute_all: true }), { type: 'media.updated', participant_id: 'bob', media: { ...OPEN, mic_forced: true } });
  assert.deepEqual(silencedBy(self(meeting)), { by: null });
});

test('the right to speak for some minutes is over when its time has come', () => {
  const allowed = after(inside('bob'), { type: 'speak.allowed', user_id: 'u-bob', allowed: true, until_ms: NOW + 5, by: ADA, seq: 1 });
  assert.equal(self(allowed)?.orders?.may_speak, true);
  assert.equal(reduce(allowed, { type: 'local.tick' }, NOW + 4), allowed, 'not before');
  assert.equal(self(reduce(allowed, { type: 'local.tick' }, NOW + 5))?.orders?.may_speak, false);
});

test('hands stand in the order of raising, and go with whoever goes', () => {
  let meeting = after(inside('ada'), { type: 'hand.raised', participant_id: 'cleo', seq: 1 }, { type: 'hand.raised', participant_id: 'bob', seq: 2 });
  assert.deepEqual([placeOfHand(meeting, 'cleo'), placeOfHand(meeting, 'bob'), placeOfHand(meeting, 'ada')], [1, 2, 0]);
  assert.deepEqual(roster(meeting).map((p) => p.id), ['ada', 'cleo', 'bob'], 'me, then hands in order');
  meeting = after(meeting, { type: 'member.left', participant_id: 'cleo', reason: 'left', seq: 3 });
  assert.equal(placeOfHand(meeting, 'bob'), 1);
  assert.deepEqual(after(meeting, { type: 'hand.lowered', by: ADA, seq: 4 }).state.hands_up, []);
});

test('a new owner leaves the old one a moderator', () => {
  const meeting = after(inside('bob'), { type: 'role.changed', user_id: 'u-bob', role: 'owner', stepped_down: 'u-ada', by: ADA, seq: 1 });
  assert.deepEqual(meeting.participants.map((p) => p.role), ['admin', 'owner', 'member']);
});

test('the lobby is a phase of its own, and its end is the room or a closed door', () => {
  const waiting = after(newMeeting({}), { type: 'lobby.waiting', participant_id: 'bob', room });
  assert.deepEqual([waiting.phase, waiting.room?.name], ['waiting', 'Daily']);
  assert.equal(after(waiting, { type: 'local.dropped', restarting: false }).phase, 'waiting', 'a lost line waits on');
  assert.equal(after(waiting, { type: 'local.ended', reason: 'turned_away' }).ended, 'turned_away');
});

test('who knocks is in the list until it is decided', () => {
  const knock = { id: 'k', user_id: 'u-k', display_name: 'Kim', role: /** @type {const} */ ('guest'), knocked_ms: 1 };
  const meeting = after(inside('ada'), { type: 'lobby.knocked', knock, seq: 1 }, { type: 'lobby.knocked', knock, seq: 1 });
  assert.equal(meeting.lobby.length, 1);
  assert.deepEqual(after(meeting, { type: 'lobby.left', knock, outcome: 'refused', by: ADA, seq: 2 }).lobby, []);
});

test('whoever is removed knows by whom and why, and whether they may come back', () => {
  /** @type {ServerMessage} */
  const kicked = { type: 'member.kicked', user_id: 'u-bob', is_banned: false, reason: 'noise', by: ADA, seq: 1 };
  const end = /** @type {const} */ ({ type: 'local.ended', reason: 'kicked' });
  const removed = after(inside('bob'), kicked, end);
  assert.deepEqual([removed.ended, removed.removal], ['kicked', { by: 'Ada', isBanned: false, reason: 'noise' }]);
  assert.equal(after(inside('bob'), { ...kicked, is_banned: true }, end).ended, 'banned');
  assert.equal(after(inside('cleo'), kicked).removal, null, 'that was somebody else');
});

/**
 * @param {string} me
 * @param {ServerMessage} event
 * @param {Partial<typeof STATE>} [state]
 */
const news = (me, event, state) => {
  const before = inside(me, state);
  return newsOf(event, before, after(before, event));
};

test('an order is told to the person, signed to other moderators, and not to everybody', () => {
  const mute = /** @type {const} */ ({ type: 'media.forced', user_id: 'u-bob', source: 'microphone', forced: true, by: { user_id: 'u-eve', display_name: 'Eve' }, seq: 1 });
  assert.equal(news('bob', mute), null, 'the note above the stage says it as long as it holds');
  assert.equal(news('bob', { type: 'media.video_forced', user_id: 'u-bob', forced: true, by: mute.by, seq: 2 })?.text, 'Eve has switched your camera off');
  assert.equal(news('ada', mute)?.text, 'bob: microphone off (Eve)');
  assert.equal(news('ada', { ...mute, by: ADA })?.text, 'bob: microphone off', 'what I did myself needs no signature');
  assert.equal(news('cleo', mute), null);
});

test('a change of the room is told once, with what changed and nothing else', () => {
  /** @param {Partial<typeof STATE>} state @returns {ServerMessage} */
  const changed = (state) => ({ type: 'state.changed', state: { ...STATE, ...state }, by: ADA, seq: 1 });
  assert.equal(news('bob', changed({ mute_all: true }))?.text, 'Everybody is muted (Ada)');
  assert.equal(news('bob', changed({ capacity: 5 })), null, 'members need not know');
  assert.equal(news('ada', changed({ topic: 'Budget', is_locked: true }))?.text, 'The room is locked. Topic: Budget');
});

test('a hand is told to moderators, and quietly to the others', () => {
  /** @type {ServerMessage} */
  const raised = { type: 'hand.raised', participant_id: 'cleo', seq: 1 };
  assert.deepEqual(news('ada', raised), { text: 'cleo raises a hand', isQuiet: false });
  assert.equal(news('bob', raised)?.isQuiet, true);
  assert.equal(news('cleo', raised), null);
});
