import assert from 'node:assert/strict';
import test from 'node:test';
import { isTheirs } from '../../../static/js/picture.js';

const ANNA = 11;
const BORIS = 22;

test('a frame is shown when packets and message agree', () => {
  assert.equal(isTheirs({ current: ANNA, heard: ANNA, heardFrom: 1000 }, ANNA, 1000), true);
});

test('a frame of the one before, still in the decoder, is not shown under the new name', () => {
  assert.equal(isTheirs({ current: BORIS, heard: BORIS, heardFrom: 5000 }, BORIS, 4000), false);
  assert.equal(isTheirs({ current: BORIS, heard: BORIS, heardFrom: 5000 }, BORIS, 5000), true);
});

test('when the message comes before the packets, the old picture goes and the new one waits', () => {
  const slot = { current: BORIS, heard: ANNA, heardFrom: 1000 };
  assert.equal(isTheirs(slot, ANNA, 2000), false);
  assert.equal(isTheirs(slot, BORIS, 2000), false);
});

test('when the packets come before the message, the packets count', () => {
  const slot = { current: BORIS, heard: BORIS, heardFrom: 3000 };
  assert.equal(isTheirs(slot, BORIS, 3000), true);
  assert.equal(isTheirs(slot, ANNA, 3000), false);
});

test('timestamps that wrap are still in order', () => {
  const slot = { current: ANNA, heard: ANNA, heardFrom: 0xffff_ff00 };
  assert.equal(isTheirs(slot, ANNA, 0x0000_0100), true);
  assert.equal(isTheirs(slot, ANNA, 0xffff_fe00), false);
});

test('a browser that tells no sources goes by the message', () => {
  assert.equal(isTheirs({ current: ANNA, heard: null }, ANNA, undefined), true);
  assert.equal(isTheirs({ current: 0, heard: null }, ANNA, undefined), false);
});
