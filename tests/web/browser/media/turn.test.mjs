// Browsers in networks where only a TURN server can be reached: the one in the process, and coturn with the configuration
// of the documentation, by UDP, by TCP and by TLS.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Authority } from '../harness/authority.mjs';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter, knock } from '../harness/call.mjs';
import { Coturn } from '../harness/coturn.mjs';
import { flows } from '../harness/media.mjs';
import { NAME, Network, enterNetwork, onlyPorts } from '../harness/network.mjs';
import { connectTimes, selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Promised are 3 s. How long it took is printed; the bound leaves room for four who come at once to a busy machine. */
const CONNECTED_WITHIN_MS = 15_000;
const ADDRESS = '198.18.1.1';
const PEOPLE = ['Chromium, own', 'Firefox, own', 'Chromium, coturn', 'Firefox, coturn'];

if (enterNetwork(import.meta.filename)) {
  /** @type {Authority} */
  let authority;
  /** @type {Network} */
  let network;
  /** @type {Coturn} */
  let coturn;
  /** @type {Server} */
  let server;
  /** @type {Record<string, string>} */
  let settings;
  /** @type {Chromium} */
  let chromium;
  /** @type {Firefox} */
  let firefox;
  /** Those of the names, one call after the other. @type {import('../harness/browsers.mjs').Tab[]} */
  let people = [];

  before(async () => {
    authority = Authority.create();
    network = Network.create();
    coturn = await Coturn.start(network, ADDRESS, 'north', authority, NAME);
    const [certificate, key] = authority.issue('veche', NAME);
    settings = { HOST: '0.0.0.0', PORT: '443', TLS: 'files', TLS_CERTIFICATE: certificate, TLS_KEY: key, PUBLIC_URL: `https://${NAME}`, MEDIA_ADDRESSES: ADDRESS };
    server = await Server.start({
      ...settings, TURN_SECRET: 'north',
      TURN_URLS: `turn:${ADDRESS}:3478?transport=udp,turn:${ADDRESS}:3478?transport=tcp,turns:${NAME}:5349?transport=tcp`,
    }, network);
    server.url = `https://${NAME}`;
    [chromium, firefox] = await Promise.all([Chromium.launch(['--ignore-certificate-errors']), Firefox.launch(authority)]);
    const instruments = { small: true, colour: PALETTE.red, tone: 440 };
    people = await Promise.all(PEOPLE.map((name) => (name.startsWith('Firefox') ? firefox : chromium).tab({ instruments })));
  });
  after(() => closeAll(chromium, firefox, server, coturn, authority));

  /**
   * People who are each let out to one relay only see and hear each other.
   * @param {import('node:test').TestContext} context
   * @param {'udp' | 'tcp' | 'tls'} protocol
   * @param {{udp?: number[], tcp: number[]}} open
   * @param {[string[], string[]]} relays what is tried: parts of the URLs of the one in the process, and of coturn's
   */
  const meet = async (context, protocol, open, relays) => {
    network.firewall(onlyPorts(open));
    const url = `${server.url}/r/${(await server.room()).slug}`;
    await Promise.all(people.map(async (tab, i) => {
      const name = PEOPLE[i] ?? '';
      await tab.open(url);
      await tab.run((/** @type {string[]} */ parts) => { /** @type {any} */ (window).testkit.relays = parts; }, relays[name.endsWith('own') ? 0 : 1]);
      await knock(tab, name);
    }));
    await Promise.all(people.map((tab) => flows(tab)));
    for (const [i, tab] of people.entries()) {
      const pairs = await selected(tab);
      assert.deepEqual(pairs.map(({ local, remote, relayProtocol, port, state }) => ({ local, remote, relayProtocol, port, state })),
        Array(2).fill({ local: 'relay', remote: 'host', relayProtocol: protocol, port: server.mediaPort, state: 'connected' }), PEOPLE[i]);
      const times = await connectTimes(tab);
      context.diagnostic(`${PEOPLE[i]}: connected after ${times.join(' and ')} ms`);
      assert.ok(times.length === 2 && times.every((ms) => ms < CONNECTED_WITHIN_MS), `${PEOPLE[i]}: ${times}`);
    }
    assert.ok((network.counted().dropped ?? 0) > 0, 'the other ways were tried and dropped');
    await Promise.all(people.map((tab) => tab.open('about:blank')));
  };

  test('where only TURN by UDP is let out', (context) =>
    meet(context, 'udp', { udp: [server.mediaPort, 3478], tcp: [443] }, [[`:${server.mediaPort}?`], [':3478?']]));

  test('where only TURN by TCP is let out', (context) =>
    meet(context, 'tcp', { tcp: [443, server.mediaPort, 3478] }, [[`:${server.mediaPort}?`], [':3478?']]));

  test('where only TURN by TLS is let out', (context) =>
    meet(context, 'tls', { tcp: [443, 5349] }, [[`:${server.mediaPort}?`, ':443?'], [':3478?', ':5349?']]));

  test('credentials end in the middle of a call, and media goes on by the next ones', async () => {
    const life = 16;
    const place = await Server.start({ ...settings, PORT: '8443', PUBLIC_URL: `https://${NAME}:8443`, TURN_BUILTIN_SECONDS: `${life}` }, network);
    try {
      place.url = `https://${NAME}:8443`;
      network.firewall(onlyPorts({ udp: [place.mediaPort], tcp: [8443] }));
      const instruments = { small: true, colour: PALETTE.red, tone: 440, relays: [`:${place.mediaPort}?`] };
      const people = await Promise.all([chromium.tab({ instruments }), firefox.tab({ instruments })]);
      const url = `${place.url}/r/${(await place.room()).slug}`;
      await Promise.all(people.map((tab, i) => enter(tab, url, PEOPLE[i] ?? '')));
      await Promise.all(people.map((tab) => flows(tab)));
      const began = Math.floor(Date.now() / 1000);
      await Promise.all(people.map((tab) => tab.until('another pair of credentials on both connections', (/** @type {number} */ from) => {
        const { publish, subscribe } = /** @type {any} */ (window).veche.meeting.connections;
        return [publish, subscribe].every((pc) => pc.getConfiguration().iceServers
          .some((/** @type {RTCIceServer} */ server) => Number(server.username?.split(':')[0]) > from));
      }, began + life)));
      // The first pair is over by now, or will be within a quarter of its life.
      await people[0]?.until('the end of the first pair', (/** @type {number} */ end) => Date.now() / 1000 > end, began + life + 1);
      await Promise.all(people.map((tab) => flows(tab)));
      for (const tab of people) {
        assert.deepEqual((await selected(tab)).map(({ local, state }) => ({ local, state })), Array(2).fill({ local: 'relay', state: 'connected' }));
        await tab.close();
      }
    } finally {
      await place.close();
    }
  });
}
