// What a connection's statistics say about one picture, in numbers that people can compare. Pure.

/**
 * @typedef {object} Sample one reading of `getStats()` for one RTP stream
 * @property {number} ms when
 * @property {number} bytes
 * @property {number} packets
 * @property {number} lost
 * @property {number} frames decoded or encoded
 * @property {number} frozenMs
 * @property {number} width
 * @property {number} height
 * @property {number} jitterMs
 * @property {string} codec
 * @property {string} rid
 * @property {boolean} active
 * @property {string} limit why a sender holds back: `cpu`, `bandwidth` or nothing
 */

/**
 * @typedef {object} Reading what happened between two samples
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {number} bitrate bits per second
 * @property {number} loss share of packets, 0..1
 * @property {number} frozen share of the time, 0..1
 * @property {number} jitterMs
 * @property {string} codec
 * @property {string} rid
 * @property {boolean} active
 * @property {string} limit
 */

/**
 * Video streams of a report that go in one direction; a receiver's of one m-line.
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @param {'inbound-rtp' | 'outbound-rtp'} type
 * @param {string} mid
 * @param {'audio' | 'video'} kind
 * @returns {Sample[]}
 */
export function samplesOf(report, type, mid, kind) {
  const all = [...report];
  const byId = new Map(all.map((stats) => [stats.id, stats]));
  return all
    .filter((stats) => stats.type === type && stats.kind === kind && stats.mid === mid)
    .map((stats) => {
      const remote = byId.get(stats.remoteId);
      return {
        ms: stats.timestamp,
        bytes: stats.bytesReceived ?? stats.bytesSent ?? 0,
        packets: stats.packetsReceived ?? stats.packetsSent ?? 0,
        // What a sender loses only the other end knows.
        lost: Math.max(0, (type === 'inbound-rtp' ? stats.packetsLost : remote?.packetsLost) ?? 0),
        frames: stats.framesDecoded ?? stats.framesEncoded ?? 0,
        frozenMs: (stats.totalFreezesDuration ?? 0) * 1000,
        width: stats.frameWidth ?? 0,
        height: stats.frameHeight ?? 0,
        jitterMs: ((type === 'inbound-rtp' ? stats.jitter : remote?.jitter) ?? 0) * 1000,
        codec: String(byId.get(stats.codecId)?.mimeType ?? '').split('/')[1] ?? '',
        rid: stats.rid ?? '',
        active: stats.active ?? true,
        limit: stats.qualityLimitationReason === 'none' ? '' : (stats.qualityLimitationReason ?? ''),
      };
    });
}

/**
 * @param {Sample | undefined} before of the same stream
 * @param {Sample} now
 * @returns {Reading}
 */
export function readingOf(before, now) {
  const { width, height, jitterMs, codec, rid, active, limit } = now;
  const shown = { width, height, jitterMs, codec, rid, active, limit };
  // A stream that began anew counts from zero again.
  if (!before || before.bytes > now.bytes || before.ms >= now.ms) return { ...shown, fps: 0, bitrate: 0, loss: 0, frozen: 0 };
  const seconds = (now.ms - before.ms) / 1000;
  const lost = Math.max(0, now.lost - before.lost);
  const arrived = Math.max(0, now.packets - before.packets);
  return {
    ...shown,
    fps: Math.max(0, now.frames - before.frames) / seconds,
    bitrate: ((now.bytes - before.bytes) * 8) / seconds,
    loss: lost === 0 ? 0 : lost / (lost + arrived),
    frozen: Math.min(1, Math.max(0, now.frozenMs - before.frozenMs) / 1000 / seconds),
  };
}

/** From here on a picture breaks up although what is lost is sent again. */
const LOSSY = 0.05;
/** A picture that stands for a fifth of the time is seen to stand. */
const FROZEN = 0.2;
/** Seconds that a weak link is spoken of after it was last seen: shorter flickers, longer lies. */
const WEAK_SECONDS = 4;
/** Seconds in which a picture that has just come is not judged: until its first frames flow, it stands. */
const NEW_SECONDS = 3;

/** Whether a tile's link is weak, told calmly: not at the first bad second, and not gone with the first good one. */
export class Quality {
  #bad = 0;
  #left = 0;
  #age = 0;

  /**
   * Called once a second.
   * @param {Reading | null} reading null when there is no picture to judge
   * @returns {boolean} whether the link is weak
   */
  judge(reading) {
    if (!reading) {
      this.#bad = 0;
      this.#left = 0;
      this.#age = 0;
      return false;
    }
    this.#age += 1;
    const isBad = this.#age > NEW_SECONDS && (reading.loss >= LOSSY || reading.frozen >= FROZEN);
    this.#bad = isBad ? this.#bad + 1 : 0;
    if (this.#bad >= 2) this.#left = WEAK_SECONDS;
    else if (!isBad && this.#left > 0) this.#left -= 1;
    return this.#left > 0;
  }
}

/**
 * Why a tile shows what it shows, in one word of the catalogue (`stats.why.…`).
 * @param {import('./types.js').SlotBinding | null} binding of the slot; null when no slot carries the track
 * @param {boolean} hasTrack whether there is a picture to show at all
 */
export function whyOf(binding, hasTrack) {
  if (!hasTrack) return 'off';
  return binding ? binding.reason : 'no_slot';
}

/** @param {number} bitsPerSecond @param {string} language */
export function bitrateText(bitsPerSecond, language) {
  const isLarge = bitsPerSecond >= 1_000_000;
  const value = isLarge ? bitsPerSecond / 1_000_000 : Math.round(bitsPerSecond / 1000);
  const digits = new Intl.NumberFormat(language, { maximumFractionDigits: isLarge ? 1 : 0 }).format(value);
  return { digits, isLarge };
}
