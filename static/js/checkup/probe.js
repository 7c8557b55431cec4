// One test of one path: made-up sound and pictures go to the server and come back, on connections of their own.

import { only } from './paths.js';
import { measuredOf } from './verdict.js';

/** @typedef {import('./paths.js').Path} Path */
/** @typedef {import('./verdict.js').Reading} Reading */
/** @typedef {{slug: string, invite_code?: string, invite_key?: string}} Place the room at whose door one stands */

/** A path that has not connected by then is blocked: each step is tried again within a second. */
const CONNECT_MS = 8_000;
/** The browser's estimate of the link has grown by then. */
const WARM_UP_MS = 2_000;
/** So long is measured. */
export const MEASURE_MS = 5_000;
/** As much as a good picture takes, and no more: others use the link too. */
const VIDEO_BPS = 2_500_000;

/** Sends, and takes back what was sent. Closes with its signal. */
export class Probe {
  #api;
  #place;
  /** @type {RTCPeerConnection} */
  #sender;
  /** @type {RTCPeerConnection | null} */
  #receiver = null;
  /** @type {string | null} */
  #id = null;
  /** What makes the sound and the picture. @type {(() => void)[]} */
  #sources = [];

  /**
   * @param {import('../api.js').Api} api
   * @param {Place} place
   * @param {Path | null} path `null` tries none, but asks the server what it offers
   * @param {{isWhole: boolean}} how with pictures and the way back, or only a connection
   * @param {AbortSignal} signal
   */
  constructor(api, place, path, { isWhole }, signal) {
    this.#api = api;
    this.#place = place;
    this.path = path;
    const config = /** @type {RTCConfiguration} */ ({ iceServers: path?.servers ?? [], iceTransportPolicy: path?.policy ?? 'all', bundlePolicy: 'max-bundle' });
    this.#sender = new RTCPeerConnection(config);
    if (isWhole) this.#receiver = new RTCPeerConnection(config);
    signal.addEventListener('abort', () => this.close());
  }

