// The canvas web behind the entrance pages: people as nodes, lines between those who are near.
// It stands still for those who ask for less motion, and rests when nobody can see it.

/** @typedef {{x: number, y: number, vx: number, vy: number, size: number}} Node */

/** One node for this many square pixels: more is noise, fewer is no web. */
const AREA_PER_NODE = 17_000;
const MAX_NODES = 110;
/** Nodes nearer than this are joined. */
const REACH = 160;
/** Pixels per second; faster draws the eye away from the form. */
const SPEED = 9;
/** A slow drift needs no more; sixty frames would cost twice the battery. */
const FRAME_MS = 33;

export class Web {
  /** @type {Node[]} */
  #nodes = [];
  #width = 0;
  #height = 0;
  #frame = 0;
  #lastMs = 0;
  #isWanted = false;
  #canvas;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    addEventListener('resize', () => this.#isWanted && this.#start());
    document.addEventListener('visibilitychange', () => this.#update());
    this.#still.addEventListener('change', () => this.#update());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#update());
  }

  /** @param {boolean} isWanted */
  show(isWanted) {
    this.#canvas.hidden = !isWanted;
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    if (isWanted) this.#start();
    else this.#stop();
  }

  /** Draws once more, because colours changed. */
  refresh() {
    if (this.#isWanted) this.#draw();
  }

  #start() {
    const scale = Math.min(2, devicePixelRatio || 1);
    this.#width = innerWidth;
    this.#height = innerHeight;
    this.#canvas.width = Math.round(this.#width * scale);
    this.#canvas.height = Math.round(this.#height * scale);
    this.#canvas.getContext('2d')?.setTransform(scale, 0, 0, scale, 0, 0);
    const count = Math.min(MAX_NODES, Math.round((this.#width * this.#height) / AREA_PER_NODE));
    while (this.#nodes.length < count) this.#nodes.push(newNode(this.#width, this.#height));
    this.#nodes.length = count;
    this.#update();
  }

  #stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #update() {
    this.#stop();
    if (!this.#isWanted) return;
    this.#draw();
    if (!this.#still.matches && document.visibilityState === 'visible') {
      this.#lastMs = performance.now();
      this.#frame = requestAnimationFrame(this.#step);
    }
  }

  #step = (/** @type {number} */ now) => {
    this.#frame = requestAnimationFrame(this.#step);
    const passed = now - this.#lastMs;
    if (passed < FRAME_MS) return;
    this.#lastMs = now;
    const seconds = Math.min(0.1, passed / 1000);
    for (const node of this.#nodes) {
      node.x += node.vx * seconds;
      node.y += node.vy * seconds;
      if (node.x < -20 || node.x > this.#width + 20) node.vx = -node.vx;
      if (node.y < -20 || node.y > this.#height + 20) node.vy = -node.vy;
      node.x = Math.min(this.#width + 20, Math.max(-20, node.x));
      node.y = Math.min(this.#height + 20, Math.max(-20, node.y));
    }
    this.#draw();
  };

  #draw() {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    context.clearRect(0, 0, this.#width, this.#height);
    const colour = getComputedStyle(this.#canvas).color;
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = 1;
    for (let i = 0; i < this.#nodes.length; i++) {
      const a = /** @type {Node} */ (this.#nodes[i]);
      for (let j = i + 1; j < this.#nodes.length; j++) {
        const b = /** @type {Node} */ (this.#nodes[j]);
        const distance = Math.hypot(a.x - b.x, a.y - b.y);
        if (distance > REACH) continue;
        context.globalAlpha = 0.22 * (1 - distance / REACH);
        context.beginPath();
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
        context.stroke();
      }
      context.globalAlpha = 0.4;
      context.beginPath();
      context.arc(a.x, a.y, a.size, 0, Math.PI * 2);
      context.fill();
    }
    context.globalAlpha = 1;
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {Node}
 */
function newNode(width, height) {
  const angle = Math.random() * Math.PI * 2;
  const speed = SPEED * (0.4 + Math.random() * 0.6);
  return {
    x: Math.random() * width,
    y: Math.random() * height,
    vx: Math.cos(angle) * speed,
    vy: Math.sin(angle) * speed,
    size: 1.2 + Math.random() * 1.6,
  };
}
