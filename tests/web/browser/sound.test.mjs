// Redundant sound between real browsers: Chromium sends and takes it, Firefox hears all the same.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from './harness/browsers.mjs';
import { PALETTE, enter } from './harness/call.mjs';
import { flows } from './harness/media.mjs';
import { Proxy } from './harness/proxy.mjs';
import { Server, closeAll } from './harness/server.mjs';

/** @typedef {import('./harness/browsers.mjs').Tab} Tab */

const LOSS = 0.15;

/** @type {Server} */
let server;
/** @type {Chromium} */
let chromium;
/** @type {Firefox} */
let firefox;
/** @type {Record<'anna' | 'boris' | 'clara', Tab>} */
let tabs;
/** @type {{anna: Proxy, boris: Proxy}} */
let links;

before(async () => {
  server = await Server.start();
  [chromium, firefox] = await Promise.all([Chromium.launch(), Firefox.launch()]);
  const room = await server.room('Sound');
  const url = `${server.url}/r/${room.slug}`;
  const [annas, boriss] = await Promise.all([Proxy.start(server.mediaPort), Proxy.start(server.mediaPort, undefined, 2)]);
  links = { anna: annas, boris: boriss };
  const tone = (/** @type {number} */ hz, /** @type {Proxy} */ link) => ({ instruments: { tone: hz, colour: PALETTE.red, mediaPort: link.port } });
  tabs = {
    anna: await chromium.tab(tone(440, annas)),
    boris: await chromium.tab(tone(660, boriss)),
    clara: await firefox.tab({ instruments: { tone: 880, colour: PALETTE.blue } }),
  };
  for (const [name, tab] of Object.entries(tabs)) {
    await enter(tab, url, name);
    await tab.click('[data-action=camera]');
  }
  for (const tab of Object.values(tabs)) await flows(tab, { video: false });
});
after(async () => {
  links?.anna.close();
  links?.boris.close();
  await closeAll(chromium, firefox, server);
});

/** Streams of sound that a page sends and receives, with the codec that the browser names. @param {Tab} tab */
const streams = (tab) => tab.run(async () => {
  /** @type {any[]} */
  const found = [];
  for (const pc of /** @type {any} */ (window).testkit.pcs) {
    if (pc.connectionState === 'closed') continue;
    const stats = await pc.getStats();
    stats.forEach((/** @type {any} */ s) => {
      if (!/bound-rtp$/.test(s.type) || s.type.startsWith('remote') || s.kind !== 'audio') return;
      found.push({ ...s, codec: stats.get(s.codecId)?.mimeType ?? null });
    });
  }
  return found;
});

test('explore', async () => {
  for (let i = 0; i < 2; i += 1) {
    await new Promise((done) => setTimeout(done, 3000));
    for (const [name, tab] of Object.entries(tabs)) console.log(name, await streams(tab));
  }
  for (const [name, tab] of Object.entries(tabs)) {
    console.log(name, await tab.run(() => /** @type {any} */ (window).testkit.pcs.map((/** @type {any} */ pc) => [pc.localDescription, pc.remoteDescription].map((d) => d.type + d.sdp.split('m=')[1]).join('----'))));
  }
});
