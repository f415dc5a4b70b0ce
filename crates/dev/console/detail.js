// One event in full: every attempt with its request, answer, upstream calls and log line, and what can be done with it.

import { byId, element, setText } from './dom.js';
import { get, post } from './connection.js';
import { rowListeners, store } from './store.js';
import { open, prepare } from './dialogs.js';
import { countdown, describe, duration, lastAnswer, phase, placementWords, regionName, time, title } from './words.js';
import { deleteUser } from './actions.js';

const RELOAD_MS = 400;
const dialog = byId('detail');
const result = byId('detail-result');
let id = null;
let reload = null;
let opened = new Map(); // which parts the reader has opened or closed

/** Prepares the dialog. */
export function start() {
  prepare(dialog);
  dialog.addEventListener('close', () => {
    id = null;
  });
  byId('detail-buttons').addEventListener('click', (event) => {
    const { do: action, copy } = event.target.dataset;
    if (copy) copyAs(copy, event.target.textContent);
    else if (action) act(action);
  });
  rowListeners.push((row) => {
    if (row.id === id) reload ??= setTimeout(show, RELOAD_MS);
  });
  setInterval(() => dialog.open && summarize(), 500);
}

/** Opens the dialog for an event; the focus later returns to `back`. */
export function openDetail(event, back) {
  id = event;
  opened = new Map();
  setText(result, '');
  byId('copy-field').hidden = true;
  byId('detail-body').replaceChildren(element('p', { class: 'note' }, 'loading'));
  summarize();
  open(dialog, back);
  dialog.scrollTop = 0;
  show();
}

function summarize() {
  const row = store.rows.get(id);
  if (!row) return;
  setText(byId('detail-title'), `${title(row)}: ${row.type}`);
  const { words, waits } = describe(row);
  setText(byId('detail-summary'), [
    row.user,
    row.from && `from ${row.from}`,
    waits ? `${words} ${countdown(row)}` : words,
    lastAnswer(row),
    row.region && `${regionName(row.region)} ${placementWords(row.placement)}`,
  ].filter(Boolean).join(' · '));
  const buttons = byId('detail-buttons');
  buttons.querySelector('[data-do="cancel"]').disabled = phase(row) !== 'waiting';
  buttons.querySelector('[data-do="delete"]').hidden = row.type !== 'user.created';
}

async function show() {
  reload = null;
  const wanted = id;
  if (!wanted) return;
  let event;
  try {
    event = await get(`/api/events/${encodeURIComponent(wanted)}`);
  } catch (error) {
    byId('detail-body').replaceChildren(element('p', {}, error.message));
    return;
  }
  if (wanted !== id) return;
  const attempts = event.attempts ?? [];
  const focused = dialog.contains(document.activeElement) ? document.activeElement.closest('details')?.dataset.part : null;
  byId('detail-body').replaceChildren(
    attempts.length ? '' : element('p', { class: 'note' }, 'Not delivered yet.'),
    ...attempts.map((attempt, index) => attemptSection(attempt, index, copyOf(attempts, index), index === attempts.length - 1)).toReversed(),
    part('event', 'The event, as Clerk sent it', false, code(pretty(event.body))),
  );
  if (focused) dialog.querySelector(`[data-part="${focused}"] summary`)?.focus();
}

/** Which of several deliveries of the same attempt this is: 1 for the first. */
const copyOf = (attempts, index) => attempts.slice(0, index + 1).filter(({ number }) => number === attempts[index].number).length;

