// The switches that break a service, the faults that happen once, and what must hold all the same.

import { byId, element, setAttribute, setText } from './dom.js';
import { isLive, post } from './connection.js';
import { on, store } from './store.js';
import { count } from './words.js';

const ONCE = [
  ['kill_function', 'Kill the function now'],
  ['duplicate_next', 'Deliver the next event ×3'],
  ['reorder_next', 'Swap the next two events'],
  ['replay_old', 'Replay an old event'],
  ['wrong_secret_event', 'Send a wrong signature'],
];
const DONE = {
  kill_function: 'The function ends in the middle of what it does. Hookdeck gets no answer, and retries.',
  duplicate_next: 'The next event is delivered three times at once.',
  reorder_next: 'The next two events are delivered in the wrong order.',
  replay_old: 'Hookdeck delivers an old event again.',
  wrong_secret_event: 'An event with a wrong signature is on its way. The function answers 401.',
};

/** The counts that are shown; those with `zero` must be 0. */
const INVARIANTS = [
  ['users', 'users in events'],
  ['databases', 'databases'],
  ['entries', 'entries at Clerk'],
  ['duplicates', 'users with two databases', true],
  ['acknowledged_without_database', 'acknowledged without a database', true],
  ['acknowledged_without_entry', 'acknowledged without an entry', true],
];
const values = new Map();

/** Starts both panels. */
export function start() {
  on('settings', showSwitches);
  on('counts', showInvariants);
  byId('once').append(...ONCE.map(([id, label]) => element('button', { type: 'button', 'data-action': id, onclick: () => once(id) }, label)));
  byId('invariants').append(...INVARIANTS.map(([id, label, zero]) => {
    const value = element('dd', {}, '0');
    const node = element('div', { class: zero ? 'zero' : false }, element('dt', {}, label), value);
    values.set(id, { node, value });
    return node;
  }));
}

async function once(action) {
  try {
    await post(`/api/actions/${action}`);
    setText(byId('fault-result'), DONE[action]);
  } catch (error) {
    setText(byId('fault-result'), error.message);
  }
}

function showSwitches() {
  const panel = byId('switches');
  const groups = [...new Set(store.switches.map(({ group }) => group))];
  const wanted = store.switches.map(({ id }) => id).join();
  if (panel.dataset.ids !== wanted) {
    panel.dataset.ids = wanted;
    panel.replaceChildren(...groups.map((group) => element('fieldset', {}, element('legend', {}, group), ...store.switches.filter((each) => each.group === group).map(control))));
  }
  for (const { id, on: isOn } of store.switches) byId(`switch-${id}`).checked = isOn;
  if (!store.switches.length) panel.replaceChildren(element('p', { class: 'note' }, isLive() ? 'Real services cannot be broken from here.' : 'There is nothing to break.'));
  for (const button of byId('once').children) button.disabled = isLive();
}

function control({ id, label }) {
  return element('label', { class: 'switch' }, element('input', { type: 'checkbox', role: 'switch', id: `switch-${id}`, onchange: change(id) }), element('span', {}, label));
}

const change = (id) => async ({ target }) => {
  try {
    await post(`/api/switches/${id}`, { on: target.checked });
    setText(byId('fault-result'), '');
  } catch (error) {
    target.checked = !target.checked;
    setText(byId('fault-result'), error.message);
  }
};

function showInvariants() {
  let broken = 0;
  for (const [id, , zero] of INVARIANTS) {
    const { node, value } = values.get(id);
    setText(value, store.counts[id] == null && isLive() ? 'not seen' : count(store.counts[id]));
    if (!zero) continue;
    const isBroken = store.counts[id] > 0;
    broken += isBroken;
    setAttribute(node, 'data-tone', isBroken ? 'bad' : 'ok');
  }
  setText(byId('verdict'), broken ? `Broken: ${broken} of 3 must be 0 and ${broken === 1 ? 'is' : 'are'} not` : 'All of it holds');
  setAttribute(byId('verdict'), 'data-tone', broken ? 'bad' : 'ok');
}
