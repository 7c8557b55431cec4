// The door of a room: see yourself, hear that the microphone works, say your name, go in.

import { ApiError } from '../session.js';
import { coverOf } from '../cover.js';
import { h, icon, setIcon, setText } from '../dom.js';
import { errorText, t } from '../i18n.js';
import { measure } from '../meter.js';
import { toast } from '../notices.js';
import { prefer, preferences } from '../preferences.js';
import { LIMITS } from '../limits.js';
import { deviceFields } from './devices.js';
import { entrance } from './entrance.js';
import { busy, field, trouble } from './form.js';

/** @typedef {import('../media.js').LocalMedia} LocalMedia */
/** @typedef {import('../media.js').Input} Input */

/**
 * @param {import('../main.js').App} app
 * @param {import('./room.js').RoomVisit} visit
 * @returns {import('../main.js').View}
 */
export function prejoinView(app, visit) {
  const local = visit.devices();
  const account = app.api.account;

  const title = h('h1', null, t('prejoin.title'));
  const inside = h('p', { class: 'quiet', hidden: true });
  const name = field(t('name.label'), {
    name: 'display_name',
    autocomplete: 'name',
    autocapitalize: 'words',
    maxlength: LIMITS.displayName,
    value: preferences().name,
    placeholder: t('name.placeholder'),
    autofocus: true,
  });
  name.input.addEventListener('input', () => prefer({ name: name.input.value.trim() }));
  const key = field(t('prejoin.key'), { name: 'invite_key', autocomplete: 'off', maxlength: LIMITS.inviteKey, spellcheck: 'false' }, t('prejoin.key.hint'));
  key.element.hidden = !visit.needsKey;
  const wrong = trouble();
  const button = h('button', { type: 'submit', class: 'button primary wide', data: { action: 'join' } }, t('prejoin.join'));
  const step = h('p', { class: 'quiet centre step', 'aria-live': 'polite' });
  const form = h(
    'form',
    { class: 'form', novalidate: true },
    account ? h('p', { class: 'quiet' }, t('prejoin.as', { name: account.display_name })) : name.element,
    key.element,
    wrong.element,
    button,
    step,
  );

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const who = account?.display_name ?? name.input.value.trim();
    if (!who) return name.complain(t('name.missing'));
    visit.key = key.element.hidden ? null : key.input.value;
    if (visit.key === '') return key.complain(t('prejoin.key.missing'));
    void busy(button, wrong, async () => {
      setText(step, t('prejoin.step.room'));
      document.body.dataset.connection = 'connecting';
      try {
        await visit.join(who, (now) => setText(step, t(`prejoin.step.${now}`)));
      } catch (error) {
        setText(step, '');
        delete document.body.dataset.connection;
        if (!(error instanceof ApiError) || error.code !== 'wrong_invite_key') throw error;
        const wasAsked = !key.element.hidden;
        visit.needsKey = true;
        key.element.hidden = false;
        key.complain(wasAsked ? t('error.wrong_invite_key') : t('prejoin.key.needed'));
      }
    });
  });

  const preview = previewOf(local);
  const devices = h('details', { class: 'devices' }, h('summary', null, icon('settings'), t('devices.title')));
  const fields = deviceFields(local, null);
  devices.append(fields.element);

  const check = h('button', { type: 'button', class: 'button slim', data: { action: 'checkup' } }, t('prejoin.checkup'));
  check.addEventListener('click', () => {
    const place = { slug: visit.slug, ...(visit.code ? { invite_code: visit.code } : {}), ...(key.input.value ? { invite_key: key.input.value } : {}) };
    import('./checkup.js').then(({ openCheckup }) => openCheckup(app, place), () => toast(errorText('network')));
  });

  const element = entrance(
    app,
    'prejoin',
    h('section', { class: 'mirror', 'aria-label': t('prejoin.preview') }, preview.element, devices, check),
    h('section', { class: 'card' }, title, inside, form),
  );

  void visit.about().then(
    (about) => {
      if (!about || !element.isConnected) return;
      setText(title, about.name);
      app.present({ screen: 'prejoin', title: about.name, isEntrance: true });
      const cover = coverOf(app.api, { slug: visit.slug, cover_id: about.cover_id }, 'door-cover');
      if (cover) title.before(cover);
      setText(inside, about.participants > 0 ? t('rooms.inside', { n: about.participants }) : t('prejoin.first'));
      inside.hidden = false;
      if (about.asksKey) key.element.hidden = false;
    },
    (error) => {
      // An outdated invite in the link is no obstacle; what else is wrong is said when they try to join.
      if (error instanceof ApiError && error.code === 'not_found' && !visit.code) wrong.say(t('error.room_not_found'));
    },
  );

  return {
    screen: 'prejoin',
    title: t('prejoin.title'),
    element,
    isEntrance: true,
    dispose() {
      preview.stop();
      fields.stop();
    },
  };
}

