import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidatesOf, kindOf, only, pathsOf } from '../../../static/js/checkup/paths.js';
import { bestOf, findingsOf, measuredOf } from '../../../static/js/checkup/verdict.js';

const SDP = ['v=0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=candidate:1 1 udp 2130706431 192.0.2.1 8081 typ host', 'a=candidate:2 1 UDP 2130706430 2001:db8::1 8081 typ host', 'a=candidate:3 1 tcp 1671430143 192.0.2.1 8081 typ host tcptype passive', 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=candidate:1 1 udp 2130706431 192.0.2.1 8081 typ host', ''].join('\r\n');
const GOOD = { rttMs: 30, jitterMs: 4, lossUp: 0, lossDown: 0, upBps: 2_000_000, downBps: 2_000_000, hasSmall: true, largeLost: 0 };

/** @param {Record<string, string>} outcomes */
const map = (outcomes) => /** @type {Map<any, any>} */ (new Map(Object.entries(outcomes)));
const keys = (/** @type {ReturnType<typeof findingsOf>} */ findings) => findings.map((f) => `${f.level} ${f.key}`);

test('a path keeps the addresses that belong to it, and is offered only where there are any', () => {
  assert.equal(candidatesOf(SDP).length, 3);
  const paths = pathsOf(SDP, [{ urls: ['stun:a.example', 'turn:a.example', 'turns:a.example?transport=tcp'], username: 'u', credential: 'c' }]);
  assert.deepEqual(paths.map((path) => [path.id, path.isOffered]), [['udp', true], ['udp_six', true], ['tcp', true], ['turn_udp', true], ['turn_tcp', false], ['turn_tls', true]]);
  const [udp, six, tcp, relay] = paths;
  assert.ok(udp && six && tcp && relay);
  assert.deepEqual(candidatesOf(only(SDP, udp.keeps)).map((c) => c.address), ['192.0.2.1']);
  assert.deepEqual(candidatesOf(only(SDP, six.keeps)).map((c) => c.address), ['2001:db8::1']);
  assert.deepEqual(candidatesOf(only(SDP, tcp.keeps)).map((c) => c.transport), ['tcp']);
  assert.equal(only(SDP, udp.keeps).split('\r\n').length, SDP.split('\r\n').length - 2, 'nothing else is taken away');
  assert.equal(six.where, '[2001:db8::1]:8081');
  assert.deepEqual(relay.servers, [{ urls: 'turn:a.example', username: 'u', credential: 'c' }]);
  assert.equal(relay.policy, 'relay');
});

test('a URL of a relay says by what it is reached', () => {
  assert.deepEqual(['turn:a', 'turn:a:3478?transport=udp', 'turn:a?transport=tcp', 'turns:a?transport=tcp', 'stun:a'].map(kindOf), ['turn_udp', 'turn_udp', 'turn_tcp', 'turn_tls', null]);
});

test('what works best is what a meeting takes, and the way round is said', () => {
  assert.equal(bestOf(map({ udp: 'blocked', tcp: 'works', turn_udp: 'works' })), 'tcp');
  assert.deepEqual(keys(findingsOf(map({ udp: 'works' }), GOOD)), ['good fine']);
  assert.deepEqual(keys(findingsOf(map({ udp: 'blocked', tcp: 'works' }), GOOD)), ['care tcp']);
  assert.deepEqual(keys(findingsOf(map({ udp: 'blocked', tcp: 'blocked', turn_tls: 'works' }), GOOD)), ['care relay']);
  assert.deepEqual(keys(findingsOf(map({ udp: 'blocked', tcp: 'not_offered' }), null)), ['bad none']);
  assert.deepEqual(keys(findingsOf(map({ udp: 'works' }), null)), ['bad nothing']);
});

test('numbers are weighed, the gravest first', () => {
  const find = (/** @type {Partial<typeof GOOD>} */ change) => keys(findingsOf(map({ udp: 'works' }), { ...GOOD, ...change }));
  assert.deepEqual(find({ lossUp: 0.05 }), ['care loss']);
  assert.deepEqual(find({ lossDown: 0.2, rttMs: 500 }), ['bad loss', 'care trip']);
  assert.deepEqual(find({ jitterMs: 90 }), ['care jitter']);
  assert.deepEqual(find({ upBps: 90_000, downBps: 500_000 }), ['bad up', 'care down']);
  assert.deepEqual(find({ largeLost: 0.9, upBps: 90_000 }), ['bad large'], 'the rest follows from it');
  assert.deepEqual(find({ hasSmall: false }), ['bad nothing']);
});

test('two looks at the counters make rates and losses', () => {
  const zero = { audio: 0, audioLost: 0, video: 0, videoLost: 0, videoSent: 0, bytes: 0, jitterMs: 0, sentBytes: 0, lossUp: 0, rttMs: null };
  const whole = measuredOf(zero, { ...zero, audio: 250, video: 900, videoLost: 100, videoSent: 1000, bytes: 625_000, sentBytes: 1_250_000, rttMs: 20 }, 5);
  assert.deepEqual([whole.upBps, whole.downBps, whole.hasSmall], [2_000_000, 1_000_000, true]);
  assert.ok(Math.abs(whole.lossDown - 0.08) < 0.001 && Math.abs(whole.largeLost - 0.1) < 0.001);
  const hole = measuredOf(zero, { ...zero, audio: 250, videoSent: 1000 }, 5);
  assert.equal(hole.largeLost, 1, 'no picture came back at all');
  assert.equal(measuredOf(zero, { ...zero, videoSent: 100 }, 5).hasSmall, false);
});
