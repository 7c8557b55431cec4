import assert from 'node:assert/strict';
import test from 'node:test';
import { levelOf } from '../../../static/js/meter.js';

const tone = (/** @type {number} */ height) => Float32Array.from({ length: 1024 }, (_, index) => height * Math.sin(index / 5));

test('silence is nothing, full scale is everything, and louder is more', () => {
  assert.equal(levelOf(new Float32Array(1024)), 0);
  assert.equal(levelOf(tone(1)), 1);
  assert.ok(levelOf(tone(0.01)) < levelOf(tone(0.1)) && levelOf(tone(0.1)) < levelOf(tone(0.5)));
});

test('room noise does not move the bar', () => {
  assert.equal(levelOf(tone(0.0005)), 0);
});
