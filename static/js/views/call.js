// The call. Everything a person does in a meeting starts here.
//
// What tests and scripts may rely on (kept stable; everything else may change):
//   body[data-screen]       home | signin | register | rooms | prejoin | waiting | call | moving | left | lost
//   body[data-connection]   connecting | connected | reconnecting   (the room's socket; only in a room)
//   body[data-media]        waiting | connecting | connected | blocked   (sound and picture; only in a call)
//   veche-tile              [data-participant] id, [data-source] camera | screen, [data-name] display name,
//                           [data-state] picture | loading | avatar, [data-mic] on | muted | forced,
//                           [data-hand] place in the queue of hands, 0 when down, [data-speaking] true | false, [data-weak] true | false, [data-mine] true | false; one <video> inside
//   .sounds audio           [data-mid] slot, [data-participant] and [data-source] of whoever is heard in it now
//   [data-action]           new-meeting open-invitation join mic camera screen hand react chat people details weak more leave send rejoin home
//                           copy-link create-room delete-room confirm-delete submit-sign-in submit-register
//                           sign-in sign-out account rooms language theme retry-device dismiss mic-menu camera-menu
//                           tile-menu pin move-self fullscreen volume page-back page-on close-panel settings keys
//                           older newest resend hear stop-screen test-sound
//                           raise-hand person-menu mute-all lower-all room-settings save-room unban confirm cancel
//                           admit refuse admit-all, and in menus of a person: force_mic release_mic force_camera
//                           release_camera stop_share release_screen let_speak let_speak_for end_speak lower_hand
//                           make_admin make_member make_guest give_room kick ban
//   input, textarea [name]  display_name invitation invite_key message volume username email password
//                           registration_secret name slug; select[name]: microphone camera speaker
//   .line                   a chat line: [data-author] user id, .mine for own, [data-state] sent | sending | failed;
//                           .bubble-text holds the text, [data-message] its id; .private for one person,
//                           .feeling [data-emoji] what people feel about it, .poll-option[data-option] answers of a poll
//   chat actions            message-menu quote reply whisper edit copy-text pin-message delete-message close-poll plus
//                           new-poll add-option send-poll vote feel all-pins show-pin unpin end-about end-whisper
//   .reaction               a button of the reactions menu: [data-emoji]; .floating-reaction: one in the air, the same
//   .person                 a row of the people list: [data-participant], [data-name], [data-mic], [data-role]
//   .knock, .ban            somebody in the lobby, somebody banned: [data-name]
//   window.veche            {meeting}: the running Meeting, for `connections` (getStats) and `state`

import { callBar } from '../call/bar.js';
import { chatPanel, detailsPanel, peoplePanel } from '../call/later.js';
import { newsOf } from '../call/news.js';
import { endTalk, keyPressed } from '../call/keys.js';
import { CallNotes } from '../call/notes.js';
import { RecordingSign } from '../call/recording.js';
import { ReactionTeller } from '../call/reactions.js';
import { Stage } from '../call/stage.js';
import { summary } from '../call/summary.js';
import { countOf } from '../crowd.js';
import { h, icon, setText } from '../dom.js';
import { errorText, t } from '../i18n.js';
import { measure } from '../meter.js';
import { announce, clearToasts, settled, toast } from '../notices.js';
import { Readings } from '../readings.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { callsMe } from '../talk.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../state.js').Panel} Panel */

/** Comings and goings are said by a toast up to this many people; in larger rooms they would never stop. */
const TOAST_UP_TO = 12;
/** In a crowd they are not even read out: somebody who listens to the room would hear nothing else. */
const SAY_UP_TO = 50;
/** The chat and the list of people are fetched this long after entering: sound and picture come first. */
const PANELS_MS = 3_000;

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 * @returns {import('../main.js').View}
 */
