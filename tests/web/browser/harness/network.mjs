// Networks of a test's own, in namespaces: this file and its browsers live in one of them, the server in another, and
// cables with firewalls lie between. Needs root, ip and nft.
//
// A test file begins with `const isInside = enterNetwork(import.meta.filename)`. Where that is false the file runs once more,
// inside, with the same standard output, and has nothing to say itself.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

const MARK = 'VECHE_TEST_NETWORK';
const HOSTS = '/etc/hosts';
/** What the first server's address is called there: Firefox speaks TLS with no TURN server that has only a number. */
export const NAME = 'meet.test';

/** Runs this file again in an empty network. True inside. @param {string} file */
export function enterNetwork(file) {
  if (process.env[MARK]) {
    ownNames();
    return true;
  }
  const again = spawnSync('unshare', ['--net', '--mount', process.execPath, ...process.execArgv, file], {
    stdio: 'inherit', // Servers of such tests have certificates of their own.
    env: { ...process.env, [MARK]: '1', NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' },
  });
  if (again.error) throw again.error;
  process.exitCode = again.status ?? 1;
  return false;
}

/** Names of this process's own, and of what it starts. */
function ownNames() {
  const folder = mkdtempSync(join(tmpdir(), 'veche-hosts-'));
  const hosts = join(folder, 'hosts');
  // A machine that does not know its own name asks servers that nobody can reach here.
  writeFileSync(hosts, `127.0.0.1 localhost ${hostname()}\n`);
  sh('mount', ['--bind', hosts, HOSTS]);
  // What is mounted stays.
  rmSync(folder, { recursive: true });
  Network.name(NAME, Network.address(1));
}

/** @param {string} command @param {string[]} words @param {string} [input] */
function sh(command, words, input) {
  try {
    return execFileSync(command, words, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${command} ${words.join(' ')}: ${/** @type {any} */ (error).stderr}`);
  }
}

/** The server's side, and cables from here to it. */
export class Network {
  /**
   * The n-th cable has 198.18.n.2 here and 198.18.n.1 at the server; the first is the way to everywhere. The addresses are
   * no private ones, as Chromium takes no candidate on port 443 of those.
   * @param {number} [cables]
   */
  static create(cables = 1) {
    const self = new Network();
    self.space = `veche-${process.pid}`;
    sh('ip', ['netns', 'add', self.space]);
    // Whatever ends this process takes the namespace with it; its processes are stopped by the test.
    process.once('exit', () => self.remove());
    sh('ip', ['link', 'set', 'lo', 'up']);
    self.there('ip', 'link', 'set', 'lo', 'up');
    for (let n = 1; n <= cables; n++) self.plug(n);
    self.settle();
    return self;
  }

  /**
   * Waits for the addresses that the kernel makes by itself, a second or two: Chromium drops every request that is under way
   * when one becomes ready (ERR_NETWORK_CHANGED).
   */
  settle() {
    const end = Date.now() + 10_000;
    const isSettled = () => sh('ip', ['-6', 'addr', 'show', 'tentative']).trim() === '';
    while (!isSettled() && Date.now() < end) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }

  /** @param {number} n */
  plug(n) {
    const [here, there] = [`here${n}`, `there${n}`];
    sh('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', this.space]);
    this.there('ip', 'addr', 'add', `198.18.${n}.1/24`, 'dev', there);
    this.there('ip', 'link', 'set', there, 'up');
    sh('ip', ['addr', 'add', `198.18.${n}.2/24`, 'dev', here]);
    sh('ip', ['link', 'set', here, 'up']);
    sh('ip', ['route', 'append', 'default', 'via', Network.address(n), 'dev', here, 'metric', String(n * 100)]);
  }

  /** Runs something at the server's side. @param {string} command @param {...string} words */
  there(command, ...words) {
    return sh('ip', ['netns', 'exec', this.space, command, ...words]);
  }

  /**
   * Puts the server into a box of its own behind the other side, as a container is: only these ports lead there, from
   * every cable, and nothing of the box's own address does.
   * @param {{tcp: number[], udp: number[]}} ports
   */
  box({ tcp, udp }) {
    this.inner = `${this.space}-box`;
    sh('ip', ['netns', 'add', this.inner]);
    this.there('ip', 'link', 'add', 'bridge', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.inner);
    this.there('ip', 'addr', 'add', '10.88.0.1/24', 'dev', 'bridge');
    this.there('ip', 'link', 'set', 'bridge', 'up');
    this.there('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const inside = (/** @type {string[]} */ ...words) => sh('ip', ['netns', 'exec', this.inner ?? '', 'ip', ...words]);
    inside('link', 'set', 'lo', 'up');
    inside('addr', 'add', '10.88.0.2/24', 'dev', 'eth0');
    inside('link', 'set', 'eth0', 'up');
    inside('route', 'add', 'default', 'via', '10.88.0.1');
    sh('ip', ['netns', 'exec', this.space, 'nft', '-f', '-'], `table inet nat {
      chain in { type nat hook prerouting priority -100;
        iifname "there*" tcp dport { ${tcp.join(', ')} } dnat ip to 10.88.0.2;
        iifname "there*" udp dport { ${udp.join(', ')} } dnat ip to 10.88.0.2;
      }
      chain through { type filter hook forward priority 0; policy drop;
        ct status dnat accept;
        iifname "bridge" accept;
      }
      chain out { type nat hook postrouting priority 100; oifname "there*" ip saddr 10.88.0.0/24 masquerade; }
    }`);
  }

  /** A command line that runs where the server is. @param {string} command @returns {[string, string[]]} */
  wrapped(command) {
    return ['ip', ['netns', 'exec', this.inner ?? this.space, command]];
  }

  /** The other end of a cable, where pages and media are. @param {number} n */
  static address(n) {
    return `198.18.${n}.1`;
  }

  /** Gives a name to an address, or another address to a name. @param {string} name @param {string} address */
  static name(name, address) {
    const others = readFileSync(HOSTS, 'utf8').split('\n').filter((line) => line !== '' && !line.endsWith(` ${name}`));
    writeFileSync(HOSTS, [...others, `${address} ${name}`, ''].join('\n'));
  }

  /** Lets a cable go dead, as when somebody pulls it. @param {number} n */
  pull(n) {
    sh('ip', ['link', 'set', `here${n}`, 'down']);
  }

  /** Firewall of this side; what it holds is replaced. @param {string} rules of a table */
  firewall(rules) {
    sh('nft', ['-f', '-'], `table inet fw\ndelete table inet fw\ntable inet fw {\n${rules}\n}\n`);
  }

  /** Packets of every named counter of the firewall. @returns {Record<string, number>} */
  counted() {
    const { nftables } = JSON.parse(sh('nft', ['-j', 'list', 'counters', 'table', 'inet', 'fw']));
    return Object.fromEntries(nftables.filter((/** @type {any} */ one) => one.counter)
      .map((/** @type {any} */ { counter }) => [counter.name, counter.packets]));
  }

  remove() {
    if (this.inner) spawnSync('ip', ['netns', 'del', this.inner]);
    spawnSync('ip', ['netns', 'del', this.space]);
  }
}

/** No datagrams either way, but those within this side. */
export const NO_UDP = `
  counter udp_in {}
  counter udp_out {}
  chain in { type filter hook input priority 0; policy accept; iifname != "lo" meta l4proto udp counter name udp_in drop; }
  chain out { type filter hook output priority 0; policy accept; oifname != "lo" meta l4proto udp counter name udp_out drop; }
`;

/** The same, and no streams but to these ports. @param {number[]} ports */
export const onlyTcp = (...ports) => `
  counter udp_in {}
  counter udp_out {}
  counter tcp_out {}
  chain in { type filter hook input priority 0; policy accept; iifname != "lo" meta l4proto udp counter name udp_in drop; }
  chain out { type filter hook output priority 0; policy accept;
    oifname != "lo" meta l4proto udp counter name udp_out drop;
    oifname != "lo" tcp dport != { ${ports.join(', ')} } counter name tcp_out drop;
  }
`;

/**
 * Nothing but these ports.
 * @param {{udp?: number[], tcp: number[]}} open
 */
export const onlyPorts = ({ udp = [], tcp }) => `
  counter dropped {}
  chain out { type filter hook output priority 0; policy accept;
    oifname "lo" accept;
    ${udp.length > 0 ? `udp dport { ${udp.join(', ')} } accept;` : ''}
    tcp dport { ${tcp.join(', ')} } accept;
    meta l4proto { udp, tcp } counter name dropped drop;
  }
`;
