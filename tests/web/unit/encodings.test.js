import assert from 'node:assert/strict';
import test from 'node:test';
import { Encodings, addLine, nestedCodecs, nestedFor } from '../../../static/js/encodings.js';

/** A sender as browsers have it: parameters are good once, and only until the next change. */
class FakeSender {
  /** @param {any[]} encodings */
  constructor(encodings) {
    this.parameters = { encodings: encodings.map((e) => ({ active: true, ...e })), transactionId: 0 };
    this.changes = 0;
    this.underWay = 0;
    this.failures = 0;
  }

  getParameters() {
    return structuredClone({ ...this.parameters });
  }

  /** @param {any} next */
  async setParameters(next) {
    this.underWay += 1;
    assert.equal(this.underWay, 1, 'one change at a time');
    await Promise.resolve();
    this.underWay -= 1;
    this.changes += 1;
    if (this.failures-- > 0) throw new DOMException('stale', 'InvalidModificationError');
    assert.equal(next.transactionId, this.parameters.transactionId);
    this.parameters = { ...next, transactionId: next.transactionId + 1 };
  }

  get active() {
    return this.parameters.encodings.filter((e) => e.active).map((e) => e.rid);
  }
}

const LAYERS = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];

/** @param {FakeSender} sender @param {import('../../../static/js/types.js').Source} source */
const encodingsOf = (sender, source) => new Encodings(/** @type {any} */ (sender), source);

test('layers that nobody takes are paused, and sent again when somebody does', async () => {
  const sender = new FakeSender(LAYERS);
  const encodings = encodingsOf(sender, 'camera');
  await encodings.want(['q', 'h']);
  assert.deepEqual(sender.active, ['q', 'h']);
  await encodings.want([]);
  assert.deepEqual(sender.active, []);
  await encodings.want(['q', 'h', 'f']);
  assert.deepEqual(sender.active, ['q', 'h', 'f']);
});

test('changes come one after the other, and the last one counts', async () => {
  const sender = new FakeSender(LAYERS);
  const encodings = encodingsOf(sender, 'camera');
  await Promise.all([encodings.want(['q']), encodings.want(['f']), encodings.settled(), encodings.want(['h'])]);
  assert.deepEqual(sender.active, ['h']);
});

test('what does not change anything is not said to the browser', async () => {
  const sender = new FakeSender(LAYERS);
  const encodings = encodingsOf(sender, 'camera');
  await encodings.settled();
  await encodings.want(['q', 'h', 'f']);
  assert.equal(sender.changes, 0);
});

test('a change that a negotiation made stale is made again, and one that never works harms nothing', async () => {
  const sender = new FakeSender(LAYERS);
  const encodings = encodingsOf(sender, 'camera');
  sender.failures = 1;
  await encodings.want(['q']);
  assert.deepEqual(sender.active, ['q']);
  sender.failures = 9;
  await encodings.want(['h']);
  assert.deepEqual(sender.active, ['q']);
  sender.failures = 0;
  await encodings.want(['f']);
  assert.deepEqual(sender.active, ['f']);
});

test('a small camera is sent in fewer layers, the largest of them whole', async () => {
  const sender = new FakeSender(LAYERS);
  const encodings = encodingsOf(sender, 'camera');
  const sent = () => sender.parameters.encodings.filter((e) => e.active).map((e) => [e.rid, e.scaleResolutionDownBy]);
  await encodings.sized({ width: 640, height: 360 });
  assert.deepEqual(sent(), [['q', 2], ['h', 1]]);
  await encodings.want(['h', 'f']);
  assert.deepEqual(sent(), [['h', 1]]);
  await encodings.sized({ width: 320, height: 240 });
  await encodings.want(['q', 'h', 'f']);
  assert.deepEqual(sent(), [['q', 1]]);
  await encodings.sized({ width: 720, height: 1280 });
  assert.deepEqual(sent(), [['q', 4], ['h', 2], ['f', 1]]);
  await encodings.sized({});
  assert.deepEqual(sent(), [['q', 4], ['h', 2], ['f', 1]], 'what is not known is taken for large');
});

test('a server that takes one layer gets the whole picture, not the smallest one', async () => {
  const sender = new FakeSender([{ rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 }]);
  const encodings = encodingsOf(sender, 'camera');
  await encodings.settled();
  assert.deepEqual(sender.parameters.encodings, [{ active: true, rid: 'q', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 }]);
});

