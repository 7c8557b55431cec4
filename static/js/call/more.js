// Settings and the list of keys, in dialogs over the call.

import { h } from '../dom.js';
import { currentLanguage } from '../i18n.js';
import { t } from '../i18n/settings.js';
import { openDialog } from '../menu.js';
import { prefer, preferences } from '../preferences.js';
import { deviceFields } from '../views/devices.js';

/**
 * @param {import('../main.js').App} app
 * @param {import('../meeting.js').Meeting} meeting
 */
export function openSettings(app, meeting) {
  const devices = deviceFields(meeting.local, meeting);
  const theme = choice('theme', t('theme.title'), [
    ['auto', t('theme.auto')],
    ['light', t('theme.light')],
    ['dark', t('theme.dark')],
  ], preferences().theme, (value) => app.setTheme(/** @type {'auto' | 'light' | 'dark'} */ (value)));
  const language = choice('language', t('language.title'), [
    ['ru', 'Русский'],
    ['en', 'English'],
  ], currentLanguage(), (value) => {
    dialog.close();
    app.setLanguage(/** @type {'ru' | 'en'} */ (value));
  });
  const keys = h('input', { type: 'checkbox', name: 'shortcuts', id: 'setting-keys', checked: preferences().shortcuts });
  keys.addEventListener('change', () => prefer({ shortcuts: keys.checked }));
  const dialog = openDialog(
    t('more.settings'),
    h('div', { class: 'form settings' }, devices.element, theme, language, h('label', { class: 'row check', for: 'setting-keys' }, keys, t('keys.on'))),
  );
  dialog.addEventListener('close', () => devices.stop());
}

export function openShortcuts() {
  if (document.querySelector('dialog[open]')) return;
  const rows = /** @type {const} */ ([
    ['M', 'keys.mic'],
    ['V', 'keys.camera'],
    ['S', 'keys.screen'],
    ['H', 'keys.hand'],
    ['R', 'keys.react'],
    ['C', 'keys.chat'],
    ['P', 'keys.people'],
    ['I', 'keys.details'],
    ['␣', 'keys.talk'],
    ['Esc', 'keys.close'],
    ['?', 'keys.list'],
  ]);
  openDialog(t('more.keys'), h('dl', { class: 'keys' }, ...rows.flatMap(([key, what]) => [h('dt', null, h('kbd', null, key === '␣' ? t('keys.space') : key)), h('dd', null, t(what))])));
}

/**
 * @param {string} name
 * @param {string} label
 * @param {[string, string][]} options
 * @param {string} current
 * @param {(value: string) => void} pick
 */
function choice(name, label, options, current, pick) {
  return h(
    'fieldset',
    { class: 'field' },
    h('legend', { class: 'label' }, label),
    h(
      'div',
      { class: 'segments' },
      ...options.map(([value, text]) =>
        h('label', null, h('input', { type: 'radio', name, value, checked: value === current, onchange: () => pick(value) }), h('span', null, text)),
      ),
    ),
  );
}
