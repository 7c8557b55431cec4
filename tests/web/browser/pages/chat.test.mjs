// The chat between three people: answers, names, feelings, changes, private words, polls, pins, history, and what
// was said while a line was down.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, connected, enter } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Tab} */
let ada;
/** @type {Tab} */
let bob;
/** @type {Tab} */
let cleo;

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  ada = await browser.tab({ instruments: { colour: PALETTE.red } });
  const url = await begin(ada, server.url, 'Ada');
  bob = await browser.tab({ theme: 'dark', locale: 'ru-RU', viewport: { width: 360, height: 740 }, touch: true, instruments: { colour: PALETTE.green } });
  cleo = await browser.tab({ theme: 'dark', instruments: { colour: PALETTE.blue } });
  await enter(bob, url, 'Bob');
  await enter(cleo, url, 'Cleo');
  await ada.click('.bar [data-action=chat]');
});
after(() => closeAll(browser, server));

/** @param {Tab} tab @param {string} text */
async function write(tab, text) {
  await tab.fill('textarea[name=message]', text);
  await tab.press('Enter');
}

/** Waits for a line with that text; its message id. @param {Tab} tab @param {string} text @returns {Promise<string>} */
const line = (tab, text) => tab.until(`the line ${text}`, (/** @type {string} */ wanted) => {
  const found = [...document.querySelectorAll('.line')].find((l) => l.querySelector('.bubble-text')?.textContent === wanted);
  return found?.getAttribute('data-state') === 'sent' && found.getAttribute('data-message');
}, text);

/** A choice in the menu of a line. @param {Tab} tab @param {string} id @param {string} action */
async function choose(tab, id, action) {
  await tab.page.hover(`.line[data-message="${id}"]`);
  await tab.click(`.line[data-message="${id}"] [data-action=message-menu]`);
  await tab.click(action);
}

test('somebody who is named is called, and an answer shows what it answers', async () => {
  await ada.fill('textarea[name=message]', 'Hello @b');
  await ada.visible('#mention-names [role=option]');
  await inspect(ada, 'chat-names-light');
  await ada.press('Enter');
  assert.equal(await ada.run(() => /** @type {HTMLTextAreaElement} */ (document.querySelector('textarea[name=message]')).value), 'Hello @Bob ');
  await ada.press('Enter');
  await bob.until('the badge', () => document.querySelector('.bar [data-action=chat] .badge')?.textContent === '@1');
  await cleo.until('a plain badge', () => document.querySelector('.bar [data-action=chat] .badge')?.textContent === '1');
  await bob.click('.bar [data-action=chat]');
  await cleo.click('.bar [data-action=chat]');
  const id = await line(bob, 'Hello @Bob');
  assert.equal(await bob.run(() => document.querySelector('.line .mention')?.textContent), '@Bob');
  await choose(bob, id, '.menu [data-action=reply]');
  await write(bob, 'Hello <i>Ada</i>');
  await line(ada, 'Hello <i>Ada</i>');
  assert.equal(await ada.run(() => document.querySelector('.line:last-child .quote')?.textContent), 'AdaHello @Bob');
  await ada.click('.line:last-child .quote');
  await ada.until('the answered line shown', () => document.querySelector('.line.found .bubble-text')?.textContent === 'Hello @Bob');
});

test('feelings are counted, shown as mine, and taken back', async () => {
  const id = await line(cleo, 'Hello @Bob');
  await choose(cleo, id, '.menu [data-emoji="🎉"]');
  await ada.visible('.feeling[data-emoji="🎉"]');
  await ada.click('.feeling[data-emoji="🎉"]');
  await bob.until('two', () => document.querySelector('.feeling[data-emoji="🎉"]')?.textContent === '🎉2');
  await ada.until('my own', () => document.querySelector('.feeling')?.getAttribute('aria-pressed') === 'true');
  assert.equal(await bob.run(() => document.querySelector('.feeling')?.getAttribute('aria-pressed')), 'false');
  await ada.click('.feeling[data-emoji="🎉"]');
  await bob.until('one', () => document.querySelector('.feeling[data-emoji="🎉"]')?.textContent === '🎉1');
});

test('an own line is changed by arrow up, and says so to everybody', async () => {
  await write(cleo, 'Tusday');
  await Promise.all([line(ada, 'Tusday'), line(cleo, 'Tusday')]);
  await cleo.press('ArrowUp');
  await cleo.until('the text back in the field', () => /** @type {HTMLTextAreaElement} */ (document.querySelector('textarea[name=message]')).value === 'Tusday');
  await write(cleo, 'Tuesday');
  const id = await line(ada, 'Tuesday');
  assert.equal(await ada.run((/** @type {string} */ m) => /** @type {HTMLElement} */ (document.querySelector(`.line[data-message="${m}"] .edited`)).hidden, id), false);
  await cleo.until('an empty field', () => /** @type {HTMLTextAreaElement} */ (document.querySelector('textarea[name=message]')).value === '');
});

