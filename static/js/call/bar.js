// The bar below the stage: what a person does in a call, one press away.

import { countOf } from '../crowd.js';
import { h, icon, setIcon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { LocalMedia } from '../media.js';
import { toggleMenu } from '../menu.js';
import { toast } from '../notices.js';
import { placeOfHand } from '../orders.js';
import { may, silencedBy } from '../powers.js';
import { linkTo } from '../route.js';
import { self } from '../state.js';
import { deviceMenu } from '../views/devices.js';
import { copyLink } from '../copy.js';
import { showBreakouts, showRoomSettings, showSettings, showShortcuts } from './later.js';
import { recordItems } from './recording.js';
import { openReactions } from './reactions.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../state.js').Panel} Panel */

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 */
export function callBar(app, meeting) {
  const { local } = meeting;
  const mic = barButton('mic', 'mic');
  const camera = barButton('camera', 'cam');
  const screen = barButton('screen', 'screen');
  const hand = barButton('hand', 'hand');
  const reactions = barButton('react', 'smile');
  const chat = barButton('chat', 'chat');
  const people = barButton('people', 'people');
  const more = barButton('more', 'more');
  const leave = barButton('leave', 'leave');
  leave.button.classList.add('leave');
  const badge = h('span', { class: 'badge', hidden: true });
  chat.button.append(badge);
  const waiting = h('span', { class: 'badge', hidden: true });
  people.button.append(waiting);
  const micMenu = chevron('mic-menu', t('devices.microphone'));
  const camMenu = chevron('camera-menu', t('devices.camera'));
  const name = h('div', { class: 'bar-name' });

  const acts = {
    mic: () => void meeting.setMicrophone(!isOn('microphone')),
    camera: () => void meeting.setCamera(!isOn('camera')),
    screen: () => void share(),
    hand: () => meeting.setHand(placeOfHand(meeting.state, meeting.state.me) === 0),
    react: () => openReactions(meeting, reactions.button),
    chat: () => openPanel(meeting, 'chat'),
    people: () => openPanel(meeting, 'people'),
    details: () => openPanel(meeting, 'details'),
    leave: () => meeting.leave(),
  };
  mic.button.addEventListener('click', acts.mic);
  camera.button.addEventListener('click', acts.camera);
  screen.button.addEventListener('click', acts.screen);
  hand.button.addEventListener('click', acts.hand);
  reactions.button.setAttribute('aria-haspopup', 'true');
  reactions.button.addEventListener('click', acts.react);
  chat.button.addEventListener('click', acts.chat);
  people.button.addEventListener('click', acts.people);
  leave.button.addEventListener('click', acts.leave);
  micMenu.addEventListener('click', () => deviceMenu(micMenu, local, 'microphone', meeting));
  camMenu.addEventListener('click', () => deviceMenu(camMenu, local, 'camera', meeting));
  more.button.setAttribute('aria-haspopup', 'menu');
  more.button.addEventListener('click', () =>
    toggleMenu(more.button, t('bar.more'), () => [
      { label: t('more.settings'), icon: 'settings', action: 'settings', pick: () => showSettings(app, meeting) },
      {
        label: t('copy_link'),
        icon: 'link',
        action: 'copy-link',
        pick: () => meeting.state.room && void copyLink(linkTo(location.origin, meeting.state.room)),
      },
      { label: t(document.fullscreenElement ? 'more.fullscreen.end' : 'more.fullscreen'), icon: 'expand', action: 'fullscreen', pick: () => void toggleFullscreen() },
      ...(may(self(meeting.state)?.role, 'set_state') && !meeting.state.room?.parent ? [{ label: t('room.title'), icon: 'lock', action: 'room-settings', pick: () => showRoomSettings(meeting) }] : []),
      ...(may(self(meeting.state)?.role, 'break_out') ? [{ label: t('breakout.title'), icon: 'rooms', action: 'breakouts', pick: () => showBreakouts(app, meeting) }] : []),
      ...recordItems(meeting, may(self(meeting.state)?.role, 'record')),
      { label: t('record.library'), icon: 'film', action: 'recordings', pick: () => openLibrary(meeting) },
      { label: t('details.open'), icon: 'signal', action: 'details', pick: () => openPanel(meeting, 'details') },
      { label: t('more.keys'), icon: 'keyboard', action: 'keys', pick: () => showShortcuts() },
    ]),
  );

  const element = h(
    'footer',
    { class: 'bar' },
    name,
    h(
      'div',
      { class: 'bar-middle', role: 'toolbar', 'aria-label': t('bar.label') },
      h('div', { class: 'pair' }, mic.button, micMenu),
      h('div', { class: 'pair' }, camera.button, camMenu),
      LocalMedia.canShareScreen ? screen.button : null,
      h('span', { class: 'bar-gap' }),
      hand.button,
      reactions.button,
      chat.button,
      people.button,
      more.button,
      h('span', { class: 'bar-gap' }),
      leave.button,
    ),
    h('div', { class: 'bar-end' }),
  );

  /** @param {import('../media.js').Input} input */
  function isOn(input) {
    return local[input].on && local[input].track !== null;
  }

  async function share() {
    if (local.screen) {
      local.stopScreen();
      return;
    }
    try {
      await meeting.startScreen();
    } catch (error) {
      console.error(error);
      toast(t('screen.failed'));
    }
  }

  return {
    element,
    acts,
    draw() {
      const { state } = meeting;
      const media = self(state)?.media;
      const micOn = isOn('microphone');
      const camOn = isOn('camera');
      const silenced = silencedBy(self(state));
      const isForced = silenced !== null;
      mic.draw(silenced ? (silenced.by ? t('mic.forced_by', { name: silenced.by }) : t('mic.forced')) : t(micOn ? 'mic.mute' : 'mic.unmute'), t('bar.mic'), micOn ? 'mic' : 'mic-off', !micOn);
      mic.button.dataset.state = isForced ? 'forced' : micOn ? 'on' : 'off';
      mic.button.setAttribute('aria-busy', String(local.microphone.opening));
      camera.draw(media?.cam_forced ? t('camera.forced') : t(camOn ? 'camera.stop' : 'camera.start'), t('bar.camera'), camOn ? 'cam' : 'cam-off', !camOn);
      camera.button.dataset.state = media?.cam_forced ? 'forced' : camOn ? 'on' : 'off';
      camera.button.setAttribute('aria-busy', String(local.camera.opening));
      screen.button.dataset.state = media?.screen_forced ? 'forced' : local.screen ? 'on' : 'ready';
      screen.draw(media?.screen_forced ? t('screen.forced') : t(local.screen ? 'screen.stop' : 'screen.start'), t('bar.screen'), local.screen ? 'screen-off' : 'screen', local.screen !== null);
      const place = placeOfHand(state, state.me);
      hand.draw(place > 0 ? t('hand.lower') : t('hand.raise'), place > 0 ? t('hand.place', { n: place }) : t('bar.hand'), 'hand', place > 0);
      reactions.draw(t('react.open'), t('bar.react'), 'smile', null);
      badge.classList.toggle('calls-me', state.isCalled);
      chat.draw(state.unread > 0 ? (state.isCalled ? t('chat.called', { n: state.unread }) : t('chat.open.unread', { n: state.unread })) : t('chat.title'), t('chat.title'), 'chat', state.panel === 'chat');
      people.draw(state.lobby.length > 0 ? t('people.count_waiting', { n: countOf(state), waiting: state.lobby.length }) : t('people.count', { n: countOf(state) }), t('people.title'), 'people', state.panel === 'people');
      more.draw(t('bar.more'), t('bar.more'), 'more', null);
      leave.draw(t('bar.leave'), t('bar.leave'), 'leave', null);
      badge.hidden = state.unread === 0;
      setText(badge, `${state.isCalled ? '@' : ''}${state.unread > 99 ? '99+' : state.unread}`);
      const knocks = may(self(state)?.role, 'admit') ? state.lobby.length : 0;
      waiting.hidden = knocks === 0;
      setText(waiting, String(knocks));
      const about = [state.room?.name ?? '', state.state.topic].filter(Boolean).join(' · ');
      setText(name, about);
      name.title = about;
      for (const button of [chat.button, people.button]) button.setAttribute('aria-expanded', button.getAttribute('aria-pressed') ?? 'false');
    },
  };
}

