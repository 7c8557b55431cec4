// Opening and running breakout rooms, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'breakout.text': 'Small rooms beside this one, for a while. Everybody goes to theirs by themselves and can come back at any time.',
  'breakout.count': 'How many rooms',
  'breakout.minutes': 'For how many minutes',
  'breakout.minutes.any': 'until closed',
  'breakout.choice': 'People choose a room themselves',
  'breakout.who': 'Who belongs where',
  'breakout.mix': 'Share out by chance',
  'breakout.room': 'Room {n}',
  'breakout.place': '{name}: {n}',
  'breakout.place_of': 'Room of {name}',
  'breakout.start': 'Open rooms',
  'breakout.left': 'Everybody comes back in {time}.',
  'breakout.no_end': 'Open until you close them.',
  'breakout.enter': 'Enter',
  'breakout.enter.named': 'Enter {name}',
  'breakout.empty': 'Nobody there now',
  'breakout.you': 'You are here',
  'breakout.words': 'Words for all rooms',
  'breakout.say': 'Say',
  'breakout.close': 'Close in a minute',
  'breakout.close_now': 'Close now',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'breakout.text': 'Малые комнаты рядом с этой, на время. Каждый попадёт в свою сам и сможет вернуться в любой момент.',
  'breakout.count': 'Сколько комнат',
  'breakout.minutes': 'На сколько минут',
  'breakout.minutes.any': 'пока не закроете',
  'breakout.choice': 'Участники выбирают комнату сами',
  'breakout.who': 'Кто где',
  'breakout.mix': 'Распределить случайно',
  'breakout.room': 'Комната {n}',
  'breakout.place': '{name}: {n}',
  'breakout.place_of': 'Комната участника {name}',
  'breakout.start': 'Открыть комнаты',
  'breakout.left': 'Все вернутся через {time}.',
  'breakout.no_end': 'Открыты, пока вы их не закроете.',
  'breakout.enter': 'Войти',
  'breakout.enter.named': 'Войти: {name}',
  'breakout.empty': 'Сейчас никого',
  'breakout.you': 'Вы здесь',
  'breakout.words': 'Слова для всех комнат',
  'breakout.say': 'Сказать',
  'breakout.close': 'Закрыть через минуту',
  'breakout.close_now': 'Закрыть сейчас',
};

export const t = catalogue(en, ru);
