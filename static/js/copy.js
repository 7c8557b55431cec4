// Links into the clipboard.

import { h } from './dom.js';
import { t } from './i18n.js';
import { openDialog } from './menu.js';
import { toast } from './notices.js';

/** @param {string} link */
export async function copyLink(link) {
  try {
    await navigator.clipboard.writeText(link);
    toast(t('copied'));
  } catch {
    // No clipboard without https or permission: the link is shown, so that it can be copied by hand.
    const input = h('input', { class: 'input', readonly: true, value: link, 'aria-label': t('copy_link') });
    openDialog(t('copy_link'), input);
    input.select();
  }
}
