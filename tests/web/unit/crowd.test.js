import assert from 'node:assert/strict';
import test from 'node:test';
import { batched, countOf } from '../../../static/js/crowd.js';
import { roster } from '../../../static/js/orders.js';
import { newMeeting, reduce } from '../../../static/js/state.js';
import { rowsInSight, windowOf } from '../../../static/js/window.js';

/** @typedef {import('../../../static/js/types.js').Participant} Participant */
/** @typedef {import('../../../static/js/types.js').ServerMessage} ServerMessage */
/** @typedef {import('../../../static/js/state.js').Meeting} Meeting */

const OPEN = { mic_muted: false, cam_off: false, mic_forced: false, cam_forced: false, screen_forced: false };

/** @param {number} n @returns {Participant} */
const person = (n) => ({ id: `p${String(n).padStart(4, '0')}`, user_id: `u${n}`, display_name: `Person ${n}`, role: 'member', presence: 'online', media: OPEN, tracks: [], joined_ms: 1_000 + n });

/** @param {number[]} numbers @param {number} [people] @returns {Meeting} */
const meetingOf = (numbers, people) =>
  reduce(newMeeting({}), { type: 'state.snapshot', state: newMeeting({}).state, participants: numbers.map(person), ...(people ? { people } : {}), messages: [], speakers: [] }, 0);

/** @param {Meeting} meeting */
const ids = (meeting) => meeting.participants.map((p) => p.id);

test('a batch is what its events are one by one', () => {
  /** @type {ServerMessage[]} */
  const events = [
    { type: 'member.joined', participant: person(9), seq: 9 },
    { type: 'media.updated', participant_id: person(9).id, media: { ...OPEN, mic_muted: true } },
    { type: 'hand.raised', participant_id: person(9).id, seq: 10 },
    { type: 'tracks.changed', participant_id: person(1).id, tracks: [{ id: 't', source: 'camera', csrc: 7 }] },
    { type: 'member.left', participant_id: person(2).id, reason: 'left', seq: 11 },
    { type: 'member.presence', participant_id: person(1).id, presence: 'reconnecting' },
    { type: 'member.joined', participant: person(10), seq: 12 },
    { type: 'speakers.changed', speakers: [person(10).id] },
    { type: 'media.updated', participant_id: 'nobody', media: OPEN },
    { type: 'member.left', participant_id: person(10).id, reason: 'left', seq: 13 },
  ];
  const before = meetingOf([1, 2, 3]);
  const alone = events.reduce((meeting, event) => reduce(meeting, event, 0), before);
  const together = reduce(before, { type: 'events.batch', events }, 0);
  assert.deepEqual(together, alone);
  assert.deepEqual(ids(together), [person(1).id, person(3).id, person(9).id]);
  assert.deepEqual(before.participants.length, 3, 'what was before stays as it was');
});

test('two who come in one moment stand in the same order for those who see them come and for those who come later', () => {
  const [first, second] = [person(5), { ...person(6), joined_ms: person(5).joined_ms }];
  /** @type {ServerMessage[]} */
  const events = [{ type: 'member.joined', participant: second, seq: 1 }, { type: 'member.joined', participant: first, seq: 2 }];
  const seen = meetingOf([1]);
  for (const meeting of [reduce(seen, { type: 'events.batch', events }, 0), events.reduce((before, event) => reduce(before, event, 0), seen)]) {
    assert.deepEqual(ids(meeting), [person(1).id, first.id, second.id]);
  }
  const told = reduce(newMeeting({}), { type: 'state.snapshot', state: newMeeting({}).state, participants: [person(1), second, first], messages: [], speakers: [] }, 0);
  assert.deepEqual(ids(told), [person(1).id, first.id, second.id]);
});

test('people come page by page, and what is said meanwhile holds', () => {
  let meeting = meetingOf([1, 50], 5);
  assert.equal(countOf(meeting), 5);
  const say = (/** @type {ServerMessage} */ event) => (meeting = reduce(meeting, event, 0));
  say({ type: 'member.joined', participant: person(60), seq: 60 });
  say({ type: 'media.updated', participant_id: person(20).id, media: { ...OPEN, mic_muted: true } });
  say({ type: 'member.left', participant_id: person(30).id, reason: 'left', seq: 61 });
  assert.equal(countOf(meeting), 5, 'one came and one went, whom nobody here knew');
  say({ type: 'roster.page', participants: [person(1), { ...person(20), media: { ...OPEN, mic_muted: true } }], has_more: true });
  assert.deepEqual(ids(meeting), [1, 20, 50, 60].map((n) => person(n).id));
  assert.equal(meeting.participants[1]?.media.mic_muted, true);
  assert.equal(countOf(meeting), 5);
  say({ type: 'roster.page', participants: [person(40), person(50), person(60)], has_more: false });
  assert.deepEqual(ids(meeting), [1, 20, 40, 50, 60].map((n) => person(n).id));
  assert.equal(meeting.people, null);
  assert.equal(countOf(meeting), 5);
});

test('a batch of a thousand changes among a thousand people takes no time', () => {
  const numbers = Array.from({ length: 1_000 }, (_, n) => n);
  const meeting = meetingOf(numbers);
  /** @type {ServerMessage[]} */
  const events = numbers.map((n) => ({ type: 'media.updated', participant_id: person(n).id, media: { ...OPEN, mic_forced: true } }));
  let steps = 0;
  const after = batched(meeting, events, (same) => {
    steps++;
    return same;
  });
  assert.equal(steps, 0, 'all of them in one go');
  assert.ok(after.participants.every((p) => p.media.mic_forced));
});

test('the list begins with me and the hands in their order, and keeps the order of coming behind them', () => {
  const meeting = { ...meetingOf([1, 2, 3, 4, 5]), me: person(4).id };
  meeting.state = { ...meeting.state, hands_up: [person(5).id, person(4).id, person(2).id] };
  assert.deepEqual(roster(meeting).map((p) => p.id), [4, 5, 2, 1, 3].map((n) => person(n).id));
});

test('only rows in sight and some around them stand in the page', () => {
  assert.deepEqual(rowsInSight(1_000, 50, 0, 500), { from: 0, to: 18 });
  assert.deepEqual(rowsInSight(1_000, 50, 10_000, 500), { from: 192, to: 218 });
  assert.deepEqual(rowsInSight(1_000, 50, 49_500, 500), { from: 974, to: 1_000 });
  const beyond = rowsInSight(5, 50, 9_000, 500);
  assert.deepEqual(beyond, { from: 0, to: 5 }, 'a list that has become short is shown whole');
});

test('the rows and the space around them are as high as the list, with a held row too', () => {
  for (const held of [-1, 0, 195, 999]) {
    const { rows, before, after } = windowOf(1_000, 50, { from: 192, to: 218 }, held);
    assert.equal(before + rows.length * 50 + after, 50_000);
    assert.ok(held < 0 || rows.includes(held));
    assert.equal(new Set(rows).size, rows.length);
  }
});

test('the server saves as long as a slot says so', () => {
  const meeting = meetingOf([1]);
  const slots = (/** @type {import('../../../static/js/types.js').SlotReason} */ reason) =>
    /** @type {ServerMessage} */ ({ type: 'slots.changed', pc: 's', slots: [{ mid: '0', kind: 'video', reason: 'best' }, { mid: '1', kind: 'video', reason }] });
  const saving = reduce(meeting, slots('server'), 0);
  assert.equal(saving.saving, true);
  assert.equal(reduce(saving, slots('server'), 0), saving, 'nothing new is drawn');
  assert.equal(reduce(saving, slots('bandwidth'), 0).saving, false);
});
