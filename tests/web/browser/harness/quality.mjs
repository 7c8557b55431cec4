// What a person sees and hears of another over a stretch of time: frames, freezes, concealed sound, sync.

/** @typedef {import('./browsers.mjs').Tab} Tab */

/**
 * @typedef {object} Quality
 * @property {number} seconds
 * @property {number} fps decoded
 * @property {number} width of the picture at the end
 * @property {number} freezes as the browser counts them
 * @property {number} frozenMs as the browser counts them
 * @property {number} longestGapMs between two pictures on the screen, up to the end
 * @property {number} concealed share of the sound that was made up, silence apart
 * @property {number} lost share of video packets that never came by themselves
 * @property {number} kbit video received per second
 * @property {number | null} offsetMs sound against picture (late sound is positive), by the browser's own playout times
 */

/**
 * Starts to watch the picture under a name: every frame that is shown leaves its time.
 * @param {Tab} tab @param {string} name
 */
export async function watch(tab, name) {
  await tab.until(`a picture of ${name}`, (/** @type {string} */ who) => {
    const video = /** @type {HTMLVideoElement | null} */ (document.querySelector(`veche-tile[data-name="${who}"][data-source=camera] video`));
    return !!video && video.videoWidth > 0;
  }, name);
  await tab.run((/** @type {string} */ who) => {
    const kit = /** @type {any} */ (window).testkit;
    kit.watched = who;
    /** @type {{at: number, width: number}[]} */
    kit.shown = [];
    kit.eye = (kit.eye ?? 0) + 1;
    const eye = kit.eye;
    /** @type {HTMLVideoElement | null} */
    let video = null;
    // A tile may get another element when its slot changes.
    const look = () => {
      if (kit.eye !== eye) return;
      const now = /** @type {HTMLVideoElement | null} */ (document.querySelector(`veche-tile[data-name="${who}"][data-source=camera] video`));
      if (now && now !== video) {
        video = now;
        const mine = now;
        const frame = () => mine.requestVideoFrameCallback((at, data) => {
          if (kit.eye !== eye || video !== mine) return;
          kit.shown.push({ at, width: data.width });
          frame();
        });
        frame();
      }
      setTimeout(look, 50);
    };
    look();
  }, name);
}

/** The browser's counters of the stream that carries most. @param {Tab} tab */
function counters(tab) {
  return tab.run(async () => {
    const kit = /** @type {any} */ (window).testkit;
    /** @type {any[]} */
    const all = [];
    for (const pc of kit.pcs) {
      if (pc.connectionState === 'closed') continue;
      (await pc.getStats()).forEach((/** @type {any} */ s) => s.type === 'inbound-rtp' && all.push({ ...s }));
    }
    const of = (/** @type {string} */ kind) => all.filter((s) => s.kind === kind && (s.packetsReceived ?? 0) > 0);
    return { now: performance.now(), audio: of('audio'), video: of('video') };
  });
}

/** @param {any[]} before @param {any[]} after the stream that brought most meanwhile, as it was and is */
function busiest(before, after) {
  const pairs = after.map((now) => ({ now, was: before.find((s) => s.id === now.id) ?? {} }));
  return pairs.sort((a, b) => grown(b, 'packetsReceived') - grown(a, 'packetsReceived'))[0] ?? { now: {}, was: {} };
}

/** @param {{now: any, was: any}} pair @param {string} field */
const grown = ({ now, was }, field) => (now[field] ?? 0) - (was[field] ?? 0);

/**
 * Watches for a while; `watch` must have begun.
 * @param {Tab} tab @param {number} seconds
 * @returns {Promise<Quality>}
 */
export async function quality(tab, seconds) {
  const before = await counters(tab);
  /** @type {number[]} */
  const offsets = [];
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    await new Promise((done) => setTimeout(done, Math.min(500, Math.max(0, end - Date.now()))));
    const { audio, video } = await counters(tab);
    const [heard, seen] = [busiest(before.audio, audio).now, busiest(before.video, video).now];
    if (heard.estimatedPlayoutTimestamp && seen.estimatedPlayoutTimestamp) {
      // Both say what moment of the sender is out now: sound that is behind is late.
      offsets.push(seen.estimatedPlayoutTimestamp - heard.estimatedPlayoutTimestamp);
    }
  }
  const after = await counters(tab);
  const [video, audio] = [busiest(before.video, after.video), busiest(before.audio, after.audio)];
  const took = (after.now - before.now) / 1000;
  const shown = await tab.run((/** @type {{from: number, to: number}} */ { from, to }) => {
    const times = /** @type {any} */ (window).testkit.shown.map((/** @type {any} */ f) => f.at).filter((/** @type {number} */ at) => at > from && at <= to);
    return [from, ...times, to];
  }, { from: before.now, to: after.now });
  const samples = grown(audio, 'totalSamplesReceived');
  offsets.sort((a, b) => a - b);
  return {
    seconds: round(took, 1),
    fps: round(grown(video, 'framesDecoded') / took, 1),
    width: video.now.frameWidth ?? 0,
    freezes: grown(video, 'freezeCount'),
    frozenMs: Math.round(grown(video, 'totalFreezesDuration') * 1000),
    longestGapMs: Math.round(Math.max(...shown.slice(1).map((/** @type {number} */ at, /** @type {number} */ n) => at - shown[n]))),
    concealed: samples ? round((grown(audio, 'concealedSamples') - grown(audio, 'silentConcealedSamples')) / samples, 4) : 1,
    lost: round(grown(video, 'packetsLost') / Math.max(1, grown(video, 'packetsLost') + grown(video, 'packetsReceived')), 4),
    kbit: Math.round((grown(video, 'bytesReceived') * 8) / took / 1000),
    offsetMs: offsets.length ? Math.round(/** @type {number} */ (offsets[offsets.length >> 1])) : null,
  };
}

/**
 * Waits until the picture shown has a width that passes; how long that took in ms.
 * @param {Tab} tab @param {(width: number) => boolean} passes @param {number} patience ms
 */
export async function untilWidth(tab, passes, patience) {
  const start = performance.now();
  for (;;) {
    const width = await tab.run(() => /** @type {any} */ (window).testkit.shown.at(-1)?.width ?? 0);
    const took = performance.now() - start;
    if (passes(width)) return Math.round(took);
    if (took > patience) throw new Error(`the width is ${width} after ${Math.round(took)} ms\n${await tab.describe()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** @param {number} value @param {number} digits */
const round = (value, digits) => Number(value.toFixed(digits));
