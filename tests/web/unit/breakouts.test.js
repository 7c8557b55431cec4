// Breakout rooms in the state: who belongs where, when they end, and how people are shared out.

import assert from 'node:assert/strict';
import test from 'node:test';
import { breakoutHere, myBreakout, shareOut } from '../../../static/js/breakouts.js';
import { newMeeting, reduce } from '../../../static/js/state.js';

/** @typedef {import('../../../static/js/types.js').ServerMessage} ServerMessage */

const VERA = { user_id: 'u-vera', display_name: 'Vera' };
const BORIS = { user_id: 'u-boris', display_name: 'Boris' };
const ROOMS = [{ id: 'b0', slug: 'b-0', name: 'Tea' }, { id: 'b1', slug: 'b-1', name: 'Coffee' }];
const room = { id: 'r', slug: 'weekly', name: 'Weekly', has_invite_key: false, owner_id: 'u-vera', participants: 1, created_ms: 0 };

/** @param {...ServerMessage} events */
const boris = (...events) =>
  /** @type {ServerMessage[]} */ ([{ type: 'joined', participant_id: 'p', user_id: 'u-boris', role: 'guest', room, resume: '', resumed: false }, ...events]).reduce((state, event) => reduce(state, event, 0), newMeeting({}));

/** @type {ServerMessage} */
const OPENED = { type: 'breakout.opened', breakouts: { rooms: ROOMS, assignments: { 'u-boris': 1 }, self_choice: false, opened_ms: 5, by: VERA }, by: VERA, seq: 1 };

test('whoever is assigned knows their room, and that they are not in it yet', () => {
  const meeting = boris(OPENED);
  assert.equal(myBreakout(meeting)?.name, 'Coffee');
  assert.equal(breakoutHere(meeting), null);
  assert.equal(breakoutHere({ ...meeting, room: { ...room, id: 'b1' } })?.name, 'Coffee');
});

test('an assignment changes one person, and null is the main room', () => {
  const moved = boris(OPENED, { type: 'breakout.assigned', assignments: { 'u-boris': 0, 'u-ada': 1 }, by: VERA, seq: 2 });
  assert.equal(myBreakout(moved)?.name, 'Tea');
  const back = reduce(moved, { type: 'breakout.assigned', assignments: { 'u-boris': null }, by: VERA, seq: 3 }, 0);
  assert.equal(myBreakout(back), null);
  assert.deepEqual(back.breakouts?.assignments, { 'u-ada': 1 });
});

test('people, the end and words for all are known until the rooms are closed', () => {
  const meeting = boris(OPENED, { type: 'breakout.people', room: 1, people: [BORIS] }, { type: 'breakout.closing', ends_ms: 99, by: VERA, seq: 2 }, { type: 'breakout.broadcast', text: 'Soon', by: VERA, seq: 3 });
  assert.deepEqual(meeting.breakouts?.rooms.map((r) => r.people), [undefined, [BORIS]]);
  assert.equal(meeting.breakouts?.ends_ms, 99);
  assert.deepEqual(meeting.broadcast, { by: VERA, text: 'Soon' });
  const closed = reduce(meeting, { type: 'breakout.closed', seq: 4 }, 0);
  assert.equal(closed.breakouts, null);
  assert.equal(reduce(closed, { type: 'local.read' }, 0).broadcast, null);
});

test('calls for help stand until they are answered, one for each room, the newest last', () => {
  const help = (/** @type {number} */ room, /** @type {string} */ name) => /** @type {ServerMessage} */ ({ type: 'breakout.help', room, by: { user_id: name, display_name: name }, seq: 2 });
  const meeting = boris(OPENED, help(0, 'Ada'), help(1, 'Eva'), help(0, 'Ivan'));
  assert.deepEqual(meeting.calls.map((call) => [call.room, call.by.display_name]), [[1, 'Eva'], [0, 'Ivan']]);
  assert.deepEqual(reduce(meeting, { type: 'local.answered', room: 1 }, 0).calls.map((call) => call.room), [0]);
  assert.deepEqual(reduce(meeting, { type: 'breakout.closed', seq: 3 }, 0).calls, []);
});

test('words about rooms that are closed change nothing', () => {
  const meeting = boris();
  for (const event of /** @type {ServerMessage[]} */ ([{ type: 'breakout.people', room: 0, people: [] }, { type: 'breakout.assigned', assignments: {}, by: VERA, seq: 1 }, { type: 'breakout.closing', ends_ms: 1, by: VERA, seq: 2 }])) {
    assert.equal(reduce(meeting, event, 0), meeting, event.type);
  }
});

test('chance shares people out evenly, everybody once', () => {
  const users = Array.from({ length: 11 }, (_, n) => `u${n}`);
  let seed = 1;
  const shared = shareOut(users, 4, () => (seed = (seed * 48271) % 2147483647) / 2147483647);
  assert.deepEqual(Object.keys(shared).sort(), [...users].sort());
  const sizes = [0, 1, 2, 3].map((place) => Object.values(shared).filter((p) => p === place).length);
  assert.deepEqual(sizes.sort(), [2, 3, 3, 3]);
  assert.notDeepEqual(users.map((user) => shared[user]), users.map((_, n) => n % 4), 'not in the order of coming');
});
