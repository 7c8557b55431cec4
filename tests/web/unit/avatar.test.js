import assert from 'node:assert/strict';
import test from 'node:test';
import { hueOf, initials } from '../../../static/js/avatar.js';

test('initials are the first letters of the first and the last name', () => {
  assert.equal(initials('Анна Каренина'), 'АК');
  assert.equal(initials('  lev  nikolaevich tolstoy '), 'LT');
  assert.equal(initials('Plato'), 'P');
  assert.equal(initials('(Зоя) — гость'), 'ЗГ');
});

test('a name without letters still has a sign', () => {
  assert.equal(initials('🎉'), '·');
  assert.equal(initials('   '), '·');
});

test('a person always has the same colour, one of those in the tokens', () => {
  assert.equal(hueOf('01a1-fc'), hueOf('01a1-fc'));
  const hues = new Set(Array.from({ length: 200 }, (_, index) => hueOf(`id-${index}`)));
  assert.deepEqual([...hues].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});
