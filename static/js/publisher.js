// Sends what this person says and shows: one RTCPeerConnection on which the client offers.

import { waitBefore } from './backoff.js';
import { Encodings, addLine } from './encodings.js';
import { Link, newPeerName } from './link.js';
import { RequestError } from './socket.js';

/** @typedef {import('./types.js').Source} Source */

/**
 * @typedef {object} PublisherWorld
 * @property {(message: import('./types.js').ClientMessage) => Promise<any>} request
 * @property {() => boolean} canAsk whether the socket is up
 * @property {RTCIceServer[]} iceServers
 * @property {() => import('./encodings.js').VideoCodec} codec what a camera is sent as, asked for each new connection
 * @property {(state: 'connecting' | 'connected' | 'failing') => void} tell
 */

export class Publisher {
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  #name = '';
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #lines = new Map();
  /** @type {Map<Source, Encodings>} */
  #encodings = new Map();
  /** @type {Map<Source, MediaStreamTrack>} */
  #tracks = new Map();
  #world;
  #isNegotiating = false;
  #mustNegotiate = false;
  #attempt = 0;
  /** @type {number | undefined} */
  #retry;
  /** @type {Link | null} */
  #link = null;
  #isClosed = false;

  /** @param {PublisherWorld} world */
  constructor(world) {
    this.#world = world;
  }

  /** The connection as it is now, for statistics. */
  get connection() {
    return this.#pc;
  }

  /**
   * The m-line that carries a source, once it is settled.
   * @param {Source} source
   */
  midOf(source) {
    return this.#tracks.has(source) ? (this.#lines.get(source)?.mid ?? null) : null;
  }

  /**
   * Sends this track for a source, or nothing. Microphone and camera have their lines from the start, so
   * changing them costs no negotiation; a screen's line comes and goes.
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async set(source, track) {
    if ((this.#tracks.get(source) ?? null) === track) return;
    if (track) this.#tracks.set(source, track);
    else this.#tracks.delete(source);
    const pc = this.#pc;
    if (!pc) return;
    const isLasting = source === 'microphone' || source === 'camera';
    const line = this.#lines.get(source);
    if (!line) {
      if (track) this.#addLine(pc, source);
    } else {
      if (!isLasting) line.direction = track ? 'sendonly' : 'inactive';
      await line.sender.replaceTrack(track).catch(() => {});
      if (track) void this.#encodings.get(source)?.sized(track.getSettings());
    }
    if (!isLasting) this.#negotiate();
  }

  /** Starts over with a new connection; what is sent stays the same. */
  restart() {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#drop();
    if (!this.#world.canAsk()) return; // The socket's return restarts us.
    this.#world.tell('connecting');
    const pc = new RTCPeerConnection({ iceServers: this.#world.iceServers, bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    this.#name = newPeerName('publish');
    this.#link = new Link(pc, {
      up: () => {
        this.#attempt = 0;
        this.#world.tell('connected');
      },
      shaky: () => this.#world.tell('connecting'),
      repair: () => {
        if (!this.#world.canAsk()) return false;
        pc.restartIce();
        this.#negotiate();
        return true;
      },
      dead: () => this.#again(),
    });
    this.#addLine(pc, 'microphone');
    this.#addLine(pc, 'camera');
    if (this.#tracks.has('screen')) this.#addLine(pc, 'screen');
    if (this.#tracks.has('screen_audio')) this.#addLine(pc, 'screen_audio');
    this.#negotiate();
  }

  /**
   * TURN credentials end; the next restart of ICE uses these.
   * @param {RTCIceServer[]} iceServers
   */
  useIceServers(iceServers) {
    this.#world.iceServers = iceServers;
    this.#pc?.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
  }

  /** The socket is back and the server still knows us: what was left undone is done now. */
  resume() {
    if (!this.#pc || !this.#link?.wasUp) this.restart();
    else if (!this.#link.isUp) this.#link.repair();
    else if (this.#mustNegotiate) this.#negotiate();
  }

  /** The network is another: the old way may be gone before the browser notices. */
  networkChanged() {
    this.#link?.repair();
  }

  /**
   * The server ended a connection.
   * @param {string} name
   */
  closedByServer(name) {
    if (name === this.#name && this.#pc) this.#again();
  }

  /**
   * The server says which layers of a line anybody takes.
   * @param {{pc: string, mid: string, rids: string[]}} message
   */
  layersWanted({ pc, mid, rids }) {
    if (pc !== this.#name) return;
    for (const [source, line] of this.#lines) {
      if (line.mid === mid) void this.#encodings.get(source)?.want(rids);
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#drop();
  }

  /**
   * @param {RTCPeerConnection} pc
   * @param {Source} source
   */
  #addLine(pc, source) {
    const line = addLine(pc, source, this.#tracks.get(source), this.#world.codec());
    this.#lines.set(source, line);
    const encodings = new Encodings(line.sender, source);
    this.#encodings.set(source, encodings);
    const track = this.#tracks.get(source);
    if (track) void encodings.sized(track.getSettings());
  }

  #negotiate() {
    this.#mustNegotiate = true;
    if (!this.#isNegotiating) void this.#negotiateAll();
  }

  /** One negotiation at a time; what changes meanwhile is in the next. */
  async #negotiateAll() {
    this.#isNegotiating = true;
    while (this.#mustNegotiate && this.#pc) {
      this.#mustNegotiate = false;
      const pc = this.#pc;
      try {
        await pc.setLocalDescription();
        if (pc !== this.#pc) continue;
        const tracks = [...this.#lines]
          .filter(([, line]) => line.mid !== null && line.direction === 'sendonly')
          .map(([source, line]) => ({ mid: /** @type {string} */ (line.mid), source }));
        const sdp = pc.localDescription?.sdp ?? '';
        // The server is ICE-lite: its candidates are in the answer, ours are not needed, so nothing is gathered first.
        const answer = await this.#world.request({ type: 'media.publish', pc: this.#name, sdp, tracks });
        if (pc !== this.#pc) continue;
        await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
        for (const encodings of this.#encodings.values()) void encodings.settled();
      } catch (error) {
        if (pc !== this.#pc) continue;
        if (error instanceof RequestError && error.code === 'disconnected' && this.#link?.wasUp) {
          // What is sent goes on; the change is made when the socket is back.
          this.#mustNegotiate = true;
          this.#link.repairLost();
          break;
        }
        console.warn('publishing failed', error);
        this.#again();
      }
    }
    this.#isNegotiating = false;
  }

  #again() {
    this.#drop();
    this.#world.tell('failing');
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.restart(), waitBefore(this.#attempt++, Math.random()));
  }

  #drop() {
    this.#link?.stop();
    this.#link = null;
    this.#pc?.close();
    this.#pc = null;
    this.#lines.clear();
    this.#encodings.clear();
  }
}
