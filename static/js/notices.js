// Short words that come and go: toasts for everybody, announcements for screen readers only.

import { h } from './dom.js';

/** Long enough to read two lines, short enough not to pile up. */
const SHOWN_MS = 5_000;
/** More than this at once is a wall: the oldest goes. */
const MAX_TOASTS = 3;

/**
 * @param {string} text
 * @param {{label: string, act: () => void} | null} [action]
 * @param {string} [topic] what it is about, for `settled`
 */
export function toast(text, action = null, topic = '') {
  const box = document.querySelector('.toasts');
  if (!box) return;
  while (box.children.length >= MAX_TOASTS) box.firstElementChild?.remove();
  const element = h('div', { class: 'toast', data: { topic } }, h('span', null, text));
  const remove = () => element.remove();
  let timer = setTimeout(remove, SHOWN_MS);
  if (action) {
    element.append(
      h('button', { type: 'button', onclick: () => { remove(); action.act(); } }, action.label),
    );
  }
  // Whoever reads slowly, or moves to the button, is not hurried.
  element.addEventListener('pointerenter', () => clearTimeout(timer));
  element.addEventListener('focusin', () => clearTimeout(timer));
  element.addEventListener('pointerleave', () => (timer = setTimeout(remove, SHOWN_MS / 2)));
  element.addEventListener('focusout', () => (timer = setTimeout(remove, SHOWN_MS / 2)));
  box.append(element);
}

/** Takes away what is shown, or only what the person has just done something about.
 * @param {'all' | 'answered'} which
 */
export function clearToasts(which) {
  document.querySelectorAll(which === 'all' ? '.toast' : '.toast:has(button)').forEach((toastElement) => toastElement.remove());
}

/** Takes away what asks for something that has been decided meanwhile. @param {string} topic */
export function settled(topic) {
  document.querySelectorAll(`.toast[data-topic="${CSS.escape(topic)}"]`).forEach((toastElement) => toastElement.remove());
}

/** @param {string} text */
export function announce(text) {
  const place = document.getElementById('announcer');
  if (!place) return;
  const line = h('p', null, text);
  place.append(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}
