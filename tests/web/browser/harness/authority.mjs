// An authority of a test's own, for certificates that a browser believes as it believes those of the world outside. Firefox
// asks every TURN server for one, whatever it was told about pages. Needs openssl, and certutil for Firefox.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

/** @param {string} command @param {string[]} words */
function run(command, words) {
  execFileSync(command, words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export class Authority {
  static create() {
    const self = new Authority();
    self.folder = mkdtempSync(join(tmpdir(), 'veche-authority-'));
    [self.certificate, self.key] = self.#pair('authority');
    run('openssl', ['req', '-x509', ...CURVE, '-subj', '/CN=Authority of a test', '-addext', 'basicConstraints=critical,CA:TRUE',
      '-addext', 'keyUsage=critical,keyCertSign', '-keyout', self.key, '-out', self.certificate]);
    return self;
  }

  /** A certificate for a host, and its key. @param {string} name of the files @param {string} host @returns {[string, string]} */
  issue(name, host) {
    const [certificate, key] = this.#pair(name);
    const [request, extensions] = [join(this.folder, `${name}.csr`), join(this.folder, `${name}.txt`)];
    run('openssl', ['req', '-new', ...CURVE.slice(0, -2), '-subj', `/CN=${name}`, '-keyout', key, '-out', request]);
    writeFileSync(extensions, `basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:${host}\n`);
    run('openssl', ['x509', '-req', '-days', '2', '-in', request, '-CA', this.certificate, '-CAkey', this.key, '-CAcreateserial',
      '-extfile', extensions, '-out', certificate]);
    return [certificate, key];
  }

  /** Makes a Firefox believe it, before its first start. @param {string} profile folder */
  trustedBy(profile) {
    run('certutil', ['-N', '-d', `sql:${profile}`, '--empty-password']);
    run('certutil', ['-A', '-d', `sql:${profile}`, '-n', 'authority of a test', '-t', 'C,,', '-i', this.certificate]);
  }

  async close() {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** @param {string} name @returns {[string, string]} */
  #pair(name) {
    return [join(this.folder, `${name}.pem`), join(this.folder, `${name}.key`)];
  }
}
