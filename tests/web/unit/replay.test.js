import assert from 'node:assert/strict';
import test from 'node:test';
import { Clock, momentOf, pace, timecode } from '../../../static/js/replay/pace.js';
import { Story, typeOf } from '../../../static/js/replay/story.js';

/** @typedef {import('../../../static/js/replay/story.js').Contents} Contents */
/** @typedef {import('../../../static/js/replay/story.js').Moment} Moment */

/**
 * @param {string} id
 * @param {'camera' | 'screen'} source
 * @param {number} offset_ms
 * @param {number} duration_ms
 */
const file = (id, source, offset_ms, duration_ms) => ({ name: `${id}-${offset_ms}.webm`, participant_id: id, user_id: id, display_name: id.toUpperCase(), source, tracks: [{ codec: 'opus' }, { codec: 'vp8' }], offset_ms, duration_ms });

/** @param {string} id @param {number} at_ms @returns {Moment} */
const joined = (id, at_ms) => ({ at_ms, kind: 'joined', participant_id: id, user_id: id, display_name: id.toUpperCase() });

/** @param {number} at_ms @param {...string} participant_ids @returns {Moment} */
const speaking = (at_ms, ...participant_ids) => ({ at_ms, kind: 'speaking', participant_ids });

/** @param {Moment[]} moments @param {ReturnType<typeof file>[]} files @returns {Contents} */
const contents = (moments, files) => ({ recording: '1', room: { id: 'r', slug: 'r', name: 'R' }, state: 'complete', began_at_ms: 0, files, moments, gaps: [] });

test('people come, film, share and go', () => {
  const story = new Story(contents(
    [joined('a', 0), joined('b', 5000), { at_ms: 12_000, kind: 'left', participant_id: 'b' }, { at_ms: 15_000, kind: 'muted', participant_id: 'a', source: 'camera' }],
    [file('a', 'camera', 0, 20_000), file('b', 'camera', 5010, 5000), file('b', 'screen', 7000, 2000)],
  ));
  const seen = (/** @type {number} */ at) => story.at(at).tiles.map((tile) => `${tile.key}:${tile.file}`).join(' ');
  assert.equal(story.duration, 20_000);
  assert.equal(seen(100), 'a/camera:0');
  assert.equal(seen(5005), 'a/camera:0 b/camera:null');
  assert.equal(seen(8000), 'b/screen:2 a/camera:0 b/camera:1');
  assert.equal(seen(11_000), 'a/camera:0 b/camera:null');
  assert.equal(seen(13_000), 'a/camera:0');
  assert.equal(seen(16_000), 'a/camera:null');
  assert.deepEqual(story.filesAt(4000, 2000), [0, 1]);
  assert.deepEqual(story.filesAt(10_500, 2000), [0]);
  assert.deepEqual(story.marks().map(({ at, kind, person }) => [at, kind, person.name]), [[5000, 'joined', 'B'], [12_000, 'left', 'B']]);
});

test('the stage goes to who stays the loudest, and not to a cough', () => {
  const story = new Story(contents([joined('a', 0), joined('b', 0), speaking(2000, 'b'), speaking(6000, 'a', 'b'), speaking(6300, 'b'), speaking(8000), speaking(9000, 'a')], []));
  assert.deepEqual([1000, 3000, 6100, 8500, 9500].map((at) => story.at(at).lead), [null, 'b', 'b', 'b', 'a']);
});

test('speech is spans, and pauses between words are no silence', () => {
  const story = new Story(contents([joined('a', 0), speaking(1000, 'a'), speaking(2000), speaking(3000, 'a'), speaking(4000), speaking(9000, 'a', 'b'), speaking(9500)], [file('a', 'camera', 0, 30_000)]));
  assert.deepEqual(story.speech().get('a'), [{ from: 1000, to: 4000 }, { from: 9000, to: 9500 }]);
});

test('a file is nudged into step, and jumps only from afar', () => {
  assert.deepEqual(pace(1000, 1030, 1), { jump: false, rate: 1 });
  assert.deepEqual(pace(1000, 1100, 1), { jump: false, rate: 1.05 });
  assert.deepEqual(pace(1100, 1000, 2), { jump: false, rate: 1.9 });
  assert.deepEqual(pace(1000, 1500, 1), { jump: true });
  assert.deepEqual(pace(1000, 1500, 2).jump, false);
});

test('the clock stands still, runs, and changes its speed without a jump', () => {
  const clock = new Clock();
  assert.equal(clock.at(500), 0);
  clock.run(1000, true);
  assert.equal(clock.at(1500), 500);
  clock.speed(2000, 2);
  assert.equal(clock.at(2500), 2000);
  clock.run(3000, false);
  assert.equal(clock.at(9000), 3000);
  clock.set(9000, 100);
  assert.equal(clock.at(9500), 100);
});

test('times are written and read', () => {
  assert.deepEqual([0, 59_999, 61_000, 3_661_000].map(timecode), ['0:00', '0:59', '1:01', '1:01:01']);
  assert.deepEqual(['90', '1m30s', '1h', '2h0m5s', 'x', '', null].map(momentOf), [90_000, 90_000, 3_600_000, 7_205_000, 0, 0, 0]);
});

test('browsers are asked for what a file holds', () => {
  assert.equal(typeOf(file('a', 'camera', 0, 1)), 'video/webm; codecs="opus, vp8"');
  assert.match(typeOf({ ...file('a', 'camera', 0, 1), name: 'a.mkv', tracks: [{ codec: 'h264' }] }), /^video\/x-matroska; codecs="avc1/);
});
