import assert from 'node:assert/strict';
import test from 'node:test';
import { Departures, Wire } from '../browser/harness/wire.mjs';

/** Arrivals of datagrams of 1,000 bytes sent every `everyMs`. @param {Wire} wire @param {number} count @param {number} everyMs */
function send(wire, count, everyMs) {
  return Array.from({ length: count }, (_, n) => ({ sent: n * everyMs, at: wire.carry(n * everyMs, 1000) }));
}

test('a clear link is no link', () => {
  for (const { sent, at } of send(new Wire(1), 100, 5)) assert.equal(at, sent);
});

test('the same seed gives the same fates, another seed others', () => {
  const run = (/** @type {number} */ seed) => send(new Wire(seed, { loss: 0.1, jitterMs: 20 }), 500, 2);
  assert.deepEqual(run(7), run(7));
  assert.notDeepEqual(run(7), run(8));
});

test('loss is what it is called, and comes in runs too', () => {
  const lost = send(new Wire(3, { loss: 0.05 }), 20_000, 1).map(({ at }) => at === null);
  const share = lost.filter(Boolean).length / lost.length;
  assert.ok(Math.abs(share - 0.05) < 0.005, String(share));
  assert.ok(lost.some((is, n) => is && lost[n + 1]), 'sometimes two in a row');
});

test('jitter holds up but keeps the order, unless it may overtake', () => {
  const weather = { delayMs: 60, jitterMs: 30 };
  const kept = send(new Wire(4, weather), 2000, 3);
  assert.ok(kept.every(({ sent, at }) => at !== null && at >= sent + 60 && at <= sent + 90));
  assert.ok(kept.every(({ at }, n) => n === 0 || Number(at) >= Number(kept[n - 1]?.at)));
  const mixed = send(new Wire(4, { ...weather, reorders: true }), 2000, 3);
  assert.ok(mixed.some(({ at }, n) => n > 0 && Number(at) < Number(mixed[n - 1]?.at)));
});

test('a rate limit spreads a burst, and its queue has an end', () => {
  const wire = new Wire(5, { rateKbit: 400, queueMs: 300 });
  const arrivals = Array.from({ length: 100 }, () => wire.carry(0, 1000)).filter((at) => at !== null);
  // A datagram takes 20.56 ms; those fit whose queue before them is no longer than 300 ms.
  assert.equal(arrivals.length, 15);
  assert.ok(arrivals.every((at, n) => Math.abs(Number(at) - (n + 1) * 20.56) < 1e-6));
  assert.equal(wire.counts.dropped, 85);
  assert.ok(Number(wire.carry(1000, 1000)) < 1021, 'what has drained is free again');
});

test('nothing passes while a link is down, and it comes back as it was', () => {
  const wire = new Wire(6, { delayMs: 10 });
  wire.set({ isDown: true });
  assert.equal(wire.carry(5, 100), null);
  wire.set({ isDown: false });
  assert.equal(wire.carry(6, 100), 16);
});

test('departures leave in order of time', async () => {
  const departures = new Departures();
  /** @type {string[]} */
  const left = [];
  const now = performance.now();
  await new Promise((done) => {
    departures.add(now + 20, () => left.push('c'));
    departures.add(now + 5, () => left.push('a'));
    departures.add(now + 5, () => left.push('b'));
    departures.add(now + 30, () => done(left.push('d')));
  });
  assert.deepEqual(left, ['a', 'b', 'c', 'd']);
});
