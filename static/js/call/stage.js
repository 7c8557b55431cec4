// The stage: which tiles stand where, which slot shows in which of them, and what the server is told about it.

import { h } from '../dom.js';
import { gridBoxes, pageOf, picturesFirst, stageBoxes, tilesPerPage, withSpeakersVisible } from '../grid.js';
import { t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { placeOfHand } from '../orders.js';
import { ownerOf, volumeOf } from '../state.js';
import { Quality } from '../stats.js';
import { tilesOf } from '../tiles.js';
import { personItems } from './deeds.js';
import { FloatingSelf } from './floating.js';
import { pager } from './pager.js';
import { float } from './reactions.js';
import { Tile } from './tile.js';
import { volumeSlider } from './volume.js';

/** @typedef {import('../tiles.js').TileSpec} TileSpec */
/** @typedef {import('../grid.js').Box} Box */

/** People beside a shared screen who should be seen first; a strip rarely holds more. */
const STRIP = 4;
const GAP = 8;
/** What the pager takes below the tiles, so that it covers no face. */
const PAGER = 52;
/** Rings move this often; levels come with audio packets, ten times a second is smooth enough. */
const LEVEL_MS = 100;

export class Stage {
  element = h('div', { class: 'stage', 'aria-label': t('stage.label'), role: 'region' });
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {string[]} */
  #order = [];
  #floating;
  #meeting;
  #resize;
  #levels;
  #pager = pager((step) => this.#meeting.store.dispatch({ type: 'local.page', page: this.#meeting.state.page + step }));
  #ownLevel = 0;
  #readings;
  /** Judges of links, by tile.
   * @type {WeakMap<Tile, Quality>} */
  #qualities = new WeakMap();
  /** Shows the details of a tile.
   * @type {((key: string) => void) | null} */
  openDetails = null;
  #stops;

  /**
   * @param {import('../meeting.js').Meeting} meeting
   * @param {import('../readings.js').Readings} readings
   */
  constructor(meeting, readings) {
    this.#meeting = meeting;
    this.#readings = readings;
    this.#floating = new FloatingSelf(this.element, () => this.draw());
    const judge = () => this.#judge();
    readings.addEventListener('read', judge);
    this.element.append(this.#pager.element);
    this.#resize = new ResizeObserver(() => this.draw());
    this.#resize.observe(this.element);
    this.#levels = setInterval(() => this.#drawLevels(), LEVEL_MS);
    const bind = () => this.#bind();
    const draw = () => this.draw();
    meeting.addEventListener('slots', bind);
    meeting.addEventListener('local', draw);
    this.#stops = [
      () => readings.removeEventListener('read', judge),
      meeting.store.subscribe(draw),
      () => meeting.removeEventListener('slots', bind),
      () => meeting.removeEventListener('local', draw),
      () => this.#resize.disconnect(),
      () => clearInterval(this.#levels),
    ];
  }

  stop() {
    for (const stop of this.#stops) stop();
    for (const tile of this.#tiles.values()) tile.remove();
    this.#tiles.clear();
  }

  /**
   * How loud the own microphone is, for the own ring.
   * @param {number} level 0..1
   */
  setOwnLevel(level) {
    this.#ownLevel = level;
  }

  /**
   * Somebody shows a feeling: over their tile, or with their name where they have none on this page.
   * @param {import('../state.js').Participant} participant
   * @param {string} emoji
   */
  react(participant, emoji) {
    const tile = this.#tiles.get(`${participant.id}:camera`);
    float(tile ?? this.element, emoji, tile ? null : participant.display_name);
  }

  draw() {
    const { width, height } = this.element.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const { state } = this.#meeting;
    const { screens, people, me } = tilesOf(state);
    const perPage = tilesPerPage(width, height);
    /** @type {{spec: TileSpec, box: Box, floating?: boolean, stage?: boolean}[]} */
    const placed = [];
    let pages = 1;
    let page = 0;

    const pinned = [...screens, ...people].find((spec) => spec.key === state.pinned);
    const star = pinned ?? screens[0];
    if (star) {
      const rest = [...screens.filter((s) => s !== star), ...this.#arrange(people.filter((s) => s !== star), STRIP), ...(me ? [me] : [])];
      const { stage, strip } = stageBoxes(rest.length, width, height, GAP);
      placed.push({ spec: star, box: stage, stage: true });
      strip.forEach((box, index) => placed.push({ spec: /** @type {TileSpec} */ (rest[index]), box }));
    } else if (me && people.length === 1) {
      placed.push({ spec: /** @type {TileSpec} */ (people[0]), box: gridBoxes(1, width, height, GAP)[0] ?? whole(width, height) });
      placed.push({ spec: me, box: this.#floating.box(width, height), floating: true });
    } else {
      // The own tile keeps its place on the first page; the others fill what is left.
      const arranged = [...(me ? [me] : []), ...this.#arrange(people, perPage - (me ? 1 : 0))];
      const shown = pageOf(arranged, state.page, perPage);
      pages = shown.pages;
      page = shown.page;
      const boxes = gridBoxes(shown.items.length, width, pages > 1 ? height - PAGER : height, GAP);
      shown.items.forEach((spec, index) => placed.push({ spec, box: /** @type {Box} */ (boxes[index]) }));
    }

    const wanted = new Set(placed.map(({ spec }) => spec.key));
    for (const [key, tile] of this.#tiles) {
      if (wanted.has(key)) continue;
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const { spec, box, floating, stage } of placed) {
      let tile = this.#tiles.get(spec.key);
      if (!tile) {
        tile = new Tile();
        tile.openMenu = (of, anchor) => this.#openMenu(of, anchor);
        tile.openDetails = (of) => of.spec && this.openDetails?.(of.spec.key);
        this.#qualities.set(tile, new Quality());
        this.#tiles.set(spec.key, tile);
        this.element.append(tile);
        if (spec.mine) this.#floating.makeMovable(tile);
      }
      tile.place(box);
      tile.draw(spec, {
        isSpeaking: state.speakers.includes(spec.participant.id) && !spec.participant.media.mic_muted,
        isPinned: spec.key === state.pinned,
        isFloating: floating ?? false,
        isStage: stage ?? false,
        volume: volumeOf(state, spec.participant.user_id),
        hand: placeOfHand(state, spec.participant.id),
      });
    }
    this.element.dataset.layout = star ? 'stage' : 'grid';
    this.#pager.draw(page, pages);
    this.#bind();
    this.#tellView(placed);
  }

  /** What stands on the stage now, in that order. */
  get shown() {
    return [...this.#tiles.values()].flatMap((tile) => tile.spec ?? []);
  }

  /** Marks tiles whose picture suffers. The own one suffers when much of what is sent is lost. */
  #judge() {
    for (const [tile, quality] of [...this.#tiles.values()].map((tile) => /** @type {const} */ ([tile, this.#qualities.get(tile)]))) {
      const { spec } = tile;
      if (!spec || !quality) continue;
      const slot = spec.csrc === null ? undefined : this.#meeting.slots.find((s) => s.kind === 'video' && s.current === spec.csrc);
      const sent = (this.#readings.sent.get('camera') ?? []).filter((layer) => layer.active && layer.bitrate > 0);
      const worst = sent.reduce((a, b) => (a && a.loss >= b.loss ? a : b), /** @type {import('../stats.js').Reading | null} */ (null));
      const reading = spec.mine ? worst : slot ? (this.#readings.received.get(slot.mid) ?? null) : null;
      tile.setWeak(quality.judge(reading));
    }
  }

  /**
   * People in the order they stand: as they came, with speakers brought forward and kept there, in large rooms before
   * them those with pictures.
   * @param {TileSpec[]} people
   * @param {number} visible
   */
  #arrange(people, visible) {
    const byId = new Map(people.map((spec) => [spec.participant.id, spec]));
    const kept = this.#order.filter((id) => byId.has(id));
    const before = new Set(kept);
    const come = people.map((spec) => spec.participant.id).filter((id) => !before.has(id));
    const order = picturesFirst([...kept, ...come], (id) => byId.get(id)?.csrc !== null, visible);
    this.#order = withSpeakersVisible(order, this.#meeting.state.speakers.filter((id) => byId.has(id)), visible);
    return this.#order.map((id) => /** @type {TileSpec} */ (byId.get(id)));
  }

  /** Gives each visible tile the slot that carries its track now. */
  #bind() {
    const slots = this.#meeting.slots.filter((slot) => slot.kind === 'video');
    for (const tile of this.#tiles.values()) {
      const { spec } = tile;
      if (!spec) continue;
      if (spec.mine) {
        const { camera } = this.#meeting.local;
        tile.bindOwn(camera.on ? camera.track : null);
      } else {
        const slot = slots.find((slot) => slot.current === spec.csrc) ?? null;
        const binding = slot && this.#meeting.bindingOf(slot.mid);
        const isSaved = binding?.reason === 'server' && binding.track?.csrc === spec.csrc;
        // A picture that the server leaves out must not stand still as its last frame.
        const isDark = isSaved && !binding.layer;
        tile.setSaved(isSaved);
        tile.bind(isDark ? null : slot, isDark ? null : spec.csrc);
      }
    }
  }

  /** @param {{spec: TileSpec, box: Box, stage?: boolean}[]} placed */
  #tellView(placed) {
    const scale = Math.min(3, devicePixelRatio || 1);
    const tiles = placed
      .filter(({ spec }) => !spec.mine && spec.csrc !== null)
      .map(({ spec, box }) => ({
        participant_id: spec.participant.id,
        source: spec.source,
        width: Math.min(65535, Math.round(box.width * scale)),
        height: Math.min(65535, Math.round(box.height * scale)),
        pinned: spec.key === this.#meeting.state.pinned,
      }));
    this.#meeting.setView(tiles);
  }

  #drawLevels() {
    /** @type {Map<string, number>} */
    const levels = new Map();
    for (const slot of this.#meeting.slots) {
      if (slot.kind !== 'audio' || !slot.current) continue;
      const owner = ownerOf(this.#meeting.state, slot.current);
      if (owner?.source === 'microphone') levels.set(owner.participant.id, Math.min(1, (slot.level ?? 0.3) * 3));
    }
    for (const tile of this.#tiles.values()) {
      const { spec } = tile;
      if (!spec || spec.source === 'screen') continue;
      const level = spec.mine ? this.#ownLevel : (levels.get(spec.participant.id) ?? 0);
      tile.style.setProperty('--level', level.toFixed(2));
      if (spec.mine) tile.dataset.speaking = String(level > 0.45 && !spec.participant.media.mic_muted);
    }
  }

  // ---- The menu of a tile ----

  /**
   * @param {Tile} tile
   * @param {HTMLButtonElement} anchor
   */
  #openMenu(tile, anchor) {
    const { spec } = tile;
    if (!spec) return;
    const { participant } = spec;
    const { state } = this.#meeting;
    toggleMenu(anchor, participant.display_name, () => {
      /** @type {import('../menu.js').MenuItem[]} */
      const items = [{ heading: participant.display_name }];
      const details = { label: t('details.open'), icon: 'signal', action: 'details', pick: () => this.openDetails?.(spec.key) };
      if (spec.mine) {
        if (tile.classList.contains('floating')) items.push({ label: t('tile.move'), icon: 'expand', action: 'move-self', pick: () => this.#floating.moveOn() });
        else items.push({ heading: t('tile.only_you') });
        items.push(details);
        return items;
      }
      items.push({ element: volumeSlider(this.#meeting, participant.user_id, participant.display_name) });
      const isPinned = state.pinned === spec.key;
      items.push({
        label: t(isPinned ? 'tile.unpin' : 'tile.pin'),
        icon: isPinned ? 'unpin' : 'pin',
        action: 'pin',
        pick: () => this.#meeting.store.dispatch({ type: 'local.pin', key: isPinned ? null : spec.key }),
      });
      if (document.fullscreenEnabled) {
        items.push({ label: t('tile.fullscreen'), icon: 'expand', action: 'fullscreen', pick: () => void tile.requestFullscreen().catch(() => {}) });
      }
      items.push(details, ...personItems(this.#meeting, this.#meeting.state.participants.find((p) => p.id === participant.id) ?? participant));
      return items;
    });
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {Box}
 */
function whole(width, height) {
  return { x: 0, y: 0, width, height };
}
