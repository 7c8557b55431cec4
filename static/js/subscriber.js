// Receives what others say and show: one RTCPeerConnection on which the server offers a fixed set of slots.
// Who is in a slot is read from the packets (CSRC); the message `slots.changed` only comes beside them.

import { waitBefore } from './backoff.js';
import { Link, newPeerName } from './link.js';
import { RequestError } from './socket.js';

/** @typedef {import('./types.js').SlotBinding} SlotBinding */

/** How often packets are asked whose they are. A voice plays with the wrong person's volume for at most this long. */
const READ_MS = 100;

/** One m-line of the subscribe connection. */
export class Slot {
  /** The CSRC that the server announced last; 0 for nobody, null before the first word.
   * @type {number | null} */
  announced = null;
  /** Whose the slot is by the newest sign of either kind: packets may lead the message or follow it.
   * @type {number | null} */
  current = null;
  /** The CSRC of the newest packet that was played, null before the first.
   * @type {number | null} */
  heard = null;
  /** RTP timestamp at which `heard` was first seen: frames from here on are theirs.
   * @type {number | undefined} */
  heardFrom;

  /**
   * @param {string} mid
   * @param {RTCRtpReceiver} receiver
   */
  constructor(mid, receiver) {
    this.mid = mid;
    this.receiver = receiver;
    this.kind = receiver.track.kind === 'audio' ? 'audio' : 'video';
    this.stream = new MediaStream([receiver.track]);
  }

  /** @param {number} csrc */
  announce(csrc) {
    if (csrc === this.announced) return;
    this.announced = csrc;
    this.current = csrc;
  }

  /**
   * Reads from the packets who is in the slot now.
   * @returns {boolean} whether that changed
   */
  read() {
    /** @type {RTCRtpContributingSource | null} */
    let newest = null;
    for (const source of this.receiver.getContributingSources()) {
      if (!newest || source.timestamp > newest.timestamp) newest = source;
    }
    if (!newest || newest.source === this.heard) return false;
    this.heard = newest.source;
    this.current = newest.source;
    this.heardFrom = newest.rtpTimestamp;
    return true;
  }

  /** Loudness of what is played now, 0..1, where the packets tell it. */
  get level() {
    return this.receiver.getSynchronizationSources()[0]?.audioLevel ?? null;
  }
}

/**
 * @typedef {object} SubscriberWorld
 * @property {(message: import('./types.js').ClientMessage) => Promise<any>} request
 * @property {(message: import('./types.js').ClientMessage) => void} send
 * @property {() => boolean} canAsk whether the socket is up
 * @property {RTCIceServer[]} iceServers
 * @property {{audio: number, video: number}} slots
 * @property {(state: 'connecting' | 'connected' | 'failing') => void} tell
 * @property {() => void} changed slots came, went, or carry somebody else
 */

export class Subscriber {
  /** @type {Map<string, Slot>} */
  slots = new Map();
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  #name = '';
  /** @type {SlotBinding[]} */
  #announced = [];
  #world;
  #attempt = 0;
  /** @type {number | undefined} */
  #retry;
  /** @type {Link | null} */
  #link = null;
  #reader = window.setInterval(() => this.#readAll(), READ_MS);
  #isClosed = false;
  /** Offers are answered one after the other. */
  #turn = Promise.resolve();

  /** @param {SubscriberWorld} world */
  constructor(world) {
    this.#world = world;
  }

  /** The connection as it is now, for statistics. */
  get connection() {
    return this.#pc;
  }

  /**
   * What the server says of a slot.
   * @param {string} mid
   */
  bindingOf(mid) {
    return this.#announced.find((binding) => binding.mid === mid) ?? null;
  }

  /** Starts over with a new connection and new slots. */
  restart() {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#drop();
    if (!this.#world.canAsk()) return; // The socket's return restarts us.
    this.#world.tell('connecting');
    const pc = new RTCPeerConnection({ iceServers: this.#world.iceServers, bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    this.#name = newPeerName('subscribe');
    this.#link = new Link(pc, {
      up: () => {
        this.#attempt = 0;
        this.#world.tell('connected');
      },
      shaky: () => this.#world.tell('connecting'),
      repair: () => {
        if (!this.#world.canAsk()) return false;
        this.#ask(pc);
        return true;
      },
      dead: () => this.#again(),
    });
    this.#ask(pc);
  }

  /**
   * TURN credentials end; the next restart of ICE uses these.
   * @param {RTCIceServer[]} iceServers
   */
  useIceServers(iceServers) {
    this.#world.iceServers = iceServers;
    this.#pc?.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
  }

  /** The socket is back and the server still knows us. */
  resume() {
    if (!this.#pc || !this.#link?.wasUp) this.restart();
    else if (!this.#link.isUp) this.#link.repair();
  }

  /** The network is another: the old way may be gone before the browser notices. */
  networkChanged() {
    this.#link?.repair();
  }

  /**
   * Asks for an offer: the first one, or one with new ICE credentials.
   * @param {RTCPeerConnection} pc
   */
  #ask(pc) {
    const { audio, video } = this.#world.slots;
    this.#world.request({ type: 'media.subscribe', pc: this.#name, audio_slots: audio, video_slots: video }).catch((error) => {
      if (pc !== this.#pc) return;
      if (error instanceof RequestError && error.code === 'disconnected' && this.#link?.wasUp) {
        this.#link.repairLost();
        return;
      }
      console.warn('subscribing failed', error);
      this.#again();
    });
  }

  /**
   * The server offers, asked or not.
   * @param {{pc: string, sdp: string}} offer
   */
  offered(offer) {
    this.#turn = this.#turn.then(() => this.#answer(offer));
  }

  /**
   * The server says what the slots carry.
   * @param {{pc: string, slots: SlotBinding[]}} message
   */
  announced(message) {
    if (message.pc !== this.#name) return;
    this.#announced = message.slots;
    this.#applyAnnounced();
    this.#readAll();
    this.#world.changed();
  }

  /**
   * The server ended a connection.
   * @param {string} name
   */
  closedByServer(name) {
    if (name === this.#name && this.#pc) this.#again();
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#reader);
    clearTimeout(this.#retry);
    this.#drop();
  }

  /** @param {{pc: string, sdp: string}} offer */
  async #answer(offer) {
    const pc = this.#pc;
    if (!pc || offer.pc !== this.#name) return;
    try {
      await pc.setRemoteDescription({ type: 'offer', sdp: offer.sdp });
      await pc.setLocalDescription();
      if (pc !== this.#pc) return;
      this.#world.send({ type: 'media.answer', pc: offer.pc, sdp: pc.localDescription?.sdp ?? '' });
      for (const line of pc.getTransceivers()) {
        if (line.mid !== null && !this.slots.has(line.mid)) this.slots.set(line.mid, new Slot(line.mid, line.receiver));
      }
      this.#applyAnnounced();
      this.#world.changed();
    } catch (error) {
      if (pc !== this.#pc) return;
      console.warn('the offer could not be answered', error);
      this.#again();
    }
  }

  #applyAnnounced() {
    for (const binding of this.#announced) {
      this.slots.get(binding.mid)?.announce(binding.track?.csrc ?? 0);
    }
  }

  #readAll() {
    let changed = false;
    for (const slot of this.slots.values()) changed = slot.read() || changed;
    if (changed) this.#world.changed();
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
    this.#announced = [];
    if (this.slots.size === 0) return;
    this.slots.clear();
    this.#world.changed();
  }
}
