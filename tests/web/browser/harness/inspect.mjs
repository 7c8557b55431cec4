// A look at a page: a screenshot to be looked at, axe, and nothing wider than the window.

import assert from 'node:assert/strict';
import { AxeBuilder } from '@axe-core/playwright';

/** @param {import('./browsers.mjs').Tab} tab @param {string} name of the screenshot */
export async function inspect(tab, name) {
  await tab.screenshot(`screen-${name}.png`);
  const { violations } = await new AxeBuilder({ page: tab.page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((node) => node.target.join(' ')).join('; ')}`);
  assert.deepEqual(found, [], name);
  const wide = await tab.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than its window`);
}
