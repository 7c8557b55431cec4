// Where one is in a recording: a slider with what happened on it, and below it who spoke when.

import { h, setText } from '../dom.js';
import { t } from '../i18n/replay.js';
import { timecode } from './pace.js';

/** @typedef {import('./story.js').Story} Story */

/** People whose speech is shown; the others spoke less. */
const MAX_LANES = 6;
/** Ticks on the slider: more would be a bar. */
const MAX_MARKS = 200;
const SVG = 'http://www.w3.org/2000/svg';

export class Timeline {
  #slider;
  #now = h('span', { class: 'replay-now' }, '0:00');
  #played = h('div', { class: 'replay-played' });
  #isHeld = false;

  /**
   * @param {Story} story
   * @param {{at: number, text: string}[]} lines of the chat
   * @param {(at: number) => void} seek
   */
  constructor(story, lines, seek) {
    this.story = story;
    this.#slider = h('input', { type: 'range', class: 'replay-slider', min: 0, max: Math.max(1, story.duration), step: 100, value: 0, 'aria-label': t('replay.position'), data: { action: 'position' } });
    this.#slider.addEventListener('input', () => seek(Number(this.#slider.value)));
    this.#slider.addEventListener('pointerdown', () => (this.#isHeld = true));
    addEventListener('pointerup', this.#released);
    const marks = h('div', { class: 'replay-marks', 'aria-hidden': 'true' });
    const what = [...story.marks().map(({ at, kind, person }) => ({ at, kind, text: t(`replay.mark.${kind}`, { name: person.name }) })), ...lines.map(({ at, text }) => ({ at, kind: 'chat', text }))];
    for (const { at, kind, text } of thin(what, MAX_MARKS)) {
      const mark = h('span', { class: `replay-mark ${kind}`, title: `${timecode(at)} · ${text}` });
      mark.style.setProperty('left', `${part(at, story.duration)}%`);
      marks.append(mark);
    }
    this.element = h(
      'div',
      { class: 'replay-timeline' },
      h('div', { class: 'replay-track' }, this.#played, marks, this.#slider),
      h('div', { class: 'replay-times' }, this.#now, h('span', null, timecode(story.duration))),
      this.#lanes(seek),
    );
  }

  #released = () => {
    this.#isHeld = false;
  };

  /** @param {(at: number) => void} seek */
  #lanes(seek) {
    const length = (/** @type {import('./story.js').Span[]} */ spans) => spans.reduce((sum, { from, to }) => sum + to - from, 0);
    const talkers = [...this.story.speech()].sort(([, a], [, b]) => length(b) - length(a)).slice(0, MAX_LANES);
    return h(
      'div',
      { class: 'replay-lanes', hidden: talkers.length === 0 },
      ...talkers.map(([id, spans], index) => {
        const name = this.story.people.get(id)?.name ?? '';
        const picture = document.createElementNS(SVG, 'svg');
        picture.setAttribute('viewBox', `0 0 ${Math.max(1, this.story.duration)} 10`);
        picture.setAttribute('preserveAspectRatio', 'none');
        picture.setAttribute('class', `replay-speech lane-${index}`);
        picture.setAttribute('role', 'img');
        picture.setAttribute('aria-label', t('replay.spoke', { name, time: timecode(length(spans)) }));
        for (const { from, to } of spans) {
          const rect = document.createElementNS(SVG, 'rect');
          rect.setAttribute('x', String(from));
          rect.setAttribute('width', String(Math.max(to - from, this.story.duration / 1000)));
          rect.setAttribute('y', '0');
          rect.setAttribute('height', '10');
          picture.append(rect);
        }
        picture.addEventListener('click', (event) => {
          const box = picture.getBoundingClientRect();
          seek(((event.clientX - box.left) / Math.max(1, box.width)) * this.story.duration);
        });
        return h('div', { class: 'replay-lane' }, h('span', { class: 'replay-talker', title: name }, name), picture);
      }),
    );
  }

  /** @param {number} at */
  draw(at) {
    const text = timecode(at);
    setText(this.#now, text);
    this.#slider.setAttribute('aria-valuetext', t('replay.of', { now: text, all: timecode(this.story.duration) }));
    if (!this.#isHeld) this.#slider.value = String(at);
    this.element.style.setProperty('--at', `${part(at, this.story.duration)}%`);
  }

  close() {
    removeEventListener('pointerup', this.#released);
  }
}

/** @param {number} at @param {number} whole */
function part(at, whole) {
  return whole > 0 ? Math.min(100, Math.max(0, (100 * at) / whole)) : 0;
}

/** So many of a list, evenly. @template T @param {T[]} list @param {number} most @returns {T[]} */
function thin(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, index) => /** @type {T} */ (list[Math.floor((index * list.length) / most)]));
}
