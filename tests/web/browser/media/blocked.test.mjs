// Chromium and Firefox in a network that lets no UDP out: media by ICE-TCP, without a TURN server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { NO_UDP, Network, enterNetwork } from '../harness/network.mjs';
import { connectTimes, selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Promised are 3 s, measured 0.4 s; the bound leaves room for a busy machine. */
const CONNECTED_WITHIN_MS = 6_000;

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
    network = Network.create();
    network.firewall(NO_UDP);
    server = await Server.start({ HOST: '0.0.0.0', TLS: 'self-signed', MEDIA_ADDRESSES: '10.77.1.1' }, network);
    [chromium, firefox] = await Promise.all([Chromium.launch(['--ignore-certificate-errors']), Firefox.launch()]);
    anna = await chromium.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
    boris = await firefox.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
  });
  after(() => closeAll(chromium, firefox, server));

  test('without UDP both browsers are in the call', async (context) => {
    const url = `${server.url}/r/${(await server.room()).slug}`;
    await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
    await Promise.all([flows(anna), flows(boris)]);
    for (const tab of [anna, boris]) {
      const pairs = await selected(tab);
      assert.deepEqual(pairs.map(({ remote, protocol, port, state }) => ({ remote, protocol, port, state })),
        Array(2).fill({ remote: 'host', protocol: 'tcp', port: server.mediaPort, state: 'connected' }));
      const times = await connectTimes(tab);
      context.diagnostic(`${tab === anna ? 'Chromium' : 'Firefox'}: connected after ${times.join(' and ')} ms`);
      assert.ok(times.length === 2 && times.every((ms) => ms < CONNECTED_WITHIN_MS), `${times}`);
    }
    const { udp_in: answers, udp_out: questions } = network.counted();
    assert.ok((questions ?? 0) > 0, 'datagrams were tried and dropped');
    assert.equal(answers, 0, 'nobody answered what did not come');
  });
}