test('a private line is seen by two people and looks different', async () => {
  await ada.click('[data-action=plus]');
  await ada.page.getByRole('menuitem', { name: 'Cleo' }).click();
  await write(ada, 'Only you, Cleo');
  const id = await line(cleo, 'Only you, Cleo');
  assert.ok(await cleo.run((/** @type {string} */ m) => document.querySelector(`.line[data-message="${m}"]`)?.classList.contains('private'), id));
  await choose(cleo, id, '.menu [data-action=reply]');
  await cleo.visible('.composer.private');
  await inspect(cleo, 'chat-private-dark');
  await write(cleo, 'Secret answer');
  await line(ada, 'Secret answer');
  await write(ada, 'For all again');
  await line(bob, 'For all again');
  assert.doesNotMatch(await bob.run(() => document.querySelector('.log')?.textContent), /Only you|Secret/);
});

test('a poll is asked, answered, changed, and closed', async () => {
  await ada.click('[data-action=plus]');
  await ada.click('.menu [data-action=new-poll]');
  await ada.fill('[name=question]', 'When?');
  await ada.click('[data-action=send-poll]');
  await ada.visible('dialog .wrong:not([hidden])');
  await ada.fill('[name=option-0]', 'Monday');
  await ada.fill('[name=option-1]', 'Tuesday');
  await inspect(ada, 'chat-poll-form-light');
  await ada.click('[data-action=send-poll]');
  await bob.visible('.poll-option');
  await bob.click('.poll-option[data-option="0"]');
  await cleo.click('.poll-option[data-option="1"]');
  await ada.until('two votes', () => [...document.querySelectorAll('.poll-count')].map((c) => c.textContent).join() === '1,1');
  await bob.click('.poll-option[data-option="1"]');
  await ada.until('one mind', () => [...document.querySelectorAll('.poll-count')].map((c) => c.textContent).join() === '0,2');
  await inspect(bob, 'chat-poll-phone');
  const id = await ada.run(() => document.querySelector('.line:has(.poll)')?.getAttribute('data-message'));
  await choose(ada, id, '.menu [data-action=close-poll]');
  await bob.until('the end', () => document.querySelector('.poll')?.getAttribute('data-closed') === 'true');
  assert.ok(await bob.run(() => /** @type {HTMLButtonElement} */ (document.querySelector('.poll-option')).disabled));
});

test('a moderator pins and deletes; members are offered neither', async () => {
  const id = await line(ada, 'Tuesday');
  await choose(ada, id, '.menu [data-action=pin-message]');
  await bob.visible('.pins .pinned-line');
  await inspect(ada, 'chat-full-light');
  await bob.click(`.line[data-message="${id}"] [data-action=message-menu]`);
  await bob.visible('.menu [data-action=reply]');
  assert.equal(await bob.run(() => document.querySelectorAll('.menu [data-action=pin-message], .menu [data-action=delete-message]').length), 0);
  await inspect(bob, 'chat-menu-phone');
  await bob.press('Escape');
  await choose(ada, id, '.menu [data-action=delete-message]');
  await ada.click('dialog [data-action=confirm]');
  await bob.until('the line gone', (/** @type {string} */ m) => document.querySelector(`.line[data-message="${m}"]`)?.classList.contains('deleted'), id);
  await bob.gone('.pins');
  assert.doesNotMatch(await bob.run(() => document.querySelector('.log')?.textContent), /Tuesday(?!\d)/);
});

