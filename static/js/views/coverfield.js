// Gives a room its cover, or takes it away; for its owner.

import { sizeOf } from '../chat.js';
import { coverOf } from '../cover.js';
import { fill, h, icon } from '../dom.js';
import { currentLanguage } from '../i18n.js';
import { t } from '../i18n/roomsettings.js';
import { LIMITS } from '../limits.js';
import { busy, trouble, wordsFor } from './form.js';

/**
 * @param {import('../api.js').Api} api
 * @param {string} slug
 * @param {(room: import('../types.js').Room) => void} [changed]
 */
export function coverField(api, slug, changed) {
  const shown = h('div', { class: 'cover-box' });
  const wrong = trouble();
  const file = h('input', { type: 'file', accept: 'image/png,image/jpeg,image/gif,image/webp', name: 'cover', class: 'hush', tabindex: '-1', 'aria-hidden': true });
  const words = h('span');
  const choose = h('button', { type: 'button', class: 'button slim', data: { action: 'choose-cover' }, onclick: () => file.click() }, icon('picture', 'small'), words);
  const remove = h('button', { type: 'button', class: 'button slim plain', data: { action: 'remove-cover' } }, t('cover.remove'));

  const load = async () => {
    const room = await api.room(slug);
    fill(shown, coverOf(api, room, 'wide') ?? h('p', { class: 'quiet' }, t('cover.none')));
    words.textContent = t(room.cover_id ? 'cover.change' : 'cover.choose');
    remove.hidden = !room.cover_id;
    return room;
  };
  const change = (/** @type {HTMLButtonElement} */ button, /** @type {() => Promise<void>} */ how) =>
    busy(button, wrong, async () => {
      await how();
      const room = await load();
      changed?.(room);
    });
  file.addEventListener('change', () => {
    const picture = file.files?.[0];
    file.value = '';
    if (!picture) return;
    const max = LIMITS.attachmentBytes;
    if (picture.size > max) return wrong.say(t('cover.too_large', { size: sizeOf(max, currentLanguage()) }));
    void change(choose, () => api.setCover(slug, picture));
  });
  remove.addEventListener('click', () => void change(remove, () => api.removeCover(slug)));
  words.textContent = t('cover.choose');
  remove.hidden = true;
  load().catch((error) => wrong.say(wordsFor(error)));
  return h('section', { class: 'form cover-field', 'aria-labelledby': 'cover-title' }, h('h3', { class: 'section-title', id: 'cover-title' }, t('cover.title')), shown, wrong.element, h('div', { class: 'row' }, choose, remove), file);
}