export function callView(app, meeting) {
  const { local } = meeting;
  const readings = new Readings(meeting);
  const stage = new Stage(meeting, readings);
  const chat = chatPanel(meeting);
  const people = peoplePanel(meeting);
  const details = detailsPanel(meeting, readings, () => stage.shown);
  stage.openDetails = (key) => {
    meeting.store.dispatch({ type: 'local.panel', panel: 'details' });
    details.use((panel) => panel.show(key));
  };
  const notes = new CallNotes(app, meeting);
  const sign = new RecordingSign(meeting);
  const bar = callBar(app, meeting);
  const panel = sidePanel(meeting, chat, people, details);
  const title = h('h1', { class: 'hush' });
  const element = h('div', { class: 'call' }, h('main', { class: 'call-main' }, title, sign.element, notes.element, stage.element), panel.element, bar.element);

  /** @type {MediaStreamTrack | null} */
  let measured = null;
  let stopMeasuring = () => {};
  // Whoever has left is no longer in the state when it is said.
  /** @type {Map<string, string>} */
  let names = new Map();
  let before = meeting.state;

  const draw = () => {
    const { state } = meeting;
    names = new Map(state.participants.map((p) => [p.id, p.display_name]));
    before = state;
    document.body.dataset.connection = state.phase === 'reconnecting' ? 'reconnecting' : 'connected';
    document.body.dataset.media = state.flow;
    const name = state.room?.name ?? '';
    setText(title, name);
    app.present({ screen: 'call', title: state.unread > 0 ? `(${state.unread}) ${name}` : name, isEntrance: false });
    bar.draw();
    panel.draw();
    notes.draw();
    sign.draw();
    const heard = local.microphone.on ? local.microphone.track : null;
    if (heard !== measured) {
      stopMeasuring();
      measured = heard;
      stopMeasuring = heard ? measure(heard, (level) => stage.setOwnLevel(level)) : () => {};
      if (!heard) stage.setOwnLevel(0);
    }
  };

  const teller = new ReactionTeller();
  const heard = (/** @type {Event} */ event) => {
    const message = /** @type {CustomEvent<import('../types.js').ServerMessage>} */ (event).detail;
    told(meeting, message, names, before);
    if (message.type !== 'reaction') return;
    const from = meeting.state.participants.find((p) => p.id === message.participant_id);
    if (!from) return;
    stage.react(from, message.emoji);
    if (from.id !== meeting.state.me) teller.add(from.display_name, message.emoji);
  };
  const held = (/** @type {Event} */ event) => {
    const source = /** @type {CustomEvent<import('../types.js').Forcible>} */ (event).detail;
    toast(t(`held.${source}`));
  };
  const refused = (/** @type {Event} */ event) => toast(errorText(String(/** @type {CustomEvent} */ (event).detail)));
  const pressed = (/** @type {KeyboardEvent} */ event) => keyPressed(event, meeting, bar);
  const released = (/** @type {KeyboardEvent} */ event) => event.code === 'Space' && endTalk(meeting);
  const blurred = () => endTalk(meeting);
  meeting.addEventListener('message', heard);
  meeting.addEventListener('refused', refused);
  meeting.addEventListener('held', held);
  meeting.addEventListener('local', draw);
  local.addEventListener('change', draw);
  addEventListener('keydown', pressed);
  addEventListener('keyup', released);
  addEventListener('blur', blurred);
  const stop = meeting.store.subscribe(draw);
  const letSleep = keepAwake();
  Object.assign(window, { veche: { meeting } });
  draw();
  // Whoever opens them later may have no network by then.
  const early = setTimeout(() => [chat, people].forEach((panel) => panel.fetch().catch(() => {})), PANELS_MS);
  queueMicrotask(() => stage.draw());

  return {
    screen: 'call',
    title: meeting.state.room?.name ?? '',
    element,
    isEntrance: false,
    dispose() {
      stop();
      clearTimeout(early);
      notes.stop();
      sign.stop();
      stopMeasuring();
      stage.stop();
      readings.stop();
      teller.stop();
      meeting.removeEventListener('message', heard);
      meeting.removeEventListener('refused', refused);
      meeting.removeEventListener('held', held);
      meeting.removeEventListener('local', draw);
      local.removeEventListener('change', draw);
      removeEventListener('keydown', pressed);
      removeEventListener('keyup', released);
      removeEventListener('blur', blurred);
      letSleep();
      delete document.body.dataset.connection;
      delete document.body.dataset.media;
    },
  };
}

// ---- The panel ----

/**
 * @param {Meeting} meeting
 * @param {ReturnType<typeof chatPanel>} chat
 * @param {ReturnType<typeof peoplePanel>} people
 * @param {ReturnType<typeof detailsPanel>} details
 */
