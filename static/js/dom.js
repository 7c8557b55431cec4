// Building and updating the page. Text enters as text nodes only; nothing here ever parses HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Props */

/**
 * Makes an element. `on*` functions become listeners, `data`/`aria` objects become attributes,
 * booleans set or leave out the attribute, everything else is an attribute as it is.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(element, name, value);
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function setProp(element, name, value) {
  if (name.startsWith('on') && typeof value === 'function') {
    element.addEventListener(name.slice(2).toLowerCase(), /** @type {EventListener} */ (value));
  } else if ((name === 'data' || name === 'aria') && value && typeof value === 'object') {
    for (const [key, part] of Object.entries(value)) setProp(element, `${name}-${key}`, part);
  } else if (name === 'value' && 'value' in element) {
    element.value = value ?? '';
  } else if (name.startsWith('aria-') && typeof value === 'boolean') {
    element.setAttribute(name, String(value));
  } else if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? '' : String(value));
  }
}

/**
 * @param {Element} parent
 * @param {(Child | Child[])[]} children
 */
function append(parent, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Takes out what is there and puts the children in.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** @type {Map<string, Promise<void>>} */
const sheets = new Map();

/**
 * Styles of a part of the page that is fetched when it is asked for. Resolves when they are there; without them
 * the page is plain, but whole.
 * @param {string} name of the file in `css/`
 */
export function sheet(name) {
  const before = sheets.get(name);
  if (before) return before;
  const link = h('link', { rel: 'stylesheet', href: new URL(`../css/${name}.css`, import.meta.url).pathname });
  const here = new Promise((/** @type {(done: void) => void} */ done) => {
    link.addEventListener('load', () => done());
    link.addEventListener('error', () => {
      sheets.delete(name);
      link.remove();
      done();
    });
  });
  sheets.set(name, here);
  document.head.append(link);
  return here;
}

/**
 * Sets the text of an element only when it differs, so that live regions are not read twice.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * One icon of the sprite. It is an ornament: the control around it carries the name.
 * @param {string} name
 * @param {string} [className]
 */
export function icon(name, className = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', `icon ${className}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('focusable', 'false');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/**
 * Changes which icon an `icon()` shows.
 * @param {Element} svg
 * @param {string} name
 */
export function setIcon(svg, name) {
  const use = svg.firstElementChild;
  const href = `/static/icons.svg#${name}`;
  if (use && use.getAttribute('href') !== href) use.setAttribute('href', href);
}

/**
 * Makes the children of `parent` match `items`: keeps elements by key, so that focus, scroll and
 * playing video survive. An element whose place did not change is not touched.
 * @template Item
 * @template {Element} E
 * @param {Element} parent
 * @param {readonly Item[]} items
 * @param {{key: (item: Item) => string, create: (item: Item) => E, update?: (element: E, item: Item) => void, remove?: (element: E) => void}} how
 */
export function keyed(parent, items, how) {
  const wanted = new Set(items.map((item) => how.key(item)));
  /** @type {Map<string, E>} */
  const present = new Map();
  for (const child of [...parent.children]) {
    const key = child.getAttribute('data-key') ?? '';
    if (wanted.has(key)) {
      present.set(key, /** @type {E} */ (child));
    } else {
      how.remove?.(/** @type {E} */ (child));
      child.remove();
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = how.key(item);
    let element = present.get(key);
    if (!element) {
      element = how.create(item);
      element.setAttribute('data-key', key);
    }
    how.update?.(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}
