// When a peer connection is up, shaky, needs a new way through the network, or must be replaced.

/** A way that broke is looked for anew after this long. ICE recovers from most gaps by itself in 2 s. */
const REPAIR_AFTER_MS = 2_000;
/** A search for a new way takes no longer, or the connection is replaced. Lossy links need some seconds. */
const REPAIR_MS = 8_000;
/** A connection that is not up by then will not come up. A handshake at 20 % loss takes up to 5 s. */
const START_MS = 12_000;

/**
 * @typedef {object} LinkEvents
 * @property {() => void} up
 * @property {() => void} shaky
 * @property {() => boolean} repair restarts ICE; false when nobody can be asked now, and `repair` shall be called again then
 * @property {() => void} dead it is to be replaced
 */

/** Watches a connection until it is dead or `stop` is called. */
export class Link {
  /** Whether it was ever up: what never was has no way to repair. */
  wasUp = false;
  #isOver = false;
  #isRepairing = false;
  /** @type {ReturnType<typeof setTimeout>} */
  #timer;
  #pc;
  #tell;

  /**
   * @param {RTCPeerConnection} pc
   * @param {LinkEvents} tell
   */
  constructor(pc, tell) {
    this.#pc = pc;
    this.#tell = tell;
    this.#timer = setTimeout(() => this.#die(), START_MS);
    pc.addEventListener('connectionstatechange', this.#changed);
  }

  get isUp() {
    return this.#pc.connectionState === 'connected';
  }

  /** The network is another: a way that is being looked for in the old one is none either. */
  networkChanged() {
    this.repairLost();
    this.repair();
  }

  /** Looks for a new way now: the old one broke. */
  repair() {
    if (this.#isOver || !this.wasUp || this.#isRepairing) return;
    clearTimeout(this.#timer);
    if (!this.#tell.repair()) return;
    this.#isRepairing = true;
    this.#timer = setTimeout(() => {
      this.#isRepairing = false;
      if (!this.isUp) this.#die();
    }, REPAIR_MS);
  }

  /** The question for a new way was lost with the socket: it is asked again over the next one. */
  repairLost() {
    if (!this.#isRepairing) return;
    this.#isRepairing = false;
    clearTimeout(this.#timer);
  }

  stop() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#pc.removeEventListener('connectionstatechange', this.#changed);
  }

  #die() {
    if (this.#isOver) return;
    this.stop();
    this.#tell.dead();
  }

  #changed = () => {
    switch (this.#pc.connectionState) {
      case 'connected':
        clearTimeout(this.#timer);
        this.wasUp = true;
        this.#isRepairing = false;
        this.#tell.up();
        break;
      case 'disconnected':
        this.#tell.shaky();
        if (this.#isRepairing) break;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => (this.wasUp ? this.repair() : this.#die()), REPAIR_AFTER_MS);
        break;
      case 'failed':
        // Firefox 153 never sends again on a connection whose ICE has failed once, restarted or not.
        this.#die();
        break;
      case 'new':
      case 'connecting':
      case 'closed':
        break;
    }
  };
}

/**
 * A name for a peer connection that no other of ours has had.
 * @param {string} kind
 */
export function newPeerName(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `${kind}-${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`;
}
