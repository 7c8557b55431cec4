// The real server binary for one test file: a free port, a temporary data folder, a clean stop.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../../../..');

/** Path of the server binary: `VECHE_BIN`, else the release build. */
export function binary() {
  const path = process.env.VECHE_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'release/veche');
  if (!existsSync(path)) throw new Error(`no server binary at ${path}: run "cargo build --release" or set VECHE_BIN`);
  return path;
}

export class Server {
  /**
   * @param {Record<string, string>} [settings] environment overrides of config.toml
   * @param {import('./network.mjs').Network} [network] that it is at the other end of
   */
  static async start(settings = {}, network) {
    const server = new Server();
    server.network = network;
    server.folder = mkdtempSync(join(tmpdir(), 'veche-browser-'));
    await server.launch(settings);
    return server;
  }

  /** @param {Record<string, string>} settings */
  async launch(settings) {
    this.settings = settings;
    this.lines = /** @type {string[]} */ ([]);
    const ready = join(this.folder, 'ready.json');
    rmSync(ready, { force: true });
    const [command, words] = this.network?.wrapped(binary()) ?? [binary(), []];
    this.child = spawn(command, [...words, 'serve', '--ready-file', ready], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: '0',
        MEDIA_PORT: '0',
        DATA_DIR: join(this.folder, 'data'),
        RECORDS_DIR: join(this.folder, 'records'),
        LOG_FORMAT: 'pretty',
        // Tests run on machines that are busy with other tests.
        SAVE_WHEN_BUSY: 'false',
        LOG_LEVEL: process.env.VECHE_LOG ?? 'info',
        ...settings,
      },
    });
    const read = (/** @type {string} */ line) => {
      this.lines.push(line);
      if (process.env.VECHE_LOG) console.error(`[veche] ${line}`);
    };
    createInterface({ input: this.child.stdout }).on('line', read);
    createInterface({ input: this.child.stderr }).on('line', read);
    const end = Date.now() + 30_000;
    while (!existsSync(ready)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > end) {
        throw new Error(`the server did not start:\n${this.lines.join('\n')}`);
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    const place = JSON.parse(readFileSync(ready, 'utf8'));
    const { protocol, port } = new URL(place.url);
    this.port = Number(port || (protocol === 'https:' ? 443 : 80));
    this.mediaPort = Number(/:(\d+)$/.exec(place.media_addresses[0])?.[1]);
    this.url = this.network ? `${protocol}//198.18.1.1:${this.port}` : `http://127.0.0.1:${this.port}`;
  }

  close() {
    return this.stop();
  }

  /** Stops it, without a word if it went well. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 30_000);
      const [code, signal] = await ended;
      clearTimeout(timer);
      if (code !== 0) throw new Error(`the server did not stop cleanly (${code ?? signal}):\n${this.tail()}`);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Its last words, for a failing test. */
  tail(count = 40) {
    return this.lines.slice(-count).join('\n');
  }

  /**
   * A REST call; throws on anything but success.
   * @param {string} method @param {string} path @param {unknown} [body] @param {string} [token]
   */
  async call(method, path, body, token) {
    const answer = await fetch(`${this.url}/api/v1/${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Signs in a guest; their token. @param {string} name @returns {Promise<string>} */
  async guest(name) {
    return (await this.call('POST', 'auth/guest', { display_name: name })).access_token;
  }

  /** Makes a room by a guest of its own. @param {string} [name] */
  async room(name = 'Test') {
    const token = await this.guest('Host');
    const room = await this.call('POST', 'rooms', { name }, token);
    return { ...room, token };
  }

  /**
   * Makes a stream key for a room; the key.
   * @param {{slug: string, token: string}} room @param {string} name @param {'publish' | 'watch'} purpose @returns {Promise<string>}
   */
  async streamKey(room, name, purpose) {
    return (await this.call('POST', `rooms/${room.slug}/stream-keys`, { name, purpose }, room.token)).key;
  }
}

/**
 * Closes everything, whatever fails on the way; the first failure is told.
 * @param {...({close: () => Promise<void>} | undefined)} all
 */
export async function closeAll(...all) {
  const ends = await Promise.allSettled(all.map((one) => one?.close()));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
