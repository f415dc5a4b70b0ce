// The console: everything on the path of a sign-up, live.
//
// store.js       what is known, and updates once per frame
// connection.js  the snapshot, the stream, and the actions
// deliveries.js  the list; detail.js: one of them in full
// databases.js   the map (world.js) and the table
// faults.js      what breaks, and what must hold; actions.js: sign-ups and experiments
// numbers.js     the charts; runs.js: the fleet commands
// announce.js    what a screen reader hears; dialogs.js, dom.js, words.js: what all of them use

import { byId, setAttribute, setText } from './dom.js';
import { connect } from './connection.js';
import { prepare } from './dialogs.js';
import { on, store } from './store.js';
import * as actions from './actions.js';
import * as announce from './announce.js';
import * as databases from './databases.js';
import * as deliveries from './deliveries.js';
import * as detail from './detail.js';
import * as faults from './faults.js';
import * as numbers from './numbers.js';
import * as runs from './runs.js';

const WORDS = { connecting: 'connecting', live: 'connected', lost: 'connection lost, reconnecting' };

on('connection', () => {
  setText(byId('connection'), WORDS[store.connection]);
  setAttribute(byId('connection'), 'data-state', store.connection);
  byId('lost').hidden = store.connection !== 'lost';
});

on('snapshot', () => {
  const isLive = store.mode === 'live';
  byId('mode').hidden = false;
  setText(byId('mode'), isLive ? 'live: real services' : `stand-ins, Xata ${store.api === 'lite' ? 'Lite' : 'platform'}${store.postgres ? ', with PostgreSQL' : ''}`);
  setAttribute(byId('mode'), 'data-tone', isLive ? 'wait' : 'quiet');
  setText(byId('who-is-real'), isLive
    ? 'The function runs on this machine, and the other services are real.'
    : 'Here the function is the real one. Clerk, Hookdeck and Xata are stand-ins on this machine, so you may break them.');
  byId('live').hidden = !isLive;
  // The real Hookdeck has its own clock.
  document.querySelector('.clock').hidden = isLive;
  setText(byId('live'), 'Real services: a sign-up creates a database that costs money. You see what passes through the function on this machine. You do not see other deliveries, Hookdeck’s waits, or databases made elsewhere.');
});

for (const dialog of document.querySelectorAll('#confirm')) prepare(dialog);
for (const part of [actions, announce, databases, deliveries, detail, faults, numbers, runs]) part.start();
connect();
