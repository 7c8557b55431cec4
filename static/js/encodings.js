// What a source is sent as: in how many layers, how large, and which of them anybody takes.

/** @typedef {import('./types.js').Source} Source */
/** @typedef {'vp8' | 'vp9' | 'av1'} VideoCodec */
/** @typedef {RTCRtpEncodingParameters & {scalabilityMode?: string, codec?: RTCRtpCodec}} LayeredEncoding what the checker does not know */

/** Two frame rates in each layer: who cannot take 30 frames a second gets 15 without a layer of their own. */
const TEMPORAL = 'L1T2';

/**
 * A camera at 720p, smallest layer first. More bits for a layer starve small uplinks, which then lose the best
 * layer first; fewer show.
 * @type {RTCRtpEncodingParameters[]}
 */
const CAMERA = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];

/**
 * Text must stay readable, so a screen has one size; it needs more bits than a face, but only when it moves.
 * @type {RTCRtpEncodingParameters[]}
 */
const SCREEN = [{ maxBitrate: 2_500_000, maxFramerate: 30 }];

/**
 * A camera as one stream of layers within each other, by their number, which VP9 and AV1 can do: sharper for its bits, and
 * more work. The `KEY` of a mode lets sizes be left out from any picture on.
 */
const NESTED = /** @type {const} */ (['L1T3', 'L2T3_KEY', 'L3T3_KEY']);
const ALL_NESTED = NESTED[2];
/** Chromium sends no nested layer with sides shorter than these. */
const SMALLEST = { long: 240, short: 135 };

/** Pixels from which Chromium sends three layers, or two. It leaves out the last ones, which would be the large ones. */
const THREE_LAYERS = 960 * 540;
const TWO_LAYERS = 480 * 270;

/**
 * How many layers a camera of this size is worth.
 * @param {{width?: number, height?: number} | null} size null when it is not known
 */
export function layersFor(size) {
  if (!size?.width || !size.height) return CAMERA.length;
  const pixels = size.width * size.height;
  return pixels >= THREE_LAYERS ? 3 : pixels >= TWO_LAYERS ? 2 : 1;
}

/**
 * How many nested layers there are of a camera of this size.
 * @param {{width?: number, height?: number}} size
 */
export function nestedFor({ width, height }) {
  if (!width || !height) return NESTED.length;
  const halvings = Math.min(Math.log2(Math.max(width, height) / SMALLEST.long), Math.log2(Math.min(width, height) / SMALLEST.short));
  return Math.min(Math.max(1 + Math.floor(halvings), 1), NESTED.length);
}

/**
 * A line that sends a source, or waits for its track.
 * @param {RTCPeerConnection} pc
 * @param {Source} source
 * @param {MediaStreamTrack | undefined} track
 * @param {VideoCodec} [codec] of a camera
 */
export function addLine(pc, source, track, codec = 'vp8') {
  const kind = source === 'camera' || source === 'screen' ? 'video' : 'audio';
  const nested = source === 'camera' ? addNested(pc, track, codec) : null;
  if (nested) return nested;
  const encodings = encodingsOf(source);
  try {
    return pc.addTransceiver(track ?? kind, { direction: 'sendonly', sendEncodings: encodings.map((e) => ({ ...e, scalabilityMode: TEMPORAL })) });
  } catch {
    // A browser whose encoder has no temporal layers refuses the whole line.
    return pc.addTransceiver(track ?? kind, { direction: 'sendonly', sendEncodings: encodings });
  }
}

/**
 * A camera's line of nested layers; null where the browser has none in this codec.
 * @param {RTCPeerConnection} pc
 * @param {MediaStreamTrack | undefined} track
 * @param {VideoCodec} codec
 */
function addNested(pc, track, codec) {
  if (codec === 'vp8' || !nestedCodecs().includes(codec)) return null;
  const { maxBitrate } = /** @type {RTCRtpEncodingParameters} */ (CAMERA.at(-1));
  /** @type {LayeredEncoding} */
  const encoding = { maxBitrate, scalabilityMode: ALL_NESTED };
  const line = pc.addTransceiver(track ?? 'video', { direction: 'sendonly', sendEncodings: [encoding] });
  const own = (/** @type {{mimeType: string}} */ { mimeType }) => Number(mimeType.toLowerCase() === `video/${codec}`);
  // The server takes the order of the offer.
  line.setCodecPreferences([...(RTCRtpSender.getCapabilities('video')?.codecs ?? [])].sort((a, b) => own(b) - own(a)));
  return line;
}

/** @type {VideoCodec[] | null} */
let nestedHere = null;

/**
 * Codecs in which this browser sends nested layers. One that knows nothing of them says nothing when asked for them, and
 * would send a single large picture.
 * @returns {readonly VideoCodec[]}
 */
