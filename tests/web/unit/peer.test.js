import assert from 'node:assert/strict';
import test from 'node:test';
import { isRelayed } from '../../../static/js/peer.js';

/**
 * Statistics as browsers give them: a pair in use, and one that is not.
 * @param {string} used candidate type of the pair in use
 * @param {'transport' | 'pair'} marked how the browser says which that is
 * @returns {[string, any][]}
 */
const stats = (used, marked) => [
  ['T', { type: 'transport', ...(marked === 'transport' ? { selectedCandidatePairId: 'P2' } : {}) }],
  ['P1', { type: 'candidate-pair', localCandidateId: 'C1' }],
  ['P2', { type: 'candidate-pair', localCandidateId: 'C2', ...(marked === 'pair' ? { selected: true } : {}) }],
  ['C1', { type: 'local-candidate', candidateType: used === 'relay' ? 'host' : 'relay' }],
  ['C2', { type: 'local-candidate', candidateType: used }],
];

test('what counts is the pair in use, however the browser marks it', () => {
  for (const marked of /** @type {const} */ (['transport', 'pair'])) {
    assert.equal(isRelayed(stats('relay', marked)), true, marked);
    assert.equal(isRelayed(stats('host', marked)), false, marked);
    assert.equal(isRelayed(stats('prflx', marked)), false, marked);
  }
});

test('a connection that says nothing goes through no relay', () => {
  assert.equal(isRelayed(null), false);
  assert.equal(isRelayed([]), false);
});