test('nested layers that nobody takes are left out by a smaller picture, and those below stay what they are', async () => {
  const sender = new FakeSender([{ maxBitrate: 1_700_000, scalabilityMode: 'L3T3_KEY' }]);
  const encodings = encodingsOf(sender, 'camera');
  const sent = () => { const [e] = sender.parameters.encodings; return [e.scalabilityMode, e.scaleResolutionDownBy, e.maxBitrate]; };
  await encodings.settled();
  assert.deepEqual(sent(), ['L3T3_KEY', 1, 1_700_000]);
  await encodings.want([], 1);
  assert.deepEqual(sent(), ['L2T3_KEY', 2, 500_000]);
  await encodings.want([], 0);
  assert.deepEqual(sent(), ['L1T3', 4, 150_000]);
  await encodings.sized({ width: 640, height: 360 });
  assert.deepEqual(sent(), ['L1T3', 2, 150_000], 'a smaller camera has two');
  await encodings.want([]);
  assert.deepEqual(sent(), ['L2T3_KEY', 1, 1_700_000]);
  await encodings.want([], 7);
  assert.deepEqual(sent(), ['L2T3_KEY', 1, 1_700_000]);
});

test('a camera has as many nested layers as Chromium makes of it', () => {
  const sizes = [[1920, 1080, 3], [1280, 720, 3], [960, 540, 3], [854, 480, 2], [1200, 450, 2], [720, 1280, 3], [640, 360, 2], [480, 270, 2], [320, 240, 1], [160, 90, 1]];
  for (const [width, height, count] of sizes) assert.equal(nestedFor({ width, height }), count, `${width} x ${height}`);
  assert.equal(nestedFor({}), 3);
});

test('a shared screen loses frames before pixels', async () => {
  const sender = new FakeSender([{ maxBitrate: 2_500_000 }]);
  await encodingsOf(sender, 'screen').settled();
  assert.equal(/** @type {any} */ (sender.parameters).degradationPreference, 'maintain-resolution');
  assert.equal(sender.parameters.encodings[0].maxBitrate, 2_500_000);
});

test('in VP9 and AV1 a camera is one stream of nested layers, where the browser has them', () => {
  /** @type {any[]} */
  const asked = [];
  class FakePc {
    /** @param {string} _kind @param {any} init */
    addTransceiver(_kind, init) {
      // This browser knows nested layers of VP9, and nothing of those of AV1.
      const encodings = init.sendEncodings.map((/** @type {any} */ e) => (e.scalabilityMode === 'L3T3_KEY' && e.codec?.mimeType !== 'video/AV1' ? e : { ...e, scalabilityMode: undefined }));
      const line = { init, order: /** @type {string[]} */ ([]), sender: { getParameters: () => ({ encodings }) }, setCodecPreferences: (/** @type {any[]} */ codecs) => (line.order = codecs.map((c) => c.mimeType)) };
      asked.push(line);
      return line;
    }
    close() {}
  }
  const codecs = ['video/VP8', 'video/rtx', 'video/AV1', 'video/VP9'].map((mimeType) => ({ mimeType }));
  Object.assign(globalThis, { RTCPeerConnection: FakePc, RTCRtpSender: { getCapabilities: () => ({ codecs }) } });
  assert.deepEqual(nestedCodecs(), ['vp9']);
  const pc = /** @type {any} */ (new FakePc());
  addLine(pc, 'camera', undefined, 'vp9');
  assert.deepEqual(asked.at(-1).init.sendEncodings, [{ maxBitrate: 1_700_000, scalabilityMode: 'L3T3_KEY' }]);
  assert.deepEqual(asked.at(-1).order, ['video/VP9', 'video/VP8', 'video/rtx', 'video/AV1']);
  for (const [source, codec] of /** @type {const} */ ([['camera', 'av1'], ['camera', 'vp8'], ['screen', 'vp9']])) {
    addLine(pc, source, undefined, codec);
    assert.deepEqual(asked.at(-1).order, [], `${source} in ${codec}: as ever`);
    assert.equal(asked.at(-1).init.sendEncodings.length, source === 'camera' ? 3 : 1);
  }
});

test('a camera is three layers, the smallest first; a browser without temporal layers sends them too', () => {
  /** @type {any[]} */
  const asked = [];
  let refuses = false;
  /** @type {any} */
  const pc = {
    addTransceiver: (/** @type {any} */ kind, /** @type {any} */ init) => {
      asked.push({ kind, ...init });
      if (refuses && init.sendEncodings.some((/** @type {any} */ e) => e.scalabilityMode)) throw new DOMException('no', 'OperationError');
      return 'line';
    },
  };
  assert.equal(addLine(pc, 'camera', undefined), 'line');
  refuses = true;
  assert.equal(addLine(pc, 'camera', undefined), 'line');
  assert.equal(asked.length, 3);
  for (const { kind, direction, sendEncodings } of asked) {
    assert.equal(kind, 'video');
    assert.equal(direction, 'sendonly');
    assert.deepEqual(sendEncodings.map((/** @type {any} */ e) => [e.rid, e.scaleResolutionDownBy]), [['q', 4], ['h', 2], ['f', 1]]);
  }
  assert.equal(asked[0].sendEncodings[0].scalabilityMode, 'L1T2');
  assert.equal(asked[2].sendEncodings[0].scalabilityMode, undefined);
  refuses = false;
  addLine(pc, 'screen', undefined);
  assert.equal(asked[3].sendEncodings.length, 1);
});
