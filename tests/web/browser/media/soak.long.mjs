// Two people in two browsers for three minutes: nothing freezes, nobody gets a wrong name, memory stays.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, guardFaces, shows, wrongFaces } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { quality, watch } from '../harness/quality.mjs';
import { Server, closeAll } from '../harness/server.mjs';

const MINUTES = 3;
/** A pause that a person notices as one. */
const MAX_GAP_MS = 1000;
/** Pools fill in the first minute; what a packet, a report or a check left behind would be a multiple of this. */
const MAX_GROWTH_KIB = 512;

/** @type {Server} */
let server;
/** @type {Chromium} */
let one;
/** @type {Chromium} */
let other;

before(async () => {
  server = await Server.start();
  [one, other] = await Promise.all([Chromium.launch(), Chromium.launch()]);
});
after(() => closeAll(one, other, server));

/** What the server has allocated and touched, in KiB. */
function memory() {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]);
}

test('three minutes of a call between two people', async () => {
  const room = await server.room('Soak');
  const url = `${server.url}/r/${room.slug}`;
  const anna = await one.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
  const boris = await other.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
  await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
  await Promise.all([flows(anna), flows(boris)]);
  await Promise.all([shows(anna, { Boris: 'green' }), shows(boris, { Anna: 'red' })]);
  await Promise.all([watch(anna, 'Boris'), watch(boris, 'Anna')]);
  await Promise.all([guardFaces(anna, { Boris: 'green' }), guardFaces(boris, { Anna: 'red' })]);
  const used = [];
  for (let minute = 1; minute <= MINUTES; minute += 1) {
    const seen = await Promise.all([quality(anna, 60), quality(boris, 60)]);
    used.push(memory());
    console.log(`minute ${minute}: ${used.at(-1)} KiB`, ...seen);
    for (const { longestGapMs, frozenMs, concealed } of seen) {
      assert.ok(longestGapMs <= MAX_GAP_MS, `no picture for ${longestGapMs} ms`);
      assert.ok(frozenMs <= MAX_GAP_MS, `frozen for ${frozenMs} ms`);
      assert.ok(concealed < 0.03, `${concealed} of the sound made up`);
    }
  }
  const grown = Number(used.at(-1)) - Number(used[0]);
  assert.ok(grown < MAX_GROWTH_KIB, `${grown} KiB in two minutes`);
  for (const tab of [anna, boris]) {
    const { wrong, looks } = await wrongFaces(tab);
    assert.deepEqual(wrong, []);
    assert.ok(looks > MINUTES * 60, `${looks} looks`);
    assert.deepEqual(await tab.run(() => /** @type {any} */ (window).testkit.errors), []);
  }
});
