// What is put into every page before its own scripts run: cameras of one colour, microphones of one
// tone, and a list of every RTCPeerConnection. It must run in Chromium and Firefox alike, and it is sent to
// the page as source text, so it may use nothing from outside itself.

/**
 * @typedef {object} Instruments
 * @property {[number, number, number]} [colour] of the camera
 * @property {[number, number, number]} [screen] colour of the shared screen
 * @property {number} [tone] of the microphone in Hz
 * @property {number} [mediaPort] replaces the port of every remote candidate, so that a proxy can stand between
 * @property {boolean} [real] leave the browser's own (fake) devices as they are
 */

/** @param {Instruments} wish */
export function install(wish) {
  /** @type {any} */
  const w = window;
  if (w.testkit) return;
  const kit = w.testkit = {
    pcs: /** @type {RTCPeerConnection[]} */ ([]),
    mediaPort: wish.mediaPort ?? 0,
    colour: wish.colour ?? [0, 0, 0],
    tone: wish.tone ?? 440,
    errors: /** @type {string[]} */ ([]),
  };
  addEventListener('error', (event) => kit.errors.push(String(event.message)));
  addEventListener('unhandledrejection', (event) => kit.errors.push(String(event.reason)));

  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  /** What the tiles show, each picture named by the nearest colour. */
  Object.assign(kit, {
    look: (/** @type {Record<string, number[]>} */ palette) => {
      const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
      return [...document.querySelectorAll('veche-tile')].map((element) => {
        const tile = /** @type {HTMLElement} */ (element);
        const video = tile.querySelector('video');
        const style = video && getComputedStyle(video);
        const isVisible = !!video && !!style && video.videoWidth > 0 && style.visibility === 'visible'
          && style.display !== 'none' && Number(style.opacity) > 0.05;
        /** @type {string | null} */
        let colour = null;
        if (video && video.videoWidth > 0) {
          paint.drawImage(video, 0, 0, 8, 8);
          const [r = 0, g = 0, b = 0] = paint.getImageData(4, 3, 1, 1).data;
          const nearest = Object.entries(palette)
            .map(([name, [x = 0, y = 0, z = 0]]) => ({ name, off: Math.hypot(r - x, g - y, b - z) }))
            .sort((one, other) => one.off - other.off)[0];
          if (nearest && nearest.off < 60) colour = nearest.name;
        }
        const { name = '', source = '', state = '', mine, mic = '' } = tile.dataset;
        return { name, source, state, mine: mine === 'true', mic, colour, isVisible };
      });
    },
  });

  const Native = w.RTCPeerConnection;
  w.RTCPeerConnection = class extends Native {
    /** @param {any[]} args */
    constructor(...args) {
      super(...args);
      kit.pcs.push(/** @type {any} */ (this));
    }
    /** @param {RTCSessionDescriptionInit} description */
    setRemoteDescription(description) {
      if (!kit.mediaPort || !description?.sdp) return super.setRemoteDescription(description);
      const sdp = description.sdp.replace(/(a=candidate:\S+ \d+ udp \d+ \S+) \d+/gi, `$1 ${kit.mediaPort}`);
      return super.setRemoteDescription({ type: description.type, sdp });
    }
  };

  if (wish.real || !navigator.mediaDevices) return;

  /** @param {() => number[]} colour @param {number} width @param {number} height */
  const picture = (colour, width, height) => {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    let n = 0;
    const draw = () => {
      paint.fillStyle = `rgb(${colour().join(',')})`;
      paint.fillRect(0, 0, width, height);
      paint.fillStyle = '#888';
      paint.fillRect((n++ * 8) % width, height - 16, 16, 16);
    };
    draw();
    const stream = canvas.captureStream(15);
    const timer = setInterval(draw, 66);
    stream.getVideoTracks()[0]?.addEventListener('ended', () => clearInterval(timer));
    return stream;
  };
  /** @type {AudioContext | undefined} */
  let context;
  const sound = () => {
    context ??= new AudioContext();
    const tone = context.createOscillator();
    const gain = context.createGain();
    const out = context.createMediaStreamDestination();
    tone.frequency.value = kit.tone;
    gain.gain.value = 0.25;
    tone.connect(gain).connect(out);
    tone.start();
    return out.stream;
  };

  const devices = navigator.mediaDevices;
  devices.getUserMedia = async (constraints = {}) => new MediaStream([
    ...(constraints.audio ? sound().getAudioTracks() : []),
    ...(constraints.video ? picture(() => kit.colour, 640, 360).getVideoTracks() : []),
  ]);
  devices.getDisplayMedia = async () => picture(() => wish.screen ?? [255, 255, 255], 1280, 720);
}
