// Which microphone, camera and speaker: the same fields at the door and in the call.

import { h, icon } from '../dom.js';
import { nestedCodecs } from '../encodings.js';
import { t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { prefer, preferences } from '../preferences.js';

/** @typedef {import('../media.js').LocalMedia} LocalMedia */
/** @typedef {import('../media.js').Input} Input */
/** @typedef {import('../media.js').Device} Device */

/** Whether this browser lets a page choose where sound comes out. */
const CAN_CHOOSE_SPEAKER = typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;

const CODECS = /** @type {const} */ ({ vp8: 'devices.codec.everywhere', vp9: 'devices.codec.sharper', av1: 'devices.codec.sharpest' });

/**
 * Fields for all devices.
 * @param {LocalMedia} local
 * @param {import('../meeting.js').Meeting | null} meeting
 */
export function deviceFields(local, meeting) {
  const microphone = choice('microphone', t('devices.microphone'));
  const camera = choice('camera', t('devices.camera'));
  const speaker = choice('speaker', t('devices.speaker'));
  microphone.select.addEventListener('change', () => choose(local, 'microphone', microphone.select.value));
  camera.select.addEventListener('change', () => choose(local, 'camera', camera.select.value));
  speaker.select.addEventListener('change', () => {
    prefer({ speaker: speaker.select.value });
    void meeting?.setSpeaker(speaker.select.value);
  });
  const codec = codecChoice(meeting);
  const listen = h('button', { type: 'button', class: 'button slim', data: { action: 'test-sound' }, onclick: () => void playTest() }, icon('volume'), t('devices.test'));
  const element = h('div', { class: 'form' }, microphone.element, camera.element, codec, speaker.element, h('div', { class: 'row' }, listen));
  const draw = () => {
    microphone.draw(local.devices.microphones, local.chosen('microphone'), t('devices.none.microphone'));
    camera.draw(local.devices.cameras, local.chosen('camera'), t('devices.none.camera'));
    speaker.draw(local.devices.speakers, preferences().speaker, t('devices.none.speaker'));
    speaker.element.hidden = !CAN_CHOOSE_SPEAKER || local.devices.speakers.length === 0;
  };
  local.addEventListener('change', draw);
  draw();
  return { element, stop: () => local.removeEventListener('change', draw) };
}

/**
 * The menu beside the microphone's or the camera's button.
 * @param {HTMLButtonElement} anchor
 * @param {LocalMedia} local
 * @param {Input} input
 * @param {import('../meeting.js').Meeting} meeting
 */
export function deviceMenu(anchor, local, input, meeting) {
  const isMic = input === 'microphone';
  toggleMenu(anchor, t(isMic ? 'devices.microphone' : 'devices.camera'), () => {
    const list = isMic ? local.devices.microphones : local.devices.cameras;
    const current = local.chosen(input) ?? list[0]?.id;
    /** @type {import('../menu.js').MenuItem[]} */
    const items = [
      { heading: list.length > 0 ? t(isMic ? 'devices.microphone' : 'devices.camera') : t(isMic ? 'devices.none.microphone' : 'devices.none.camera') },
      ...list.map((device, index) => ({ label: labelOf(device, index), checked: device.id === current, pick: () => choose(local, input, device.id) })),
    ];
    if (isMic && CAN_CHOOSE_SPEAKER && local.devices.speakers.length > 0) {
      const out = preferences().speaker ?? local.devices.speakers[0]?.id;
      items.push({ heading: t('devices.speaker') });
      items.push(
        ...local.devices.speakers.map((device, index) => ({ label: labelOf(device, index), checked: device.id === out, pick: () => void meeting.setSpeaker(device.id) })),
      );
    }
    return items;
  });
}

/**
 * @param {LocalMedia} local
 * @param {Input} input
 * @param {string} id
 */
function choose(local, input, id) {
  prefer({ [input]: id });
  void local.choose(input, id);
}

/**
 * @param {Device} device
 * @param {number} index
 */
function labelOf(device, index) {
  return device.label || t('devices.unnamed', { n: index + 1 });
}

/**
 * @param {string} name
 * @param {string} label
 */
function choice(name, label) {
  const id = `device-${name}`;
  const select = h('select', { class: 'input', id, name });
  const element = h('div', { class: 'field' }, h('label', { for: id }, label), select);
  let drawn = '';
  return {
    element,
    select,
    /**
     * @param {Device[]} devices
     * @param {string | null} current
     * @param {string} none
     */
    draw(devices, current, none) {
      const now = JSON.stringify([devices, none]);
      if (now !== drawn) {
        drawn = now;
        select.replaceChildren(...(devices.length > 0 ? devices.map((d, index) => h('option', { value: d.id }, labelOf(d, index))) : [h('option', { value: '' }, none)]));
        select.disabled = devices.length === 0;
      }
      if (current && devices.some((d) => d.id === current)) select.value = current;
    },
  };
}

/**
 * How the camera is sent, where the browser has a choice.
 * @param {import('../meeting.js').Meeting | null} meeting
 */
function codecChoice(meeting) {
  /** @type {import('../encodings.js').VideoCodec[]} */
  const codecs = ['vp8', ...nestedCodecs()];
  const select = h('select', { class: 'input', id: 'device-codec', name: 'codec' }, ...codecs.map((codec) => h('option', { value: codec }, t(CODECS[codec]))));
  select.value = codecs.includes(preferences().codec) ? preferences().codec : 'vp8';
  select.addEventListener('change', () => {
    prefer({ codec: codecs.find((codec) => codec === select.value) ?? 'vp8' });
    meeting?.codecChosen();
  });
  return h('div', { class: 'field', hidden: codecs.length === 1 }, h('label', { for: 'device-codec' }, t('devices.codec')), select);
}

/** Two soft tones from the chosen speaker. */
async function playTest() {
  const context = new AudioContext();
  const speaker = preferences().speaker;
  if (speaker && 'setSinkId' in context && typeof context.setSinkId === 'function') await context.setSinkId(speaker).catch(() => {});
  const end = context.currentTime + 0.9;
  [523.25, 783.99].forEach((pitch, index) => {
    const tone = new OscillatorNode(context, { frequency: pitch });
    const gain = new GainNode(context, { gain: 0 });
    const from = context.currentTime + index * 0.22;
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(0.18, from + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.001, from + 0.6);
    tone.connect(gain).connect(context.destination);
    tone.start(from);
    tone.stop(end);
  });
  setTimeout(() => void context.close(), 1200);
}
