import assert from 'node:assert/strict';
import test from 'node:test';
import { en, ru } from '../../../static/js/i18n/details.js';
import { Quality, bitrateText, readingOf, samplesOf, whyOf } from '../../../static/js/stats.js';

/** @param {object} [change] */
const inbound = (change = {}) => ({
  id: 'in', type: 'inbound-rtp', kind: 'video', mid: '1', timestamp: 1000, bytesReceived: 1000, packetsReceived: 100, packetsLost: 2,
  framesDecoded: 30, frameWidth: 640, frameHeight: 360, jitter: 0.012, totalFreezesDuration: 0, codecId: 'c', ...change,
});
const CODEC = { id: 'c', type: 'codec', mimeType: 'video/VP8' };

/** @param {object} change */
function received(change) {
  const [before] = samplesOf([inbound(), CODEC], 'inbound-rtp', '1', 'video');
  const [now] = samplesOf([inbound(change), CODEC], 'inbound-rtp', '1', 'video');
  assert.ok(before && now);
  return readingOf(before, now);
}

test('a second of a received picture in numbers', () => {
  const reading = received({ timestamp: 2000, bytesReceived: 126_000, packetsReceived: 190, packetsLost: 12, framesDecoded: 55 });
  assert.equal(reading.bitrate, 1_000_000);
  assert.equal(reading.fps, 25);
  assert.equal(reading.loss, 0.1);
  assert.deepEqual([reading.width, reading.height, reading.codec, Math.round(reading.jitterMs)], [640, 360, 'VP8', 12]);
});

test('other lines, other directions and sounds are not this picture', () => {
  const report = [inbound(), inbound({ mid: '2' }), inbound({ kind: 'audio' }), inbound({ type: 'outbound-rtp' })];
  assert.equal(samplesOf(report, 'inbound-rtp', '1', 'video').length, 1);
});

test('a stream that began anew says nothing until its second reading', () => {
  const reading = received({ timestamp: 2000, bytesReceived: 10, packetsReceived: 1, framesDecoded: 0, packetsLost: 0 });
  assert.deepEqual([reading.bitrate, reading.fps, reading.loss], [0, 0, 0]);
  const [first] = samplesOf([inbound()], 'inbound-rtp', '1', 'video');
  assert.ok(first);
  assert.equal(readingOf(undefined, first).bitrate, 0);
  assert.equal(readingOf(first, first).bitrate, 0, 'the same moment twice');
});

test('what a sender loses comes from the other end, layer by layer', () => {
  const layer = (/** @type {string} */ rid, /** @type {object} */ change) => ({
    id: rid, type: 'outbound-rtp', kind: 'video', mid: '1', rid, timestamp: 1000, bytesSent: 0, packetsSent: 0, framesEncoded: 0, remoteId: `r${rid}`, active: true,
    qualityLimitationReason: 'none', ...change,
  });
  const report = [layer('q', {}), layer('f', { active: false, qualityLimitationReason: 'bandwidth' }), { id: 'rq', type: 'remote-inbound-rtp', packetsLost: 7, jitter: 0.02 }];
  const [q, f] = samplesOf(report, 'outbound-rtp', '1', 'video');
  assert.deepEqual([q?.rid, q?.lost, q?.jitterMs, q?.active, q?.limit], ['q', 7, 20, true, '']);
  assert.deepEqual([f?.rid, f?.lost, f?.active, f?.limit], ['f', 0, false, 'bandwidth']);
});

test('a link is weak after two bad seconds and well again after some good ones', () => {
  const good = received({ timestamp: 2000, packetsReceived: 200, bytesReceived: 2000 });
  const lossy = { ...good, loss: 0.2 };
  const frozen = { ...good, frozen: 0.5 };
  const quality = new Quality();
  assert.deepEqual([frozen, frozen, frozen].map((reading) => quality.judge(reading)), [false, false, false], 'it has just come');
  const seen = [good, lossy, good, lossy, frozen, good, good, good, good, good].map((reading) => quality.judge(reading));
  assert.deepEqual(seen, [false, false, false, false, true, true, true, true, false, false]);
  quality.judge(lossy);
  assert.equal(quality.judge(lossy), true);
  assert.equal(quality.judge(null), false, 'a picture that is gone is not weak');
});

test('every reason has plain words in both languages', () => {
  /** @type {import('../../../static/js/types.js').SlotReason[]} */
  const reasons = ['best', 'empty', 'muted', 'forced', 'codec', 'viewport', 'bandwidth', 'publisher', 'server'];
  for (const reason of reasons) {
    const key = `stats.why.${whyOf({ mid: '0', kind: 'video', reason }, true)}`;
    assert.ok(key in en && key in ru, key);
  }
  for (const key of [whyOf(null, true), whyOf(null, false)].map((word) => `stats.why.${word}`)) assert.ok(key in en && key in ru, key);
});

test('bitrates are short', () => {
  assert.deepEqual(bitrateText(1_740_000, 'en'), { digits: '1.7', isLarge: true });
  assert.deepEqual(bitrateText(148_600, 'ru'), { digits: '149', isLarge: false });
});
