// Two short tones: rising when a recording begins, falling when it ends.

/** Loud enough to be heard beside voices, soft enough not to startle. */
const VOLUME = 0.12;
const TONE_S = 0.16;

/** @param {boolean} isOn */
export async function play(isOn) {
  const context = new AudioContext();
  // A page that nobody has clicked yet is kept silent: then the words have to do.
  await Promise.race([context.resume(), new Promise((done) => setTimeout(done, 500))]);
  if (context.state !== 'running') return context.close();
  const gain = new GainNode(context, { gain: 0 });
  gain.connect(context.destination);
  const begin = context.currentTime + 0.02;
  (isOn ? [587, 880] : [880, 587]).forEach((frequency, n) => {
    const tone = new OscillatorNode(context, { frequency });
    const from = begin + n * TONE_S;
    tone.connect(gain);
    tone.start(from);
    tone.stop(from + TONE_S);
  });
  gain.gain.setTargetAtTime(VOLUME, begin, 0.01);
  gain.gain.setTargetAtTime(0, begin + 2 * TONE_S - 0.04, 0.02);
  setTimeout(() => void context.close(), 1_000);
}
