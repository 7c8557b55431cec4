// Which way media goes, and how long a connection took to stand.

/** @typedef {import('./browsers.mjs').Tab} Tab */

/**
 * The selected pair of every connection that is open.
 * @param {Tab} tab
 * @returns {Promise<{local: string, remote: string, protocol: string, relayProtocol?: string, address: string, port: number, state: string}[]>}
 */
export function selected(tab) {
  return tab.run(async () => {
    const found = [];
    for (const pc of /** @type {any} */ (window).testkit.pcs) {
      if (pc.connectionState === 'closed') continue;
      /** @type {Map<string, any>} */
      const stats = await pc.getStats();
      const all = [...stats.values()];
      const transport = all.find((one) => one.type === 'transport' && one.selectedCandidatePairId);
      const pair = transport ? stats.get(transport.selectedCandidatePairId)
        : all.find((one) => one.type === 'candidate-pair' && (one.selected || (one.nominated && one.state === 'succeeded')));
      if (!pair) continue;
      const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
      found.push({
        local: local.candidateType, remote: remote.candidateType, protocol: remote.protocol, relayProtocol: local.relayProtocol,
        address: remote.address, port: remote.port, state: pc.connectionState,
      });
    }
    return found;
  });
}

/** Milliseconds from each connection's first description to its being connected. @param {Tab} tab @returns {Promise<number[]>} */
export function connectTimes(tab) {
  return tab.run(() => /** @type {any} */ (window).testkit.pcs
    .filter((/** @type {any} */ pc) => pc.connectedAt)
    .map((/** @type {any} */ pc) => Math.round(pc.connectedAt - pc.begunAt)));
}
