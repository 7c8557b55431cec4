// The real server binary for one test file: a free port, a temporary data folder, a clean stop.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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
  /** @param {Record<string, string>} [settings] environment overrides of config.toml */
  static async start(settings = {}) {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), 'veche-browser-'));
    await server.launch(settings);
    return server;
  }

  /** @param {Record<string, string>} settings */
  async launch(settings) {
    this.settings = settings;
    this.lines = /** @type {string[]} */ ([]);
    this.child = spawn(binary(), [], {
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
        LOG_LEVEL: process.env.VECHE_LOG ?? 'info',
        ...settings,
      },
    });
    const found = new Promise((done, failed) => {
      const read = (/** @type {string} */ line) => {
        this.lines.push(line);
        if (process.env.VECHE_LOG) console.error(`[veche] ${line}`);
        const url = /http:\/\/(?:127\.0\.0\.1|localhost):(\d+)/.exec(line);
        if (url) done(Number(url[1]));
      };
      createInterface({ input: this.child.stdout }).on('line', read);
      createInterface({ input: this.child.stderr }).on('line', read);
      this.child.once('exit', (code, signal) =>
        failed(new Error(`the server ended at start (${code ?? signal}):\n${this.lines.join('\n')}`)));
      this.child.once('error', failed);
    });
    this.port = await found;
    this.url = `http://127.0.0.1:${this.port}`;
    for (let i = 0; ; i++) {
      const ready = await fetch(`${this.url}/ready`).then((answer) => answer.ok, () => false);
      if (ready) return;
      if (i > 100) throw new Error(`the server is not ready:\n${this.lines.join('\n')}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Stops it, without a word if it went well. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
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
}
