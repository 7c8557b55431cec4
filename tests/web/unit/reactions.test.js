import assert from 'node:assert/strict';
import test from 'node:test';
import { ReactionTeller } from '../../../static/js/call/reactions.js';

test('reactions of one moment are told in one breath, by emoji', () => {
  /** @type {string[]} */
  const told = [];
  const teller = new ReactionTeller((text) => told.push(text));
  teller.add('Anna', '👍');
  teller.add('Boris', '👍');
  teller.add('Anna', '👍');
  teller.add('Clara', '🎉');
  assert.deepEqual(told, []);
  teller.flush();
  assert.deepEqual(told, ['Anna and Boris: 👍. Clara: 🎉']);
  teller.flush();
  assert.equal(told.length, 1, 'nothing new, nothing told');
});

test('a crowd is counted, not read out', () => {
  /** @type {string[]} */
  const told = [];
  const teller = new ReactionTeller((text) => told.push(text));
  for (const name of ['Anna', 'Boris', 'Clara', 'Dmitri', 'Eva']) teller.add(name, '👏');
  teller.flush();
  assert.deepEqual(told, ['Anna, Boris, Clara, and +2: 👏']);
});

test('what waits is told by itself, and not after the call', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {string[]} */
  const told = [];
  const teller = new ReactionTeller((text) => told.push(text));
  teller.add('Anna', '👍');
  context.mock.timers.tick(5_000);
  assert.equal(told.length, 1);
  teller.add('Anna', '👍');
  teller.stop();
  context.mock.timers.tick(5_000);
  assert.equal(told.length, 1);
});
