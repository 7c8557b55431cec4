// Programs that are no browsers: ffmpeg and GStreamer that publish, aiortc that watches.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const TESTS = resolve(import.meta.dirname, '../../..');

/** Python with what `tests/requirements.txt` names. */
export function python() {
  const path = process.env.VECHE_PYTHON ?? resolve(TESTS, '.venv/bin/python');
  if (!existsSync(path)) throw new Error(`no Python at ${path}: scripts/test.sh makes it from tests/requirements.txt`);
  return path;
}

/** A program that runs beside the test. */
export class Program {
  /** @param {string} command @param {string[]} args */
  constructor(command, args) {
    this.output = '';
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (chunk) => { this.output = (this.output + chunk).slice(-20_000); });
    }
    this.ended = once(this.child, 'exit').then(([code]) => /** @type {number | null} */ (code));
  }

  /** Asks it to end and waits; whatever it was asked to clean up it does now. @param {NodeJS.Signals} [signal] */
  async close(signal = 'SIGINT') {
    if (this.child.exitCode === null) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(timer);
  }
}

/**
 * ffmpeg 9 publishes a plain colour and a tone over WHIP: H264 and Opus.
 * @param {string} url @param {string} token @param {[number, number, number]} colour
 */
export async function ffmpegWhip(url, token, colour) {
  const { stdout } = await promisify(execFile)(python(), ['-c', 'import imageio_ffmpeg as i; print(i.get_ffmpeg_exe())']);
  const hex = colour.map((c) => c.toString(16).padStart(2, '0')).join('');
  return new Program(stdout.trim(), [
    '-v', 'warning', '-nostdin',
    '-re', '-f', 'lavfi', '-i', `color=c=0x${hex}:s=640x360:r=30`, '-re', '-f', 'lavfi', '-i', 'sine=f=440:r=48000',
    '-c:v', 'libx264', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', '-bf', '0', '-g', '30', '-tune', 'zerolatency', '-preset', 'ultrafast',
    '-c:a', 'libopus', '-ar', '48000', '-ac', '2', '-f', 'whip', '-authorization', token, url,
  ]);
}

/**
 * GStreamer publishes a blue picture and a tone over WHIP.
 * @param {string} url @param {string} token @param {'vp8' | 'h264'} codec
 */
export function gstreamerWhip(url, token, codec) {
  return new Program('/usr/bin/python3', [resolve(TESTS, 'clients/gstreamer_whip.py'), url, token, codec]);
}

/**
 * aiortc watches over WHEP until it has seen and heard so much, and tells what it decoded.
 * @param {string} url @param {string} token @param {{frames: number, sounds: number}} wanted
 * @returns {Promise<{state: string, audio: number, video: number, energy: number, colour: [number, number, number] | null}>}
 */
export async function aiortcWhep(url, token, { frames, sounds }) {
  const { stdout } = await promisify(execFile)(python(), [resolve(TESTS, 'clients/aiortc_whep.py'), url, token, String(frames), String(sounds)], { timeout: 120_000 });
  return JSON.parse(stdout);
}
