// Browsers in networks where only a TURN server can be reached: the one in the process, and coturn with the configuration
// of the documentation, by UDP, by TCP and by TLS.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter } from '../harness/call.mjs';
import { Coturn } from '../harness/coturn.mjs';
import { flows } from '../harness/media.mjs';
import { Network, enterNetwork, onlyPorts } from '../harness/network.mjs';
import { connectTimes, selected } from '../harness/paths.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Promised are 3 s; the bound leaves room for a busy machine. */
const CONNECTED_WITHIN_MS = 6_000;
const ADDRESS = '198.18.1.1';
const ALL = ['Chromium, own', 'Firefox, own', 'Chromium, coturn', 'Firefox, coturn'];
// Firefox asks TURN servers for a certificate that it believes, whatever it was told about pages.
const TLS = ['Chromium, own', 'Chromium, coturn'];

if (enterNetwork(import.meta.filename)) {
  /** @type {Network} */
  let network;
  /** @type {Coturn} */
  let coturn;
  /** @type {Server} */
  let server;
  /** @type {Chromium} */
  let chromium;
  /** @type {Firefox} */
  let firefox;

  before(async () => {
    network = Network.create();
    coturn = await Coturn.start(network, ADDRESS, 'north');
    server = await Server.start({
      HOST: '0.0.0.0', PORT: '443', TLS: 'self-signed', TLS_NAMES: ADDRESS, MEDIA_ADDRESSES: ADDRESS, TURN_SECRET: 'north',
      TURN_URLS: `turn:${ADDRESS}:3478?transport=udp,turn:${ADDRESS}:3478?transport=tcp,turns:${ADDRESS}:5349?transport=tcp`,
    }, network);
    [chromium, firefox] = await Promise.all([Chromium.launch(['--ignore-certificate-errors']), Firefox.launch()]);
  });
  after(() => closeAll(chromium, firefox, server, coturn));

  /**
   * People who are each let out to one relay only see and hear each other.
   * @param {import('node:test').TestContext} context
   * @param {'udp' | 'tcp' | 'tls'} protocol
   * @param {{udp?: number[], tcp: number[]}} open
   * @param {[string, string]} relays that in the process, and coturn
   * @param {string[]} names browser and relay of each
   */
  const meet = async (context, protocol, open, relays, names) => {
    network.firewall(onlyPorts(open));
    const url = `${server.url}/r/${(await server.room()).slug}`;
    const small = { small: true };
    const people = await Promise.all(names.map((name) => {
      const instruments = { small: true, colour: PALETTE.red, tone: 440, relay: relays[name.endsWith('own') ? 0 : 1] };
      return name.startsWith('Firefox') ? firefox.tab({ instruments }) : chromium.tab({ instruments });
    }));
    await Promise.all(people.map((tab, i) => enter(tab, url, names[i] ?? '')));
    await Promise.all(people.map((tab) => flows(tab)));
    for (const [i, tab] of people.entries()) {
      const pairs = await selected(tab);
      assert.deepEqual(pairs.map(({ local, remote, relayProtocol, port, state }) => ({ local, remote, relayProtocol, port, state })),
        Array(2).fill({ local: 'relay', remote: 'host', relayProtocol: protocol, port: server.mediaPort, state: 'connected' }), names[i]);
      const times = await connectTimes(tab);
      context.diagnostic(`${names[i]}: connected after ${times.join(' and ')} ms`);
      assert.ok(times.length === 2 && times.every((ms) => ms < CONNECTED_WITHIN_MS), `${names[i]}: ${times}`);
    }
    await Promise.all(people.map((tab) => tab.close()));
  };

  test('where only TURN by UDP is let out', (context) =>
    meet(context, 'udp', { udp: [server.mediaPort, 3478], tcp: [443] },
      [`turn:${ADDRESS}:${server.mediaPort}?transport=udp`, '3478?transport=udp'], ALL));

  test('where only TURN by TCP is let out', (context) =>
    meet(context, 'tcp', { tcp: [443, server.mediaPort, 3478] },
      [`turn:${ADDRESS}:${server.mediaPort}?transport=tcp`, '3478?transport=tcp'], ALL));

  test('where only TURN by TLS is let out', (context) =>
    meet(context, 'tls', { tcp: [443, 5349] }, [`turns:${ADDRESS}:443`, ':5349'], TLS));
}