export function nestedCodecs() {
  if (nestedHere) return nestedHere;
  /** @type {VideoCodec[]} */
  const found = [];
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  const pc = codecs.length > 0 ? new RTCPeerConnection() : null;
  for (const codec of /** @type {const} */ (['vp9', 'av1'])) {
    const own = codecs.find(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`);
    if (!pc || !own) continue;
    try {
      /** @type {LayeredEncoding} */
      const wanted = { codec: own, scalabilityMode: ALL_NESTED };
      const line = pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [wanted] });
      /** @type {LayeredEncoding | undefined} */
      const got = line.sender.getParameters().encodings[0];
      if (got?.scalabilityMode === wanted.scalabilityMode) found.push(codec);
    } catch {
      // Then it has none.
    }
  }
  pc?.close();
  nestedHere = found;
  return found;
}

/**
 * @param {Source} source
 * @returns {RTCRtpEncodingParameters[]}
 */
function encodingsOf(source) {
  if (source === 'camera') return CAMERA.map((encoding) => ({ ...encoding }));
  return source === 'screen' ? SCREEN.map((encoding) => ({ ...encoding })) : [];
}

/** The encodings of one sender, changed one after the other: browsers refuse a change that overlaps another. */
export class Encodings {
  /** Layers that somebody takes; null before the server has said.
   * @type {ReadonlySet<string> | null} */
  #wanted = null;
  /** The highest nested layer that somebody takes. */
  #spatial = Infinity;
  /** Layers that the camera is worth. */
  #count = CAMERA.length;
  /** @type {number} */
  #nestedCount = NESTED.length;
  #turn = Promise.resolve();
  #sender;
  #source;
  #isNested;

  /**
   * @param {Pick<RTCRtpSender, 'getParameters' | 'setParameters'>} sender
   * @param {Source} source
   */
  constructor(sender, source) {
    this.#sender = sender;
    this.#source = source;
    /** @type {LayeredEncoding | undefined} */
    const first = sender.getParameters().encodings[0];
    this.#isNested = first?.scalabilityMode === ALL_NESTED;
    if (source === 'screen') void this.#change((parameters) => void (parameters.degradationPreference = 'maintain-resolution'));
  }

  /** An answer was applied: it may have left one encoding of several. */
  settled() {
    return this.#change((parameters) => this.#fit(parameters.encodings));
  }

  /**
   * Another track is sent: the largest layer is all of it, however large that is.
   * @param {{width?: number, height?: number}} size
   */
  sized(size) {
    this.#count = layersFor(size);
    this.#nestedCount = nestedFor(size);
    return this.#change((parameters) => this.#fit(parameters.encodings));
  }

  /**
   * Sends these layers and pauses the others.
   * @param {readonly string[]} rids
   * @param {number} [spatial] the highest nested one; all without it
   */
  want(rids, spatial = Infinity) {
    this.#wanted = new Set(rids);
    this.#spatial = spatial;
    return this.#change((parameters) => this.#fit(parameters.encodings));
  }

  /** @param {RTCRtpEncodingParameters[]} encodings */
  #fit(encodings) {
    const only = encodings[0];
    if (encodings.length === 1 && only && this.#isNested) {
      // The largest are left out by a smaller picture in fewer layers: those that stay are what they were. A lower rate alone
      // would leave them out too, but Chromium fills up with padding what they would take.
      const sizes = Math.min(this.#spatial + 1, this.#nestedCount);
      const left = this.#nestedCount - sizes;
      /** @type {LayeredEncoding} */
      const nested = { scalabilityMode: NESTED[sizes - 1], scaleResolutionDownBy: 2 ** left, maxBitrate: CAMERA.at(left > 0 ? sizes - 1 : -1)?.maxBitrate, active: true };
      Object.assign(only, nested);
      return;
    }
    if (encodings.length === 1 && only) {
      // Browsers keep the first, smallest layer when the other side takes one only; it has to be the whole picture then.
      const best = encodingsOf(this.#source).at(-1);
      if (best?.scaleResolutionDownBy) Object.assign(only, { scaleResolutionDownBy: best.scaleResolutionDownBy, maxBitrate: best.maxBitrate, active: true });
      return;
    }
    if (this.#source !== 'camera') return;
    encodings.forEach((encoding, index) => {
      const isSent = index < this.#count;
      if (isSent) encoding.scaleResolutionDownBy = 2 ** (this.#count - 1 - index);
      encoding.active = isSent && (this.#wanted === null || this.#wanted.has(encoding.rid ?? ''));
    });
  }

  /** @param {(parameters: RTCRtpSendParameters) => void} edit */
  #change(edit) {
    this.#turn = this.#turn.then(async () => {
      // A negotiation in between makes what was read stale; read anew it is good.
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const parameters = this.#sender.getParameters();
        const before = JSON.stringify(parameters);
        edit(parameters);
        if (JSON.stringify(parameters) === before) return;
        try {
          await this.#sender.setParameters(parameters);
          return;
        } catch (error) {
          if (attempt === ATTEMPTS - 1) console.warn('an encoding could not be changed', error);
        }
      }
    });
    return this.#turn;
  }
}

const ATTEMPTS = 2;
