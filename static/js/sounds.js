// What is heard of the others: one audio element per audio slot, each at the volume of whoever is in the slot now.

import { preferences } from './preferences.js';
import { ownerOf, volumeOf } from './state.js';

/** @typedef {import('./subscriber.js').Slot} Slot */

export class Sounds {
  /** Stands in the body, because moving a playing element would stop it. */
  #element = document.createElement('div');
  #held;

  /** @param {() => void} held the browser keeps the page silent until somebody clicks */
  constructor(held) {
    this.#held = held;
    this.#element.className = 'sounds';
    this.#element.hidden = true;
    document.body.append(this.#element);
  }

  /**
   * Plays these slots and no others.
   * @param {readonly Slot[]} slots
   * @param {import('./state.js').Meeting} state
   */
  play(slots, state) {
    const audio = slots.filter((slot) => slot.kind === 'audio');
    for (const element of this.#all()) {
      if (!audio.some((slot) => slot.stream === element.srcObject)) element.remove();
    }
    for (const slot of audio) if (!this.#of(slot)) this.#add(slot);
    this.applyVolumes(slots, state);
  }

  /**
   * Volume follows the packets: whoever is heard in a slot now.
   * @param {readonly Slot[]} slots
   * @param {import('./state.js').Meeting} state
   */
  applyVolumes(slots, state) {
    for (const slot of slots) {
      const element = slot.kind === 'audio' ? this.#of(slot) : undefined;
      if (!element) continue;
      const owner = slot.current ? ownerOf(state, slot.current) : null;
      element.volume = owner ? volumeOf(state, owner.participant.user_id) : 1;
      element.dataset.participant = owner?.participant.id ?? '';
      element.dataset.source = owner?.source ?? '';
    }
  }

  /** Starts sound that the browser held back; call it from a click. */
  async start() {
    await Promise.allSettled(this.#all().map((audio) => audio.play()));
  }

  /** @param {string} deviceId */
  async setSpeaker(deviceId) {
    await Promise.allSettled(this.#all().map((audio) => audio.setSinkId?.(deviceId)));
  }

  remove() {
    this.#element.remove();
  }

  #all() {
    return [...this.#element.querySelectorAll('audio')];
  }

  /** @param {Slot} slot */
  #of(slot) {
    return this.#all().find((element) => element.srcObject === slot.stream);
  }

  /** @param {Slot} slot */
  #add(slot) {
    const element = document.createElement('audio');
    element.autoplay = true;
    element.dataset.mid = slot.mid;
    element.srcObject = slot.stream;
    this.#element.append(element);
    const { speaker } = preferences();
    if (speaker) void element.setSinkId?.(speaker).catch(() => {});
    element.play().catch((error) => {
      // Browsers keep a page silent until it was clicked; somebody must be told to click.
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#held();
    });
  }
}