function sidePanel(meeting, chat, people, details) {
  const heading = h('h2', { id: 'panel-title' });
  const close = h(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': t('close'), title: t('close'), data: { action: 'close-panel' }, onclick: () => meeting.store.dispatch({ type: 'local.panel', panel: null }) },
    icon('close'),
  );
  const element = h('aside', { class: 'panel', 'aria-labelledby': 'panel-title', hidden: true }, h('header', null, heading, close), chat.element, people.element, details.element);
  /** @type {Panel | null | undefined} */
  let shown;
  return {
    element,
    draw() {
      const { panel } = meeting.state;
      element.hidden = panel === null;
      chat.element.hidden = panel !== 'chat';
      people.element.hidden = panel !== 'people';
      details.element.hidden = panel !== 'details';
      setText(heading, panel === 'people' ? t('people.count', { n: countOf(meeting.state) }) : t(panel === 'details' ? 'details.title' : 'chat.title'));
      if (panel === 'chat') chat.draw();
      if (panel === 'people') people.draw();
      if (panel === 'details') details.draw();
      if (panel === shown) return;
      const was = shown;
      shown = panel;
      element.dataset.panel = panel ?? '';
      // The view is drawn for the first time: nobody asked to be moved.
      if (was === undefined) return;
      if (panel === 'chat') {
        clearToasts('answered');
        chat.use((part) => part.focus());
      }
      else if (panel) close.focus();
      else if (was && document.activeElement === document.body) {
        const opener = document.querySelector(`.bar [data-action="${was}"]`);
        if (opener instanceof HTMLElement) opener.focus();
      }
    },
  };
}

// ---- What is said ----

/**
 * Says comings, goings and messages, as far as the person does not see them anyway.
 * @param {Meeting} meeting
 * @param {import('../types.js').ServerMessage} message
 * @param {ReadonlyMap<string, string>} names of those who were here a moment ago
 * @param {import('../state.js').Meeting} before the state before the message
 */
function told(meeting, message, names, before) {
  const { state } = meeting;
  // While there are breakout rooms, going and coming is what everybody does.
  const say = state.participants.length <= TOAST_UP_TO && !state.breakouts ? toast : countOf(state) <= SAY_UP_TO ? announce : () => {};
  if (message.type === 'member.joined' && message.participant.id !== state.me) {
    say(t('said.joined', { name: message.participant.display_name }));
  } else if (message.type === 'member.left' && message.participant_id !== state.me) {
    const name = names.get(message.participant_id);
    // Who was removed has been said by `member.kicked`; who goes back to the main room takes everybody along.
    if (name && message.reason !== 'kicked' && message.reason !== 'sent_back') say(t('said.left', { name }));
  } else if ((message.type === 'chat.message' || message.type === 'chat.message.enc') && message.user_id !== state.userId && state.panel !== 'chat') {
    const said = { name: message.display_name, text: summary(message) };
    toast(callsMe(state, message) ? t('said.called', said) : t('chat.replying', said), { label: t('chat.open'), act: () => meeting.store.dispatch({ type: 'local.panel', panel: 'chat' }) });
  } else if (message.type === 'lobby.knocked') {
    if (!may(self(state)?.role, 'admit')) return;
    const { id, display_name: name } = message.knock;
    toast(t('said.knocked', { name }), { label: t('lobby.admit'), act: () => void meeting.order({ type: 'lobby.admit', participant_id: id }) }, `knock ${id}`);
  } else {
    if (message.type === 'lobby.left') settled(`knock ${message.knock.id}`);
    const news = newsOf(message, before, state);
    if (message.type === 'chat.pinned' && message.pinned && message.by.user_id !== state.userId && state.panel !== 'chat') {
      const pin = state.pins.find((m) => m.id === message.message_id);
      if (pin) toast(t('said.pinned', { by: message.by.display_name, text: summary(pin) }));
    }
    // Hands of a crowd are counted in the list; one toast after the other would hide the stage.
    const isOfCrowd = message.type === 'hand.raised' && countOf(state) > SAY_UP_TO;
    if (news && !isOfCrowd) (news.isQuiet ? announce : toast)(news.text);
  }
}

/**
 * A phone does not go dark in the middle of a call.
 * @returns {() => void} lets it
 */
function keepAwake() {
  /** @type {WakeLockSentinel | null} */
  let lock = null;
  let isOver = false;
  const take = async () => {
    if (document.visibilityState !== 'visible' || isOver || !('wakeLock' in navigator)) return;
    // Refused on an empty battery: then the phone knows better.
    lock = await navigator.wakeLock.request('screen').catch(() => null);
    if (isOver) void lock?.release();
  };
  // The browser takes the lock back whenever the page is hidden.
  document.addEventListener('visibilitychange', take);
  void take();
  return () => {
    isOver = true;
    document.removeEventListener('visibilitychange', take);
    void lock?.release();
  };
}
