// Sign-ups, deletions, the experiments, and what Hookdeck does with time.

import { byId, element, setText } from './dom.js';
import { isLive, post } from './connection.js';
import { on, rowListeners, store } from './store.js';
import { confirm } from './dialogs.js';
import { count, plural } from './words.js';

const COST = 'creates a real database, which costs money';
const SCALES = [1, 2, 5, 10, 20, 50, 100];

/** What a newcomer may try. Those with a switch turn it on first. */
const EXPERIMENTS = [
  {
    title: 'A plain sign-up',
    text: 'A user signs up from Berlin. The row reaches Clerk within a second, and Frankfurt has a database more.',
  },
  {
    title: 'Xata answers too late',
    text: 'Xata creates the database, but its answer is lost. The function asks for the name and finds it: one database, not two. Open the row to see both calls.',
    fault: 'xata_lost_answer',
  },
  {
    title: 'Xata is down',
    text: 'The function answers 503, and Hookdeck waits and delivers again. End it, and the next attempt creates the database.',
    fault: 'xata_down',
  },
  {
    title: 'Each event three times',
    text: 'Hookdeck delivers each event three times at once. Xata refuses a second database of one name, so there is one.',
    fault: 'hookdeck_duplicates',
  },
];

let lastUser = '';

/** Starts the forms. */
export function start() {
  on('snapshot', fillChoices);
  on('settings', showClock);
  on('settings', showExperiments);
  byId('place').addEventListener('change', showAddress);
  byId('sign-up').addEventListener('submit', submit(signUp));
  byId('burst').addEventListener('submit', submit(burst));
  byId('delete').addEventListener('submit', submit(remove));
  byId('delete-user').addEventListener('focus', suggestUsers);
  byId('pause').addEventListener('click', submit(() => post('/api/pause', { on: !store.paused })));
  byId('time-scale').addEventListener('change', submit(() => post('/api/time-scale', { value: Number(byId('time-scale').value) })));
  const details = byId('intro-details');
  details.open = remembered() !== 'closed';
  details.addEventListener('toggle', () => remember(details.open ? 'open' : 'closed'));
  rowListeners.push((row, before) => {
    if (!before && row.type === 'user.created' && row.user) lastUser = row.user;
  });
}

/** Runs an action, and says how it went. An action that the reader declined answers nothing. */
const submit = (action) => async (event) => {
  event.preventDefault();
  try {
    const said = await action();
    if (typeof said === 'string') setText(byId('action-result'), said);
  } catch (error) {
    setText(byId('action-result'), error.message);
  }
};

async function signUp() {
  const isAddress = byId('place').value === '';
  return send({
    place: isAddress ? null : byId('place').value,
    ip: isAddress ? byId('ip').value.trim() || null : null,
    name: byId('name').value.trim() || null,
    region: byId('region').value || null,
    by: document.querySelector('input[name="by"]:checked').value,
  });
}

async function send(body) {
  if (!(await mayCost(1))) return undefined;
  const { user } = await post('/api/sign-ups', isLive() ? { ...body, confirm: COST } : body);
  lastUser = user;
  return `${user} signs up.`;
}

async function burst() {
  const wanted = Number(byId('burst-count').value);
  if (!(await mayCost(wanted))) return undefined;
  const { users } = await post('/api/burst', isLive() ? { count: wanted, confirm: COST } : { count: wanted });
  return `${plural(users, 'user signs', 'users sign')} up.`;
}

async function remove() {
  const user = byId('delete-user').value.trim();
  if (!(await deleteUser(user))) return undefined;
  byId('delete-user').value = '';
  return `Clerk deletes ${user}.`;
}

/** Deletes a user at Clerk; false where the reader declined. */
export async function deleteUser(user) {
  const question = `Delete ${user} for good? This deletes a real user, and may delete the user’s database.`;
  if (isLive() && !(await confirm(question, 'Delete the user'))) return false;
  await post(`/api/users/${encodeURIComponent(user)}/delete`, isLive() ? { confirm: 'deletes a real user' } : {});
  return true;
}

async function mayCost(users) {
  if (!isLive()) return true;
  const what = users === 1 ? 'This creates a real database at Xata, which costs money' : `This creates ${count(users)} real databases at Xata, which cost money`;
  return confirm(`${what} until somebody deletes it.`, 'Create it');
}

function fillChoices() {
  const place = byId('place');
  const chosen = place.value;
  place.replaceChildren(...store.places.map(({ id, label }) => element('option', { value: id }, label)), element('option', { value: '' }, 'another address…'));
  if (chosen && store.places.some(({ id }) => id === chosen)) place.value = chosen;
  const region = byId('region');
  const before = region.value;
  region.replaceChildren(element('option', { value: '' }, 'as the address says'), ...store.regions.map(({ id, label }) => element('option', { value: id }, `${label} (${id})`)));
  region.value = before;
  showAddress();
}

function showAddress() {
  for (const node of document.querySelectorAll('.for-ip')) node.hidden = byId('place').value !== '';
  byId('ip').required = byId('place').value === '';
}

function suggestUsers() {
  const users = [...store.databases.values()].slice(-50).toReversed().map(({ user }) => element('option', { value: user }));
  byId('known-users').replaceChildren(...users);
  if (!byId('delete-user').value && lastUser) {
    byId('delete-user').value = lastUser;
    byId('delete-user').select();
  }
}

function showClock() {
  setText(byId('pause'), store.paused ? 'Resume delivery' : 'Pause delivery');
  byId('pause').classList.toggle('primary', store.paused);
  const select = byId('time-scale');
  const scales = [...new Set([...SCALES, store.timeScale])].sort((a, b) => a - b);
  if (scales.length !== select.options.length) {
    select.replaceChildren(...scales.map((scale) => element('option', { value: scale }, scale === 1 ? 'as they are' : `${scale} times faster`)));
  }
  if (document.activeElement !== select) select.value = String(store.timeScale);
}

function showExperiments() {
  const list = byId('experiments');
  const known = EXPERIMENTS.filter(({ fault }) => !fault || store.switches.some(({ id }) => id === fault));
  list.hidden = isLive();
  if (list.children.length !== known.length) list.replaceChildren(...known.map(experiment));
  known.forEach(({ fault }, index) => {
    const isOn = fault && store.switches.some(({ id, on: state }) => id === fault && state);
    const button = list.children[index].querySelector('button');
    setText(button, isOn ? 'End it' : 'Try it');
    button.classList.toggle('primary', Boolean(isOn));
  });
}

function experiment({ title, text, fault }) {
  const toggle = submit(async () => {
    const isOn = fault && store.switches.some(({ id, on: state }) => id === fault && state);
    if (fault) await post(`/api/switches/${fault}`, { on: !isOn });
    if (isOn) return 'The services are well again.';
    return send({ place: store.places.some(({ id }) => id === 'berlin') ? 'berlin' : store.places[0]?.id ?? null, ip: null, name: null, region: null, by: 'browser' });
  });
  return element('li', {}, element('h3', {}, title), element('p', {}, text), element('button', { type: 'button', 'aria-label': `${title}: try it or end it`, onclick: toggle }, 'Try it'));
}

// Storage can be switched off.
function remembered() {
  try {
    return localStorage.getItem('intro');
  } catch {
    return null;
  }
}

function remember(state) {
  try {
    localStorage.setItem('intro', state);
  } catch { /* Then the next visit shows it again. */ }
}
