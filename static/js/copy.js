// Links and other words into the clipboard.

import { h } from './dom.js';
import { t } from './i18n.js';
import { openDialog } from './menu.js';
import { toast } from './notices.js';

/** @param {string} link */
export function copyLink(link) {
  return copyText(link, { done: t('copied'), label: t('copy_link') });
}

/**
 * @param {string} text
 * @param {{done: string, label: string}} words
 */
export async function copyText(text, { done, label }) {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    // No clipboard without https or permission: it is shown, so that it can be copied by hand.
    const input = h('input', { class: 'input', readonly: true, value: text, 'aria-label': label });
    openDialog(label, input);
    input.select();
  }
}
