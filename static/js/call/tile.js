// One tile: a person's picture or avatar, or a shared screen, with the name on it.

import { avatar } from '../avatar.js';
import { h, icon, setIcon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { Picture } from '../picture.js';

/** @typedef {import('../tiles.js').TileSpec} TileSpec */
/** @typedef {import('../grid.js').Box} Box */

/**
 * What a tile shows now; see the head of `views/call.js` for the attributes that tests read.
 * @typedef {object} TileLook
 * @property {boolean} isSpeaking
 * @property {boolean} isPinned
 * @property {boolean} isFloating
 * @property {boolean} isStage
 * @property {number} volume 0..1
 * @property {number} hand place in the queue of raised hands, 0 when it is down
 */

export class Tile extends HTMLElement {
  /** @type {TileSpec | null} */
  spec = null;
  /** Opens the menu of the tile; set by the stage.
   * @type {((tile: Tile, anchor: HTMLButtonElement) => void) | null} */
  openMenu = null;

  /** Shows why the link is called weak; set by the stage.
   * @type {((tile: Tile) => void) | null} */
  openDetails = null;

  #video = h('video', { playsinline: true, autoplay: true, 'aria-hidden': 'true', tabindex: '-1', disablepictureinpicture: true });
  #face = h('div', { class: 'face' });
  #mic = icon('mic-off', 'small');
  #name = h('span', { class: 'tile-name' });
  #mute = icon('volume-off', 'small');
  #hand = h('span', { class: 'tile-hand', hidden: true }, icon('hand', 'small'), h('span'));
  #weak = h('button', { type: 'button', class: 'tile-weak', hidden: true, data: { action: 'weak' } }, icon('signal-weak', 'small'));
  #isWeak = false;
  #isSaved = false;
  #away = h('div', { class: 'away' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), h('span', null));
  #more = h('button', { type: 'button', class: 'tile-more', 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action: 'tile-menu' } }, icon('more', 'small'));
  #picture = new Picture(this.#video, () => this.#drawState());
  /** What the tile says of itself beside its link. */
  #said = '';
  #drawnFace = '';
  #wantsPicture = false;
  /** The track of this device that is shown, and whether its first frame is here.
   * @type {MediaStreamTrack | null} */
  #own = null;
  #isOwnShown = false;

  constructor() {
    super();
    this.#video.muted = true;
    this.#more.addEventListener('click', () => this.openMenu?.(this, this.#more));
    this.#weak.addEventListener('click', () => this.openDetails?.(this));
    this.#away.hidden = true;
  }

  connectedCallback() {
    if (this.firstChild) return;
    this.className = 'tile';
    this.setAttribute('role', 'group');
    this.append(this.#face, this.#video, this.#away, this.#hand, h('div', { class: 'plate' }, this.#mic, this.#mute, this.#name, this.#weak), this.#more);
  }

  disconnectedCallback() {
    this.#picture.attach(null, 0);
    this.#video.srcObject = null;
    this.#own = null;
    this.#isOwnShown = false;
  }

  /**
   * @param {TileSpec} spec
   * @param {TileLook} look
   */
  draw(spec, look) {
    this.spec = spec;
    const { participant, source, mine } = spec;
    const { mic_muted, mic_forced } = participant.media;
    const isScreen = source === 'screen';
    const shownName = mine ? t('tile.you', { name: participant.display_name }) : isScreen ? t('tile.screen', { name: participant.display_name }) : participant.display_name;
    this.dataset.participant = participant.id;
    this.dataset.source = source;
    this.dataset.name = participant.display_name;
    this.dataset.mine = String(mine);
    this.dataset.mic = mic_forced ? 'forced' : mic_muted ? 'muted' : 'on';
    this.dataset.speaking = String(look.isSpeaking && !isScreen);
    this.classList.toggle('floating', look.isFloating);
    this.classList.toggle('on-stage', look.isStage);
    this.classList.toggle('pinned', look.isPinned);
    this.#video.classList.toggle('mirrored', mine && !isScreen);
    this.#mic.classList.toggle('forced', mic_forced);
    this.#mic.toggleAttribute('hidden', isScreen || !(mic_muted || mic_forced));
    setIcon(this.#mic, 'mic-off');
    this.#mute.toggleAttribute('hidden', mine || look.volume > 0);
    setText(this.#name, shownName);
    this.#hand.hidden = isScreen || look.hand === 0;
    this.dataset.hand = isScreen ? '0' : String(look.hand);
    setText(/** @type {Element} */ (this.#hand.lastElementChild), String(look.hand));
    const details = [
      shownName,
      !isScreen && look.hand > 0 ? t('hand.place', { n: look.hand }) : '',
      isScreen ? '' : mic_forced ? t('tile.forced') : mic_muted ? t('tile.muted') : '',
      !mine && look.volume === 0 ? t('tile.silenced') : '',
      participant.presence === 'reconnecting' ? t('tile.away') : '',
    ].filter(Boolean);
    this.#said = details.join(', ');
    this.#drawWeak();
    this.#more.setAttribute('aria-label', t('tile.menu', { name: shownName }));
    this.#more.title = t('tile.menu.short');
    this.#away.hidden = participant.presence !== 'reconnecting';
    setText(/** @type {Element} */ (this.#away.lastElementChild), t('tile.away'));
    const face = `${participant.display_name} ${participant.user_id} ${source}`;
    if (face !== this.#drawnFace) {
      this.#drawnFace = face;
      this.#face.replaceChildren(isScreen ? icon('screen', 'huge') : avatar(participant.display_name, participant.user_id));
    }
    this.#drawState();
  }

  /**
   * Shows somebody else's track from a slot; without a slot the avatar.
   * @param {import('../subscriber.js').Slot | null} slot
   * @param {number | null} csrc null when there is no track to show
   */
  bind(slot, csrc) {
    this.#wantsPicture = csrc !== null;
    this.#picture.attach(csrc === null ? null : slot, csrc ?? 0);
    this.#drawState();
  }

  /**
   * Shows a track of this device.
   * @param {MediaStreamTrack | null} track
   */
  bindOwn(track) {
    this.#wantsPicture = track !== null;
    if (track !== this.#own) {
      this.#own = track;
      this.#isOwnShown = false;
      this.#video.srcObject = track ? new MediaStream([track]) : null;
      if (track) {
        this.#video.play().catch(() => {});
        this.#video.requestVideoFrameCallback(() => {
          if (track !== this.#own) return;
          this.#isOwnShown = true;
          this.#drawState();
        });
      }
    }
    this.#drawState();
  }

  /** @param {boolean} isWeak whether the link behind the picture is */
  setWeak(isWeak) {
    if (isWeak === this.#isWeak) return;
    this.#isWeak = isWeak;
    this.#drawWeak();
  }

  /** @param {boolean} isSaved whether the server, which is too busy, leaves something of the picture out */
  setSaved(isSaved) {
    if (isSaved === this.#isSaved) return;
    this.#isSaved = isSaved;
    this.#drawWeak();
  }

  /** The sign for a picture that is less than it could be, with the reason in words. */
  #drawWeak() {
    const what = this.#isWeak ? t('tile.weak') : this.#isSaved ? t('tile.saved') : '';
    const act = t(this.#isWeak ? 'tile.weak.do' : 'tile.saved.do');
    this.#weak.hidden = what === '';
    this.#weak.setAttribute('aria-label', act);
    this.#weak.title = act;
    this.dataset.weak = String(this.#isWeak);
    this.dataset.saved = String(this.#isSaved);
    this.setAttribute('aria-label', [this.#said, what].filter(Boolean).join(', '));
  }

  /** @param {Box} box */
  place(box) {
    this.style.setProperty('left', `${box.x}px`);
    this.style.setProperty('top', `${box.y}px`);
    this.style.setProperty('width', `${box.width}px`);
    this.style.setProperty('height', `${box.height}px`);
    // Initials grow with the tile.
    this.style.setProperty('--tile-size', `${Math.min(box.width, box.height)}px`);
  }

  /** The element with the picture, for full screen. */
  get video() {
    return this.#video;
  }

  #drawState() {
    const isShown = this.spec?.mine ? this.#isOwnShown : this.#picture.isShown;
    this.dataset.state = isShown ? 'picture' : this.#wantsPicture ? 'loading' : 'avatar';
  }
}

customElements.define('veche-tile', Tile);
