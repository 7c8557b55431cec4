// What is put into every page before its own scripts run: cameras of one colour, microphones of one
// tone, and a list of every RTCPeerConnection. It must run in Chromium and Firefox alike, and it is sent to
// the page as source text, so it may use nothing from outside itself.

/**
 * @typedef {object} Instruments
 * @property {[number, number, number]} [colour] of the camera
 * @property {[number, number, number]} [screen] colour of the shared screen
 * @property {number} [tone] of the microphone in Hz
 * @property {number} [mediaPort] replaces the port of every remote candidate, so that a proxy can stand between
 * @property {string[]} [relays] media goes by relays alone, of those whose URL contains one of these
 * @property {boolean} [flashes] Chromium only: camera and microphone flash and beep together, each full second
 * @property {boolean} [small] a camera of few and small pictures, and without a tone of hardly any and no sound, where a page is
 *   looked at and not its media
 * @property {boolean} [films] the browser's own (fake) camera, at the size that the page asks for, and the tone
 * @property {boolean} [sharp] the page takes its display for a fine one, so that small tiles want the best layer
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
    relays: wish.relays,
    colour: wish.colour ?? [0, 0, 0],
    tone: wish.tone ?? 440,
    errors: /** @type {string[]} */ ([]),
  };
  addEventListener('error', (event) => kit.errors.push(String(event.message)));
  addEventListener('unhandledrejection', (event) => kit.errors.push(String(event.reason)));

  // What is told for seconds is kept: a test that looks late on a busy machine finds it all the same.
  kit.toasts = /** @type {string[]} */ ([]);
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node instanceof Element && node.matches('.toast')) kit.toasts.push(node.textContent ?? '');
    }
  }).observe(document, { childList: true, subtree: true });

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
        if (video && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
          // A video without a frame draws nothing: what the one before left must not count as its picture.
          paint.clearRect(0, 0, 8, 8);
          paint.drawImage(video, 0, 0, 8, 8);
          const [r = 0, g = 0, b = 0, alpha = 0] = paint.getImageData(4, 3, 1, 1).data;
          const nearest = Object.entries(palette)
            .map(([name, [x = 0, y = 0, z = 0]]) => ({ name, off: Math.hypot(r - x, g - y, b - z) }))
            .sort((one, other) => one.off - other.off)[0];
          if (nearest && nearest.off < 60 && alpha === 255) colour = nearest.name;
        }
        const { name = '', source = '', state = '', mine, mic = '', speaking } = tile.dataset;
        return { name, source, state, mine: mine === 'true', mic, isSpeaking: speaking === 'true', colour, isVisible };
      });
    },
  });

  /** By how much later sound is played than pictures, by the sender's clock as the server tells it; nothing where one of them is not known. */
  kit.soundBehind = async () => {
    /** @type {Record<string, number>} */
    const times = {};
    for (const pc of kit.pcs) {
      (await pc.getStats()).forEach((/** @type {any} */ s) => {
        if (s.type === 'inbound-rtp' && s.estimatedPlayoutTimestamp) times[s.kind] = s.estimatedPlayoutTimestamp;
      });
    }
    return times.audio && times.video ? times.video - times.audio : null;
  };

  if (wish.sharp) Object.defineProperty(window, 'devicePixelRatio', { get: () => 3 });

  // A line that can be cut, so that what comes after it was down can be tested: sockets close, and none opens.
  const NativeSocket = w.WebSocket;
  let isCut = false;
  /** @type {Set<WebSocket>} */
  const sockets = new Set();
  w.WebSocket = class extends NativeSocket {
    /** @param {string} url */
    constructor(url) {
      super(isCut ? 'ws://127.0.0.1:1/' : url);
      sockets.add(/** @type {any} */ (this));
    }
  };
  Object.assign(kit, {
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.close(4999);
    },
    mend: () => {
      isCut = false;
    },
  });

  /** What a browser in the network of the test would be left with. @param {RTCConfiguration} configuration @returns {RTCConfiguration} */
  const only = (configuration) => (!kit.relays ? configuration : {
    ...configuration,
    iceTransportPolicy: 'relay',
    iceServers: (configuration.iceServers ?? [])
      .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => kit.relays.some((/** @type {string} */ part) => url.includes(part))) }))
      .filter(({ urls }) => urls.length > 0),
  });

  const Native = w.RTCPeerConnection;
  w.RTCPeerConnection = class extends Native {
    /** @param {any[]} args */
    constructor(...args) {
      const [configuration = {}, ...rest] = args;
      super(only(configuration), ...rest);
      kit.pcs.push(/** @type {any} */ (this));
      /** @type {any} */ (this).addEventListener('connectionstatechange', () => {
        if (super.connectionState === 'connected') /** @type {any} */ (this).connectedAt ??= performance.now();
      });
    }
    /** @param {RTCConfiguration} configuration */
    setConfiguration(configuration) {
      super.setConfiguration(only(configuration));
    }
    /** @param {RTCSessionDescriptionInit} description */
    setRemoteDescription(description) {
      /** @type {any} */ (this).begunAt ??= performance.now();
      if (!kit.mediaPort || !description?.sdp) return super.setRemoteDescription(description);
      // The proxy is for datagrams; streams would go round it.
      const sdp = description.sdp.replace(/a=candidate:\S+ \d+ tcp .*\r\n/gi, '')
        .replace(/(a=candidate:\S+ \d+ udp \d+ \S+) \d+/gi, `$1 ${kit.mediaPort}`);
      return super.setRemoteDescription({ type: description.type, sdp });
    }
  };

  if (wish.real || !navigator.mediaDevices) return;

  // A page that is looked at needs a face and no voice: pictures and sound are half of what an open tab costs.
  const isSilent = !!wish.small && wish.tone === undefined;
  const rate = isSilent ? 2 : wish.small ? 5 : 15;
  /** @param {() => number[]} colour @param {number} width @param {number} height */
  const picture = (colour, width, height) => {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    let n = 0;
    const draw = () => {
      paint.fillStyle = `rgb(${colour().join(',')})`;
      paint.fillRect(0, 0, canvas.width, canvas.height);
      paint.fillStyle = '#888';
      paint.fillRect((n++ * 8) % canvas.width, canvas.height - 16, 16, 16);
    };
    draw();
    const stream = canvas.captureStream(rate);
    const timer = setInterval(draw, 1000 / rate);
    stream.getVideoTracks()[0]?.addEventListener('ended', () => clearInterval(timer));
    // The window that is shared gets another size.
    Object.assign(kit, { resize: (/** @type {[number, number]} */ size) => {
      [canvas.width, canvas.height] = size;
      draw();
    } });
    return stream;
  };
  const devices = navigator.mediaDevices;
  const native = devices.getUserMedia.bind(devices);
  /** @type {AudioContext | undefined} */
  let context;
  const sound = async () => {
    context ??= new AudioContext();
    await Promise.race([context.resume(), new Promise((done) => setTimeout(done, 300))]);
    // Without a sound device Firefox never starts a context; its own fake microphone is a tone as well.
    if (context.state !== 'running') return native({ audio: true });
    if (isSilent) return context.createMediaStreamDestination().stream;
    const tone = context.createOscillator();
    const gain = context.createGain();
    const out = context.createMediaStreamDestination();
    tone.frequency.value = kit.tone;
    gain.gain.value = 0.25;
    tone.connect(gain).connect(out);
    tone.start();
    return out.stream;
  };

  /** Script-written tracks are locked to one clock; a canvas and an oscillator drift apart. */
  const flashing = () => {
    const [video, audio] = ['video', 'audio'].map((kind) => new w.MediaStreamTrackGenerator({ kind }));
    const [pictures, sounds] = [video.writable.getWriter(), audio.writable.getWriter()];
    const screen = new OffscreenCanvas(640, 360);
    const paint = /** @type {OffscreenCanvasRenderingContext2D} */ (screen.getContext('2d'));
    const [rate, samples, frames] = [48_000, 480, 30];
    const start = performance.now();
    let [sound, frame] = [0, 0];
    setInterval(() => {
      const elapsed = (performance.now() - start) / 1000;
      for (; (sound * samples) / rate <= elapsed; sound++) {
        const data = new Float32Array(samples);
        for (let i = 0; i < samples; i++) {
          const at = (sound * samples + i) / rate;
          if (at > 1 && at % 1 < 0.1) data[i] = 0.5 * Math.sin(2 * Math.PI * 1000 * at);
        }
        const timestamp = Math.round(start * 1000 + (sound * samples / rate) * 1e6);
        void sounds.write(new AudioData({ format: 'f32', sampleRate: rate, numberOfChannels: 1, numberOfFrames: samples, timestamp, data }));
      }
      for (; frame / frames <= elapsed; frame++) {
        const at = frame / frames;
        paint.fillStyle = at >= 1 && at % 1 < 0.0999 ? '#fff' : '#000';
        paint.fillRect(0, 0, 640, 360);
        paint.fillStyle = '#888';
        paint.fillRect((frame * 8) % 640, 350, 8, 8);
        void pictures.write(new VideoFrame(screen, { timestamp: Math.round(start * 1000 + at * 1e6) }));
      }
    }, 5);
    return { video, audio };
  };
  let /** @type {{video: MediaStreamTrack, audio: MediaStreamTrack} | undefined} */ pair;

  /** @param {MediaTrackConstraints | boolean} video */
  const camera = async (video) => (wish.films ? await native({ video }) : picture(() => kit.colour, wish.small ? 320 : 640, wish.small ? 180 : 360)).getVideoTracks();

  devices.getUserMedia = async (constraints = {}) => wish.flashes ? new MediaStream([
    ...(constraints.audio ? [(pair ??= flashing()).audio] : []),
    ...(constraints.video ? [(pair ??= flashing()).video] : []),
  ]) : new MediaStream([
    ...(constraints.audio ? (await sound()).getAudioTracks() : []),
    ...(constraints.video ? await camera(constraints.video) : []),
  ]);
  devices.getDisplayMedia = async () => picture(() => wish.screen ?? [255, 255, 255], 1280, 720);
}