test('pictures are pasted, files dropped; they are seen, saved, and taken back before they are sent', async () => {
  /** Gives files to the chat as the clipboard or a drag would. @param {'paste' | 'drop'} how @param {string} name @param {string} type */
  const give = (how, name, type) => ada.run(async (/** @type {string[]} */ [kind, fileName, mime]) => {
    const canvas = new OffscreenCanvas(640, 320);
    const paint = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
    paint.fillStyle = 'rgb(200, 50, 200)';
    paint.fillRect(0, 0, 640, 320);
    const data = mime === 'image/png' ? await canvas.convertToBlob({ type: 'image/png' }) : new Blob(['plain words']);
    const transfer = new DataTransfer();
    transfer.items.add(new File([data], String(fileName), { type: String(mime) }));
    const field = /** @type {HTMLElement} */ (document.querySelector('textarea[name=message]'));
    field.dispatchEvent(kind === 'paste' ? new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }) : new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, [how, name, type]);
  const here = (/** @type {number} */ n) => ada.until(`${n} files here`, (/** @type {number} */ wanted) => document.querySelectorAll('.upload[data-state=here]').length === wanted, n);
  await give('paste', 'colour.png', 'image/png');
  await give('drop', 'notes.txt', 'text/plain');
  await give('drop', 'mistake.txt', 'text/plain');
  await here(3);
  await ada.click('.upload:last-child [data-action=remove-file]');
  await here(2);
  await inspect(ada, 'chat-uploads-light');
  await write(ada, 'See the picture');
  const id = await line(bob, 'See the picture');
  await bob.until('the picture', (/** @type {string} */ m) => {
    const image = /** @type {HTMLImageElement | null} */ (document.querySelector(`.line[data-message="${m}"] .picture img`));
    return image !== null && image.complete && image.naturalWidth === 320;
  }, id);
  assert.match(await bob.run((/** @type {string} */ m) => document.querySelector(`.line[data-message="${m}"] .file`)?.textContent, id), /notes\.txt/);
  assert.doesNotMatch(await bob.run(() => document.querySelector('.log')?.textContent), /mistake/);
  await inspect(bob, 'chat-files-phone');
  const saved = bob.page.waitForEvent('download');
  await bob.click(`.line[data-message="${id}"] .file`);
  assert.equal((await saved).suggestedFilename(), 'notes.txt');
  await bob.click(`.line[data-message="${id}"] .picture`);
  await bob.until('the picture, large', () => /** @type {HTMLImageElement | null} */ (document.querySelector('dialog .large'))?.naturalWidth === 640);
  await inspect(bob, 'chat-picture-phone');
  await bob.press('Escape');
  await bob.gone('dialog');
});

test('what was said, changed and deleted while a line was down is there when it is back', async () => {
  const early = await line(ada, 'For all again');
  await bob.run(() => /** @type {any} */ (window).testkit.cut());
  await bob.until('the line down', () => document.body.dataset.connection === 'reconnecting');
  for (let n = 0; n < 8; n++) await write(ada, `missed ${n}`);
  await line(ada, 'missed 7');
  await choose(ada, early, '.menu [data-action=delete-message]');
  await ada.click('dialog [data-action=confirm]');
  await bob.run(() => /** @type {any} */ (window).testkit.mend());
  await bob.until('the line up', () => document.body.dataset.connection === 'connected');
  await line(bob, 'missed 7');
  await bob.until('all of it, once, in order', () => {
    const texts = [...document.querySelectorAll('.bubble-text')].map((p) => p.textContent ?? '').filter((text) => text.startsWith('missed'));
    return texts.join() === Array.from({ length: 8 }, (_, n) => `missed ${n}`).join();
  });
  await bob.until('and what was deleted is gone', (/** @type {string} */ m) => document.querySelector(`.line[data-message="${m}"]`)?.classList.contains('deleted'), early);
});

test('history comes page by page as one scrolls up', async () => {
  const { slug } = await ada.run(() => /** @type {any} */ (window).veche.meeting.state.room);
  // One more page than the one that is there at once.
  const wanted = 54;
  // As fast as the limit on chat lets people write: all at once, the first and the last line apart.
  const write = (/** @type {Tab} */ tab, /** @type {[number, number]} */ range) => tab.run(async (/** @type {[number, number]} */ [from, to]) => {
    const { meeting } = /** @type {any} */ (window).veche;
    for (let n = from; n < to; n++) {
      for (;;) {
        const sent = await meeting.ask({ type: 'chat.message', text: `old ${n}`, client_id: `old-${n}` }).then(() => true, () => false);
        if (sent) break;
        await new Promise((done) => setTimeout(done, 300));
      }
    }
  }, range);
  await write(ada, [0, 1]);
  await Promise.all([write(ada, [1, 18]), write(bob, [18, 36]), write(cleo, [36, wanted - 1])]);
  await write(ada, [wanted - 1, wanted]);
  assert.ok(slug);
  await cleo.run(() => /** @type {any} */ (window).veche.meeting.leave());
  await cleo.click('[data-action=rejoin]');
  await cleo.click('[data-action=join]');
  await connected(cleo);
  await cleo.click('.bar [data-action=chat]');
  await line(cleo, `old ${wanted - 1}`);
  assert.equal(await cleo.run(() => [...document.querySelectorAll('.bubble-text')].some((p) => p.textContent === 'old 0')), false);
  await cleo.until('the first line, scrolling up for as long as it takes', () => {
    if ([...document.querySelectorAll('.bubble-text')].some((p) => p.textContent === 'Hello @Bob')) return true;
    const scroll = /** @type {HTMLElement} */ (document.querySelector('.log-scroll'));
    scroll.scrollTop = scroll.scrollHeight;
    scroll.scrollTop = 0;
    return false;
  });
  await line(cleo, 'Hello @Bob');
  await cleo.until('feelings with the history', () => document.querySelector('.feeling[data-emoji="🎉"]')?.textContent === '🎉1');
});
