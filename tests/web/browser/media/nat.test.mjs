// A server in a box like a container: one address of its own that nobody can reach, port 443 that leads to it, for pages by
// TCP and for media by UDP, and MEDIA_ADDRESSES. People come from outside and from the network that the box's host is in.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Network, enterNetwork } from '../harness/network.mjs';
import { selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

if (enterNetwork(import.meta.filename)) {
  /** @type {Network} */
  let network;
  /** @type {Server} */
  let server;
  /** @type {Chromium} */
  let browser;

  before(async () => {
    network = Network.create(2);
    network.box({ tcp: [443], udp: [443] });
    const addresses = [1, 2].map(Network.address).join();
    server = await Server.start({ HOST: '0.0.0.0', PORT: '443', MEDIA_PORT: '443', TLS: 'self-signed', MEDIA_ADDRESSES: addresses, TURN_BUILTIN: 'false' }, network);
    browser = await Chromium.launch(['--ignore-certificate-errors']);
  });
  after(() => closeAll(browser, server));

  /** Two people in a room whose page and media come by one cable. @param {number} cable */
  const meets = async (cable) => {
    const address = Network.address(cable);
    server.url = `https://${address}`;
    const url = `${server.url}/r/${(await server.room()).slug}`;
    const anna = await browser.tab({ instruments: { small: true, colour: PALETTE.red, tone: 440 } });
    const boris = await browser.tab({ instruments: { small: true, colour: PALETTE.green, tone: 660 } });
    await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
    await Promise.all([flows(anna), flows(boris)]);
    for (const tab of [anna, boris]) {
      assert.deepEqual((await selected(tab)).map((pair) => `${pair.remote} ${pair.protocol} ${pair.address}:${pair.port} ${pair.state}`),
        Array(2).fill(`host udp ${address}:443 connected`));
      const sdp = await tab.run(() => /** @type {any} */ (window).veche.meeting.connections.publish.remoteDescription?.sdp ?? '');
      assert.ok(sdp.includes(` ${Network.address(3 - cable)} 443 `), 'the other address was told too');
    }
    await Promise.all([anna.close(), boris.close()]);
  };

  /** The other network is another world. @param {number} cable */
  const without = (cable) => network.firewall(`
    chain out { type filter hook output priority 0; policy accept; ip daddr 198.18.${cable}.0/24 drop; }
  `);

  test('from outside', async () => {
    without(2);
    await meets(1);
  });

  test('from the network of its host, whose router leads nobody to its own address outside', async () => {
    without(1);
    await meets(2);
  });
}
