// The own picture where it floats over somebody else's: in a corner, and moved to another by hand or by menu.

/** @typedef {import('../grid.js').Box} Box */

/** Corners where the own picture may float, in the order in which it is moved. */
const CORNERS = /** @type {const} */ (['bottom-right', 'bottom-left', 'top-left', 'top-right']);
const MARGIN = 12;

export class FloatingSelf {
  /** @type {(typeof CORNERS)[number]} */
  #corner = 'bottom-right';
  #stage;
  #moved;

  /**
   * @param {HTMLElement} stage
   * @param {() => void} moved it has another corner now
   */
  constructor(stage, moved) {
    this.#stage = stage;
    this.#moved = moved;
  }

  /**
   * @param {number} width of the stage
   * @param {number} height
   * @returns {Box}
   */
  box(width, height) {
    const isUpright = width < 480 && height > width;
    const tileWidth = Math.round(isUpright ? Math.max(84, width * 0.26) : Math.min(260, Math.max(132, width * 0.2)));
    const tileHeight = Math.round(isUpright ? tileWidth * (4 / 3) : tileWidth * (9 / 16));
    const [vertical, horizontal] = /** @type {[string, string]} */ (this.#corner.split('-'));
    return {
      x: Math.round(horizontal === 'left' ? MARGIN : width - tileWidth - MARGIN),
      y: Math.round(vertical === 'top' ? MARGIN : height - tileHeight - MARGIN),
      width: tileWidth,
      height: tileHeight,
    };
  }

  /** To the next corner. */
  moveOn() {
    this.#corner = CORNERS[(CORNERS.indexOf(this.#corner) + 1) % CORNERS.length] ?? 'bottom-right';
    this.#moved();
  }

  /**
   * Dragged, the own picture goes to the nearest corner.
   * @param {HTMLElement} tile
   */
  makeMovable(tile) {
    /** @type {{x: number, y: number} | null} */
    let from = null;
    tile.addEventListener('pointerdown', (event) => {
      if (!tile.classList.contains('floating') || event.button !== 0 || /** @type {Element} */ (event.target).closest('button')) return;
      from = { x: event.clientX, y: event.clientY };
      tile.setPointerCapture(event.pointerId);
      tile.classList.add('dragged');
    });
    tile.addEventListener('pointermove', (event) => {
      if (!from) return;
      tile.style.setProperty('transform', `translate(${event.clientX - from.x}px, ${event.clientY - from.y}px)`);
    });
    const drop = () => {
      if (!from) return;
      from = null;
      const box = tile.getBoundingClientRect();
      const stage = this.#stage.getBoundingClientRect();
      const vertical = box.top + box.height / 2 < stage.top + stage.height / 2 ? 'top' : 'bottom';
      const horizontal = box.left + box.width / 2 < stage.left + stage.width / 2 ? 'left' : 'right';
      this.#corner = /** @type {(typeof CORNERS)[number]} */ (`${vertical}-${horizontal}`);
      tile.style.removeProperty('transform');
      tile.classList.remove('dragged');
      this.#moved();
    };
    tile.addEventListener('pointerup', drop);
    tile.addEventListener('pointercancel', drop);
  }
}
