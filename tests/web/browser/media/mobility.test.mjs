// A network that goes away, comes back, or becomes another one: the same person, and soon the same picture.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter, shows } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server, closeAll } from '../harness/server.mjs';
import { TcpProxy } from '../harness/tcp.mjs';

/** Promised is media within 5 s of the network's return. How long it took is printed; the bound leaves room for a busy machine. */
const BACK_WITHIN_MS = 25_000;

const wait = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

/** ICE user names of both connections. @param {import('../harness/browsers.mjs').Tab} tab @returns {Promise<string[]>} */
const ufrags = (tab) => tab.run(() => {
  const { publish, subscribe } = /** @type {any} */ (window).veche.meeting.connections;
  return [publish, subscribe].map((pc) => /a=ice-ufrag:(\S+)/.exec(pc.localDescription.sdp)?.[1]);
});

/** @param {import('../harness/browsers.mjs').Tab} tab @returns {Promise<{me: string, pcs: number}>} */
const identity = (tab) => tab.run(() => {
  const { veche, testkit } = /** @type {any} */ (window);
  return { me: veche.meeting.state.me, pcs: testkit.pcs.length };
});

/** The friend of both: Firefox paints nothing in a tab that is behind another. @type {Chromium} */
let chromium;

before(async () => {
  chromium = await Chromium.launch();
});
after(() => closeAll(chromium));

// Both browsers at once: most of it is waiting for networks to be given up.
describe('a network that changes', { concurrency: true }, () => {
  for (const kind of [Chromium, Firefox]) {
    describe(`in ${kind.name}`, { concurrency: false }, () => {
      /** @type {Server} */
      let server;
      /** @type {Firefox | undefined} */
      let firefox;
      /** @type {Proxy} */
      let udp;
      /** @type {TcpProxy} */
      let tcp;
      /** @type {import('../harness/browsers.mjs').Tab} */
      let anna;
      /** @type {import('../harness/browsers.mjs').Tab} */
      let boris;
      let isCut = false;

      before(async () => {
        server = await Server.start();
        udp = await Proxy.start(server.mediaPort, () => (isCut ? 'drop' : 'pass'));
        tcp = await TcpProxy.start(server.port);
        if (kind === Firefox) firefox = await Firefox.launch();
        const room = await server.room();
        boris = await chromium.tab({ instruments: { small: true, colour: PALETTE.green, tone: 660 } });
        await enter(boris, `${server.url}/r/${room.slug}`, 'Boris');
        // Only Anna's network is in the hands of the test.
        anna = await (firefox ?? chromium).tab({ instruments: { small: true, colour: PALETTE.red, tone: 440, mediaPort: udp.port } });
        await enter(anna, `${tcp.url}/r/${room.slug}`, 'Anna');
        await bothFlow();
      });
      /** Media in both directions, or what either end looks like without. */
      const bothFlow = async () => {
        const [to, from] = await Promise.allSettled([flows(anna), flows(boris)]);
        if (to.status === 'fulfilled' && from.status === 'fulfilled') return;
        throw new Error(`Anna: ${to.status} ${await anna.describe()}\nBoris: ${from.status} ${await boris.describe()}`);
      };
      after(async () => {
        udp?.close();
        await Promise.allSettled([anna?.close(), boris?.close()]);
        await closeAll(firefox, tcp, server);
      });

      test('another network restarts ICE on the connections that there are', async () => {
        const [names, who] = [await ufrags(anna), await identity(anna)];
        await anna.run(() => void dispatchEvent(new Event('online')));
        await anna.until('new credentials on both', (/** @type {string[]} */ old) => {
          const { publish, subscribe } = /** @type {any} */ (window).veche.meeting.connections;
          return [publish, subscribe].every((pc, k) => pc.signalingState === 'stable' && pc.connectionState === 'connected'
            && !pc.localDescription.sdp.includes(`a=ice-ufrag:${old[k]}`));
        }, names);
        await bothFlow();
        assert.deepEqual(await identity(anna), who, 'the same person on the same connections');
      });

      test('a gap in the media alone is repaired without a new connection', async (context) => {
        const [names, who] = [await ufrags(anna), await identity(anna)];
        isCut = true;
        // By the first of both: the search of it ends in Firefox after seconds, and what has failed there is replaced.
        await anna.until('other ways to be looked for', (/** @type {string[]} */ old) => {
          const { publish, subscribe } = /** @type {any} */ (window).veche.meeting.connections;
          return [publish, subscribe].some((pc, k) => !pc.localDescription.sdp.includes(`a=ice-ufrag:${old[k]}`));
        }, names);
        isCut = false;
        const start = performance.now();
        await bothFlow();
        const took = performance.now() - start;
        context.diagnostic(`media after ${Math.round(took)} ms`);
        assert.ok(took < BACK_WITHIN_MS, `media after ${Math.round(took)} ms`);
        assert.deepEqual(await identity(anna), who);
      });

      test('after 20 s without any network the same person is back, with media', async (context) => {
        const { me } = await identity(anna);
        isCut = true;
        tcp.cut(true);
        await boris.until('Boris to see that Anna is away', () => /** @type {any} */ (window).veche.meeting.state.participants
          .some((/** @type {any} */ p) => p.display_name === 'Anna' && p.presence === 'reconnecting'));
        // That is after 10 s of silence.
        await wait(10_000);
        tcp.cut(false);
        isCut = false;
        const start = performance.now();
        await bothFlow();
        await Promise.all([shows(anna, { Boris: 'green' }), shows(boris, { Anna: 'red' })]);
        const took = performance.now() - start;
        context.diagnostic(`media after ${Math.round(took)} ms`);
        assert.ok(took < BACK_WITHIN_MS, `media after ${Math.round(took)} ms`);
        assert.equal((await identity(anna)).me, me);
        await boris.until('Anna to be there', () => /** @type {any} */ (window).veche.meeting.state.participants
          .every((/** @type {any} */ p) => p.presence === 'online'));
      });
    });
  }
});
