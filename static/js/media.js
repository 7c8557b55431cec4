// Microphone, camera and screen of this device. Knows nothing about rooms or connections.

/** @typedef {'denied' | 'missing' | 'busy' | 'insecure' | 'failed' | 'lost'} Problem */
/** @typedef {'microphone' | 'camera'} Input */
/** @typedef {{id: string, label: string}} Device */
/** @typedef {{track: MediaStreamTrack | null, on: boolean, opening: boolean, problem: Problem | null}} InputState */

/** What a camera is asked for; a device that cannot gives what it has. */
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
/** Text on a shared screen needs sharpness before motion; more frames cost the sender's processor. */
const SCREEN = { frameRate: { ideal: 15, max: 30 } };

/**
 * The devices a person speaks and shows with. `change` is fired when anything about them changes,
 * `screenended` when the browser's own "stop sharing" was used.
 */
export class LocalMedia extends EventTarget {
  /** @type {InputState} */
  microphone = { track: null, on: false, opening: false, problem: null };
  /** @type {InputState} */
  camera = { track: null, on: false, opening: false, problem: null };
  /** @type {{video: MediaStreamTrack, audio: MediaStreamTrack | null} | null} */
  screen = null;
  /** @type {{microphones: Device[], cameras: Device[], speakers: Device[]}} */
  devices = { microphones: [], cameras: [], speakers: [] };

  /** @type {{microphone: string | null, camera: string | null}} */
  #chosen;
  #isClosed = false;

  /** @param {{microphone: string | null, camera: string | null}} chosen device ids of before */
  constructor(chosen) {
    super();
    this.#chosen = { ...chosen };
    navigator.mediaDevices?.addEventListener('devicechange', this.#relist);
    void this.#relist();
  }

  /**
   * Opens what is wanted, with one question to the person where the browser asks.
   * @param {{microphone: boolean, camera: boolean}} wanted
   */
  async open(wanted) {
    this.microphone.on = wanted.microphone;
    this.camera.on = wanted.camera;
    if (wanted.microphone && wanted.camera && !(await isBlocked('microphone')) && !(await isBlocked('camera'))) {
      this.#set('microphone', { opening: true, problem: null });
      this.#set('camera', { opening: true, problem: null });
      const both = await this.#ask({ audio: this.#constraints('microphone'), video: this.#constraints('camera') });
      if (!(both instanceof Error)) {
        this.#take('microphone', both.getAudioTracks()[0]);
        this.#take('camera', both.getVideoTracks()[0]);
        await this.#relist();
        return;
      }
      // One "no" to the common question is a "no" to both; any other fault may be of one device only.
      if (problemOf(both) === 'denied') {
        this.#set('microphone', { opening: false, problem: 'denied', on: false });
        this.#set('camera', { opening: false, problem: 'denied', on: false });
        return;
      }
    }
    if (wanted.microphone) await this.#openOne('microphone');
    if (wanted.camera) await this.#openOne('camera');
    await this.#relist();
  }

  /**
   * Mutes or unmutes. A muted microphone stays open so that it is back at once; it sends silence.
   * @param {boolean} on
   */
  async setMicrophone(on) {
    this.microphone.on = on;
    if (this.microphone.track) {
      this.microphone.track.enabled = on;
      this.#tell();
    } else if (on) {
      await this.#openOne('microphone');
      await this.#relist();
    } else {
      this.#tell();
    }
  }

  /**
   * Turns the camera on or off. Off closes the device, so that its light goes out.
   * @param {boolean} on
   */
  async setCamera(on) {
    this.camera.on = on;
    if (!on) {
      release(this.camera.track);
      this.#set('camera', { track: null, opening: false });
    } else if (!this.camera.track) {
      await this.#openOne('camera');
      await this.#relist();
    }
  }

  /**
   * @param {Input} input
   * @param {string} deviceId
   */
  async choose(input, deviceId) {
    this.#chosen[input] = deviceId;
    const state = this[input];
    if (!state.track && !state.on) {
      this.#tell();
      return;
    }
    const before = state.track;
    // Some systems open a camera only once: let go of the old one first.
    if (input === 'camera') release(before);
    await this.#openOne(input);
    if (input === 'microphone' && this.microphone.track !== before) release(before);
  }

  /**
   * The device in use, or the one that would be.
   * @param {Input} input
   */
  chosen(input) {
    return this[input].track?.getSettings().deviceId ?? this.#chosen[input];
  }

  /** Whether this browser can share a screen at all. */
  static get canShareScreen() {
    return Boolean(navigator.mediaDevices && 'getDisplayMedia' in navigator.mediaDevices);
  }

  /**
   * Asks what to share.
   * @returns {Promise<boolean>} false when the person changed their mind
   */
  async startScreen() {
    /** @type {MediaStream} */
    let stream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({ video: SCREEN, audio: true });
    } catch (error) {
      if (error instanceof DOMException && (error.name === 'NotAllowedError' || error.name === 'AbortError')) return false;
      throw error;
    }
    const video = stream.getVideoTracks()[0];
    if (!video) return false;
    this.stopScreen();
    video.contentHint = 'detail';
    video.addEventListener('ended', () => {
      if (this.screen?.video !== video) return;
      this.stopScreen();
      this.dispatchEvent(new Event('screenended'));
    });
    this.screen = { video, audio: stream.getAudioTracks()[0] ?? null };
    this.#tell();
    return true;
  }

