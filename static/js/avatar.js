// What stands for a person without a picture: initials on a colour that is always the same for them.

import { h } from './dom.js';

/** Colours in `tokens.css`: `--hue-0` and on. */
const HUES = 8;

/**
 * One or two letters of a name.
 * @param {string} name
 */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letter = (/** @type {string | undefined} */ word) => (word ? ([...word].find((c) => /[\p{L}\p{N}]/u.test(c)) ?? '') : '');
  const text = words.length > 1 ? letter(words[0]) + letter(words.at(-1)) : letter(words[0]);
  return text.toLocaleUpperCase() || '·';
}

/**
 * A number of a colour, from an id.
 * @param {string} id
 */
export function hueOf(id) {
  let hash = 0;
  for (const sign of id) hash = (hash * 31 + sign.charCodeAt(0)) >>> 0;
  return hash % HUES;
}

/**
 * @param {string} name
 * @param {string} id
 */
export function avatar(name, id) {
  return h('span', { class: `avatar hue-${hueOf(id)}`, 'aria-hidden': 'true' }, initials(name));
}
