// The paths that media may take between this browser and the server, read off the server's own words. Pure.

/** @typedef {'udp' | 'udp_six' | 'tcp' | 'turn_udp' | 'turn_tcp' | 'turn_tls'} PathId */

/**
 * @typedef {object} Path
 * @property {PathId} id
 * @property {boolean} isOffered whether the server has it at all
 * @property {RTCIceServer[]} servers
 * @property {RTCIceTransportPolicy} policy
 * @property {(candidate: Candidate) => boolean} keeps which of the server's addresses it may use
 * @property {string} where the server's end of it, for people
 */

/** @typedef {{line: string, transport: string, address: string, port: number}} Candidate */

/** The best first: the first that works is what a meeting would take. @type {readonly PathId[]} */
export const PATHS = ['udp', 'udp_six', 'tcp', 'turn_udp', 'turn_tcp', 'turn_tls'];

/**
 * Where the server says it can be reached, each address once.
 * @param {string} sdp
 * @returns {Candidate[]}
 */
export function candidatesOf(sdp) {
  /** @type {Map<string, Candidate>} */
  const found = new Map();
  for (const line of sdp.split(/\r?\n/)) {
    const words = /^a=candidate:(.*)$/.exec(line)?.[1]?.split(' ');
    const [, , transport, , address, port] = words ?? [];
    if (transport && address && port) found.set(`${transport} ${address} ${port}`, { line, transport: transport.toLowerCase(), address, port: Number(port) });
  }
  return [...found.values()];
}

/**
 * The description without those addresses that are not to be tried.
 * @param {string} sdp
 * @param {(candidate: Candidate) => boolean} keeps
 */
export function only(sdp, keeps) {
  const isKept = (/** @type {string} */ line) => {
    const [candidate] = candidatesOf(line);
    return !candidate || keeps(candidate);
  };
  return sdp.split('\r\n').filter(isKept).join('\r\n');
}

/**
 * Every path there could be, and which of them the server offers.
 * @param {string} sdp an answer of the server
 * @param {readonly RTCIceServer[]} iceServers
 * @returns {Path[]}
 */
export function pathsOf(sdp, iceServers) {
  const candidates = candidatesOf(sdp);
  const isSix = (/** @type {Candidate} */ c) => c.address.includes(':');
  return PATHS.map((id) => {
    if (id === 'udp' || id === 'udp_six' || id === 'tcp') {
      const keeps = (/** @type {Candidate} */ c) => (id === 'tcp' ? c.transport === 'tcp' : c.transport === 'udp' && isSix(c) === (id === 'udp_six'));
      const own = candidates.filter(keeps);
      return { id, isOffered: own.length > 0, servers: [], policy: 'all', keeps, where: own.map((c) => (isSix(c) ? `[${c.address}]:${c.port}` : `${c.address}:${c.port}`)).join(', ') };
    }
    const servers = iceServers.flatMap((server) => [server.urls].flat().filter((url) => kindOf(url) === id).map((url) => ({ ...server, urls: url })));
    // A relay reaches the server by UDP, from wherever it stands.
    return { id, isOffered: servers.length > 0, servers, policy: 'relay', keeps: (c) => c.transport === 'udp', where: servers.map((server) => server.urls).join(', ') };
  });
}

/**
 * @param {string} url
 * @returns {PathId | null}
 */
export function kindOf(url) {
  const isTcp = /[?&]transport=tcp\b/i.test(url);
  if (/^turns:/i.test(url)) return 'turn_tls';
  if (/^turn:/i.test(url)) return isTcp ? 'turn_tcp' : 'turn_udp';
  return null;
}
