// A state, and who is told when it changes.

/**
 * Holds a state and tells who asks about changes, once per turn of the event loop.
 * @template State, Event
 */
export class Store {
  /** @type {Set<(state: State) => void>} */
  #listeners = new Set();
  #told = true;

  /**
   * @param {State} state
   * @param {(state: State, event: Event, now: number) => State} reducer
   */
  constructor(state, reducer) {
    this.state = state;
    this.reducer = reducer;
  }

  /** @param {Event} event */
  dispatch(event) {
    const next = this.reducer(this.state, event, Date.now());
    if (next === this.state) return;
    this.state = next;
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const listener of [...this.#listeners]) {
        // One listener may end another: a view that has gone draws no more.
        if (this.#listeners.has(listener)) listener(this.state);
      }
    });
  }

  /**
   * @param {(state: State) => void} listener
   * @returns {() => void} stops it
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
