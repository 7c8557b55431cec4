// Settings and keys of the call, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'language.title': 'Language',
  'keys.on': 'Single keys control the call',
  'keys.space': 'Space',
  'keys.mic': 'Microphone on or off',
  'keys.camera': 'Camera on or off',
  'keys.screen': 'Share the screen, or stop',
  'keys.react': 'React',
  'keys.chat': 'Chat',
  'keys.people': 'People',
  'keys.details': 'Connection details',
  'keys.talk': 'Hold to talk while muted',
  'keys.close': 'Close the panel',
  'keys.list': 'This list',
  'keys.hand': 'Raise or lower your hand',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'language.title': 'Язык',
  'keys.on': 'Одиночные клавиши управляют звонком',
  'keys.space': 'Пробел',
  'keys.mic': 'Включить или выключить микрофон',
  'keys.camera': 'Включить или выключить камеру',
  'keys.screen': 'Показать экран или закончить показ',
  'keys.react': 'Реакция',
  'keys.chat': 'Чат',
  'keys.people': 'Участники',
  'keys.details': 'Подробности связи',
  'keys.talk': 'Держать, чтобы говорить с выключенным микрофоном',
  'keys.close': 'Закрыть панель',
  'keys.list': 'Этот список',
  'keys.hand': 'Поднять или опустить руку',
};

export const t = catalogue(en, ru);
