// What the page as a whole promises: its weight, its policy, its one place for colours.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';

const STATIC = new URL('../../../static/', import.meta.url).pathname;
const files = readdirSync(STATIC, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(js|css|html|svg)$/.test(name) && !name.startsWith('records/'));
const read = (/** @type {string} */ name) => readFileSync(join(STATIC, name), 'utf8');
const page = read('index.html');

/** Every script that a script imports at once, and what those import. @param {string} name @param {Set<string>} seen */
function reached(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const [, path] of read(name).matchAll(/^(?:import|export)[^;]*?from '(\.[^']+)';/gm)) reached(join(name, '..', String(path)), seen);
  return seen;
}
const atOnce = reached('js/main.js');

test('entering a call takes at most 150 KB of script and style', () => {
  const bytes = files.filter((name) => (name.endsWith('.css') && page.includes(`/static/${name}"`)) || atOnce.has(name)).reduce((sum, name) => sum + gzipSync(read(name)).length, 0);
  assert.ok(bytes > 10_000 && bytes <= 150_000, `${bytes} bytes`);
});

test('the page names every script once, so that none waits for another', () => {
  const named = [...page.matchAll(/(?:modulepreload" href|module" src)="\/static\/(js\/[^"]+)"/g)].map(([, name]) => String(name)).sort();
  assert.deepEqual(named, [...atOnce].sort());
});

test('a script that the page does not wait for is asked for by one that it does', () => {
  const later = [...atOnce].flatMap((name) => [...read(name).matchAll(/\bimport\('(\.[^']+)'\)\./g)].map(([, path]) => join(name, '..', String(path))));
  const all = new Set([...atOnce, ...later.flatMap((name) => [...reached(name)])]);
  // Types are for the checker and for people; no browser needs them.
  assert.deepEqual([...new Set([...all, 'js/types.js'])].sort(), files.filter((name) => name.startsWith('js/')).sort());
  assert.doesNotMatch(read('js/types.js').replace(/\/\*[^]*?\*\/|\/\/.*/g, '').replace('export {};', ''), /\S/);
});

test('nothing is inline, so that the policy needs no exception', () => {
  assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)[^>]*>/);
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<style/);
  for (const name of files.filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\('style'/, name);
  }
});

test('colours stand in tokens.css and nowhere else', () => {
  for (const name of files.filter((file) => file.endsWith('.css') && file !== 'css/tokens.css')) {
    assert.doesNotMatch(read(name), /#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(/i, name);
  }
});

test('every token that styles use is defined', () => {
  const defined = new Set([...files.filter((file) => file.endsWith('.css')).map(read).join('\n').matchAll(/(--[\w-]+):/g)].map(([, name]) => name));
  for (const name of files.filter((file) => file.endsWith('.css'))) {
    for (const [, token] of read(name).matchAll(/var\((--[\w-]+)/g)) assert.ok(defined.has(token), `${name}: ${token}`);
  }
});

test('every icon that scripts name is drawn', () => {
  const drawn = new Set([...read('icons.svg').matchAll(/<symbol id="([\w-]+)"/g)].map(([, name]) => name));
  for (const name of files.filter((file) => file.endsWith('.js'))) {
    const text = read(name);
    for (const [, sign] of text.matchAll(/\bicon\('([\w-]+)'/g)) assert.ok(drawn.has(sign), `${name}: ${sign}`);
    for (const [, sign] of text.matchAll(/\bicon: '([\w-]+)'/g)) assert.ok(drawn.has(sign), `${name}: ${sign}`);
    for (const [, sign] of text.matchAll(/icons\.svg#([\w-]+)/g)) assert.ok(drawn.has(sign), `${name}: ${sign}`);
  }
});

test('a link to another site opens apart and tells nothing about us', () => {
  for (const name of files.filter((file) => file.endsWith('.js'))) {
    for (const [whole] of read(name).matchAll(/target: '_blank'[^}]*/g)) assert.match(whole, /rel: 'noopener noreferrer'/, name);
  }
});
