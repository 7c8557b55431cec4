// People in Chromium behind bad links, for seconds. What is asserted holds on a busy machine too: that a call lives
// and recovers. How well is measured by links.long.mjs and decided in virtual time (sfu/tests/meeting, sfu/src/bwe/tests).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { POOR, cut, joinToBest, pair, rebind, under } from '../harness/links.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Awaited<ReturnType<typeof pair>>} */
let call;

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  call = await pair(browser, server);
});
after(async () => {
  await call.close();
  await closeAll(browser, server);
});

test('who joins comes to the best layer', async () => {
  const ms = await joinToBest(browser, server, call.url, 'Anna', 'Dora', 60_000);
  console.log(`best layer after ${ms} ms`);
  assert.notEqual(ms, null);
});

test('a link that is cut to 400 kbit/s costs layers and not the picture', async () => {
  const { lowerMs, bestMs, during } = await cut(call, null, { rateKbit: 400, seconds: 10, patienceMs: 60_000 });
  console.log({ lowerMs, bestMs, ...during });
  assert.notEqual(lowerMs, null, 'a lower layer');
  assert.ok(during.longestGapMs <= 8000, `no picture for ${during.longestGapMs} ms`);
  assert.notEqual(bestMs, null, 'the best layer again');
});

test('5 % loss, 60 ms delay and 30 ms jitter at the watcher are a call still', async () => {
  const seen = await under(call, 'watcher', POOR, 10);
  console.log(seen);
  assert.ok(seen.lost > 0.005 || call.boris.link.down.counts.lost > 20, 'the link is bad');
  assert.ok(seen.fps >= 5 && seen.longestGapMs < 8000, JSON.stringify(seen));
});

test('a NAT that forgets costs moments', async () => {
  for (const whose of [call.anna, call.boris]) {
    const ms = await rebind(call, whose);
    console.log(`rebinding of ${whose.name}: ${ms} ms`);
    assert.ok(ms <= 25_000, `${ms} ms`);
  }
});
