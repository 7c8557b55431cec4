import assert from 'node:assert/strict';
import test from 'node:test';
import { Link } from '../../../static/js/link.js';

/** A connection whose state the test sets. */
class FakeConnection extends EventTarget {
  connectionState = 'new';

  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

/**
 * @param {import('node:test').TestContext} context
 * @param {() => boolean} [mayAsk]
 */
function watched(context, mayAsk = () => true) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const pc = new FakeConnection();
  /** @type {string[]} */
  const told = [];
  const link = new Link(/** @type {any} */ (pc), {
    up: () => told.push('up'),
    shaky: () => told.push('shaky'),
    repair: () => {
      told.push(mayAsk() ? 'repair' : 'cannot');
      return mayAsk();
    },
    dead: () => told.push('dead'),
  });
  return { pc, told, link, pass: (/** @type {number} */ ms) => context.mock.timers.tick(ms) };
}

test('a connection that never comes up is replaced, not repaired', (context) => {
  const { told, pass } = watched(context);
  pass(12_000);
  assert.deepEqual(told, ['dead']);
});

test('a connection that has failed is replaced at once, repair or not', (context) => {
  const { pc, told, pass } = watched(context);
  pc.become('connected');
  pc.become('disconnected');
  pass(2_000);
  pc.become('failed');
  pass(60_000);
  assert.deepEqual(told, ['up', 'shaky', 'repair', 'dead']);
});

test('a short gap heals by itself', (context) => {
  const { pc, told, pass } = watched(context);
  pc.become('connected');
  pc.become('disconnected');
  pass(1_500);
  pc.become('connected');
  pass(60_000);
  assert.deepEqual(told, ['up', 'shaky', 'up']);
});

test('a longer one is repaired on the same connection', (context) => {
  const { pc, told, pass } = watched(context);
  pc.become('connected');
  pc.become('disconnected');
  pass(2_000);
  assert.deepEqual(told, ['up', 'shaky', 'repair']);
  pc.become('connecting');
  pc.become('connected');
  pass(60_000);
  assert.deepEqual(told, ['up', 'shaky', 'repair', 'up']);
});

test('what cannot be repaired is replaced after eight seconds', (context) => {
  const { pc, told, pass } = watched(context);
  pc.become('connected');
  pc.become('disconnected');
  pass(2_000);
  pass(7_999);
  assert.deepEqual(told, ['up', 'shaky', 'repair']);
  pass(1);
  assert.deepEqual(told, ['up', 'shaky', 'repair', 'dead']);
});

test('without a socket nothing is asked and nothing is given up; with the next one it is asked anew', (context) => {
  let isOpen = false;
  const { pc, told, link, pass } = watched(context, () => isOpen);
  pc.become('connected');
  pc.become('disconnected');
  pass(60_000);
  assert.deepEqual(told, ['up', 'shaky', 'cannot']);
  isOpen = true;
  link.repair();
  link.repairLost();
  pass(60_000);
  assert.deepEqual(told.slice(3), ['repair'], 'the question was lost: waiting for the next socket');
  link.repair();
  pc.become('connected');
  assert.deepEqual(told.slice(3), ['repair', 'repair', 'up']);
});

test('another network is another way, though the old one still seems to work', (context) => {
  const { pc, told, link, pass } = watched(context);
  link.repair();
  assert.deepEqual(told, [], 'it is not even up');
  pc.become('connected');
  link.repair();
  link.repair();
  pass(60_000);
  assert.deepEqual(told, ['up', 'repair'], 'once, and it stays');
});

test('whoever stopped watching hears nothing', (context) => {
  const { pc, told, link, pass } = watched(context);
  pc.become('connected');
  link.stop();
  pc.become('failed');
  pass(60_000);
  assert.deepEqual(told, ['up']);
});

test('where the network changes again while a way is looked for, it is looked for anew', (context) => {
  const { pc, told, link, pass } = watched(context);
  pc.become('connected');
  link.networkChanged();
  pass(4_000);
  link.networkChanged();
  pass(7_000);
  assert.deepEqual(told, ['up', 'repair', 'repair'], 'with all the time that a search has');
});
