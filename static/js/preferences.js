// What a person chose on this device and should not have to choose again.

/**
 * @typedef {object} Preferences
 * @property {string} name
 * @property {'auto' | 'light' | 'dark'} theme
 * @property {'ru' | 'en' | null} language
 * @property {string | null} microphone device id
 * @property {string | null} camera
 * @property {string | null} speaker
 * @property {import('./encodings.js').VideoCodec} codec what the camera is sent as
 * @property {boolean} micOn what is on when entering
 * @property {boolean} camOn
 * @property {boolean} shortcuts whether single keys do things in a call
 * @property {Record<string, number>} volumes user id → 0..1
 */

const KEY = 'veche.preferences';
/** Remembered volumes; the oldest go first. More is stale, fewer forgets people of last week. */
const MAX_VOLUMES = 200;

/** @type {Preferences} */
const DEFAULTS = {
  name: '',
  theme: 'auto',
  language: null,
  microphone: null,
  camera: null,
  speaker: null,
  codec: 'vp8',
  micOn: true,
  camOn: true,
  shortcuts: true,
  volumes: {},
};

/** @type {Preferences} */
let held = load();

/** @returns {Readonly<Preferences>} */
export function preferences() {
  return held;
}

/** @param {Partial<Preferences>} change */
export function prefer(change) {
  held = { ...held, ...change };
  const volumes = Object.entries(held.volumes);
  if (volumes.length > MAX_VOLUMES) held.volumes = Object.fromEntries(volumes.slice(-MAX_VOLUMES));
  try {
    localStorage.setItem(KEY, JSON.stringify(held));
  } catch {
    // Storage is off or full: the choice lasts as long as the page.
  }
}

function load() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return { ...DEFAULTS, ...stored };
  } catch {
    return { ...DEFAULTS };
  }
}
