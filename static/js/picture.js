// A video element that never shows one person's picture under another's name.

/** @typedef {import('./subscriber.js').Slot} Slot */

/**
 * Shows a slot in a video element as long as the slot carries the right track. A slot changes hands while
 * the last frame of the one before still stands in the decoder, so the picture is hidden at the first sign of a
 * change (packets or message, whichever is earlier) and shown again with the first frame that is the new one's.
 */
export class Picture {
  /** @type {Slot | null} */
  #slot = null;
  #csrc = 0;
  #isShown = false;
  #callback = 0;
  #video;
  #tell;

  /**
   * @param {HTMLVideoElement} video
   * @param {(isShown: boolean) => void} tell
   */
  constructor(video, tell) {
    this.#video = video;
    this.#tell = tell;
  }

  get isShown() {
    return this.#isShown;
  }

  /**
   * Shows `csrc` from this slot, or nothing.
   * @param {Slot | null} slot
   * @param {number} csrc
   */
  attach(slot, csrc) {
    if (slot === this.#slot && csrc === this.#csrc) {
      this.check();
      return;
    }
    this.#csrc = csrc;
    this.#show(false);
    if (slot !== this.#slot) {
      this.#slot = slot;
      if (this.#callback) this.#video.cancelVideoFrameCallback(this.#callback);
      this.#callback = 0;
      this.#video.srcObject = slot ? slot.stream : null;
      if (slot) {
        // Refused only when the element leaves the page meanwhile; muted video needs no permission.
        this.#video.play().catch(() => {});
        this.#watch();
      }
    }
  }

  /** Hides the picture when the slot is somebody else's now. */
  check() {
    if (this.#slot && this.#isShown && this.#slot.current !== this.#csrc) this.#show(false);
  }

  #watch() {
    this.#callback = this.#video.requestVideoFrameCallback((_, frame) => {
      this.#watch();
      const slot = this.#slot;
      if (!slot) return;
      slot.read();
      this.#show(isTheirs(slot, this.#csrc, frame.rtpTimestamp));
    });
  }

  /** @param {boolean} isShown */
  #show(isShown) {
    if (isShown === this.#isShown) return;
    this.#isShown = isShown;
    this.#tell(isShown);
  }
}

/**
 * Whether a frame that a slot shows belongs to this track.
 * @param {{current: number | null, heard: number | null, heardFrom?: number | undefined}} slot
 * @param {number} csrc
 * @param {number | undefined} rtpTimestamp of the frame, where the browser tells it
 */
export function isTheirs(slot, csrc, rtpTimestamp) {
  if (slot.current !== csrc) return false;
  // A browser that does not tell contributing sources of video leaves the message as the only word.
  if (slot.heard === null) return true;
  if (slot.heard !== csrc) return false;
  if (slot.heardFrom === undefined || rtpTimestamp === undefined) return true;
  // Timestamps wrap at 32 bits.
  return ((rtpTimestamp - slot.heardFrom) | 0) >= 0;
}
