// The slider of a person's volume.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { volumeOf } from '../state.js';

/**
 * The volume of one person, here only.
 * @param {import('../meeting.js').Meeting} meeting
 * @param {string} userId
 * @param {string} name
 */
export function volumeSlider(meeting, userId, name) {
  const current = volumeOf(meeting.state, userId);
  const sign = icon(current === 0 ? 'volume-off' : 'volume');
  const input = h('input', {
    type: 'range',
    name: 'volume',
    min: 0,
    max: 100,
    step: 5,
    value: String(Math.round(current * 100)),
    'aria-label': t('tile.volume', { name }),
    data: { user: userId },
  });
  input.addEventListener('input', () => {
    const volume = Number(input.value) / 100;
    meeting.setVolume(userId, volume);
    sign.firstElementChild?.setAttribute('href', `/static/icons.svg#${volume === 0 ? 'volume-off' : 'volume'}`);
  });
  return h('div', { class: 'volume' }, sign, input);
}
