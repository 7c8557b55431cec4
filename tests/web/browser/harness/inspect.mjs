// A look at a page: a screenshot to be looked at, axe, and nothing wider than the window.

import assert from 'node:assert/strict';
import axe from 'axe-core';

const RULES = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] };

/** @param {import('./browsers.mjs').Tab} tab @param {string} name of the screenshot */
export async function inspect(tab, name) {
  await tab.screenshot(`screen-${name}.png`);
  // Once for each page: half a megabyte of script to read takes as long as looking.
  if (!(await tab.run(() => 'axe' in window))) await tab.run(axe.source);
  const found = await tab.run(async (/** @type {typeof RULES} */ rules) => {
    const { violations } = await /** @type {any} */ (window).axe.run(rules);
    return violations.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.map((/** @type {any} */ node) => node.target.join(' ')).join('; ')}`);
  }, RULES);
  assert.deepEqual(found, [], name);
  const wide = await tab.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than its window`);
}
