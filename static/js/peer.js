// One end of the media: an RTCPeerConnection that is made anew when it is dead, repaired when its way through the
// network broke, and named so that the server and we mean the same one.

import { waitBefore } from './backoff.js';
import { Link, newPeerName } from './link.js';

/**
 * @typedef {object} PeerWorld
 * @property {() => boolean} canAsk whether the socket is up
 * @property {RTCIceServer[]} iceServers
 * @property {(state: 'connecting' | 'connected' | 'failing') => void} tell
 */

/**
 * What an end does with its connection.
 * @typedef {object} PeerWork
 * @property {(pc: RTCPeerConnection) => void} begin a new connection is to be negotiated
 * @property {(pc: RTCPeerConnection) => void} repair it needs new ICE credentials
 * @property {() => void} dropped the connection is gone, with all that hung on it
 */

export class Peer {
  /** The server's and our name for the connection. */
  name = '';
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Link | null} */
  #link = null;
  #kind;
  #world;
  #work;
  #attempt = 0;
  /** @type {number | undefined} */
  #retry;
  #isClosed = false;

  /**
   * @param {'publish' | 'subscribe'} kind
   * @param {PeerWorld} world
   * @param {PeerWork} work
   */
  constructor(kind, world, work) {
    this.#kind = kind;
    this.#world = world;
    this.#work = work;
  }

  /** The connection as it is now. */
  get connection() {
    return this.#pc;
  }

  /** Starts over with a new connection. */
  restart() {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#drop();
    const { canAsk, tell, iceServers } = this.#world;
    if (!canAsk()) return; // The socket's return restarts us.
    tell('connecting');
    const pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    this.name = newPeerName(this.#kind);
    this.#link = new Link(pc, {
      up: () => {
        this.#attempt = 0;
        tell('connected');
      },
      shaky: () => tell('connecting'),
      repair: () => {
        if (!canAsk()) return false;
        this.#work.repair(pc);
        return true;
      },
      dead: () => this.again(),
    });
    this.#work.begin(pc);
  }

  /**
   * The socket is back and the server still knows us.
   * @returns {boolean} whether the connection stands as it is
   */
  resume() {
    if (!this.#pc || !this.#link?.wasUp) this.restart();
    else if (!this.#link.isUp) this.#link.repair();
    else return true;
    return false;
  }

  /** The network is another: the old way may be gone before the browser notices. */
  networkChanged() {
    this.#link?.networkChanged();
  }

  /**
   * TURN credentials end; the next restart of ICE uses these. Where a relay carries the connection, that is now:
   * the relay takes no old credentials when it is asked to live on.
   * @param {RTCIceServer[]} iceServers
   */
  async useIceServers(iceServers) {
    this.#world.iceServers = iceServers;
    const pc = this.#pc;
    if (!pc) return;
    pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
    if (isRelayed(await pc.getStats().catch(() => null)) && pc === this.#pc) this.#link?.repair();
  }

  /**
   * The server ended a connection.
   * @param {string} name
   */
  closedByServer(name) {
    if (name === this.name && this.#pc) this.again();
  }

  /**
   * A question about the connection was lost with the socket. What flows goes on flowing.
   * @returns {boolean} false where nothing flows yet: then it is to be made anew
   */
  questionLost() {
    if (!this.#link?.wasUp) return false;
    this.#link.repairLost();
    return true;
  }

  /** Tries anew, after a while. */
  again() {
    this.#drop();
    this.#world.tell('failing');
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.restart(), waitBefore(this.#attempt++, Math.random()));
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#drop();
  }

  #drop() {
    this.#link?.stop();
    this.#link = null;
    this.#pc?.close();
    this.#pc = null;
    this.#work.dropped();
  }
}

/**
 * Whether a connection goes through a relay now.
 * @param {Iterable<[string, any]> | null} stats
 */
export function isRelayed(stats) {
  /** @type {Map<string, any>} */
  const all = new Map(stats ?? []);
  const values = [...all.values()];
  const selected = values.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
  // Firefox marks the pair itself.
  const pair = all.get(selected) ?? values.find(({ type, selected: is }) => type === 'candidate-pair' && is);
  return all.get(pair?.localCandidateId)?.candidateType === 'relay';
}
