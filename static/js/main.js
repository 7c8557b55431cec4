// Starts the page, decides which view an address means, and keeps what outlives a view.

import { Api } from './api.js';
import { fill, sheet } from './dom.js';
import { currentLanguage, errorText, speak, t } from './i18n.js';
import { clearToasts, toast } from './notices.js';
import { prefer, preferences } from './preferences.js';
import { routeOf } from './route.js';
import { homeView } from './views/home.js';
import { lostView } from './views/lost.js';
import { roomView } from './views/room.js';
import { Web } from './web.js';

/**
 * What a view gives back.
 * @typedef {object} View
 * @property {string} screen name of the screen, for `body[data-screen]`
 * @property {string} title
 * @property {HTMLElement} element
 * @property {boolean} isEntrance whether the canvas web stands behind it
 * @property {() => void} [dispose] called when the view goes
 * @property {(route: import('./route.js').Route) => boolean} [follow] whether the view itself shows what another address means
 */

/** The first page waits this long for the configuration: longer is felt, shorter redraws the page before one's eyes. */
const PATIENCE_MS = 250;

/** What views may use of the page around them. */
export class App {
  api = new Api();
  /** @type {import('./types.js').PublicConfig} */
  config = { app_name: 'Veche', version: '', registration: 'closed', guests_may_create_rooms: true };
  /** @type {import('./views/room.js').RoomVisit | null} */
  visit = null;
  #root = /** @type {HTMLElement} */ (document.getElementById('app'));
  #web = new Web(/** @type {HTMLCanvasElement} */ (document.querySelector('canvas.web')));
  /** @type {View | null} */
  #view = null;
  /** What was asked for last.
   * @type {View | Promise<View> | null} */
  #wanted = null;

  async start() {
    speak(currentLanguage());
    this.applyTheme();
    addEventListener('popstate', () => this.show());
    addEventListener('hashchange', () => this.show());
    document.addEventListener('click', (event) => this.#clicked(event));
    const config = this.api.config().then((answer) => {
      const changed = JSON.stringify(answer) !== JSON.stringify(this.config);
      this.config = answer;
      return changed;
    });
    // The page stands at once; on a slow line what the deployment allows is filled in when it is known.
    const isKnown = await Promise.race([config.then(() => true, () => true), new Promise((resolve) => setTimeout(() => resolve(false), PATIENCE_MS))]);
    this.show();
    let account = this.api.account?.id;
    this.api.onSession(() => {
      // A guest's identity changes nothing on the page; an account does.
      if (this.api.account?.id === account) return;
      account = this.api.account?.id;
      if (this.visit === null) this.show();
    });
    if (!isKnown && (await config.catch(() => false))) this.#refreshUntouched();
  }

  /**
   * Goes to another page of ours.
   * @param {string} path
   * @param {{replace?: boolean}} [how]
   */
  go(path, { replace = false } = {}) {
    if (replace) history.replaceState(null, '', path);
    else history.pushState(null, '', path);
    this.show();
    scrollTo(0, 0);
  }

  /** Draws the view that the address means. */
  show() {
    const route = routeOf(new URL(location.href));
    if (this.visit && (route.name !== 'room' || route.slug !== this.visit.slug)) {
      this.visit.end();
      this.visit = null;
    }
    if (this.#wanted === this.#view && this.#view?.follow?.(route)) return;
    const made = this.#make(route);
    this.#wanted = made;
    if (!(made instanceof Promise)) return this.#put(made);
    // Another page may be asked for while this one is being fetched.
    const isWanted = () => this.#wanted === made;
    made.then((view) => isWanted() && this.#put(view), () => isWanted() && toast(errorText('network')));
  }

  /** @param {View} view */
  #put(view) {
    this.#view?.dispose?.();
    clearToasts('all');
    this.#view = view;
    this.#wanted = view;
    fill(this.#root, view.element);
    this.present(view);
  }

  /**
   * Says on the page which screen stands.
   * @param {{screen: string, title: string, isEntrance: boolean}} view
   */
  present(view) {
    document.title = view.title ? `${view.title} · ${this.config.app_name}` : this.config.app_name;
    document.body.dataset.screen = view.screen;
    this.#web.show(view.isEntrance);
  }

  /** @param {'ru' | 'en'} language */
  setLanguage(language) {
    prefer({ language });
    speak(language);
    this.show();
  }

  /** @param {'auto' | 'light' | 'dark'} theme */
  setTheme(theme) {
    prefer({ theme });
    this.applyTheme();
  }

  applyTheme() {
    const { theme } = preferences();
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    this.#web.refresh();
  }

  /**
   * @param {import('./route.js').Route} route
   * @returns {View | Promise<View>} a promise where the page is fetched first
   */
  #make(route) {
    switch (route.name) {
      case 'home':
        return homeView(this);
      case 'signin':
        return import('./views/signin.js').then(({ signinView }) => signinView(this));
      case 'register':
        return import('./views/register.js').then(({ registerView }) => registerView(this, route.setupToken));
      case 'rooms':
        return import('./views/rooms.js').then(({ roomsView }) => roomsView(this));
      case 'room':
        return roomView(this, route);
      case 'replay':
        return import('./views/replay.js').then(async ({ replayView }) => {
          await sheet('replay');
          return replayView(this, route);
        });
      case 'library':
        return import('./views/library.js').then(async ({ libraryView }) => {
          await sheet('library');
          return libraryView(this, route.slug);
        });
      case 'lost':
        return lostView(this, t('lost.title'), t('lost.text'));
    }
  }

  /** A form that somebody has begun to fill is not pulled away for a changed word. */
  #refreshUntouched() {
    const begun = [...this.#root.querySelectorAll('input')].some((input) => input === document.activeElement && input.value !== '');
    if (this.#view?.isEntrance && this.visit === null && !begun) this.show();
    else if (this.#view) this.present(this.#view);
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.target || link.origin !== location.origin || link.hasAttribute('download') || !link.dataset.page) return;
    event.preventDefault();
    this.go(link.pathname + link.search + link.hash);
  }
}

void new App().start();
