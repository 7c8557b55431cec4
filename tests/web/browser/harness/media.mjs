// What a page receives, read from its RTCPeerConnections.

/** @typedef {import('./browsers.mjs').Tab} Tab */

/**
 * Sums over every stream the page receives and sends.
 * @param {Tab} tab
 */
export function totals(tab) {
  return tab.run(async () => {
    const sum = { framesDecoded: 0, audioEnergy: 0, audioPackets: 0, videoPackets: 0, bytesSent: 0, framesEncoded: 0, lost: 0, freezes: 0 };
    for (const pc of /** @type {any} */ (window).testkit.pcs) {
      if (pc.connectionState === 'closed') continue;
      (await pc.getStats()).forEach((/** @type {any} */ s) => {
        if (s.type === 'inbound-rtp' && s.kind === 'video') {
          sum.framesDecoded += s.framesDecoded ?? 0;
          sum.videoPackets += s.packetsReceived ?? 0;
          sum.freezes += s.totalFreezesDuration ?? 0;
          sum.lost += s.packetsLost ?? 0;
        } else if (s.type === 'inbound-rtp' && s.kind === 'audio') {
          sum.audioEnergy += s.totalAudioEnergy ?? 0;
          sum.audioPackets += s.packetsReceived ?? 0;
        } else if (s.type === 'outbound-rtp') {
          sum.bytesSent += s.bytesSent ?? 0;
          sum.framesEncoded += s.framesEncoded ?? 0;
        }
      });
    }
    return sum;
  });
}

/**
 * Waits until pictures decode and sound has energy, both newly since now.
 * @param {Tab} tab
 * @param {{video?: boolean, audio?: boolean, patience?: number}} [what]
 */
export async function flows(tab, { video = true, audio = true, patience = 30_000 } = {}) {
  const start = Date.now();
  let before = await totals(tab);
  for (;;) {
    await new Promise((done) => setTimeout(done, 200));
    const now = await totals(tab);
    // A reload or a new transport starts counting anew.
    if (now.framesDecoded < before.framesDecoded || now.audioEnergy < before.audioEnergy) before = now;
    const sees = !video || now.framesDecoded >= before.framesDecoded + 5;
    const hears = !audio || now.audioEnergy > before.audioEnergy + 1e-4;
    if (sees && hears) return Date.now() - start;
    if (Date.now() - start > patience) {
      throw new Error(`no media: ${JSON.stringify({ before, now })}\n${await tab.describe()}`);
    }
  }
}

/** Waits until pictures stand still. @param {Tab} tab */
export async function stalls(tab) {
  const end = Date.now() + 10_000;
  for (let before = -1; ;) {
    const { framesDecoded } = await totals(tab);
    if (framesDecoded === before) return;
    if (Date.now() > end) throw new Error('pictures do not stop');
    before = framesDecoded;
    await new Promise((done) => setTimeout(done, 400));
  }
}
