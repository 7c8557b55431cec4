// Words in the person's language: catalogues, plurals, dates and numbers.

import { en } from './i18n/en.js';
import { ru } from './i18n/ru.js';
import { preferences } from './preferences.js';

/** @typedef {'ru' | 'en'} Language */
/** @typedef {keyof typeof en} Key */
/** A text, or its plural forms by `Intl.PluralRules` category, chosen by `{n}`.
 * @typedef {string | Readonly<Record<string, string>>} Entry */

/** @type {Record<Language, Readonly<Record<Key, Entry>>>} */
const catalogues = { en, ru };

/** Making a formatter costs a hundred times what using it does, and a list of hundreds of people asks for thousands of texts. */
const NUMBERS = { en: new Intl.NumberFormat('en'), ru: new Intl.NumberFormat('ru') };
const PLURALS = { en: new Intl.PluralRules('en'), ru: new Intl.PluralRules('ru') };

/** @type {Language} */
let language = pick(preferences().language, typeof navigator === 'undefined' ? [] : navigator.languages);

/**
 * The language to speak: what was chosen, else the first known one that the browser asks for.
 * @param {string | null} chosen
 * @param {readonly string[]} asked
 * @returns {Language}
 */
export function pick(chosen, asked) {
  for (const tag of chosen ? [chosen, ...asked] : asked) {
    const code = tag.toLowerCase().split('-')[0];
    if (code === 'ru' || code === 'en') return code;
  }
  return 'en';
}

export function currentLanguage() {
  return language;
}

/** @param {Language} next */
export function speak(next) {
  language = next;
  document.documentElement.lang = next;
}

/**
 * The text of a key, with `{name}` filled from `values`; `n` chooses the plural form.
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return render(catalogues[language][key], language, values);
}

/**
 * The texts of a part of the page that is fetched when it is asked for, with those that every part knows.
 * @template {string} Own
 * @param {Readonly<Record<Own, Entry>>} inEnglish
 * @param {Readonly<Record<Own, Entry>>} inRussian
 * @returns {(key: Own | Key, values?: Record<string, string | number>) => string}
 */
export function catalogue(inEnglish, inRussian) {
  return (key, values = {}) => {
    const own = language === 'ru' ? inRussian : inEnglish;
    return key in own ? render(own[/** @type {Own} */ (key)], language, values) : t(/** @type {Key} */ (key), values);
  };
}

/**
 * @param {Entry} entry
 * @param {Language} inLanguage
 * @param {Record<string, string | number>} values
 */
export function render(entry, inLanguage, values) {
  let text = '';
  if (typeof entry === 'string') text = entry;
  else {
    const form = PLURALS[inLanguage].select(Number(values.n ?? 0));
    text = entry[form] ?? entry.other ?? '';
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? NUMBERS[inLanguage].format(value) : value;
  });
}

/**
 * The words for an error code of the server; unknown codes get the general sentence.
 * @param {string} code
 */
export function errorText(code) {
  const key = `error.${code}`;
  return t(key in catalogues.en ? /** @type {Key} */ (key) : 'error.internal');
}

/** @param {number} ms */
export function clock(ms) {
  return new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' }).format(ms);
}

/**
 * A day as a person would call it.
 * @param {number} ms
 * @param {number} now
 */
export function dayName(ms, now) {
  const midnight = (/** @type {number} */ at) => new Date(at).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(ms) - midnight(now)) / 86_400_000);
  if (days === 0 || days === -1) {
    const word = new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(days, 'day');
    return word.charAt(0).toLocaleUpperCase(language) + word.slice(1);
  }
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return new Intl.DateTimeFormat(language, { day: 'numeric', month: 'long', ...(sameYear ? {} : { year: 'numeric' }) }).format(ms);
}

/** @param {readonly string[]} names */
export function listOf(names) {
  return new Intl.ListFormat(language, { type: 'conjunction' }).format(names);
}