  stopScreen() {
    if (!this.screen) return;
    const { video, audio } = this.screen;
    this.screen = null;
    video.stop();
    audio?.stop();
    this.#tell();
  }

  /** Lets go of every device. */
  close() {
    this.#isClosed = true;
    navigator.mediaDevices?.removeEventListener('devicechange', this.#relist);
    release(this.microphone.track);
    release(this.camera.track);
    this.stopScreen();
    this.microphone = { track: null, on: false, opening: false, problem: null };
    this.camera = { track: null, on: false, opening: false, problem: null };
  }

  /** @param {Input} input */
  async #openOne(input) {
    this.#set(input, { opening: true, problem: null });
    const stream = await this.#ask(input === 'microphone' ? { audio: this.#constraints(input) } : { video: this.#constraints(input) });
    if (stream instanceof Error) {
      this.#set(input, { opening: false, problem: problemOf(stream), on: false, track: null });
    } else {
      this.#take(input, stream.getTracks()[0]);
    }
  }

  /**
   * @param {MediaStreamConstraints} constraints
   * @returns {Promise<MediaStream | Error>}
   */
  async #ask(constraints) {
    // Browsers hide devices from pages that came over plain http from another machine.
    if (!navigator.mediaDevices) return new DOMException('not a secure page', 'SecurityError');
    try {
      return await navigator.mediaDevices.getUserMedia(constraints);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /**
   * @param {Input} input
   * @returns {MediaTrackConstraints}
   */
  #constraints(input) {
    const id = this.#chosen[input];
    // `ideal`, so that a device that was unplugged since does not stand in the way.
    const device = id ? { deviceId: { ideal: id } } : {};
    return input === 'microphone' ? { ...MICROPHONE, ...device } : { ...CAMERA, ...device };
  }

  /**
   * @param {Input} input
   * @param {MediaStreamTrack | undefined} track
   */
  #take(input, track) {
    if (this.#isClosed || !track || (input === 'camera' && !this.camera.on)) {
      track?.stop();
      this.#set(input, { opening: false });
      return;
    }
    if (input === 'camera') track.contentHint = 'motion';
    if (input === 'microphone') {
      track.contentHint = 'speech';
      track.enabled = this.microphone.on;
    }
    track.addEventListener('ended', () => {
      // Fired when the device goes away, never after our own stop().
      if (this[input].track === track) this.#set(input, { track: null, on: false, problem: 'lost' });
    });
    if (this[input].track !== track) release(input === 'camera' ? this.camera.track : null);
    this.#set(input, { track, opening: false, problem: null });
  }

  /**
   * @param {Input} input
   * @param {Partial<InputState>} change
   */
  #set(input, change) {
    this[input] = { ...this[input], ...change };
    this.#tell();
  }

  #tell() {
    if (!this.#isClosed) this.dispatchEvent(new Event('change'));
  }

  #relist = async () => {
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const of = (/** @type {MediaDeviceKind} */ kind) =>
      all.filter((d) => d.kind === kind && d.deviceId !== '').map((d) => ({ id: d.deviceId, label: d.label }));
    this.devices = { microphones: of('audioinput'), cameras: of('videoinput'), speakers: of('audiooutput') };
    this.#tell();
  };
}

/** @param {MediaStreamTrack | null} track */
function release(track) {
  track?.stop();
}

/**
 * Whether the person has said no for this page before, so that asking again would fail both.
 * @param {Input} input
 */
async function isBlocked(input) {
  try {
    const status = await navigator.permissions.query({ name: /** @type {PermissionName} */ (input) });
    return status.state === 'denied';
  } catch {
    return false;
  }
}

/**
 * @param {Error} error
 * @returns {Problem}
 */
function problemOf(error) {
  switch (error.name) {
    case 'NotAllowedError':
      return 'denied';
    case 'SecurityError':
      return 'insecure';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'failed';
  }
}
