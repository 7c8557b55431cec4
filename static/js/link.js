// When a peer connection is up, shaky, or must be replaced.

/** The way is shaky for this long before it is replaced. ICE recovers from most gaps in 2–3 s by itself. */
const SHAKY_MS = 5_000;
/** A connection that is not up by then will not come up. A handshake at 20 % loss takes up to 5 s. */
const START_MS = 12_000;

/**
 * Watches a connection until it is dead or `stop` is called.
 * @param {RTCPeerConnection} pc
 * @param {{up: () => void, shaky: () => void, dead: () => void}} tell
 * @returns {() => void} stop
 */
export function watch(pc, tell) {
  let isOver = false;
  let timer = setTimeout(die, START_MS);

  function die() {
    if (isOver) return;
    stop();
    tell.dead();
  }

  function stop() {
    isOver = true;
    clearTimeout(timer);
    pc.removeEventListener('connectionstatechange', changed);
  }

  function changed() {
    switch (pc.connectionState) {
      case 'connected':
        clearTimeout(timer);
        tell.up();
        break;
      case 'disconnected':
        clearTimeout(timer);
        timer = setTimeout(die, SHAKY_MS);
        tell.shaky();
        break;
      case 'failed':
        die();
        break;
      case 'new':
      case 'connecting':
      case 'closed':
        break;
    }
  }

  pc.addEventListener('connectionstatechange', changed);
  return stop;
}

/**
 * A name for a peer connection that no other of ours has had.
 * @param {string} kind
 */
export function newPeerName(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `${kind}-${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`;
}
