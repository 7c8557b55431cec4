// Turning the pages of the stage.

import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';

/** @param {(step: number) => void} turn */
export function pager(turn) {
  const back = h('button', { type: 'button', class: 'icon-button', data: { action: 'page-back' }, onclick: () => turn(-1) }, icon('chevron-left'));
  const on = h('button', { type: 'button', class: 'icon-button', data: { action: 'page-on' }, onclick: () => turn(1) }, icon('chevron-right'));
  const where = h('span', { 'aria-live': 'polite' });
  const element = h('div', { class: 'pager', hidden: true }, back, where, on);
  return {
    element,
    /**
     * @param {number} page
     * @param {number} pages
     */
    draw(page, pages) {
      element.hidden = pages < 2;
      back.setAttribute('aria-label', t('pager.back'));
      on.setAttribute('aria-label', t('pager.on'));
      back.disabled = page === 0;
      on.disabled = page === pages - 1;
      setText(where, t('pager.where', { page: page + 1, pages }));
    },
  };
}
