import assert from 'node:assert/strict';
import test from 'node:test';
import { waitAfterRestart, waitBefore } from '../../../static/js/backoff.js';

test('waits stay short while a place is kept, then grow and stop growing at eight seconds', () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => waitBefore(attempt, 1));
  assert.deepEqual(longest, [300, 600, 1200, 1200, 1200, 8000, 8000, 8000]);
});

test('chance moves a wait only within its upper half', () => {
  for (const attempt of [0, 3, 9]) {
    assert.equal(waitBefore(attempt, 0), waitBefore(attempt, 1) / 2);
    assert.ok(waitBefore(attempt, 0.5) > waitBefore(attempt, 0) && waitBefore(attempt, 0.5) < waitBefore(attempt, 1));
  }
});

test('after a restart clients come back spread over seconds', () => {
  assert.equal(waitAfterRestart(0), 500);
  assert.equal(waitAfterRestart(1), 3000);
});
