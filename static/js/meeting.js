// One meeting from joining to leaving: wires the socket, both peer connections, the devices and the state.

import { ApiError } from './session.js';
import { Catchup } from './catchup.js';
import { Conversation } from './conversation.js';
import { watchNetwork } from './network.js';
import { prefer, preferences } from './preferences.js';
import { CLOSE, RequestError, RoomSocket } from './socket.js';
import { Sounds } from './sounds.js';
import { newMeeting, reduce, self, volumeOf } from './state.js';
import { Store } from './store.js';
import { Transports } from './transports.js';

/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {import('./types.js').ViewTile} ViewTile */
/** @typedef {import('./state.js').EndReason} EndReason */
/** @typedef {import('./state.js').LocalEvent} LocalEvent */

/** Going in takes no longer than this, or it is said that it did not work. */
const JOIN_MS = 20_000;
/** A view is told this long after it last changed: less floods while a window is dragged, more delays a picture. */
const VIEW_MS = 150;
/**
 * @typedef {object} Invitation
 * @property {string} slug
 * @property {string | null} code invite code of the link
 * @property {string | null} key invite key that the person typed
 */

export class Meeting extends EventTarget {
  /** @type {Store<import('./state.js').Meeting, ServerMessage | LocalEvent>} */
  store;
  /** What is written here. */
  conversation;
  #sounds;
  #transports;
  /** @type {RoomSocket | null} */
  #socket = null;
  /** @type {string | null} */
  #resume = null;
  /** Tickets asked for. */
  #tickets = 0;
  /** Whether the room has let this socket in. */
  #isInside = false;
  /** Why it did not.
   * @type {RequestError | null} */
  #refusal = null;
  #stopWatchingNetwork;
  #catchup = new Catchup(
    (after_seq) => this.#socket?.request({ type: 'sync.sub', after_seq }) ?? Promise.reject(new RequestError('disconnected', 'no socket')),
    (message) => this.#deliver(message),
  );
  /** @type {number | undefined} */
  #viewTimer;
  /** @type {ViewTile[] | null} */
  #tiles = null;
  #saidView = '';
  #ticker = window.setInterval(() => this.store.dispatch({ type: 'local.tick' }), 1000);
  /** @type {{muted: boolean, camOff: boolean} | null} */
  #saidMedia = null;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./media.js').LocalMedia} local
   * @param {Invitation} invitation
   */
  constructor(api, local, invitation) {
    super();
    this.api = api;
    this.local = local;
    this.invitation = invitation;
    this.store = new Store(newMeeting(preferences().volumes), reduce);
    const line = {
      request: (/** @type {import('./types.js').ClientMessage} */ message) =>
        this.#socket ? this.#socket.request(message) : Promise.reject(new RequestError('disconnected', 'no socket')),
      send: (/** @type {import('./types.js').ClientMessage} */ message) => this.#socket?.send(message),
    };
    this.conversation = new Conversation({ ...line, api, store: this.store, refused: (code) => this.#refused(code) });
    this.#sounds = new Sounds(() => this.store.dispatch({ type: 'local.silent', silent: true }));
    this.#transports = new Transports({
      ...line,
      iceServers: () => api.iceServers(this.invitation.slug),
      local,
      canAsk: () => this.#socket?.isOpen ?? false,
      flows: (flow) => (flow !== 'blocked' || this.state.phase === 'joined') && this.store.dispatch({ type: 'local.flow', flow }),
      changed: () => this.#slotsChanged(),
      answers: async () => (await this.#socket?.test()) ?? false,
    });
    local.addEventListener('change', this.#localChanged);
    addEventListener('pagehide', this.#pageHidden);
    this.#stopWatchingNetwork = watchNetwork(() => this.#networkChanged());
  }

  get state() {
    return this.store.state;
  }

  /** Slots of what is received now. */
  get slots() {
    return this.#transports.slots;
  }

  /**
   * What the server says of a slot: whose it is, which layer comes, and why.
   * @param {string} mid
   */
  bindingOf(mid) {
    return this.#transports.bindingOf(mid);
  }

  /**
   * The m-line on which a source of this device is sent now.
   * @param {import('./types.js').Source} source
   */
  sentMid(source) {
    return this.#transports.sentMid(source);
  }

  /** Another codec was chosen: it needs a connection of its own. */
  codecChosen() {
    this.#transports.codecChosen();
  }

  /** Peer connections as they are now, for statistics and tests. */
  get connections() {
    return this.#transports.connections;
  }

  /**
   * Goes in. Resolves when the room's state is here; sound and picture follow.
   * @param {string} displayName
   */
  async join(displayName) {
    /** @type {string | null} */
    let first;
    try {
      await this.api.becomeSomebody(displayName);
      // An outdated code in an old link is no reason to turn away somebody whom the room lets in.
      if (this.invitation.code) {
        await this.api.joinByInvite(this.invitation.code).catch((error) => {
          if (!isRefusal(error)) throw error;
        });
      }
      // The first ticket is fetched here, so that a refusal is told where the person stands.
      first = await this.#address();
    } catch (error) {
      this.#dispose();
      throw error;
    }
    this.store.dispatch({ type: 'local.step', step: 'socket' });
    await new Promise((resolve, reject) => {
      const giveUp = (/** @type {RequestError} */ error) => {
        if (this.state.phase !== 'connecting') return;
        this.#dispose();
        reject(error);
      };
      setTimeout(() => giveUp(new RequestError('timeout', 'the room did not answer')), JOIN_MS);
      this.#socket = new RoomSocket({
        address: async (withinMs) => {
          const address = first ?? (await this.#address(withinMs));
          first = null;
          return address;
        },
        connecting: () => {
          this.#isInside = false;
          this.#refusal = null;
        },
        message: (message) => {
          this.#heard(message);
          if (message.type === 'state.snapshot' || message.type === 'lobby.waiting') resolve(undefined);
        },
        dropped: ({ restarting }) => {
          const code = this.#refusal?.code;
          if (this.state.phase !== 'connecting' && (code === 'room_full' || code === 'locked')) this.#end(code === 'locked' ? 'locked' : 'full');
          else if (this.#refusal) giveUp(this.#refusal);
          this.store.dispatch({ type: 'local.dropped', restarting });
        },
        ended: (why) => {
          this.#end('code' in why ? reasonOf(why.code) : why.error instanceof ApiError && why.error.code === 'banned' ? 'banned' : 'refused');
          reject('error' in why ? why.error : new RequestError(reasonOf(why.code), 'the socket was closed'));
        },
        isFinal: isRefusal,
      });
    });
  }

  /** Leaves and lets go of everything. */
  leave() {
    this.#socket?.send({ type: 'leave' });
    this.#end('left');
  }

  /** Leaves for another room of this meeting, devices in hand. What is on the screen was for those who stay. */
  part() {
    this.local.stopScreen();
    this.#socket?.send({ type: 'leave' });
    this.#end('sent_back');
  }

  // ---- What the person does ----

  /** @param {boolean} on */
  async setMicrophone(on) {
    if (on && this.#isHeld('microphone')) return;
    prefer({ micOn: on });
    await this.local.setMicrophone(on);
  }

  /** @param {boolean} on */
  async setCamera(on) {
    if (on && this.#isHeld('camera')) return;
    prefer({ camOn: on });
    await this.local.setCamera(on);
  }

  /**
   * The microphone while a key is held; nothing that is remembered.
   * @param {boolean} on
   */
  talk(on) {
    if (!on || !this.#isHeld('microphone')) void this.local.setMicrophone(on);
  }

  /** @returns {Promise<boolean>} false when the person changed their mind, or may not */
  async startScreen() {
    return this.#isHeld('screen') ? false : this.local.startScreen();
  }

  /** @param {boolean} isUp */
  setHand(isUp) {
    void this.order(isUp ? { type: 'hand.raise' } : { type: 'hand.lower' });
  }

  /**
   * Gives an order; a refusal is told as a toast.
   * @param {import('./types.js').Order | {type: 'hand.raise'}} order
   */
  async order(order) {
    try {
      await this.ask(order);
    } catch (error) {
      this.#refused(error instanceof RequestError ? error.code : 'internal');
    }
  }

  /**
   * Gives an order and waits until it holds; a refusal is thrown.
   * @param {import('./types.js').Order | {type: 'hand.raise'}} order
   */
  async ask(order) {
    if (!this.#socket) throw new RequestError('disconnected', 'no socket');
    await this.#socket.request(order);
  }

  /** @param {string} emoji */
  react(emoji) {
    this.#socket?.send({ type: 'reaction', emoji });
  }

  /**
   * @param {string} userId
   * @param {number} volume 0..1
   */
  setVolume(userId, volume) {
    this.store.dispatch({ type: 'local.volume', user_id: userId, volume });
    prefer({ volumes: this.state.volumes });
    this.#sounds.applyVolumes(this.slots, this.state);
    this.#viewChanged();
  }

  /**
   * Says which tiles are on the screen and how large they are, most important first.
   * @param {ViewTile[]} tiles
   */
  setView(tiles) {
    this.#tiles = tiles;
    // One more than there are tiles: whoever speaks next comes without a gap.
    this.#transports.show(tiles.length + 1);
    this.#viewChanged();
  }

  /** Starts sound that the browser held back; call it from a click. */
  async hear() {
    await this.#sounds.start();
    this.store.dispatch({ type: 'local.silent', silent: false });
  }

  /** @param {string} deviceId */
  async setSpeaker(deviceId) {
    prefer({ speaker: deviceId });
    await this.#sounds.setSpeaker(deviceId);
  }

  // ---- What the server says ----

  /** @param {number} [withinMs] */
  async #address(withinMs) {
    const { slug, key } = this.invitation;
    const resume = this.#resume;
    // Too late to take the participant over, or as a guest renewed meanwhile, one enters as somebody new.
    const request = { ...(key ? { invite_key: key } : {}), ...(resume ? { resume } : {}) };
    // Whoever comes back may have lost the network that the browser's connections went through.
    const { ticket } = await this.api.ticket(slug, request, withinMs, this.#tickets++ % 2 === 1);
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    return `${scheme}//${location.host}/ws/rooms/${encodeURIComponent(slug)}?ticket=${encodeURIComponent(ticket)}`;
  }

  /** @param {ServerMessage} message */
  #heard(message) {
    if (message.type !== 'events.batch') {
      if (this.#catchup.take(message)) this.#deliver(message);
      return;
    }
    const events = message.events.filter((event) => this.#catchup.take(event));
    this.store.dispatch({ type: 'events.batch', events });
    let isOfSlots = false;
    for (const event of events) {
      // Once for all: each looks through everybody.
      if (event.type === 'tracks.changed' || event.type === 'member.joined') isOfSlots = true;
      else this.#follow(event);
    }
    if (isOfSlots) this.#slotsChanged();
    for (const event of events) this.#tell(event);
  }

  /** @param {ServerMessage} message */
  #deliver(message) {
    this.store.dispatch(message);
    this.#follow(message);
    this.#tell(message);
  }

  /** @param {ServerMessage} message */
  #tell(message) {
    this.dispatchEvent(new CustomEvent('message', { detail: message }));
  }

  /** @param {ServerMessage} message which the state has taken */
  #follow(message) {
    switch (message.type) {
      case 'error':
        // An error that answers nothing, before the room let us in, says why it did not.
        if (!message.re && !this.#isInside) this.#refusal = new RequestError(message.code, message.reason);
        break;
      case 'joined':
        this.#isInside = true;
        this.#refusal = null;
        this.#resume = message.resume;
        void this.#entered(message.resumed);
        break;
      case 'media.updated':
        if (message.participant_id === this.state.me) this.#obey();
        break;
      case 'state.snapshot':
        this.#obey();
        this.conversation.resume();
        this.#sounds.applyVolumes(this.slots, this.state);
        break;
      case 'tracks.changed':
      case 'member.joined':
      case 'roster.page':
        // A packet may have come before the word whose it is.
        this.#slotsChanged();
        break;
      default:
        this.#transports.heard(message);
        break;
    }
  }

  /**
   * @param {boolean} resumed whether the server still has our transports
   */
  async #entered(resumed) {
    this.#saidMedia = null;
    this.#saidView = '';
    this.#sayMedia();
    await this.#transports.enter(resumed);
    if (this.state.phase === 'ended') return;
    this.#viewChanged();
  }

  /** @param {string} code why something was not done */
  #refused(code) {
    this.dispatchEvent(new CustomEvent('refused', { detail: code }));
  }

  // ---- Media ----

  #networkChanged() {
    void this.#socket?.test();
    this.#transports.networkChanged();
  }

  #localChanged = () => {
    this.#transports.sendLocal();
    this.#sayMedia();
    this.dispatchEvent(new Event('local'));
  };

  /** What a moderator has stopped is closed here too: when it is allowed again, nothing opens by itself. */
  #obey() {
    const media = self(this.state)?.media;
    if (media?.mic_forced && this.local.microphone.on) void this.local.setMicrophone(false);
    if (media?.cam_forced && this.local.camera.on) void this.local.setCamera(false);
    if (media?.screen_forced) this.local.stopScreen();
  }

  /**
   * Whether a moderator keeps this closed; then it is said.
   * @param {import('./types.js').Forcible} source
   */
  #isHeld(source) {
    const media = self(this.state)?.media;
    const isHeld = Boolean(source === 'microphone' ? media?.mic_forced : source === 'camera' ? media?.cam_forced : media?.screen_forced);
    if (isHeld) this.dispatchEvent(new CustomEvent('held', { detail: source }));
    return isHeld;
  }

  #sayMedia() {
    const { microphone, camera } = this.local;
    const muted = !(microphone.on && microphone.track);
    const camOff = !(camera.on && camera.track);
    if (!this.#socket?.isOpen || (this.#saidMedia?.muted === muted && this.#saidMedia.camOff === camOff)) return;
    this.#saidMedia = { muted, camOff };
    this.#socket.send({ type: 'media.self', mic_muted: muted, cam_off: camOff });
  }

  #slotsChanged() {
    this.#sounds.play(this.slots, this.state);
    this.dispatchEvent(new Event('slots'));
  }

  #viewChanged() {
    clearTimeout(this.#viewTimer);
    this.#viewTimer = window.setTimeout(() => {
      const silenced = this.state.participants.filter((p) => p.id !== this.state.me && volumeOf(this.state, p.user_id) === 0).map((p) => p.id);
      const view = { ...(this.#tiles ? { tiles: this.#tiles } : {}), silenced };
      const said = JSON.stringify(view);
      if (said === this.#saidView || !this.#socket?.isOpen) return;
      this.#saidView = said;
      this.#socket.send({ type: 'view.set', ...view });
    }, VIEW_MS);
  }

  // ---- The end ----

  /** @param {EndReason} reason */
  #end(reason) {
    if (this.state.phase === 'ended') return;
    this.#dispose();
    // To another room of this meeting one goes with camera and microphone.
    if (reason !== 'sent_back') this.local.close();
    this.store.dispatch({ type: 'local.ended', reason });
  }

  #dispose() {
    this.local.removeEventListener('change', this.#localChanged);
    removeEventListener('pagehide', this.#pageHidden);
    this.#stopWatchingNetwork();
    clearInterval(this.#ticker);
    clearTimeout(this.#viewTimer);
    this.conversation.stop();
    this.#transports.close();
    this.#socket?.close();
    this.#sounds.remove();
  }

  /** A closed tab has left at once, not after 25 s of silence. */
  #pageHidden = () => {
    this.#socket?.send({ type: 'leave' });
  };
}

/**
 * @param {number} code
 * @returns {EndReason}
 */
function reasonOf(code) {
  if (code === CLOSE.kicked) return 'kicked';
  if (code === CLOSE.refused) return 'turned_away';
  if (code === CLOSE.replaced) return 'replaced';
  if (code === CLOSE.flooding) return 'flooding';
  if (code === CLOSE.sentBack) return 'sent_back';
  if (code === CLOSE.signedOut) return 'signed_out';
  return 'closed';
}

/**
 * Whether the server said no, rather than not now.
 * @param {unknown} error
 */
function isRefusal(error) {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
}
