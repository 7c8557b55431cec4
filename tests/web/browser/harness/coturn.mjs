// coturn with the configuration of the documentation, at the other end of a network of the test's own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect } from 'node:net';

const DOCUMENTED = resolve(import.meta.dirname, '../../../../docs/turnserver.conf');

export class Coturn {
  /**
   * @param {import('./network.mjs').Network} network @param {string} address @param {string} secret
   * @param {import('./authority.mjs').Authority} authority @param {string} host its name in the certificate
   */
  static async start(network, address, secret, authority, host) {
    const self = new Coturn();
    self.folder = mkdtempSync(join(tmpdir(), 'veche-coturn-'));
    const [cert, key] = authority.issue('turn', host);
    /** @type {Record<string, string>} */
    const other = { 'static-auth-secret': secret, 'allowed-peer-ip': address, cert, pkey: key };
    const lines = readFileSync(DOCUMENTED, 'utf8').split('\n').filter((line) => line !== 'syslog').map((line) => {
      const name = line.split('=')[0] ?? '';
      return name in other && line.includes('=') ? `${name}=${other[name]}` : line;
    });
    const file = join(self.folder, 'turnserver.conf');
    writeFileSync(file, [...lines, `listening-ip=${address}`, `relay-ip=${address}`,
      `pidfile=${join(self.folder, 'pid')}`, `log-file=${join(self.folder, 'log')}`, ''].join('\n'));
    const [command, words] = network.wrapped('turnserver');
    self.child = spawn(command, [...words, '-c', file], { cwd: self.folder, stdio: 'ignore' });
    const end = Date.now() + 20_000;
    for (;;) {
      const isUp = await new Promise((done) => {
        const socket = connect(3478, address, () => { socket.destroy(); done(true); });
        socket.on('error', () => done(false));
      });
      if (isUp) return self;
      if (Date.now() > end || self.child.exitCode !== null) throw new Error('coturn does not listen');
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  async close() {
    if (this.child.exitCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
