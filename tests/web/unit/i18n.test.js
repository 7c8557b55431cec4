import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { dayName, pick, render } from '../../../static/js/i18n.js';
import { en } from '../../../static/js/i18n/en.js';
import { ru } from '../../../static/js/i18n/ru.js';

const JS = new URL('../../../static/js/', import.meta.url).pathname;
/** @typedef {Record<string, import('../../../static/js/i18n.js').Entry>} Catalogue */

/** Both languages of the page, and of each part that is fetched later.
 * @type {Record<string, {en: Catalogue, ru: Catalogue}>} */
const parts = { '': { en, ru } };
for (const name of readdirSync(join(JS, 'i18n'))) {
  if (name !== 'en.js' && name !== 'ru.js') parts[name] = await import(`../../../static/js/i18n/${name}`);
}
/** @type {Catalogue} */
const english = Object.assign({}, ...Object.values(parts).map((part) => part.en));

/** Every script of the client, with its text. */
const sources = readdirSync(JS, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.js') && !name.startsWith('i18n/'))
  .map((name) => readFileSync(join(JS, name), 'utf8'));

test('both languages of every part say the same things, and no part what another says', () => {
  for (const [name, part] of Object.entries(parts)) assert.deepEqual(Object.keys(part.ru).sort(), Object.keys(part.en).sort(), name);
  assert.equal(Object.keys(english).length, Object.values(parts).reduce((sum, part) => sum + Object.keys(part.en).length, 0));
});

test('no text is empty, and both languages fill the same gaps', () => {
  const gaps = (/** @type {import('../../../static/js/i18n.js').Entry | undefined} */ entry) => {
    const texts = typeof entry === 'string' ? [entry] : Object.values(entry ?? {});
    for (const text of texts) assert.ok(text.trim() !== '');
    return [...new Set(texts.flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();
  };
  for (const part of Object.values(parts)) {
    for (const key of Object.keys(part.en)) assert.deepEqual(gaps(part.ru[key]), gaps(part.en[key]), key);
  }
});

test('plurals have every form that their language needs', () => {
  for (const part of Object.values(parts)) {
    for (const [language, catalogue] of /** @type {const} */ ([['en', part.en], ['ru', part.ru]])) {
      const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
      for (const [key, entry] of Object.entries(catalogue)) {
        if (typeof entry !== 'string') assert.deepEqual(Object.keys(entry).sort(), [...needed].sort(), `${language} ${key}`);
      }
    }
  }
});

test('every key that the scripts use is there, and every key that is there is used', () => {
  const used = new Set();
  const prefixes = ['error.'];
  for (const text of sources) {
    for (const [, key] of text.matchAll(/'([a-z_]+(?:\.[a-z_]+)*)'/g)) if (key && key in english) used.add(key);
    for (const [, literal] of text.matchAll(/\bt\((?:[^()'`]*\? *)?'([^']+)'/g)) assert.ok(literal && literal in english, `there is no text '${literal}'`);
    for (const [, pattern] of text.matchAll(/\bt\((?:[^()'`]*)`([^`]+)`/g)) {
      const parts = String(pattern).split(/\$\{[^}]+\}/).map((part) => part.replaceAll('.', '\\.'));
      const matching = Object.keys(english).filter((key) => new RegExp(`^${parts.join('[a-z_]+')}$`).test(key));
      assert.ok(matching.length > 0, `nothing matches ${pattern}`);
      for (const key of matching) used.add(key);
    }
  }
  const unused = Object.keys(english).filter((key) => !used.has(key) && !prefixes.some((prefix) => key.startsWith(prefix)));
  assert.deepEqual(unused, []);
});

test('every error code of the protocol has words', () => {
  const rust = readFileSync(new URL('../../../protocol/src/error.rs', import.meta.url), 'utf8');
  const codes = [...rust.matchAll(/= "([a-z_]+)", \d{3};/g)].map(([, code]) => String(code));
  assert.ok(codes.length > 15);
  for (const code of codes) assert.ok(`error.${code}` in english, code);
});

test('Russian counts as Russians do', () => {
  const said = (/** @type {number} */ n) => render(ru['rooms.inside'], 'ru', { n });
  assert.deepEqual([1, 2, 5, 21, 112].map(said), [
    'Внутри сейчас 1 человек',
    'Внутри сейчас 2 человека',
    'Внутри сейчас 5 человек',
    'Внутри сейчас 21 человек',
    'Внутри сейчас 112 человек',
  ]);
});

test('names are filled in as they are, and gaps without a value stay to be seen', () => {
  assert.equal(render('{name} has joined', 'en', { name: '{n} $& <b>' }), '{n} $& <b> has joined');
  assert.equal(render('{missing}', 'en', {}), '{missing}');
});

test('the chosen language wins, then the first known one the browser asks for', () => {
  assert.equal(pick('ru', ['en-US']), 'ru');
  assert.equal(pick(null, ['de-DE', 'ru-RU', 'en']), 'ru');
  assert.equal(pick(null, ['fr']), 'en');
  assert.equal(pick('xx', ['ru']), 'ru');
});

test('days near to now have their names', () => {
  const now = new Date(2026, 4, 10, 15).getTime();
  assert.equal(dayName(now - 3_600_000, now), 'Today');
  assert.equal(dayName(now - 86_400_000, now), 'Yesterday');
  assert.match(dayName(now - 5 * 86_400_000, now), /May/);
});
