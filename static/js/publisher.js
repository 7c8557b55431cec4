// Sends what this person says and shows: one RTCPeerConnection on which the client offers.

import { Encodings, addLine } from './encodings.js';
import { Peer } from './peer.js';
import { RequestError } from './socket.js';

/** @typedef {import('./types.js').Source} Source */

/**
 * @typedef {import('./peer.js').PeerWorld & {
 *   request: (message: import('./types.js').ClientMessage) => Promise<any>,
 *   codec: () => import('./encodings.js').VideoCodec,
 * }} PublisherWorld `codec`: what a camera is sent as, asked for each new connection
 */

export class Publisher {
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #lines = new Map();
  /** @type {Map<Source, Encodings>} */
  #encodings = new Map();
  /** @type {Map<Source, MediaStreamTrack>} */
  #tracks = new Map();
  #world;
  #isNegotiating = false;
  #mustNegotiate = false;
  #peer;

  /** @param {PublisherWorld} world */
  constructor(world) {
    this.#world = world;
    this.#peer = new Peer('publish', world, {
      begin: (pc) => {
        this.#addLine(pc, 'microphone');
        this.#addLine(pc, 'camera');
        if (this.#tracks.has('screen')) this.#addLine(pc, 'screen');
        if (this.#tracks.has('screen_audio')) this.#addLine(pc, 'screen_audio');
        this.#negotiate();
      },
      repair: (pc) => {
        pc.restartIce();
        this.#negotiate();
      },
      dropped: () => {
        this.#lines.clear();
        this.#encodings.clear();
      },
    });
  }

  /** The connection as it is now, for statistics. */
  get connection() {
    return this.#peer.connection;
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
    const pc = this.#peer.connection;
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
    this.#peer.restart();
  }

  /** @param {RTCIceServer[]} iceServers */
  useIceServers(iceServers) {
    return this.#peer.useIceServers(iceServers);
  }

  /** The socket is back and the server still knows us: what was left undone is done now. */
  resume() {
    if (this.#peer.resume() && this.#mustNegotiate) this.#negotiate();
  }

  networkChanged() {
    this.#peer.networkChanged();
  }

  /** @param {string} name of a connection that the server ended */
  closedByServer(name) {
    this.#peer.closedByServer(name);
  }

  /**
   * The server says which layers of a line anybody takes.
   * @param {{pc: string, mid: string, rids: string[], spatial?: number}} message
   */
  layersWanted({ pc, mid, rids, spatial }) {
    if (pc !== this.#peer.name) return;
    for (const [source, line] of this.#lines) {
      if (line.mid === mid) void this.#encodings.get(source)?.want(rids, spatial);
    }
  }

  close() {
    this.#peer.close();
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
    while (this.#mustNegotiate && this.#peer.connection) {
      this.#mustNegotiate = false;
      const pc = this.#peer.connection;
      try {
        await pc.setLocalDescription();
        if (pc !== this.#peer.connection) continue;
        const tracks = [...this.#lines]
          .filter(([, line]) => line.mid !== null && line.direction === 'sendonly')
          .map(([source, line]) => ({ mid: /** @type {string} */ (line.mid), source }));
        const sdp = pc.localDescription?.sdp ?? '';
        // The server is ICE-lite: its candidates are in the answer, ours are not needed, so nothing is gathered first.
        const answer = await this.#world.request({ type: 'media.publish', pc: this.#peer.name, sdp, tracks });
        if (pc !== this.#peer.connection) continue;
        await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
        for (const encodings of this.#encodings.values()) void encodings.settled();
      } catch (error) {
        if (pc !== this.#peer.connection) continue;
        if (error instanceof RequestError && error.code === 'disconnected' && this.#peer.questionLost()) {
          // The change is made when the socket is back.
          this.#mustNegotiate = true;
          break;
        }
        console.warn('publishing failed', error);
        this.#peer.again();
      }
    }
    this.#isNegotiating = false;
  }
}
