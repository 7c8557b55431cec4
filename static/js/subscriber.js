// Receives what others say and show: one RTCPeerConnection on which the server offers a fixed set of slots.
// Who is in a slot is read from the packets (CSRC); the message `slots.changed` only comes beside them.

import { LIMITS } from './limits.js';
import { Peer } from './peer.js';
import { RequestError } from './socket.js';

/** @typedef {import('./types.js').SlotBinding} SlotBinding */

/** How often packets are asked whose they are. A voice plays with the wrong person's volume for at most this long. */
const READ_MS = 100;

/** Why a slot carries what it carries, where it carries a picture for sure.
 * @type {Set<import('./types.js').SlotReason>} */
const SENT = new Set(['best', 'viewport', 'publisher']);

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

  /** When a packet of it was played last, in the browser's own time; 0 before the first. */
  get playedMs() {
    return this.receiver.getSynchronizationSources()[0]?.timestamp ?? 0;
  }

  /** Loudness of what is played now, 0..1, where the packets tell it. */
  get level() {
    return this.receiver.getSynchronizationSources()[0]?.audioLevel ?? null;
  }
}

/**
 * @typedef {import('./peer.js').PeerWorld & {
 *   request: (message: import('./types.js').ClientMessage) => Promise<any>,
 *   send: (message: import('./types.js').ClientMessage) => void,
 *   slots: {audio: number, video: number},
 *   changed: () => void,
 * }} SubscriberWorld `changed`: slots came, went, or carry somebody else
 */

export class Subscriber {
  /** @type {Map<string, Slot>} */
  slots = new Map();
  /** @type {SlotBinding[]} */
  #announced = [];
  #world;
  #peer;
  #reader = window.setInterval(() => this.#readAll(), READ_MS);
  /** A question was lost with the socket. */
  #mustAsk = false;
  /** Offers are answered one after the other. */
  #turn = Promise.resolve();

  /** @param {SubscriberWorld} world */
  constructor(world) {
    this.#world = world;
    const ask = (/** @type {RTCPeerConnection} */ pc) => this.#ask(pc);
    this.#peer = new Peer('subscribe', world, {
      begin: ask,
      repair: ask,
      dropped: () => {
        this.#announced = [];
        if (this.slots.size === 0) return;
        this.slots.clear();
        world.changed();
      },
    });
  }

  /** The connection as it is now, for statistics. */
  get connection() {
    return this.#peer.connection;
  }

  /** Whether the server says that it sends a picture. */
  get isAwaited() {
    return this.#announced.some(({ kind, reason }) => kind === 'video' && SENT.has(reason));
  }

  /** When something was played last, in the browser's own time; 0 before that. */
  get playedMs() {
    return Math.max(0, ...[...this.slots.values()].map((slot) => slot.playedMs));
  }

  /**
   * What the server says of a slot.
   * @param {string} mid
   */
  bindingOf(mid) {
    return this.#announced.find((binding) => binding.mid === mid) ?? null;
  }

  /**
   * Makes room for that many pictures, as far as the server has slots: what there is stays, and more lines come to it.
   * @param {number} pictures
   */
  show(pictures) {
    const wanted = Math.min(pictures, LIMITS.videoSlots);
    if (wanted <= this.#world.slots.video) return;
    this.#world.slots.video = wanted;
    const pc = this.#peer.connection;
    if (pc && this.slots.size > 0) this.#ask(pc);
  }

  /** Starts over with a new connection and new slots. */
  restart() {
    this.#peer.restart();
  }

  /** @param {RTCIceServer[]} iceServers */
  useIceServers(iceServers) {
    return this.#peer.useIceServers(iceServers);
  }

  /** The socket is back and the server still knows us: what could not be asked is asked now. */
  resume() {
    const pc = this.#peer.connection;
    if (this.#peer.resume() && this.#mustAsk && pc) this.#ask(pc);
  }

  networkChanged() {
    this.#peer.networkChanged();
  }

  /**
   * Asks for an offer: the first one, or one with new ICE credentials.
   * @param {RTCPeerConnection} pc
   */
  #ask(pc) {
    this.#mustAsk = false;
    const { audio, video } = this.#world.slots;
    this.#world.request({ type: 'media.subscribe', pc: this.#peer.name, audio_slots: audio, video_slots: video }).catch((error) => {
      if (pc !== this.#peer.connection) return;
      if (error instanceof RequestError && error.code === 'disconnected' && this.#peer.questionLost()) {
        this.#mustAsk = true;
        return;
      }
      console.warn('subscribing failed', error);
      this.#peer.again();
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
    if (message.pc !== this.#peer.name) return;
    this.#announced = message.slots;
    this.#applyAnnounced();
    this.#readAll();
    this.#world.changed();
  }

  /** @param {string} name of a connection that the server ended */
  closedByServer(name) {
    this.#peer.closedByServer(name);
  }

  close() {
    clearInterval(this.#reader);
    this.#peer.close();
  }

  /** @param {{pc: string, sdp: string}} offer */
  async #answer(offer) {
    const pc = this.#peer.connection;
    if (!pc || offer.pc !== this.#peer.name) return;
    try {
      await pc.setRemoteDescription({ type: 'offer', sdp: offer.sdp });
      await pc.setLocalDescription();
      if (pc !== this.#peer.connection) return;
      this.#world.send({ type: 'media.answer', pc: offer.pc, sdp: pc.localDescription?.sdp ?? '' });
      for (const line of pc.getTransceivers()) {
        if (line.mid !== null && !this.slots.has(line.mid)) this.slots.set(line.mid, new Slot(line.mid, line.receiver));
      }
      this.#applyAnnounced();
      this.#world.changed();
    } catch (error) {
      if (pc !== this.#peer.connection) return;
      console.warn('the offer could not be answered', error);
      this.#peer.again();
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
}
