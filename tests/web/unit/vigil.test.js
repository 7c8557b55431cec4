import assert from 'node:assert/strict';
import test from 'node:test';
import { Vigil } from '../../../static/js/vigil.js';

/** Time passes in steps of this. */
const STEP_MS = 10;

/**
 * A call in a browser with two networks. Feedback for what is sent comes ten times a second and pictures fifteen times, until
 * `cut`.
 * @param {import('node:test').TestContext} context
 * @param {object} [how]
 * @param {boolean} [how.sends] whether there is anything to be answered
 * @param {number} [how.checks] answers to checks over the other network come this often, in milliseconds
 * @param {number} [how.echo] how much later than the feedback the last picture is played
 */
function call(context, { sends = true, checks = Infinity, echo = 0 } = {}) {
  let now = 0;
  let cutAt = Infinity;
  context.mock.timers.enable({ apis: ['setTimeout'] });
  context.mock.method(performance, 'now', () => now);
  /** @type {any} */ (globalThis).window = globalThis;
  const upTo = (/** @type {number} */ end, /** @type {number} */ every) => Math.floor(Math.min(now, end) / every);
  const pc = {
    getStats: async () => new Map(Object.entries({
      // The one in use, and one that the browser keeps warm.
      used: { type: 'candidate-pair', bytesReceived: 60 * upTo(cutAt, 100), responsesReceived: upTo(cutAt, 2_500) },
      spare: { type: 'candidate-pair', bytesReceived: 0, responsesReceived: upTo(Infinity, checks) },
      stream: { type: 'outbound-rtp', packetsSent: sends ? upTo(Infinity, 20) : 0 },
    })),
  };
  /** @type {{at: number, lost: import('../../../static/js/vigil.js').Lost}[]} */
  const alarms = [];
  const vigil = new Vigil({
    publish: () => /** @type {any} */ (pc),
    isAwaited: () => true,
    received: () => 66 * upTo(cutAt + echo, 66),
    alarm: async () => {
      const lost = await vigil.read();
      alarms.push({ at: now - cutAt, lost });
      vigil.forget(lost);
    },
  });
  context.after(() => vigil.stop());
  return {
    alarms,
    cut: () => (cutAt = now),
    pass: async (/** @type {number} */ ms) => {
      for (const end = now + ms; now < end;) {
        now += STEP_MS;
        context.mock.timers.tick(STEP_MS);
        await new Promise((done) => setImmediate(done));
      }
    },
  };
}

const both = { publish: true, subscribe: true };

test('when the network dies, both connections are known to be still within two seconds', async (context) => {
  const { alarms, cut, pass } = call(context);
  await pass(10_000);
  assert.deepEqual(alarms, []);
  cut();
  await pass(10_000);
  assert.deepEqual(alarms.map(({ lost }) => lost), [both]);
  assert.ok(alarms.every(({ at }) => at < 2_000), JSON.stringify(alarms));
});

test('answers to checks over another network are no life of the one that died', async (context) => {
  for (const checks of [400, 900, 1_300]) {
    await context.test(`every ${checks} ms`, async (inner) => {
      const { alarms, cut, pass } = call(inner, { checks });
      await pass(10_000);
      cut();
      await pass(10_000);
      assert.deepEqual(alarms.map(({ lost }) => lost), [both]);
      assert.ok(alarms.every(({ at }) => at < 2_000), JSON.stringify(alarms));
    });
  }
});

test('what is played a little longer is not taken for alive for the rest of the call', async (context) => {
  const { alarms, cut, pass } = call(context, { echo: 1_000 });
  await pass(10_000);
  cut();
  await pass(10_000);
  const when = (/** @type {'publish' | 'subscribe'} */ end) => alarms.find(({ lost }) => lost[end])?.at ?? Infinity;
  assert.ok(when('publish') < 2_000 && when('subscribe') < 3_000, JSON.stringify(alarms));
});

test('who sends nothing loses both connections too', async (context) => {
  const { alarms, cut, pass } = call(context, { sends: false });
  await pass(10_000);
  cut();
  await pass(10_000);
  assert.deepEqual(alarms.map(({ lost }) => lost), [both]);
});
