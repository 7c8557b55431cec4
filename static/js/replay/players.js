// The files of a recording as media elements that keep step with one clock.

import { pace } from './pace.js';
import { hasPicture, isAt, typeOf } from './story.js';

/** @typedef {import('./story.js').Story} Story */

/** A file is fetched so long before it is due. */
const AHEAD_MS = 4_000;
/** One file that does not come holds the others up no longer than this. */
const PATIENCE_MS = 12_000;
/** A file that fails is asked for again so often, with a new permission each time. */
const TRIES = 3;

/**
 * @typedef {object} Player
 * @property {number} index
 * @property {HTMLVideoElement} video
 * @property {number} tries
 * @property {number | null} waitingSince
 * @property {boolean} isBroken
 */

/** All elements of a replay. */
export class Players {
  /** @type {Map<number, Player>} */
  #players = new Map();
  /** @type {Map<string, number>} */
  #volumes = new Map();
  #volume = 1;
  /** Numbers of files that this browser cannot play at all.
   * @type {Set<number>} */
  unplayable = new Set();
  /** Numbers of files that did not come.
   * @type {Set<number>} */
  failed = new Set();

  /**
   * @param {Story} story
   * @param {(name: string) => string} addressOf
   * @param {() => Promise<void>} permit asks for the right to the files anew
   */
  constructor(story, addressOf, permit) {
    this.story = story;
    this.addressOf = addressOf;
    this.permit = permit;
    const probe = document.createElement('video');
    story.contents.files.forEach((file, index) => {
      if (probe.canPlayType(typeOf(file)) === '') this.unplayable.add(index);
    });
  }

  /**
   * Brings every file into step.
   * @param {number} at on the recording's clock
   * @param {{isPlaying: boolean, rate: number}} how
   * @returns {boolean} whether the clock should wait
   */
  sync(at, { isPlaying, rate }) {
    const wanted = new Set(this.story.filesAt(at, AHEAD_MS * Math.max(1, rate)).filter((index) => !this.unplayable.has(index)));
    for (const [index, player] of this.#players) if (!wanted.has(index)) this.#drop(player);
    let isWaiting = false;
    for (const index of wanted) {
      const file = this.story.contents.files[index];
      if (!file) continue;
      const player = this.#players.get(index) ?? this.#make(index);
      if (player.isBroken) continue;
      const { video } = player;
      const should = Math.max(0, at - file.offset_ms) / 1000;
      if (!isAt(file, at)) {
        // It begins soon: stand at the beginning.
        if (!video.paused) video.pause();
        if (video.currentTime !== 0 && video.readyState > 0) video.currentTime = 0;
        continue;
      }
      if (this.#isLate(player)) {
        isWaiting = true;
        // Standing at the right place, so that what is fetched is what is wanted.
        if (video.readyState > 0 && !video.seeking && Math.abs(video.currentTime - should) > 0.5) video.currentTime = should;
        continue;
      }
      const step = pace(video.currentTime * 1000, should * 1000, rate);
      if (!isPlaying) {
        if (!video.paused) video.pause();
        if (Math.abs(video.currentTime - should) > 0.04 && !video.seeking) video.currentTime = should;
        continue;
      }
      if (step.jump) {
        if (!video.seeking) video.currentTime = should;
      } else if (Math.abs(video.playbackRate - step.rate) > 0.001) {
        video.playbackRate = step.rate;
      }
      // The browser may refuse before anybody has clicked; the page says so then.
      if (video.paused && !video.ended) video.play().catch(() => {});
    }
    // While one waits, all stand.
    if (isWaiting) for (const { video } of this.#players.values()) if (!video.paused) video.pause();
    return isWaiting;
  }

  /** @param {Player} player */
  #isLate(player) {
    const { video } = player;
    const isHere = video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || video.ended || (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.duration - video.currentTime < 0.5);
    if (isHere) {
      player.waitingSince = null;
      return false;
    }
    player.waitingSince ??= performance.now();
    if (performance.now() - player.waitingSince > PATIENCE_MS) {
      this.failed.add(player.index);
      return false;
    }
    return true;
  }

  /** @param {number} index */
  #make(index) {
    const file = this.story.contents.files[index];
    const video = document.createElement('video');
    video.playsInline = true;
    video.disablePictureInPicture = true;
    video.preload = 'auto';
    video.tabIndex = -1;
    video.setAttribute('aria-hidden', 'true');
    video.preservesPitch = true;
    /** @type {Player} */
    const player = { index, video, tries: 0, waitingSince: null, isBroken: false };
    video.addEventListener('error', () => void this.#again(player));
    this.#players.set(index, player);
    video.src = this.addressOf(file?.name ?? '');
    this.#loud(player);
    return player;
  }

  /** What it may fetch has an end, and links break. @param {Player} player */
  async #again(player) {
    if (!this.#players.has(player.index)) return;
    player.tries += 1;
    if (player.tries > TRIES) {
      player.isBroken = true;
      this.failed.add(player.index);
      return;
    }
    try {
      await this.permit();
    } catch {
      // Whether it comes all the same shows at once.
    }
    if (this.#players.get(player.index) !== player) return;
    player.video.load();
  }

  /** @param {Player} player */
  #drop(player) {
    this.#players.delete(player.index);
    player.video.removeAttribute('src');
    player.video.load();
    player.video.remove();
  }

  /** The element of a file, if it is on. @param {number} index */
  video(index) {
    return this.#players.get(index)?.video ?? null;
  }

  /**
   * Elements that are on, each with its file.
   * @returns {{index: number, file: import('./story.js').FileEntry, video: HTMLVideoElement, isSeen: boolean}[]}
   */
  all() {
    return [...this.#players.values()].flatMap(({ index, video }) => {
      const file = this.story.contents.files[index];
      return file ? [{ index, file, video, isSeen: hasPicture(file) && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA }] : [];
    });
  }

  /** @param {string} person @returns {number} 0..1 */
  volumeOf(person) {
    return this.#volumes.get(person) ?? 1;
  }

  /** @param {string} person @param {number} volume 0..1 */
  setVolumeOf(person, volume) {
    this.#volumes.set(person, volume);
    for (const player of this.#players.values()) this.#loud(player);
  }

  get volume() {
    return this.#volume;
  }

  set volume(volume) {
    this.#volume = volume;
    for (const player of this.#players.values()) this.#loud(player);
  }

  /** @param {Player} player */
  #loud({ index, video }) {
    const id = this.story.contents.files[index]?.participant_id ?? '';
    video.volume = this.#volume * this.volumeOf(id);
    video.muted = video.volume === 0;
  }

  close() {
    for (const player of [...this.#players.values()]) this.#drop(player);
  }
}
