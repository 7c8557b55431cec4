// Single keys that control the call.

import { preferences } from '../preferences.js';
import { showShortcuts } from './later.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

let isHeldToTalk = false;

/**
 * Physical keys, so that they work on a Russian layout too.
 * @param {KeyboardEvent} event
 * @param {Meeting} meeting
 * @param {ReturnType<typeof import('./bar.js').callBar>} bar
 */
export function keyPressed(event, meeting, bar) {
  if (!preferences().shortcuts || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target instanceof Element ? event.target : null;
  // Under a dialog the call is out of reach, wherever the focus has fallen.
  if (target?.closest('input, textarea, select, [contenteditable], .menu') || document.querySelector('dialog[open]')) return;
  if (event.key === '?') {
    event.preventDefault();
    showShortcuts();
    return;
  }
  if (event.shiftKey) return;
  if (event.key === 'Escape' && meeting.state.panel) {
    meeting.store.dispatch({ type: 'local.panel', panel: null });
    return;
  }
  if (event.code === 'Space' && !target?.closest('button, a, summary') && !meeting.local.microphone.on) {
    event.preventDefault();
    isHeldToTalk = true;
    meeting.talk(true);
    return;
  }
  /** @type {Record<string, keyof typeof bar.acts>} */
  const keys = { KeyM: 'mic', KeyV: 'camera', KeyS: 'screen', KeyH: 'hand', KeyR: 'react', KeyC: 'chat', KeyP: 'people', KeyI: 'details' };
  const act = keys[event.code];
  if (!act) return;
  event.preventDefault();
  bar.acts[act]();
}

/**
 * The key that is held to talk was let go, or the window lost it.
 * @param {Meeting} meeting
 */
export function endTalk(meeting) {
  if (!isHeldToTalk) return;
  isHeldToTalk = false;
  meeting.talk(false);
}
