// Both peer connections of a meeting: what is sent and what is received, whether it flows, and the servers that help it
// through a network.

import { LIMITS } from './limits.js';
import { preferences } from './preferences.js';
import { Publisher } from './publisher.js';
import { Subscriber } from './subscriber.js';

/** Without sound and picture for this long people are told that their network is in the way. */
const BLOCKED_MS = 15_000;
/** ICE servers are asked for again after this part of their time, and this soon when they could not be had. */
const RENEW_AT = 0.75;
const RENEW_AGAIN_S = 60;

/**
 * @typedef {object} TransportsWorld
 * @property {() => Promise<{ice_servers: RTCIceServer[], ttl: number}>} iceServers
 * @property {import('./media.js').LocalMedia} local
 * @property {(message: import('./types.js').ClientMessage) => Promise<any>} request
 * @property {(message: import('./types.js').ClientMessage) => void} send
 * @property {() => boolean} canAsk whether the socket is up
 * @property {(flow: import('./state.js').Flow) => void} flows
 * @property {() => void} changed slots came, went, or carry somebody else
 * @property {() => Promise<boolean>} answers whether the socket's line is answered; where not, it is being replaced
 */

export class Transports {
  /** @type {Publisher | null} */
  #publisher = null;
  /** @type {Subscriber | null} */
  #subscriber = null;
  /** @type {import('./vigil.js').Vigil | null} */
  #vigil = null;
  #world;
  #states = { publish: 'connecting', subscribe: 'connecting' };
  #isBlocked = false;
  /** Pictures that were to be seen at once. */
  #pictures = 0;
  #isOver = false;
  /** @type {number | undefined} */
  #renewal;
  /** @type {number | undefined} */
  #blocked;

  /** @param {TransportsWorld} world */
  constructor(world) {
    this.#world = world;
  }

  /** Slots of what is received now. */
  get slots() {
    return this.#subscriber ? [...this.#subscriber.slots.values()] : [];
  }

