// One meeting from joining to leaving: wires the socket, both peer connections, the devices and the state.

import { ApiError } from './session.js';
import { Catchup } from './catchup.js';
import { watchNetwork } from './network.js';
import { prefer, preferences } from './preferences.js';
import { Publisher } from './publisher.js';
import { CLOSE, RequestError, RoomSocket } from './socket.js';
import { Store, newMeeting, ownerOf, reduce, self, volumeOf } from './state.js';
import { Subscriber } from './subscriber.js';
import { LIMITS } from './limits.js';

/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {import('./types.js').ViewTile} ViewTile */
/** @typedef {import('./state.js').EndReason} EndReason */
/** @typedef {import('./state.js').LocalEvent} LocalEvent */

/** Going in takes no longer than this, or it is said that it did not work. */
const JOIN_MS = 20_000;
/** A view is told this long after it last changed: less floods while a window is dragged, more delays a picture. */
const VIEW_MS = 150;
/** Without sound and picture for this long people are told that their network is in the way. */
const BLOCKED_MS = 15_000;
/** ICE servers are asked for again after this part of their time, and this soon when they could not be had. */
const RENEW_AT = 0.75;
const RENEW_AGAIN_S = 60;
/** "Is writing" is renewed this often while keys are pressed. */
const TYPING_MS = 3_000;

/**
 * @typedef {object} Invitation
 * @property {string} slug
 * @property {string | null} code invite code of the link
 * @property {string | null} key invite key that the person typed
 */