/**
 * The mirror: own picture, microphone level, what will be on, and what is wrong with a device.
 * @param {LocalMedia} local
 */
export function previewOf(local) {
  const video = h('video', { class: 'mirrored', autoplay: true, playsinline: true, muted: true, 'aria-hidden': 'true' });
  video.muted = true;
  const words = h('p', { class: 'preview-words' });
  const level = h('span', { class: 'level', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i'), h('i'));
  const mic = toggle('microphone');
  const cam = toggle('camera');
  const problems = h('div', { class: 'problems', 'aria-live': 'polite' });
  const element = h(
    'div',
    { class: 'preview-box' },
    h('div', { class: 'preview' }, video, words, h('div', { class: 'preview-bar' }, h('div', { class: 'preview-buttons' }, mic.button, cam.button)), level),
    problems,
  );

  /** @type {MediaStreamTrack | null} */
  let shown = null;
  /** @type {MediaStreamTrack | null} */
  let measured = null;
  let stopMeasuring = () => {};
  let said = '';

  const draw = () => {
    const { microphone, camera } = local;
    mic.draw();
    cam.draw();
    if (camera.track !== shown) {
      shown = camera.track;
      video.srcObject = shown ? new MediaStream([shown]) : null;
    }
    video.hidden = !shown;
    setText(words, shown ? '' : camera.opening ? t('preview.opening') : t('preview.off'));
    const heard = microphone.on ? microphone.track : null;
    if (heard !== measured) {
      stopMeasuring();
      measured = heard;
      stopMeasuring = heard ? measure(heard, (value) => level.style.setProperty('--level', value.toFixed(2))) : () => {};
    }
    level.hidden = !heard;
    const now = JSON.stringify([microphone.problem, camera.problem]);
    if (now !== said) {
      said = now;
      problems.replaceChildren(...problemNotes(local, null));
    }
  };
  local.addEventListener('change', draw);
  draw();
  return {
    element,
    stop() {
      local.removeEventListener('change', draw);
      stopMeasuring();
      video.srcObject = null;
    },
  };

  /** @param {Input} input */
  function toggle(input) {
    const isMic = input === 'microphone';
    const sign = icon(isMic ? 'mic' : 'cam');
    const button = h('button', { type: 'button', class: 'round', data: { action: isMic ? 'mic' : 'camera' } }, sign);
    button.addEventListener('click', () => {
      const on = !(local[input].on && local[input].track);
      prefer(isMic ? { micOn: on } : { camOn: on });
      void (isMic ? local.setMicrophone(on) : local.setCamera(on));
    });
    return {
      button,
      draw() {
        const on = local[input].on && local[input].track !== null;
        setIcon(sign, isMic ? (on ? 'mic' : 'mic-off') : on ? 'cam' : 'cam-off');
        const text = t(isMic ? (on ? 'mic.mute' : 'mic.unmute') : on ? 'camera.stop' : 'camera.start');
        button.setAttribute('aria-label', text);
        button.title = text;
        button.setAttribute('aria-pressed', String(on));
        button.setAttribute('aria-busy', String(local[input].opening));
        button.dataset.problem = local[input].problem ?? '';
      },
    };
  }
}

/**
 * What is wrong with a device, what to do, and the button that tries again.
 * @param {LocalMedia} local
 * @param {(() => void) | null} dismiss in a call the note can be put away; at the door one may go in all the same
 * @returns {HTMLElement[]}
 */
export function problemNotes(local, dismiss) {
  const { microphone, camera } = local;
  /** @type {[import('../media.js').Problem, boolean, boolean][]} */
  const found = [];
  if (microphone.problem && microphone.problem === camera.problem) found.push([microphone.problem, true, true]);
  else {
    if (microphone.problem) found.push([microphone.problem, true, false]);
    if (camera.problem) found.push([camera.problem, false, true]);
  }
  return found.map(([problem, isMic, isCam]) => {
    const which = isMic && isCam ? 'both' : isMic ? 'mic' : 'camera';
    const again = h('button', { type: 'button', class: 'button slim', data: { action: 'retry-device' } }, t('retry'));
    again.addEventListener('click', () => {
      void local.open({ microphone: isMic || local.microphone.on, camera: isCam || local.camera.on });
    });
    return h(
      'div',
      { class: 'note care', data: { problem } },
      icon('warn'),
      h('span', null, h('strong', null, t(`problem.${problem}.${which}`)), ' ', t(`problem.${problem}.do`), dismiss ? null : ` ${t('problem.anyway')}`),
      problem === 'insecure' ? null : again,
      dismiss ? h('button', { type: 'button', class: 'icon-button', 'aria-label': t('close'), data: { action: 'dismiss' }, onclick: dismiss }, icon('close', 'small')) : null,
    );
  });
}
