// A UDP proxy between browsers and the server's media port: it loses, swaps and delays datagrams by rule, is a
// bad link in either direction, and moves a call to another source port as a NAT does.

import dgram from 'node:dgram';
import { Departures, Wire } from './wire.mjs';

/** @typedef {import('./wire.mjs').Weather} Weather */

/**
 * What happens to a datagram: `pass`, `drop`, a number of milliseconds it is late by.
 * @typedef {'pass' | 'drop' | number} Fate
 * @typedef {{up: boolean, data: Buffer, kind: string, path: Path}} Datagram
 * @typedef {{client: dgram.RemoteInfo, up: dgram.Socket, seen: Record<string, number>}} Path
 */

export class Proxy {
  /**
   * @param {number} serverPort UDP port of the server on loopback
   * @param {(datagram: Datagram) => Fate} [rule]
   * @param {number} [seed] of what the link leaves to chance
   */
  static async start(serverPort, rule = () => 'pass', seed = 1) {
    const self = new Proxy();
    self.serverPort = serverPort;
    self.rule = rule;
    /** @type {Map<string, Path>} */
    self.paths = new Map();
    /** @type {Record<string, number>} */
    self.dropped = {};
    /** The link, by direction; as good as loopback until told otherwise. */
    self.up = new Wire(seed);
    self.down = new Wire(seed + 1);
    self.departures = new Departures();
    self.front = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    await new Promise((done) => self.front.bind(0, '0.0.0.0', () => done(undefined)));
    self.port = self.front.address().port;
    self.front.on('message', (data, client) => self.fromClient(data, client));
    return self;
  }

  /** Changes both directions of the link at once. @param {Partial<Weather>} weather */
  set(weather) {
    this.up.set(weather);
    this.down.set(weather);
  }

  /** @param {Buffer} data @param {dgram.RemoteInfo} client */
  fromClient(data, client) {
    const key = `${client.address}:${client.port}`;
    let path = this.paths.get(key);
    if (!path) {
      path = { client, up: this.open(), seen: {} };
      this.paths.set(key, path);
      this.listen(path);
    }
    const through = path;
    this.decide({ up: true, data, kind: kindOf(data), path }, () => through.up.send(data, this.serverPort, '127.0.0.1'));
  }

  open() {
    const up = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    up.on('error', () => {});
    return up;
  }

  /** @param {Path} path */
  listen(path) {
    path.up.on('message', (data) => this.decide({ up: false, data, kind: kindOf(data), path }, () => {
      this.front.send(data, path.client.port, path.client.address);
    }));
  }

  /** @param {Datagram} datagram @param {() => void} forward */
  decide(datagram, forward) {
    const fate = this.rule(datagram);
    datagram.path.seen[`${datagram.up ? 'up' : 'down'} ${datagram.kind}`] =
      (datagram.path.seen[`${datagram.up ? 'up' : 'down'} ${datagram.kind}`] ?? 0) + 1;
    if (fate === 'drop') {
      this.dropped[datagram.kind] = (this.dropped[datagram.kind] ?? 0) + 1;
      return;
    }
    const now = performance.now();
    const arrival = (datagram.up ? this.up : this.down).carry(now, datagram.data.length);
    if (arrival === null) return;
    const at = arrival + (fate === 'pass' ? 0 : fate);
    if (at <= now) forward();
    else this.departures.add(at, forward);
  }

  /**
   * Paths get a new source port towards the server; the old one falls silent.
   * @param {(path: Path) => boolean} [which]
   * @returns how many did
   */
  rebind(which = () => true) {
    const chosen = [...this.paths.values()].filter(which);
    for (const path of chosen) {
      const old = path.up;
      path.up = this.open();
      this.listen(path);
      old.removeAllListeners('message');
      old.close();
    }
    return chosen.length;
  }

  close() {
    this.departures.clear();
    for (const path of this.paths.values()) path.up.close();
    this.front.close();
  }
}

/**
 * What a datagram is, by its first bytes (RFC 7983; DTLS 1.2 handshake types where they are in the clear).
 * @param {Buffer} data
 */
export function kindOf(data) {
  const first = data[0] ?? 0;
  if (first < 4) return 'stun';
  if (first >= 128 && first < 192) return (data[1] ?? 0) >= 192 && (data[1] ?? 0) < 224 ? 'srtcp' : 'srtp';
  if (first < 20 || first > 63) return 'other';
  const epoch = data.readUInt16BE(3);
  if (first === 22 && epoch === 0) {
    /** @type {Record<number, string>} */
    const names = { 1: 'ClientHello', 2: 'ServerHello', 3: 'HelloVerifyRequest', 11: 'Certificate', 16: 'ClientKeyExchange' };
    return names[data[13] ?? 0] ?? `handshake ${data[13]}`;
  }
  return first === 20 ? 'ChangeCipherSpec' : `dtls ${first}`;
}
