// The description of the REST calls as a page: everything of it from our own server, nothing blocked by our own policy.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { Server } from '../harness/server.mjs';

/** @type {Server} */
let server;

before(async () => { server = await Server.start(); });
after(async () => { await server?.stop(); });

for (const kind of [Chromium, Firefox]) {
  test(`the calls are listed and can be tried out in ${kind.name}`, async () => {
    const browser = await kind.launch();
    try {
      const tab = await browser.tab();
      await tab.open(`${server.url}/docs`);
      await tab.visible('#operations-auth-guest, [id^=operations-auth] .opblock-summary');
      const paths = await tab.run(() => [...document.querySelectorAll('.opblock-summary-path')]
        .map((element) => element.textContent?.replaceAll('\u200b', '')));
      for (const path of ['/api/v1/auth/guest', '/api/v1/rooms/{slug}/ticket', '/whip/{slug}', '/metrics']) {
        assert.ok(paths.includes(path), `${path} in ${paths.join(' ')}`);
      }
      await tab.run(() => {
        const line = [...document.querySelectorAll('.opblock-summary')].find((e) => e.textContent?.includes('/health'));
        /** @type {HTMLElement} */ (line?.querySelector('.opblock-summary-control') ?? line).click();
      });
      await tab.visible('.try-out__btn');
      if (!(await tab.run(() => document.querySelector('.execute') !== null))) await tab.click('.try-out__btn');
      await tab.click('.execute');
      const status = await tab.until('an answer', () =>
        document.querySelector('.live-responses-table tbody .response-col_status')?.textContent?.trim());
      assert.match(status, /^200/);
      const wrong = tab.console.filter((line) => /^(error|pageerror|warn)|Content.Security.Policy/i.test(line));
      assert.deepEqual(wrong, []);
      await tab.screenshot(`docs-${browser.name}.png`);
    } finally {
      await browser.close();
    }
  });
}
