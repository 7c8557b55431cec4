// Browsers in networks that let little out, where media goes by ICE-TCP without a TURN server, at last on the port of the page
// itself; and on a machine with two networks, of which one dies in the middle of a call.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter } from '../harness/call.mjs';
import { flows, stalls } from '../harness/media.mjs';
import { NO_UDP, Network, enterNetwork, onlyTcp } from '../harness/network.mjs';
import { connectTimes, selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Some hundred milliseconds on a quiet machine. Times are printed; the bounds leave room for a busy one. */
const CONNECTED_WITHIN_MS = 15_000;
/** Promised is media within 5 s of the cable's end. */
const BACK_WITHIN_MS = 15_000;

if (enterNetwork(import.meta.filename)) {
  /** @type {Network} */
  let network;
  /** @type {Server} */
  let server;
  /** @type {Chromium} */
  let chromium;
  /** @type {Firefox} */
  let firefox;
  /** @type {import('../harness/browsers.mjs').Tab} */
  let anna;
  /** @type {import('../harness/browsers.mjs').Tab} */
  let boris;

  before(async () => {
    network = Network.create(2);
    network.firewall(NO_UDP);
    server = await Server.start({ HOST: '0.0.0.0', PORT: '443', TLS: 'self-signed', TURN_BUILTIN: 'false' }, network);
    [chromium, firefox] = await Promise.all([Chromium.launch(['--ignore-certificate-errors']), Firefox.launch()]);
    anna = await chromium.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
    boris = await firefox.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
  });
  after(() => closeAll(chromium, firefox, server));

  /**
   * All media by TCP to the server itself.
   * @param {import('node:test').TestContext} context @param {string} name @param {import('../harness/browsers.mjs').Tab} tab @param {number[]} ports
   */
  const assertStreams = async (context, name, tab, ports) => {
    const pairs = await selected(tab);
    assert.deepEqual(pairs.map(({ remote, protocol, state }) => ({ remote, protocol, state })),
      Array(2).fill({ remote: 'host', protocol: 'tcp', state: 'connected' }), name);
    assert.ok(pairs.every(({ port }) => ports.includes(port)), `${name}: ${JSON.stringify(pairs)}`);
    const times = await connectTimes(tab);
    context.diagnostic(`${name}: connected after ${times.join(' and ')} ms`);
    assert.ok(times.length === 2 && times.every((ms) => ms < CONNECTED_WITHIN_MS), `${name}: ${times}`);
  };

  test('without UDP both browsers are in the call', async (context) => {
    const url = `${server.url}/r/${(await server.room()).slug}`;
    await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
    await Promise.all([flows(anna), flows(boris)]);
    await assertStreams(context, 'Chromium', anna, [server.mediaPort, 443]);
    await assertStreams(context, 'Firefox', boris, [server.mediaPort, 443]);
    const { udp_in: answers, udp_out: questions } = network.counted();
    assert.ok((questions ?? 0) > 0, 'datagrams were tried and dropped');
    assert.equal(answers, 0, 'nobody answered what did not come');
    await Promise.all([anna.close(), boris.close()]);
  });

  test('where only port 443 is open for TCP media goes by it, beside the page', async (context) => {
    network.firewall(onlyTcp(443));
    const url = `${server.url}/r/${(await server.room()).slug}`;
    anna = await chromium.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
    boris = await firefox.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
    await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
    await Promise.all([flows(anna), flows(boris)]);
    await assertStreams(context, 'Chromium', anna, [443]);
    await assertStreams(context, 'Firefox', boris, [443]);
    const { udp_in: answers, udp_out: datagrams, tcp_out: streams } = network.counted();
    assert.ok((datagrams ?? 0) > 0 && (streams ?? 0) > 0, 'both were tried and dropped');
    assert.equal(answers, 0);
  });

  test('with UDP again media goes by it, and when the network in use dies, by the other one', async (context) => {
    network.firewall('');
    const tabs = [anna, boris];
    // Datagrams pass again; new credentials find them.
    for (const tab of tabs) await tab.run(() => void dispatchEvent(new Event('online')));
    for (const tab of tabs) {
      const end = Date.now() + 30_000;
      while (!(await selected(tab)).every(({ protocol }) => protocol === 'udp')) {
        assert.ok(Date.now() < end, JSON.stringify(await selected(tab)));
        await new Promise((done) => setTimeout(done, 200));
      }
    }
    await Promise.all(tabs.map((tab) => flows(tab)));
    // In the middle of a call, not in the moment after a change.
    await new Promise((done) => setTimeout(done, 2_000));
    const who = (/** @type {import('../harness/browsers.mjs').Tab} */ tab) => tab.run(() => /** @type {any} */ (window).veche.meeting.state.me);
    const before = await Promise.all(tabs.map(who));
    const used = (await selected(anna)).map(({ address }) => address);
    // The one that media takes; the page came by the first.
    const dead = used.includes(Network.address(1)) ? 1 : 2;
    network.pull(dead);
    const start = performance.now();
    const took = await Promise.all(tabs.map(async (tab) => {
      await stalls(tab);
      await flows(tab);
      return Math.round(performance.now() - start);
    }));
    context.diagnostic(`cable ${dead} pulled, media after ${took.join(' (Chromium) and ')} (Firefox) ms`);
    assert.ok(took.every((ms) => ms < BACK_WITHIN_MS), `media after ${took} ms`);
    for (const tab of tabs) {
      await tab.until('the call to stand', () => document.body.dataset.connection === 'connected' && document.body.dataset.media === 'connected');
    }
    assert.deepEqual(await Promise.all(tabs.map(who)), before, 'the same people');
  });

  test('an address that the server gets while it runs is told to who asks anew', async () => {
    Network.name('moves.test', Network.address(1));
    const relay = await Server.start({ HOST: '0.0.0.0', MEDIA_ADDRESSES: 'moves.test' }, network);
    try {
      const room = await relay.room();
      /** @returns {Promise<string[]>} */
      const urls = async () => (await relay.call('GET', `webrtc/ice-servers?room=${room.slug}`, undefined, room.token))
        .ice_servers.flatMap((/** @type {any} */ one) => one.urls);
      const at = (/** @type {string} */ address) => ['udp', 'tcp'].map((transport) => `turn:${address}:${relay.mediaPort}?transport=${transport}`);
      assert.deepEqual(await urls(), at(Network.address(1)));
      network.there('ip', 'addr', 'add', '198.18.9.1/24', 'dev', 'there2');
      Network.name('moves.test', '198.18.9.1');
      // They look every five seconds.
      const end = Date.now() + 30_000;
      while (![server, relay].every(({ lines }) => lines.some((line) => line.includes('198.18.9.1')))) {
        assert.ok(Date.now() < end, server.tail());
        await new Promise((done) => setTimeout(done, 100));
      }
      assert.deepEqual(await urls(), at('198.18.9.1'));
    } finally {
      await relay.close();
    }
    await anna.run(() => void dispatchEvent(new Event('online')));
    await anna.until('the new address', () => /** @type {any} */ (window).veche.meeting.connections.publish
      .remoteDescription?.sdp.includes(' 198.18.9.1 '));
    await flows(anna);
  });
}