  /** Offers, and hears the server's answer. @returns {Promise<string>} its description of where media goes */
  async begin() {
    const sender = this.#sender;
    sender.addTransceiver(this.#sound(), { direction: 'sendonly' });
    if (this.#receiver) {
      sender.addTransceiver(this.#picture(), { direction: 'sendonly', sendEncodings: [{ maxBitrate: VIDEO_BPS }] });
      for (const kind of ['audio', 'video']) this.#receiver.addTransceiver(kind, { direction: 'recvonly' });
    }
    const [publish, watch] = await Promise.all([offerOf(sender), this.#receiver && offerOf(this.#receiver)]);
    const answer = await this.#api.call('POST', 'webrtc/checkups', { body: { ...this.#place, publish, ...(watch ? { watch } : {}) } });
    this.#id = answer.id;
    if (this.path) {
      const { keeps } = this.path;
      await sender.setRemoteDescription({ type: 'answer', sdp: only(answer.publish, keeps) });
      await this.#receiver?.setRemoteDescription({ type: 'answer', sdp: only(answer.watch, keeps) });
    }
    return answer.publish;
  }

  /** Whether media can flow, within the patience that a path deserves. @returns {Promise<boolean>} */
  async isConnected() {
    const ends = [this.#sender, ...(this.#receiver ? [this.#receiver] : [])];
    const up = await Promise.all(ends.map(connected));
    return up.every(Boolean);
  }

  /** The round trip of the path's own checks. @returns {Promise<number | null>} */
  async roundTripMs() {
    for (const stat of (await this.#sender.getStats()).values()) {
      if (stat.type === 'candidate-pair' && stat.state === 'succeeded' && stat.currentRoundTripTime !== undefined) return stat.currentRoundTripTime * 1000;
    }
    return null;
  }

  /** Measures what comes back. */
  async measure() {
    await pause(WARM_UP_MS);
    const from = await this.#read();
    const began = performance.now();
    await pause(MEASURE_MS);
    return measuredOf(from, await this.#read(), (performance.now() - began) / 1000);
  }

  close() {
    for (const stop of this.#sources.splice(0)) stop();
    if (this.#sender.signalingState !== 'closed') this.#sender.close();
    if (this.#receiver && this.#receiver.signalingState !== 'closed') this.#receiver.close();
    const id = this.#id;
    this.#id = null;
    if (id) this.#api.call('DELETE', `webrtc/checkups/${id}`).catch(() => {});
  }

  /** @returns {Promise<Reading>} */
  async #read() {
    /** @type {Reading} */
    const reading = { audio: 0, audioLost: 0, video: 0, videoLost: 0, videoSent: 0, bytes: 0, jitterMs: 0, sentBytes: 0, lossUp: 0, rttMs: await this.roundTripMs() };
    let lost = 0;
    let sent = 0;
    for (const stat of (await this.#sender.getStats()).values()) {
      if (stat.type === 'outbound-rtp') {
        reading.sentBytes += stat.bytesSent + (stat.headerBytesSent ?? 0);
        sent += stat.packetsSent;
        if (stat.kind === 'video') reading.videoSent = stat.packetsSent;
      }
      if (stat.type === 'remote-inbound-rtp') {
        lost += Math.max(0, stat.packetsLost ?? 0);
        reading.rttMs ??= stat.roundTripTime === undefined ? null : stat.roundTripTime * 1000;
      }
    }
    reading.lossUp = sent > 0 ? Math.min(1, lost / sent) : 0;
    for (const stat of (await this.#receiver?.getStats())?.values() ?? []) {
      if (stat.type !== 'inbound-rtp') continue;
      reading.bytes += stat.bytesReceived + (stat.headerBytesReceived ?? 0);
      if (stat.kind === 'audio') {
        reading.audio = stat.packetsReceived;
        reading.audioLost = stat.packetsLost;
        reading.jitterMs = stat.jitter * 1000;
      } else {
        reading.video = stat.packetsReceived;
        reading.videoLost = stat.packetsLost;
      }
    }
    return reading;
  }

  /** A tone that nobody hears. */
  #sound() {
    const context = new AudioContext();
    const tone = new OscillatorNode(context, { frequency: 440 });
    const out = new MediaStreamAudioDestinationNode(context);
    tone.connect(new GainNode(context, { gain: 0.05 })).connect(out);
    tone.start();
    this.#sources.push(() => void context.close());
    return /** @type {MediaStreamTrack} */ (out.stream.getAudioTracks()[0]);
  }

  /** Noise, which no encoder makes small. */
  #picture() {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const noise = context.createImageData(160, 90);
    const draw = () => {
      for (let at = 0; at < noise.data.length; at += 4) noise.data.fill(Math.random() * 256, at, at + 3);
      noise.data.forEach((_, at) => at % 4 === 3 && (noise.data[at] = 255));
      for (let at = 0; at < 16; at += 1) context.putImageData(noise, (at % 4) * 160, Math.floor(at / 4) * 90);
    };
    draw();
    const drawing = setInterval(draw, 50);
    const [track] = canvas.captureStream(20).getVideoTracks();
    this.#sources.push(() => {
      clearInterval(drawing);
      track?.stop();
    });
    return /** @type {MediaStreamTrack} */ (track);
  }
}

/** @param {RTCPeerConnection} pc */
async function offerOf(pc) {
  await pc.setLocalDescription();
  return pc.localDescription?.sdp ?? '';
}

/**
 * @param {RTCPeerConnection} pc
 * @returns {Promise<boolean>}
 */
function connected(pc) {
  return new Promise((resolve) => {
    const look = () => {
      if (pc.connectionState === 'connected') resolve(true);
      else if (pc.connectionState === 'closed') resolve(false);
    };
    pc.addEventListener('connectionstatechange', look);
    look();
    setTimeout(() => resolve(pc.connectionState === 'connected'), CONNECT_MS);
  });
}

/** @param {number} ms */
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
