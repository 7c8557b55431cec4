// Menus and dialogs on the browser's own top layer: Escape and a click outside close them, focus returns.

import { h, icon } from './dom.js';
import { t } from './i18n.js';

/**
 * @typedef {{heading: string}
 *   | {label: string, icon?: string, checked?: boolean, isGrave?: boolean, action?: string, pick: () => void}
 *   | {element: HTMLElement}} MenuItem
 */

/**
 * Opens a menu beside its button; the click that finds it open closes it.
 * @param {HTMLButtonElement} anchor
 * @param {string} label
 * @param {() => MenuItem[]} items made anew for each opening
 */
export function toggleMenu(anchor, label, items) {
  if (anchor.popoverTargetElement) return;
  const entries = items();
  // A menu may hold menu items only; with a slider in it, it is a small dialog.
  const isMenu = !entries.some((item) => 'element' in item);
  const menu = h('div', { class: 'menu', role: isMenu ? 'menu' : 'dialog', popover: 'auto', 'aria-label': label });
  for (const item of entries) {
    if ('heading' in item) {
      menu.append(h('p', { class: 'menu-heading', role: isMenu ? 'presentation' : undefined }, item.heading));
    } else if ('element' in item) {
      menu.append(item.element);
    } else {
      const isChoice = item.checked !== undefined;
      menu.append(
        h(
          'button',
          {
            type: 'button',
            class: item.isGrave ? 'menu-item grave' : 'menu-item',
            role: isMenu ? (isChoice ? 'menuitemradio' : 'menuitem') : undefined,
            'aria-checked': isChoice ? Boolean(item.checked) : undefined,
            data: { action: item.action },
            onclick: () => {
              menu.hidePopover();
              item.pick();
            },
          },
          item.icon ? icon(item.icon) : null,
          h('span', null, item.label),
          isChoice ? icon('check', 'tick') : null,
        ),
      );
    }
  }
  menu.addEventListener('keydown', walk);
  menu.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== 'closed') return;
    anchor.setAttribute('aria-expanded', 'false');
    anchor.popoverTargetElement = null;
    setTimeout(() => {
      if (menu.contains(document.activeElement) || document.activeElement === document.body) anchor.focus();
      menu.remove();
    }, 0);
  });
  (anchor.closest('dialog, main, header, footer, aside') ?? document.body).append(menu);
  menu.showPopover();
  // From the next click on the browser itself closes it. Without this tie the press would dismiss
  // the menu, and the click that follows would open it again.
  setTimeout(() => {
    if (menu.isConnected) anchor.popoverTargetElement = menu;
  }, 0);
  anchor.setAttribute('aria-expanded', 'true');
  place(menu, anchor);
  const first = menu.querySelector('[aria-checked="true"]') ?? menu.querySelector('.menu-item, input');
  if (first instanceof HTMLElement) first.focus();
}

/**
 * A modal dialog with a heading and a close button.
 * @param {string} title
 * @param {...(Node | string | null)} content
 */
export function openDialog(title, ...content) {
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' });
  dialog.append(
    h(
      'header',
      null,
      h('h2', { id: 'dialog-title' }, title),
      h('button', { type: 'button', class: 'icon-button', 'aria-label': t('close'), onclick: () => dialog.close() }, icon('close')),
    ),
    ...content.filter((part) => part !== null),
  );
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Above its button where there is room, below otherwise, and always inside the window.
 * @param {HTMLElement} menu
 * @param {HTMLElement} anchor
 */
function place(menu, anchor) {
  const button = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.max(8, Math.min(innerWidth - width - 8, button.left + button.width / 2 - width / 2));
  const above = button.top - height - 8;
  const below = button.bottom + 8;
  const top = above >= 8 && button.top > innerHeight / 2 ? above : Math.max(8, Math.min(below, innerHeight - height - 8));
  menu.style.setProperty('left', `${Math.round(left)}px`);
  menu.style.setProperty('top', `${Math.round(top)}px`);
}

/** @param {KeyboardEvent} event */
function walk(event) {
  const menu = /** @type {HTMLElement} */ (event.currentTarget);
  const items = [...menu.querySelectorAll('.menu-item')];
  const at = items.indexOf(/** @type {Element} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
  const to = steps[event.key];
  if (event.key === 'Tab' && menu.role === 'menu') menu.hidePopover();
  if (to === undefined || items.length === 0 || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  const next = items[(to + items.length) % items.length];
  if (next instanceof HTMLElement) next.focus();
}
