// How loud a microphone is, for level bars and the speaking ring.

/** Readings per second: fewer look lame, more cost processor for nothing. */
const EVERY_MS = 60;
/** Quietest level shown, in decibels below full scale; room noise lies under it. */
const FLOOR_DB = -60;

/**
 * Reads the level of a track until stopped. The context runs only while something is measured.
 * @param {MediaStreamTrack} track
 * @param {(level: number) => void} tell 0 is silence, 1 is as loud as it gets
 * @returns {() => void} stops it
 */
export function measure(track, tell) {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  // A context made before the first click is suspended; a click or key starts it.
  const resume = () => void context.resume().catch(() => {});
  if (context.state === 'suspended') {
    resume();
    addEventListener('pointerdown', resume);
    addEventListener('keydown', resume);
  }
  let shown = 0;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const next = levelOf(samples);
    shown = next > shown ? next : shown * 0.8 + next * 0.2;
    tell(shown);
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    removeEventListener('pointerdown', resume);
    removeEventListener('keydown', resume);
    source.disconnect();
    void context.close().catch(() => {});
    tell(0);
  };
}

/**
 * Loudness of samples on a scale that looks even to the eye.
 * @param {Float32Array} samples between -1 and 1
 */
export function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  if (rms === 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.min(1, Math.max(0, (db - FLOOR_DB) / (0 - FLOOR_DB - 10)));
}