function attemptSection(attempt, index, copy, isLast) {
  const key = `attempt-${index}`;
  const answer = attempt.status ?? (attempt.error ? `no answer: ${attempt.error}` : 'under way');
  const took = attempt.duration_ms != null ? `, ${duration(attempt.duration_ms)}` : '';
  const why = { INITIAL: '', MANUAL: ', by hand', AUTOMATIC: ', a retry' }[attempt.trigger] ?? '';
  return part(key, `Attempt ${attempt.number}${copy > 1 ? `, delivery ${copy}` : ''}${why}, at ${time(attempt.at)}: ${answer}${took}`, isLast,
    element('h3', {}, 'Calls to Xata and Clerk'), waterfall(attempt, key),
    element('h3', {}, 'Answer'),
    code(attempt.response ? `${attempt.status ?? ''}\n${headers(attempt.response.headers)}\n\n${pretty(attempt.response.body)}` : String(answer)),
    part(`${key}-request`, 'Request, with its signature', false, code(request(attempt.request))),
    attempt.log ? part(`${key}-log`, 'Log line', false, code(JSON.stringify(attempt.log, null, 2))) : '',
  );
}

/** Each call as a bar, from when it began to when it ended, within the attempt. */
function waterfall(attempt, key) {
  const calls = attempt.calls ?? [];
  if (!calls.length) return element('p', { class: 'note' }, 'None.');
  const end = Math.max(attempt.duration_ms ?? 0, ...calls.map((call) => call.started_ms + (call.duration_ms ?? 0)), 1);
  return element('ol', { class: 'waterfall' }, ...calls.map((call, index) => {
    const bar = element('b');
    bar.style.left = `${(100 * call.started_ms) / end}%`;
    bar.style.width = `${(100 * (call.duration_ms ?? 0)) / end}%`;
    const answer = call.status ?? call.error ?? 'under way';
    return element('li', { 'data-tone': call.status && call.status < 400 ? 'ok' : 'wait' },
      element('div', {}, element('strong', {}, call.to), ` ${call.method} `, element('code', {}, call.path), ` ${answer}`,
        element('span', { class: 'note' }, ` at ${duration(call.started_ms)}, took ${duration(call.duration_ms ?? 0)}`)),
      element('div', { class: 'bar', 'aria-hidden': 'true' }, bar),
      part(`${key}-call-${index}`, 'Bodies', false, code(`${pretty(call.request) || '(no body)'}\n\n${answer}\n${pretty(call.response) || '(no body)'}`)));
  }));
}

/** A part that opens and closes, and stays so when the content is loaded again. */
function part(key, summary, isOpen, ...children) {
  return element('details', {
    'data-part': key,
    open: opened.get(key) ?? isOpen,
    ontoggle: (event) => opened.set(key, event.target.open),
  }, element('summary', {}, summary), ...children);
}

const code = (text) => element('pre', { tabindex: '0' }, text);
const headers = (list) => (list ?? []).map(([name, value]) => `${name}: ${value}`).join('\n');
const request = (sent) => sent ? `${sent.method} ${sent.path}\n${headers(sent.headers)}${sent.body ? `\n\n${sent.body}` : ''}` : '';

function pretty(text) {
  if (!text) return '';
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return String(text);
  }
}

async function act(action) {
  const row = store.rows.get(id);
  try {
    if (action === 'delete') {
      if (!(await deleteUser(row.user))) return;
      setText(result, 'Clerk deletes the user. The event user.deleted is a row of its own.');
    } else {
      await post(`/api/events/${encodeURIComponent(id)}/${action}`);
      setText(result, action === 'retry' ? 'Hookdeck delivers it again.' : 'Hookdeck does not deliver it again.');
    }
  } catch (error) {
    setText(result, error.message);
  }
}

async function copyAs(kind, label) {
  byId('copy-text').value = '';
  byId('copy-field').hidden = true;
  try {
    const text = await get(`/api/events/${encodeURIComponent(id)}/copy?as=${kind}`);
    byId('copy-text').value = typeof text === 'string' ? text : JSON.stringify(text, null, 2);
    await navigator.clipboard.writeText(byId('copy-text').value);
    setText(result, `${label.replace('Copy as', 'Copied:')}`);
  } catch (error) {
    if (!byId('copy-text').value) {
      setText(result, error.message);
      return;
    }
    byId('copy-field').hidden = false;
    byId('copy-text').select();
  }
}