export class Meeting extends EventTarget {
  /** @type {Store<import('./state.js').Meeting, ServerMessage | LocalEvent>} */
  store;
  /** Playing sound, one element per audio slot. Stands in the body, because moving it would stop it. */
  sounds = document.createElement('div');
  /** @type {RoomSocket | null} */
  #socket = null;
  /** @type {Publisher | null} */
  #publisher = null;
  /** @type {Subscriber | null} */
  #subscriber = null;
  /** @type {string | null} */
  #resume = null;
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
  #renewal;
  #flows = { publish: 'connecting', subscribe: 'connecting' };
  /** @type {number | undefined} */
  #blocked;
  /** @type {number | undefined} */
  #viewTimer;
  /** @type {ViewTile[] | null} */
  #tiles = null;
  #saidView = '';
  #saidTypingMs = 0;
  /** @type {number | undefined} */
  #typingEnds;
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
    this.sounds.className = 'sounds';
    this.sounds.hidden = true;
    document.body.append(this.sounds);
    local.addEventListener('change', this.#localChanged);
    addEventListener('pagehide', this.#pageHidden);
    this.#stopWatchingNetwork = watchNetwork(() => this.#networkChanged());
  }

  get state() {
    return this.store.state;
  }

  /** Slots of what is received now. */
  get slots() {
    return this.#subscriber ? [...this.#subscriber.slots.values()] : [];
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

  /** Peer connections as they are now, for statistics and tests. */
  get connections() {
    return { publish: this.#publisher?.connection ?? null, subscribe: this.#subscriber?.connection ?? null };
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
          this.#isInside = false;
          this.#refusal = null;
          return address;
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
      this.dispatchEvent(new CustomEvent('refused', { detail: error instanceof RequestError ? error.code : 'internal' }));
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

  /**
   * @param {string} text
   * @param {import('./types.js').Extras} [extras]
   */
  sendChat(text, extras = {}) {
    const message = { client_id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), text, sent_ms: Date.now(), failed: false, extras };
    this.store.dispatch({ type: 'local.pending', message });
    this.setTyping(false);
    void this.#post(message);
  }

  /** @param {string} clientId */
  resend(clientId) {
    const message = this.state.pending.find((p) => p.client_id === clientId);
    if (!message) return;
    this.store.dispatch({ type: 'local.resend', client_id: clientId });
    void this.#post(message);
  }

  /** @param {string} emoji */
  react(emoji) {
    this.#socket?.send({ type: 'reaction', emoji });
  }

  /** @param {boolean} isTyping */
  setTyping(isTyping) {
    const now = Date.now();
    clearTimeout(this.#typingEnds);
    if (isTyping) {
      this.#typingEnds = window.setTimeout(() => this.setTyping(false), TYPING_MS);
      if (now - this.#saidTypingMs < TYPING_MS) return;
      this.#saidTypingMs = now;
      this.#socket?.send({ type: 'chat.typing', is_typing: true });
    } else if (this.#saidTypingMs !== 0) {
      this.#saidTypingMs = 0;
      this.#socket?.send({ type: 'chat.typing', is_typing: false });
    }
  }

  /** Fetches the page of chat before the oldest message here. */
  async loadOlder() {
    const { messages, hasOlder, loadingOlder, room } = this.state;
    const oldest = messages[0];
    if (!hasOlder || loadingOlder || !room) return;
    this.store.dispatch({ type: 'local.loading', loading: true });
    try {
      const page = await this.api.messages(room.slug, oldest?.id ?? null, LIMITS.page);
      this.store.dispatch({ type: 'local.older', messages: page.messages, has_more: page.has_more });
    } catch (error) {
      this.store.dispatch({ type: 'local.loading', loading: false });
      throw error;
    }
  }

  /**
   * @param {string} userId
   * @param {number} volume 0..1
   */
  setVolume(userId, volume) {
    this.store.dispatch({ type: 'local.volume', user_id: userId, volume });
    prefer({ volumes: this.state.volumes });
    this.#applyVolumes();
    this.#viewChanged();
  }

  /**
   * Says which tiles are on the screen and how large they are, most important first.
   * @param {ViewTile[]} tiles
   */
  setView(tiles) {
    this.#tiles = tiles;
    this.#viewChanged();
  }

  /** Starts sound that the browser held back; call it from a click. */
  async hear() {
    await Promise.allSettled([...this.sounds.querySelectorAll('audio')].map((audio) => audio.play()));
    this.store.dispatch({ type: 'local.silent', silent: false });
  }

  /** @param {string} deviceId */
  async setSpeaker(deviceId) {
    prefer({ speaker: deviceId });
    await Promise.allSettled([...this.sounds.querySelectorAll('audio')].map((audio) => audio.setSinkId?.(deviceId)));
  }

  // ---- What the server says ----

  /** @param {number} [withinMs] */
  async #address(withinMs) {
    const { slug, key } = this.invitation;
    const resume = this.#resume;
    // Too late to take the participant over, or as a guest renewed meanwhile, one enters as somebody new.
    const { ticket } = await this.api.ticket(slug, { ...(key ? { invite_key: key } : {}), ...(resume ? { resume } : {}) }, withinMs);
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    return `${scheme}//${location.host}/ws/rooms/${encodeURIComponent(slug)}?ticket=${encodeURIComponent(ticket)}`;
  }

  /** @param {ServerMessage} message */
  #heard(message) {
    if (this.#catchup.take(message)) this.#deliver(message);
  }

  /** @param {ServerMessage} message */
  #deliver(message) {
    this.store.dispatch(message);
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
        for (const pending of this.state.pending) if (!pending.failed) void this.#post(pending);
        this.#applyVolumes();
        break;
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
      case 'tracks.changed':
      case 'member.joined':
        // A packet may have come before the word whose it is.
        this.#slotsChanged();
        break;
      default:
        break;
    }
    this.dispatchEvent(new CustomEvent('message', { detail: message }));
  }

  /**
   * @param {boolean} resumed whether the server still has our transports
   */
  async #entered(resumed) {
    this.#saidMedia = null;
    this.#saidView = '';
    this.#sayMedia();
    if (!this.#publisher || !this.#subscriber) {
      const { ice_servers, ttl } = await this.api.iceServers().catch(() => ({ ice_servers: [], ttl: RENEW_AGAIN_S }));
      if (this.state.phase === 'ended' || this.#publisher) return;
      this.#makePeers(ice_servers);
      this.#renewIceServers(ttl);
    }
    for (const end of [this.#publisher, this.#subscriber]) {
      if (resumed) end?.resume();
      else end?.restart();
    }
    this.#viewChanged();
  }

  /**
   * Credentials of TURN end in the middle of a long meeting; a restart of ICE needs good ones.
   * @param {number} ttl seconds
   */
  #renewIceServers(ttl) {
    clearTimeout(this.#renewal);
    this.#renewal = window.setTimeout(async () => {
      const next = await this.api.iceServers().catch(() => null);
      if (this.state.phase === 'ended') return;
      if (next) for (const end of [this.#publisher, this.#subscriber]) end?.useIceServers(next.ice_servers);
      this.#renewIceServers(next?.ttl ?? RENEW_AGAIN_S);
    }, ttl * 1000 * RENEW_AT);
  }

  /** @param {RTCIceServer[]} iceServers */
  #makePeers(iceServers) {
    const world = {
      request: (/** @type {import('./types.js').ClientMessage} */ message) =>
        this.#socket ? this.#socket.request(message) : Promise.reject(new RequestError('disconnected', 'no socket')),
      send: (/** @type {import('./types.js').ClientMessage} */ message) => this.#socket?.send(message),
      canAsk: () => this.#socket?.isOpen ?? false,
      iceServers,
    };
    const isSmall = matchMedia('(max-width: 640px)').matches;
    this.#publisher = new Publisher({ ...world, codec: () => preferences().codec, tell: (state) => this.#flow('publish', state) });
    this.#subscriber = new Subscriber({
      ...world,
      // A phone shows four people and a shared screen at once; a window shows nine and a screen.
      slots: { audio: 4, video: isSmall ? 5 : 10 },
      tell: (state) => this.#flow('subscribe', state),
      changed: () => this.#slotsChanged(),
    });
    this.#localChanged();
  }

