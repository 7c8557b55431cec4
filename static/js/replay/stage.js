// The pictures of a replay: a grid, or who speaks large; a shared screen has the stage in both.

import { avatar } from '../avatar.js';
import { h, icon, keyed, setText } from '../dom.js';
import { gridBoxes, stageBoxes } from '../grid.js';
import { t } from '../i18n/replay.js';
import { toggleMenu } from '../menu.js';

/** @typedef {import('./story.js').Shown} Shown */
/** @typedef {import('./players.js').Players} Players */
/** @typedef {import('../grid.js').Box} Box */

const GAP = 8;
/** Tiles at once; of more people those who speak are among them. */
const MAX_TILES = 25;

export class Stage {
  element = h('div', { class: 'stage replay-stage', role: 'group' });
  /** @type {'grid' | 'speaker'} */
  view = 'grid';
  #observer;

  /**
   * @param {Players} players
   * @param {() => void} redraw
   */
  constructor(players, redraw) {
    this.players = players;
    this.element.setAttribute('aria-label', t('replay.stage'));
    this.#observer = new ResizeObserver(redraw);
    this.#observer.observe(this.element);
  }

  /** @param {{tiles: Shown[], lead: string | null}} now */
  draw({ tiles, lead }) {
    const { order, boxes } = this.#place(tiles, lead);
    /** @type {Map<string, Box>} */
    const places = new Map(order.map((tile, index) => [tile.key, /** @type {Box} */ (boxes[index])]));
    keyed(this.element, tiles, {
      key: (tile) => tile.key,
      create: (tile) => this.#create(tile),
      update: (element, tile) => this.#update(/** @type {HTMLElement} */ (element), tile, places.get(tile.key) ?? null, tile.key === order[0]?.key && boxes.length > 1 && boxes[0] !== undefined && boxes[1] !== undefined && boxes[0].width > 1.5 * boxes[1].width),
    });
  }

  /**
   * Which tiles are seen, in order, and where.
   * @param {Shown[]} tiles @param {string | null} lead
   * @returns {{order: Shown[], boxes: Box[]}}
   */
  #place(tiles, lead) {
    const { clientWidth: width, clientHeight: height } = this.element;
    const speaks = (/** @type {Shown} */ tile) => (tile.person.id === lead ? 0 : tile.isSpeaking ? 1 : 2);
    const screen = tiles.find((tile) => tile.source === 'screen');
    const first = screen ?? (this.view === 'speaker' ? (tiles.find((tile) => tile.person.id === lead) ?? tiles[0]) : undefined);
    if (first && tiles.length > 1) {
      const others = tiles.filter((tile) => tile !== first).sort((a, b) => speaks(a) - speaks(b));
      const { stage, strip } = stageBoxes(others.length, width, height, GAP);
      return { order: [first, ...others.slice(0, strip.length)], boxes: [stage, ...strip] };
    }
    const loudest = new Set([...tiles].sort((a, b) => speaks(a) - speaks(b)).slice(0, MAX_TILES));
    const order = tiles.filter((tile) => loudest.has(tile));
    return { order, boxes: gridBoxes(order.length, width, height, GAP) };
  }

  /** @param {Shown} tile */
  #create(tile) {
    const { person, source } = tile;
    const name = source === 'screen' ? t('replay.screen_of', { name: person.name }) : person.name;
    const more = h('button', { type: 'button', class: 'tile-more', 'aria-haspopup': 'dialog', 'aria-expanded': 'false', 'aria-label': t('replay.volume_of', { name: person.name }), title: t('replay.volume_of', { name: person.name }), data: { action: 'volume-of' } }, icon('volume', 'small'));
    more.addEventListener('click', () => this.#openVolume(more, person));
    const face = source === 'screen' ? icon('screen', 'huge') : avatar(person.name, person.user);
    return h('div', { class: 'tile', role: 'group', 'aria-label': name, data: { source, name: person.name } }, h('div', { class: 'face' }, face), h('div', { class: 'replay-trouble', hidden: true }, icon('info', 'small'), h('span')), h('span', { class: 'tile-hand', hidden: true }, icon('hand', 'small')), h('div', { class: 'plate' }, icon('mic-off', 'small'), h('span', { class: 'tile-name' }, name)), more);
  }

  /**
   * @param {HTMLElement} element @param {Shown} tile @param {Box | null} box `null`: no room for it
   * @param {boolean} isLarge
   */
  #update(element, tile, box, isLarge) {
    element.hidden = box === null;
    element.dataset.speaking = String(tile.isSpeaking);
    element.classList.toggle('large', isLarge);
    if (box) {
      for (const [name, value] of Object.entries({ left: box.x, top: box.y, width: box.width, height: box.height })) element.style.setProperty(name, `${value}px`);
      element.style.setProperty('--tile-size', `${Math.min(box.width, box.height)}px`);
    }
    // All files of this person and source live here, so that what is heard without being seen plays on.
    let hasPicture = false;
    for (const { index, file, video, isSeen } of this.players.all()) {
      if (file.participant_id !== tile.person.id || file.source !== tile.source) continue;
      if (video.parentElement !== element) element.insertBefore(video, element.children[1] ?? null);
      const isShown = index === tile.file && isSeen;
      video.classList.toggle('shown', isShown);
      hasPicture ||= isShown;
    }
    element.dataset.state = hasPicture ? 'picture' : 'avatar';
    /** @type {HTMLElement} */ (element.querySelector('.tile-hand')).hidden = !tile.hand;
    /** @type {Element} */ (element.querySelector('.plate > .icon')).toggleAttribute('hidden', !tile.isMuted || tile.source === 'screen');
    const trouble = /** @type {HTMLElement} */ (element.querySelector('.replay-trouble'));
    const words = tile.file === null ? '' : this.players.unplayable.has(tile.file) ? t('replay.unplayable', { codec: this.#codecs(tile.file) }) : this.players.failed.has(tile.file) ? t('replay.failed') : '';
    trouble.hidden = words === '';
    setText(/** @type {Element} */ (trouble.lastElementChild), words);
  }

  /** @param {number} file */
  #codecs(file) {
    return (this.players.story.contents.files[file]?.tracks ?? []).map(({ codec }) => codec.toUpperCase()).join(' + ');
  }

  /** @param {HTMLButtonElement} anchor @param {import('./story.js').Person} person */
  #openVolume(anchor, person) {
    toggleMenu(anchor, t('replay.volume_of', { name: person.name }), () => {
      const slider = h('input', { type: 'range', min: 0, max: 100, value: Math.round(this.players.volumeOf(person.id) * 100), name: 'volume', 'aria-label': t('replay.volume_of', { name: person.name }) });
      slider.addEventListener('input', () => this.players.setVolumeOf(person.id, Number(slider.value) / 100));
      return [{ heading: person.name }, { element: h('div', { class: 'menu-slider row' }, icon('volume', 'small'), slider) }];
    });
  }

  close() {
    this.#observer.disconnect();
  }
}
