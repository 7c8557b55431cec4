// What the measured numbers mean for a meeting, and what to do. Pure.

/** @typedef {import('./paths.js').PathId} PathId */
/** @typedef {'works' | 'blocked' | 'not_offered'} Outcome */

/**
 * @typedef {object} Measured
 * @property {number | null} rttMs
 * @property {number} jitterMs
 * @property {number} lossUp 0..1
 * @property {number} lossDown 0..1
 * @property {number} upBps
 * @property {number} downBps
 * @property {boolean} hasSmall small packets (sound) came back
 * @property {number} largeLost part of large packets (pictures) that did not come back, beyond the small ones' loss
 */

/** @typedef {{level: 'good' | 'care' | 'bad', key: 'tcp' | 'relay' | 'none' | 'large' | 'nothing' | 'loss' | 'trip' | 'jitter' | 'up' | 'down' | 'fine'}} Finding */

/** Sound breaks up from here on, however it is repaired. */
const LOSS_BAD = 0.08;
/** Pictures stop for moments. */
const LOSS_CARE = 0.02;
/** People begin to talk over each other. */
const TRIP_CARE_MS = 300;
/** Sound waits longer than people notice. */
const JITTER_CARE_MS = 40;
/** Less than a small picture with sound needs. */
const RATE_BAD = 150_000;
/** Less than a good picture needs. */
const RATE_CARE = 700_000;
/** Large packets that are missing by more than chance and a bad link explain. */
const LARGE_LOST = 0.3;

/**
 * The first of what works is what a meeting takes.
 * @param {ReadonlyMap<PathId, Outcome>} outcomes
 * @returns {PathId | null}
 */
export function bestOf(outcomes) {
  for (const [id, outcome] of outcomes) if (outcome === 'works') return id;
  return null;
}

/**
 * @param {ReadonlyMap<PathId, Outcome>} outcomes in order of preference
 * @param {Measured | null} measured on the best of them
 * @returns {Finding[]} the gravest first; never empty
 */
export function findingsOf(outcomes, measured) {
  /** @type {Finding[]} */
  const findings = [];
  const best = bestOf(outcomes);
  if (best === null) return [{ level: 'bad', key: 'none' }];
  if (best === 'tcp') findings.push({ level: 'care', key: 'tcp' });
  if (best.startsWith('turn')) findings.push({ level: 'care', key: 'relay' });
  if (measured) findings.push(...measuredFindings(measured));
  else findings.push({ level: 'bad', key: 'nothing' });
  if (findings.length === 0) return [{ level: 'good', key: 'fine' }];
  const grave = (/** @type {Finding} */ finding) => (finding.level === 'bad' ? 0 : 1);
  return findings.sort((a, b) => grave(a) - grave(b));
}

/**
 * @param {Measured} m
 * @returns {Finding[]}
 */
function measuredFindings(m) {
  if (!m.hasSmall) return [{ level: 'bad', key: 'nothing' }];
  // Then rates and losses say no more than that.
  if (m.largeLost > LARGE_LOST) return [{ level: 'bad', key: 'large' }];
  /** @type {Finding[]} */
  const found = [];
  const loss = Math.max(m.lossUp, m.lossDown);
  if (loss > LOSS_CARE) found.push({ level: loss > LOSS_BAD ? 'bad' : 'care', key: 'loss' });
  if (m.upBps < RATE_CARE) found.push({ level: m.upBps < RATE_BAD ? 'bad' : 'care', key: 'up' });
  if (m.downBps < RATE_CARE) found.push({ level: m.downBps < RATE_BAD ? 'bad' : 'care', key: 'down' });
  if (m.rttMs !== null && m.rttMs > TRIP_CARE_MS) found.push({ level: 'care', key: 'trip' });
  if (m.jitterMs > JITTER_CARE_MS) found.push({ level: 'care', key: 'jitter' });
  return found;
}

/** @typedef {{audio: number, audioLost: number, video: number, videoLost: number, videoSent: number, bytes: number, jitterMs: number, sentBytes: number, lossUp: number, rttMs: number | null}} Reading counted since the beginning, but for the last three */

/**
 * Two looks at the counters, so many seconds apart.
 * @param {Reading} from
 * @param {Reading} to
 * @param {number} seconds
 * @returns {Measured}
 */
export function measuredOf(from, to, seconds) {
  const part = (/** @type {number} */ lost, /** @type {number} */ came) => (lost + came > 0 ? Math.max(0, lost) / (Math.max(0, lost) + came) : 0);
  const audioLoss = part(to.audioLost - from.audioLost, to.audio - from.audio);
  const video = to.video - from.video;
  // What never came at all counts no losses: then what was sent says it.
  const videoLoss = video === 0 ? (to.videoSent > from.videoSent ? 1 : 0) : part(to.videoLost - from.videoLost, video);
  const all = part(to.audioLost - from.audioLost + to.videoLost - from.videoLost, to.audio - from.audio + video);
  return {
    rttMs: to.rttMs,
    jitterMs: to.jitterMs,
    lossUp: to.lossUp,
    // A packet that was lost on its way up is missing on its way down too.
    lossDown: Math.max(0, all - to.lossUp),
    upBps: ((to.sentBytes - from.sentBytes) * 8) / seconds,
    downBps: ((to.bytes - from.bytes) * 8) / seconds,
    hasSmall: to.audio > from.audio,
    largeLost: Math.max(0, videoLoss - audioLoss),
  };
}
