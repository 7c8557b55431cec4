import assert from 'node:assert/strict';
import test from 'node:test';
import { Pulse, lost } from '../../../static/js/pulse.js';

const READ_MS = 100;

/** A connection over which something comes whenever `comes` says so, and goes out whenever `goes` does. */
class Played {
  now = 0;
  heard = 0;
  sent = 0;
  pulse = new Pulse();

  /**
   * Reads for a while; every answer.
   * @param {number} ms @param {(now: number) => boolean} comes @param {(now: number) => boolean} [goes]
   */
  for(ms, comes, goes = () => true) {
    const answers = [];
    for (const end = this.now + ms; this.now < end;) {
      this.now += READ_MS;
      if (comes(this.now)) this.heard += 100;
      if (goes(this.now)) this.sent += 5;
      answers.push(this.pulse.read(this.now, this.heard, this.sent));
    }
    return answers;
  }

  /** Milliseconds of silence until the first `still`, null if none comes in ten seconds. */
  untilStill(goes = () => true) {
    const at = this.for(10_000, () => false, goes).indexOf('still');
    return at < 0 ? null : (at + 1) * READ_MS;
  }
}

const always = () => true;

test('what came regularly and stops is still after a second and a half', () => {
  const played = new Played();
  assert.equal(played.for(4_000, always).at(-1), 'beats');
  assert.equal(played.untilStill(), 1_500);
  assert.equal(played.for(3_000, always).at(-1), 'beats', 'and it lives again');
});

test('stalls of a lossy link are no end', () => {
  const played = new Played();
  played.for(4_000, always);
  for (const gap of [400, 900, 1_400]) {
    assert.ok(!played.for(gap, () => false).includes('still'), `${gap} ms`);
    assert.ok(!played.for(3_000, always).includes('still'));
  }
  // A second and a half, and half a second in which much is lost, for a minute.
  const moody = played.for(60_000, (now) => now % 2_000 < 600);
  assert.ok(!moody.includes('still'));
});

test('what comes now and then may stop for good reasons', () => {
  const played = new Played();
  played.for(20_000, (now) => now % 1_000 === 0);
  assert.equal(played.untilStill(), null);
  const new_ = new Played();
  new_.for(1_000, always);
  assert.equal(new_.untilStill(), null, 'nor is the first second enough');
});

test('who sends nothing gets no answers', () => {
  const played = new Played();
  played.for(4_000, always);
  assert.equal(played.untilStill(() => false), null);
});

test('a tab that slept starts anew', () => {
  const played = new Played();
  played.for(4_000, always);
  played.now += 20_000;
  assert.equal(played.untilStill(), null);
  played.for(4_000, always);
  assert.equal(played.untilStill(), 1_500);
});

test('readings at half a second see the end half a second later at most', () => {
  const pulse = new Pulse();
  let heard = 0;
  let at = null;
  for (let now = 0; now < 12_000 && at === null; now += 500) {
    if (now < 8_000) heard += 1;
    if (pulse.read(now, heard) === 'still') at = now;
  }
  assert.equal(at, 9_000, 'heard at 7.5 s last');
});

test('a pause is looked at more often, silence of those who never spoke is not', () => {
  const played = new Played();
  played.for(500, () => false);
  assert.ok(!played.pulse.isPausing(played.now));
  played.for(4_000, always);
  assert.ok(!played.pulse.isPausing(played.now));
  played.for(500, () => false);
  assert.ok(played.pulse.isPausing(played.now));
  played.for(5_000, () => false);
  assert.ok(!played.pulse.isPausing(played.now));
});

test('a browser that forgets what a dead way has carried has heard nothing', () => {
  const played = new Played();
  played.for(4_000, always);
  played.for(500, () => false);
  played.heard -= 1_000;
  assert.equal(played.untilStill(), 1_000);
});

test('nobody who speaks is no broken network, as long as what is sent is answered and no picture is awaited', () => {
  const none = { publish: false, subscribe: false };
  const both = { publish: true, subscribe: true };
  const received = { publish: false, subscribe: true };
  assert.deepEqual(lost({ publish: 'beats', subscribe: 'still' }, false), none);
  assert.deepEqual(lost({ publish: 'beats', subscribe: 'still' }, true), received, 'they may take two networks');
  assert.deepEqual(lost({ publish: 'unsure', subscribe: 'still' }, false), both, 'as nothing shows that the other lives');
  for (const isAwaited of [true, false]) {
    assert.deepEqual(lost({ publish: 'beats', subscribe: 'unsure' }, isAwaited), none);
    assert.deepEqual(lost({ publish: 'unsure', subscribe: 'unsure' }, isAwaited), none);
    assert.deepEqual(lost({ publish: 'still', subscribe: 'beats' }, isAwaited), { publish: true, subscribe: false });
    assert.deepEqual(lost({ publish: 'still', subscribe: 'still' }, isAwaited), both);
    assert.deepEqual(lost({ publish: 'still', subscribe: 'unsure' }, isAwaited), both);
  }
});
