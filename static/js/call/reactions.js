// Reactions: an emoji that floats up over whoever shows it, and is gone.

import { h } from '../dom.js';
import { listOf, t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { announce } from '../notices.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

/** What the button offers. The server takes any one emoji, so a newer client may offer others. */
export const OFFERED = /** @type {const} */ ([
  ['👍', 'react.thumb'],
  ['👏', 'react.clap'],
  ['❤️', 'react.heart'],
  ['😂', 'react.laugh'],
  ['😮', 'react.wow'],
  ['🎉', 'react.party'],
]);
/** Emoji in the air over one person, and over everybody: applause of a thousand must not stop the pictures. */
const MAX_OVER_ONE = 5;
const MAX_IN_ALL = 40;
/** Reactions within this time are told to screen readers in one breath. */
const TOLD_AFTER_MS = 1_200;
/** Names in one breath; more are a crowd. */
const NAMES_TOLD = 3;

/**
 * @param {Meeting} meeting
 * @param {HTMLButtonElement} anchor
 */
export function openReactions(meeting, anchor) {
  toggleMenu(anchor, t('react.title'), () => [
    {
      element: h(
        'div',
        { class: 'reactions' },
        ...OFFERED.map(([emoji, name]) =>
          h('button', { type: 'button', class: 'menu-item reaction', 'aria-label': t(name), title: t(name), data: { emoji }, onclick: () => meeting.react(emoji) }, emoji),
        ),
      ),
    },
  ]);
}

/**
 * Lets an emoji rise from the lower part of an element.
 * @param {Element} over a tile, or the stage when that person has no tile now
 * @param {string} emoji
 * @param {string | null} name of the person, where the place does not say it
 */
export function float(over, emoji, name) {
  const air = [...over.children].filter((child) => child.classList.contains('floating-reaction'));
  if (air.length >= MAX_OVER_ONE) air[0]?.remove();
  if (document.getElementsByClassName('floating-reaction').length >= MAX_IN_ALL) return;
  const element = h('div', { class: 'floating-reaction', 'aria-hidden': 'true', data: { emoji } }, h('span', null, emoji), name ? h('span', { class: 'floating-name' }, name) : null);
  // Several at once stand side by side instead of one behind the other.
  element.style.setProperty('--drift', String((air.length % MAX_OVER_ONE) - (air.length === 0 ? 0 : 2)));
  element.addEventListener('animationend', () => element.remove());
  over.append(element);
}

/** Tells who reacted, several in one sentence, and never more often than it can be listened to. */
export class ReactionTeller {
  /** Names by emoji.
   * @type {Map<string, Set<string>>} */
  #waiting = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #tell;

  /** @param {(text: string) => void} [tell] */
  constructor(tell = announce) {
    this.#tell = tell;
  }

  /**
   * @param {string} name
   * @param {string} emoji
   */
  add(name, emoji) {
    const names = this.#waiting.get(emoji) ?? new Set();
    names.add(name);
    this.#waiting.set(emoji, names);
    this.#timer ??= setTimeout(() => this.flush(), TOLD_AFTER_MS);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const told = [...this.#waiting].map(([emoji, names]) => {
      const shown = [...names].slice(0, NAMES_TOLD);
      const rest = names.size - shown.length;
      return t('react.said', { names: listOf(rest > 0 ? [...shown, `+${rest}`] : shown), emoji });
    });
    this.#waiting.clear();
    if (told.length > 0) this.#tell(told.join('. '));
  }

  stop() {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }
}