/**
 * @param {string} action
 * @param {string} sign
 */
function barButton(action, sign) {
  const picture = icon(sign);
  const words = h('span', { class: 'bar-words', 'aria-hidden': 'true' });
  const button = h('button', { type: 'button', class: 'bar-button', data: { action } }, picture, words);
  return {
    button,
    /**
     * @param {string} label what a press does, for the tooltip and screen readers
     * @param {string} short the word under the icon
     * @param {string} name of the icon
     * @param {boolean | null} pressed
     */
    draw(label, short, name, pressed) {
      button.setAttribute('aria-label', label);
      button.title = label;
      if (pressed === null) button.removeAttribute('aria-pressed');
      else button.setAttribute('aria-pressed', String(pressed));
      setIcon(picture, name);
      setText(words, short);
    },
  };
}

/**
 * @param {string} action
 * @param {string} label
 */
function chevron(action, label) {
  return h('button', { type: 'button', class: 'chevron', 'aria-label': label, title: label, 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action } }, icon('chevron-up', 'small'));
}

/**
 * The recordings of the room, beside the call.
 * @param {Meeting} meeting
 */
function openLibrary({ state }) {
  const slug = state.room?.parent ?? state.room?.slug ?? '';
  h('a', { href: `/r/${slug}/recordings`, target: '_blank', rel: 'noopener noreferrer' }).click();
}

async function toggleFullscreen() {
  await (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()).catch(() => {});
}

/**
 * @param {Meeting} meeting
 * @param {Panel} panel
 */
function openPanel(meeting, panel) {
  meeting.store.dispatch({ type: 'local.panel', panel: meeting.state.panel === panel ? null : panel });
}
