// When the network under this page is another one than before.

/**
 * @typedef {EventTarget & {type?: string}} NetworkInformation
 */

/**
 * @param {() => void} changed
 * @returns {() => void} stops watching
 */
export function watchNetwork(changed) {
  const information = /** @type {{connection?: NetworkInformation}} */ (navigator).connection;
  let type = information?.type;
  // The event comes for each new guess of the bandwidth too; only Wi-Fi that becomes LTE is another network.
  const guessed = () => {
    if (information?.type === type) return;
    type = information?.type;
    if (type !== 'none') changed();
  };
  addEventListener('online', changed);
  information?.addEventListener('change', guessed);
  return () => {
    removeEventListener('online', changed);
    information?.removeEventListener('change', guessed);
  };
}
