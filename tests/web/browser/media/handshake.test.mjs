// Real browsers behind a bad network: handshake datagrams swapped or lost, and NATs that forget.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chromium, Firefox, PATIENCE } from '../harness/browsers.mjs';
import { PALETTE, enter, knock, shows } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/proxy.mjs').Datagram} Datagram */
/** @typedef {import('../harness/proxy.mjs').Fate} Fate */

/** How many datagrams of a kind this path has seen before this one. @param {Datagram} d @param {string} kind */
const before_ = (d, kind) => d.path.seen[kind] ?? 0;
const isDtls = (/** @type {Datagram} */ d) => !['stun', 'srtp', 'srtcp', 'other'].includes(d.kind);

/**
 * What is done to each path, once.
 * @type {Record<string, (d: Datagram) => Fate>}
 */
const RULES = {
  'all goes well': () => 'pass',
  'the halves of the ClientHello are swapped': (d) => (d.up && d.kind === 'ClientHello' && before_(d, 'up ClientHello') === 0 ? 40 : 'pass'),
  'the first half of the ClientHello is lost': (d) => (d.up && d.kind === 'ClientHello' && before_(d, 'up ClientHello') === 0 ? 'drop' : 'pass'),
  'the second half of the ClientHello is lost': (d) => (d.up && d.kind === 'ClientHello' && before_(d, 'up ClientHello') === 1 ? 'drop' : 'pass'),
  "the server's first flight is lost": (d) => {
    if (d.up || !isDtls(d)) return 'pass';
    // One flight is sent at once; what comes later is the repetition.
    const path = /** @type {any} */ (d.path);
    path.flightAt ??= Date.now();
    return Date.now() - path.flightAt < 30 ? 'drop' : 'pass';
  },
  "the client's last flight is lost": (d) => (d.up && isDtls(d) && d.kind !== 'ClientHello' && before_(d, `up ${d.kind}`) === 0 ? 'drop' : 'pass'),
  "the server's last flight is lost": (d) => (!d.up && d.kind === 'ChangeCipherSpec' && before_(d, 'down ChangeCipherSpec') === 0 ? 'drop' : 'pass'),
};

/** A NAT that forgets costs a moment, not the call. Firefox checks every 4 to 5.5 s; media itself is quicker. How long it
 * takes is printed; the bound leaves room for a busy machine. */
const BACK_WITHIN_MS = 25_000;

/** @type {Server} */
let server;
/** @type {Chromium} */
let chromium;
/** @type {Firefox} */
let firefox;

before(async () => {
  server = await Server.start();
  [chromium, firefox] = await Promise.all([Chromium.launch(), Firefox.launch()]);
});
after(() => closeAll(chromium, firefox, server));

// Both at once: most of it is waiting for what is sent again.
describe('handshakes', { concurrency: true }, () => {
  for (const name of /** @type {const} */ (['Chromium', 'Firefox'])) {
    const browser = () => (name === 'Chromium' ? chromium : firefox);

    describe(name, { concurrency: false }, () => {
      /** @type {import('../harness/browsers.mjs').Tab} */
      let friend;
      /** @type {import('../harness/browsers.mjs').Tab} */
      let tab;
      let url = '';

      before(async () => {
        const room = await server.room('Handshakes');
        url = `${server.url}/r/${room.slug}`;
        friend = await chromium.tab({ instruments: { small: true, colour: PALETTE.red, tone: 440 } });
        await enter(friend, url, 'Friend');
        tab = await browser().tab({ instruments: { small: true, colour: PALETTE.green, tone: 660 } });
      });
      after(() => Promise.all([friend?.close(), tab?.close()]));

      /** Comes through a proxy of its own, with new connections. @param {Proxy} proxy */
      const come = async (proxy) => {
        await tab.open(url);
        await tab.run((/** @type {number} */ port) => { /** @type {any} */ (window).testkit.mediaPort = port; }, proxy.port);
        await knock(tab, name);
      };
      /** @param {Proxy} proxy */
      const go = async (proxy) => {
        await tab.open('about:blank');
        proxy.close();
      };

      for (const [what, rule] of Object.entries(RULES)) {
        test(`joins when ${what}`, async () => {
          const proxy = await Proxy.start(server.mediaPort, rule);
          try {
            const start = Date.now();
            await come(proxy);
            const joined = Date.now() - start;
            await Promise.all([flows(tab), shows(friend, { [name]: 'green' })]);
            const paths = [...proxy.paths.values()].filter((path) => path.seen['up ClientHello']);
            assert.equal(paths.length, 2, 'both transports went through the proxy');
            for (const path of paths) {
              assert.ok((path.seen['up ClientHello'] ?? 0) >= 2, 'the ClientHello comes in two datagrams');
            }
            if (what.includes('lost')) assert.ok(Object.values(proxy.dropped).some((count) => count > 0), 'something was lost');
            console.log(`${name}, ${what}: ${joined} ms`);
          } finally {
            await go(proxy);
          }
          await shows(friend, {});
        });
      }

      test('goes on when a NAT forgets it', async () => {
        const proxy = await Proxy.start(server.mediaPort);
        try {
          await come(proxy);
          await Promise.all([flows(tab), flows(friend)]);
          const publishes = (/** @type {import('../harness/proxy.mjs').Path} */ path) => (path.seen['up srtp'] ?? 0) > 20;
          const subscribes = (/** @type {import('../harness/proxy.mjs').Path} */ path) => !publishes(path) && (path.seen['down srtp'] ?? 0) > 20;
          // Which is which shows once each has carried some media.
          const end = Date.now() + PATIENCE;
          while (Date.now() < end && ![publishes, subscribes].every((is) => [...proxy.paths.values()].some(is))) await new Promise((done) => setTimeout(done, 50));
          assert.equal(proxy.rebind(publishes), 1, 'the publish transport moved');
          const publisher = await flows(friend);
          assert.equal(proxy.rebind(subscribes), 1, 'the subscribe transport moved');
          const subscriber = await flows(tab);
          console.log(`${name}, NAT rebinding: publisher back after ${publisher} ms, subscriber after ${subscriber} ms`);
          assert.ok(publisher < BACK_WITHIN_MS && subscriber < BACK_WITHIN_MS);
        } finally {
          await go(proxy);
        }
      });
    });
  }
});