  /** Peer connections as they are now, for statistics and tests. */
  get connections() {
    return { publish: this.#publisher?.connection ?? null, subscribe: this.#subscriber?.connection ?? null };
  }

  /**
   * What the server says of a slot: whose it is, which layer comes, and why.
   * @param {string} mid
   */
  bindingOf(mid) {
    return this.#subscriber?.bindingOf(mid) ?? null;
  }

  /**
   * The m-line on which a source of this device is sent now.
   * @param {import('./types.js').Source} source
   */
  sentMid(source) {
    return this.#publisher?.midOf(source) ?? null;
  }

  /** Another codec was chosen: it needs a connection of its own. */
  codecChosen() {
    this.#publisher?.restart();
  }

  /**
   * The room has let us in.
   * @param {boolean} resumed whether the server still has our transports
   */
  async enter(resumed) {
    if (!this.#publisher || !this.#subscriber) {
      const { ice_servers, ttl } = await this.#world.iceServers().catch(() => ({ ice_servers: [], ttl: RENEW_AGAIN_S }));
      if (this.#isOver || this.#publisher) return;
      this.#make(ice_servers);
      this.#renewIceServers(ttl);
    }
    // The line was lost with the network that media still tries to use.
    if (resumed) await this.#repairLost();
    if (this.#isOver) return;
    for (const end of [this.#publisher, this.#subscriber]) {
      if (resumed) end?.resume();
      else end?.restart();
    }
  }

  /** Sends what the devices give now. */
  sendLocal() {
    const { microphone, camera, screen } = this.#world.local;
    void this.#publisher?.set('microphone', microphone.track);
    void this.#publisher?.set('camera', camera.on ? camera.track : null);
    void this.#publisher?.set('screen', screen?.video ?? null);
    void this.#publisher?.set('screen_audio', screen?.audio ?? null);
  }

  /** @param {number} pictures that are to be seen at once */
  show(pictures) {
    this.#pictures = pictures;
    this.#subscriber?.show(pictures);
  }

  networkChanged() {
    this.#publisher?.networkChanged();
    this.#subscriber?.networkChanged();
  }

  /**
   * Words of the server about connections and what they carry.
   * @param {import('./types.js').ServerMessage} message
   */
  heard(message) {
    switch (message.type) {
      case 'media.offer':
        this.#subscriber?.offered(message);
        break;
      case 'media.closed':
        this.#subscriber?.closedByServer(message.pc);
        this.#publisher?.closedByServer(message.pc);
        break;
      case 'slots.changed':
        this.#subscriber?.announced(message);
        break;
      case 'media.layers':
        this.#publisher?.layersWanted(message);
        break;
      default:
        break;
    }
  }

  close() {
    this.#isOver = true;
    clearTimeout(this.#renewal);
    clearTimeout(this.#blocked);
    this.#vigil?.stop();
    this.#publisher?.close();
    this.#subscriber?.close();
  }

  /** @param {RTCIceServer[]} iceServers */
  #make(iceServers) {
    const { request, send, canAsk, changed } = this.#world;
    const isSmall = matchMedia('(max-width: 640px)').matches;
    this.#publisher = new Publisher({ request, canAsk, iceServers, codec: () => preferences().codec, tell: (state) => this.#flow('publish', state) });
    // A phone shows four people and a shared screen at once; a window shows nine and a screen.
    this.#subscriber = new Subscriber({ request, send, canAsk, iceServers, slots: { audio: 4, video: Math.min(LIMITS.videoSlots, Math.max(isSmall ? 5 : 10, this.#pictures)) }, tell: (state) => this.#flow('subscribe', state), changed });
    this.sendLocal();
    void this.#listen();
  }

  /** Not waited for at the door: for some seconds there is nothing to be lost. */
  async #listen() {
    const script = await import('./vigil.js').catch(() => null);
    if (this.#isOver || !script) return;
    this.#vigil = new script.Vigil({
      publish: () => this.connections.publish,
      isAwaited: () => this.#subscriber?.isAwaited ?? false,
      received: () => this.#subscriber?.playedMs ?? 0,
      // Where the line is silent as well, its return repairs them.
      alarm: async () => (await this.#world.answers()) && this.#repairLost(),
    });
  }

  /** New ways for connections that nothing comes over any more. */
  async #repairLost() {
    const lost = await this.#vigil?.read();
    if (this.#isOver || !lost || !(lost.publish || lost.subscribe)) return;
    if (lost.publish) this.#publisher?.networkChanged();
    if (lost.subscribe) this.#subscriber?.networkChanged();
    this.#vigil?.forget(lost);
  }

  /**
   * Credentials of TURN end in the middle of a long meeting; a restart of ICE needs good ones.
   * @param {number} ttl seconds
   */
  #renewIceServers(ttl) {
    clearTimeout(this.#renewal);
    this.#renewal = window.setTimeout(async () => {
      const next = await this.#world.iceServers().catch(() => null);
      if (this.#isOver) return;
      if (next) for (const end of [this.#publisher, this.#subscriber]) void end?.useIceServers(next.ice_servers);
      this.#renewIceServers(next?.ttl ?? RENEW_AGAIN_S);
    }, ttl * 1000 * RENEW_AT);
  }

  /**
   * @param {'publish' | 'subscribe'} which
   * @param {'connecting' | 'connected' | 'failing'} state
   */
  #flow(which, state) {
    this.#states[which] = state;
    if (this.#states.publish === 'connected' && this.#states.subscribe === 'connected') {
      clearTimeout(this.#blocked);
      this.#blocked = undefined;
      this.#isBlocked = false;
      this.#world.flows('connected');
      return;
    }
    if (!this.#isBlocked) this.#world.flows('connecting');
    this.#blocked ??= window.setTimeout(() => {
      this.#isBlocked = true;
      this.#world.flows('blocked');
    }, BLOCKED_MS);
  }
}
