// A machine with two networks, of which one dies in the middle of a call: the same person, and soon the same pictures.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Network, enterNetwork } from '../harness/network.mjs';
import { selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Promised are 5 s; the bound leaves room for a busy machine. */
const BACK_WITHIN_MS = 10_000;

if (enterNetwork(import.meta.filename)) {
  /** @type {Network} */
  let network;
  /** @type {Server} */
  let server;
  /** @type {Chromium} */
  let browser;
  /** @type {import('../harness/browsers.mjs').Tab} */
  let anna;

  before(async () => {
    network = Network.create(2);
    server = await Server.start({ HOST: '0.0.0.0', TLS: 'self-signed' }, network);
    browser = await Chromium.launch(['--ignore-certificate-errors']);
  });
  after(() => closeAll(browser, server));

  test('when the network in use dies, media goes by the other one', async (context) => {
    const url = `${server.url}/r/${(await server.room()).slug}`;
    anna = await browser.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
    const boris = await browser.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
    const tabs = [anna, boris];
    await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
    await Promise.all(tabs.map((tab) => flows(tab)));
    const who = (/** @type {import('../harness/browsers.mjs').Tab} */ tab) => tab.run(() => /** @type {any} */ (window).veche.meeting.state.me);
    const before = await Promise.all(tabs.map(who));
    const used = (await selected(anna)).map(({ address }) => address);
    // The one that media takes; the page came by the first.
    const dead = used.some((address) => address === '198.18.1.1') ? 1 : 2;
    network.pull(dead);
    const start = performance.now();
    await Promise.all(tabs.map((tab) => flows(tab)));
    const took = performance.now() - start;
    context.diagnostic(`cable ${dead} pulled, media after ${Math.round(took)} ms`);
    assert.ok(took < BACK_WITHIN_MS, `media after ${Math.round(took)} ms`);
    for (const tab of tabs) {
      await tab.until('the call to stand', () => document.body.dataset.connection === 'connected' && document.body.dataset.media === 'connected');
    }
    assert.deepEqual(await Promise.all(tabs.map(who)), before, 'the same people');
  });

  test('an address that the server gets while it runs is told to who asks anew', async () => {
    network.there('ip', 'addr', 'add', '198.18.9.1/24', 'dev', 'there2');
    // It looks every five seconds.
    const end = Date.now() + 30_000;
    while (!server.lines.some((line) => line.includes('198.18.9.1'))) {
      assert.ok(Date.now() < end, server.tail());
      await new Promise((done) => setTimeout(done, 100));
    }
    await anna.run(() => void dispatchEvent(new Event('online')));
    await anna.until('the new address', () => /** @type {any} */ (window).veche.meeting.connections.publish
      .remoteDescription?.sdp.includes(' 198.18.9.1 '));
    await flows(anna);
  });
}