  /** @param {import('./chat.js').PendingMessage} pending */
  async #post({ client_id: clientId, text, extras }) {
    try {
      await this.#socket?.request({ type: 'chat.message', text, client_id: clientId, ...extras });
    } catch (error) {
      // A lost line resends by itself when it is back; a refusal waits for the person.
      if (error instanceof RequestError && error.code === 'disconnected') return;
      if (this.state.pending.some((p) => p.client_id === clientId)) this.store.dispatch({ type: 'local.failed', client_id: clientId });
      const code = error instanceof RequestError ? error.code : 'internal';
      this.dispatchEvent(new CustomEvent('refused', { detail: code }));
    }
  }

  // ---- Media ----

  #networkChanged() {
    this.#socket?.test();
    this.#publisher?.networkChanged();
    this.#subscriber?.networkChanged();
  }

  /**
   * @param {'publish' | 'subscribe'} which
   * @param {'connecting' | 'connected' | 'failing'} state
   */
  #flow(which, state) {
    this.#flows[which] = state;
    const isUp = this.#flows.publish === 'connected' && this.#flows.subscribe === 'connected';
    if (isUp) {
      clearTimeout(this.#blocked);
      this.#blocked = undefined;
      this.store.dispatch({ type: 'local.flow', flow: 'connected' });
      return;
    }
    if (this.state.flow !== 'blocked') this.store.dispatch({ type: 'local.flow', flow: 'connecting' });
    this.#blocked ??= window.setTimeout(() => {
      if (this.state.phase === 'joined') this.store.dispatch({ type: 'local.flow', flow: 'blocked' });
    }, BLOCKED_MS);
  }

  #localChanged = () => {
    const { microphone, camera, screen } = this.local;
    void this.#publisher?.set('microphone', microphone.track);
    void this.#publisher?.set('camera', camera.on ? camera.track : null);
    void this.#publisher?.set('screen', screen?.video ?? null);
    void this.#publisher?.set('screen_audio', screen?.audio ?? null);
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
    const audio = this.slots.filter((slot) => slot.kind === 'audio');
    for (const element of [...this.sounds.children]) {
      if (!audio.some((slot) => slot.stream === /** @type {HTMLAudioElement} */ (element).srcObject)) element.remove();
    }
    for (const slot of audio) {
      if ([...this.sounds.children].some((e) => /** @type {HTMLAudioElement} */ (e).srcObject === slot.stream)) continue;
      const element = document.createElement('audio');
      element.autoplay = true;
      element.dataset.mid = slot.mid;
      element.srcObject = slot.stream;
      this.sounds.append(element);
      const speaker = preferences().speaker;
      if (speaker) void element.setSinkId?.(speaker).catch(() => {});
      element.play().catch((error) => {
        // Browsers keep a page silent until it was clicked; somebody must be told to click.
        if (error instanceof DOMException && error.name === 'NotAllowedError') this.store.dispatch({ type: 'local.silent', silent: true });
      });
    }
    this.#applyVolumes();
    this.dispatchEvent(new Event('slots'));
  }

  /** Volume follows the packets: whoever is heard in a slot now. */
  #applyVolumes() {
    for (const slot of this.slots) {
      if (slot.kind !== 'audio') continue;
      const element = [...this.sounds.children].find((e) => /** @type {HTMLAudioElement} */ (e).srcObject === slot.stream);
      if (!(element instanceof HTMLAudioElement)) continue;
      const owner = slot.current ? ownerOf(this.state, slot.current) : null;
      element.volume = owner ? volumeOf(this.state, owner.participant.user_id) : 1;
      element.dataset.participant = owner?.participant.id ?? '';
      element.dataset.source = owner?.source ?? '';
    }
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
    clearTimeout(this.#renewal);
    clearInterval(this.#ticker);
    clearTimeout(this.#viewTimer);
    clearTimeout(this.#blocked);
    clearTimeout(this.#typingEnds);
    this.#publisher?.close();
    this.#subscriber?.close();
    this.#socket?.close();
    this.sounds.remove();
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
  return 'closed';
}

/**
 * Whether the server said no, rather than not now.
 * @param {unknown} error
 */
function isRefusal(error) {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
}
