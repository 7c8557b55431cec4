// Chromium through playwright and Firefox through puppeteer, behind the few verbs that both have.

import { mkdtempSync, rmSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { install } from './instruments.mjs';

/** Where screenshots go. */
export const OUT = resolve(import.meta.dirname, '../../out');
mkdirSync(OUT, { recursive: true });

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const FIREFOX = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
  '--use-fake-device-for-media-stream=fps=30', '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
  `--disable-features=${[
    'WebRtcHideLocalIpsWithMdns',
    // The browser's own buttons, which nobody sees here: pages of their own in each window, with a process each.
    'InitialWebUI', 'PreloadTopChromeWebUI', 'PreloadTopChromeWebUILessNavigations', 'WebUIToolbar', 'WebUIReloadButton', 'WebUIBackForwardButton',
    'WebUIHomeButton', 'WebUILocationBar', 'WebUISplitTabsButton', 'WebUIAvatarButton', 'WebUIAppMenuButton', 'WebUIOmniboxPopup',
    'WebUIOmniboxFullPopup', 'WebUIOmniboxAimPopup',
  ].join()}`,
];

const PREFS = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.gmp-manager.updateEnabled': false,
  'dom.min_background_timeout_value': 4,
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'intl.accept_languages': 'en-US',
  'intl.locale.requested': 'en-US',
};

/** What pages are looked at with: pictures cost two cores dearly where no graphics card paints them. */
const SMALL = /[/\\]pages[/\\]/.test(process.argv[1] ?? '');

/** Where media is looked at a smaller one, without a page's narrow forms: large moving pictures cost more than encoding them. */
const WINDOW = SMALL ? { width: 1280, height: 800 } : { width: 960, height: 600 };

/** Longer than anything a page does on a busy machine; a hung page fails the test. */
export const PATIENCE = 30_000;
/** A browser starts in a second or two, and in half a minute where everything starts at once. */
const LAUNCH_MS = 90_000;

/**
 * @typedef {object} PageOptions
 * @property {import('./instruments.mjs').Instruments} [instruments]
 * @property {{width: number, height: number}} [viewport]
 * @property {'light' | 'dark'} [theme] Chromium only
 * @property {string} [locale] Chromium only
 * @property {boolean} [touch] a phone; Chromium only
 */

/** One page of one person. */
export class Tab {
  /** @param {any} page @param {() => Promise<void>} close */
  constructor(page, close) {
    this.page = page;
    this.closePage = close;
    /** @type {string[]} */
    this.console = [];
    page.on('console', (/** @type {any} */ message) => this.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (/** @type {any} */ error) => this.console.push(`pageerror: ${error?.message ?? error}`));
  }

  /** @param {string} url */
  async open(url) {
    await this.page.goto(url, { waitUntil: 'load', timeout: PATIENCE });
  }

  async reload() {
    await this.page.reload({ waitUntil: 'load', timeout: PATIENCE });
  }

  /** Runs a function in the page. @param {any} fn @param {any} [arg] @returns {Promise<any>} */
  run(fn, arg) {
    return this.page.evaluate(fn, arg);
  }

  /** @param {string} selector */
  async click(selector) {
    await this.visible(selector);
    await this.page.click(selector);
  }

  /** Replaces the text of a field. @param {string} selector @param {string} text */
  async fill(selector, text) {
    await this.visible(selector);
    await this.run((/** @type {string} */ s) => {
      const field = /** @type {HTMLInputElement} */ (document.querySelector(s));
      field.focus();
      field.select?.();
    }, selector);
    if (text === '') await this.page.keyboard.press('Backspace');
    else await this.page.keyboard.type(text);
  }

  /** @param {string} key */
  press(key) {
    return this.page.keyboard.press(key);
  }

  /** Waits until an element is there and has a size. @param {string} selector */
  visible(selector) {
    return this.until(`${selector} to be visible`, (/** @type {string} */ s) => {
      const element = document.querySelector(s);
      return element !== null && element.getClientRects().length > 0;
    }, selector);
  }

  /** @param {string} selector */
  gone(selector) {
    return this.until(`${selector} to be gone`, (/** @type {string} */ s) => {
      const element = document.querySelector(s);
      return element === null || element.getClientRects().length === 0;
    }, selector);
  }

  /**
   * Asks the page until the answer is truthy; the answer.
   * @param {string} what for the failure's message @param {any} fn @param {any} [arg] @param {number} [patience]
   */
  async until(what, fn, arg, patience = PATIENCE) {
    const end = Date.now() + patience;
    for (;;) {
      const answer = await this.run(fn, arg);
      if (answer) return answer;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}\n${await this.describe()}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  /** What the page looked like and said, for a failing test. */
  async describe() {
    const text = await this.run(() => `${location.pathname}: ${document.body?.innerText ?? ''}`).catch(String);
    const peers = await this.run(() => /** @type {any} */ (window).testkit?.pcs
      .map((/** @type {RTCPeerConnection} */ pc) => `${pc.connectionState}/${pc.iceConnectionState}/${pc.signalingState}`)
      .join(' ')).catch(String);
    const name = `failure-${Date.now()}.png`;
    await this.screenshot(name).catch(() => {});
    return `page ${text.slice(0, 1500)}\npeers ${peers}\nconsole ${this.console.slice(-20).join('\n')}\nscreenshot ${name}`;
  }

  /** @param {string} name file in tests/web/out */
  async screenshot(name) {
    await this.page.screenshot({ path: join(OUT, name) });
  }

  /** Goes away as a person does who closes a tab: the page hears of it. */
  async close() {
    await this.page.goto('about:blank').catch(() => {});
    await this.closePage();
  }
}

/** A running Chromium; each page is a person of their own (own storage). */
export class Chromium {
  /** @param {string[]} [flags] */
  static async launch(flags = []) {
    const self = new Chromium();
    self.name = 'chromium';
    self.browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, timeout: LAUNCH_MS, args: [...FLAGS, ...flags] });
    return self;
  }

  /** @param {PageOptions} [options] */
  async tab(options = {}) {
    const context = await this.browser.newContext({
      viewport: options.viewport ?? WINDOW,
      colorScheme: options.theme ?? 'light',
      locale: options.locale ?? 'en-US',
      reducedMotion: SMALL ? 'reduce' : 'no-preference',
      ...(options.touch ? { hasTouch: true, isMobile: true } : {}),
    });
    await context.addInitScript(install, { small: SMALL, ...options.instruments });
    const page = await context.newPage();
    return new Tab(page, () => context.close());
  }

  async close() {
    await this.browser.close();
  }
}

/** A running Firefox; each page is a person of their own (own storage). */
export class Firefox {
  /** @param {import('./authority.mjs').Authority} [authority] whose certificates it believes */
  static async launch(authority) {
    const self = new Firefox();
    self.name = 'firefox';
    self.folder = mkdtempSync(join(tmpdir(), 'veche-firefox-'));
    authority?.trustedBy(self.folder);
    self.browser = await puppeteer.launch({
      browser: 'firefox', executablePath: FIREFOX, headless: true,
      userDataDir: self.folder, extraPrefsFirefox: PREFS, timeout: LAUNCH_MS, protocolTimeout: LAUNCH_MS, acceptInsecureCerts: true,
    });
    return self;
  }

  /** @param {PageOptions} [options] */
  async tab(options = {}) {
    const context = await this.browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport(options.viewport ?? WINDOW);
    await page.evaluateOnNewDocument(install, { small: SMALL, ...options.instruments });
    return new Tab(page, () => context.close());
  }

  async close() {
    await this.browser.close();
    // Its processes write a little longer than it lives.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
}
