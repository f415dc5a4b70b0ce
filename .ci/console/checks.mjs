// Drives the live console in Chromium, against a running `cargo dev`.
//
//     node checks.mjs http://127.0.0.1:4000/ DIRECTORY_FOR_SCREENSHOTS [WORDS...]
//
// With words, only the checks whose sentence contains one of them run. Nothing here sleeps: each check waits for a
// condition, until a deadline. At its end, or when it fails, each leaves its pictures, light and dark.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, pictures, ...words] = process.argv.slice(2);
const DEADLINE_MS = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
mkdirSync(pictures, { recursive: true });

// ---- what the checks share

function insist(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** Opens the console in a context of its own, and notes what goes wrong in it. */
async function open({ width = 1440, height = 900, colorScheme = 'light', reducedMotion = 'no-preference', before } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion, permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.troubles = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.troubles.push(message.text()));
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  await page.addInitScript(() => {
    window.seen = { violations: [], longTasks: [], updates: [], announcements: 0 };
    document.addEventListener('securitypolicyviolation', (event) => window.seen.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    new PerformanceObserver((list) => window.seen.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
    new PerformanceObserver((list) => window.seen.updates.push(...list.getEntries().filter((entry) => entry.name === 'console-update').map((entry) => entry.duration))).observe({ type: 'measure' });
    addEventListener('DOMContentLoaded', () => new MutationObserver(() => { window.seen.announcements += 1; }).observe(document.getElementById('announcer'), { childList: true }));
  });
  await before?.(page);
  await page.goto(url);
  await connected(page);
  return page;
}

const connected = (page) => page.waitForSelector('#connection[data-state="live"]');

/** Takes the pictures of a check, named by its sentence. */
async function photograph(page, sentence) {
  const name = sentence.toLowerCase().replaceAll(/[^a-z]+/g, '-');
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(pictures, `check-${name}-${colorScheme}.png`), fullPage: true });
  }
}

/** Ends a page whose console must be empty and whose policy must not be violated. */
async function close(page) {
  const violations = await page.evaluate(() => window.seen.violations);
  await photograph(page, running);
  await page.context().close();
  insist(!violations.length, `the policy is violated: ${violations}`);
  insist(!page.troubles.length, `the browser's console has: ${page.troubles.join('; ')}`);
}

async function until(condition, sentence) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    insist(Date.now() < end, `not within a minute: ${sentence}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const state = async () => (await fetch(new URL('api/state', url))).json();

async function post(path, body = {}) {
  const response = await fetch(new URL(`api/${path}`, url), { method: 'POST', headers: { 'content-type': 'application/json', origin: new URL(url).origin }, body: JSON.stringify(body) });
  const answer = await response.json();
  insist(response.ok, `${path}: ${answer.error}`);
  return answer;
}

/** Until nothing is under way. What has a wrong signature never succeeds, and does not count. */
const settled = () => until(async () => (await state()).rows.every((row) => row.http_status === 401 || (row.next_at == null && row.stage === 'done')), 'every delivery is done');
const turn = async (page, id, isOn) => {
  await page.locator(`#switch-${id}`).setChecked(isOn);
  await until(async () => (await state()).switches.find((each) => each.id === id).on === isOn, `${id} is ${isOn}`);
};

/** Signs a user up with the form, and answers the user id. */
async function signUp(page, { place = 'berlin', name = '' } = {}) {
  await page.selectOption('#place', place);
  await page.fill('#name', name);
  await page.locator('#action-result').evaluate((node) => { node.textContent = ''; });
  await page.click('#sign-up button[type="submit"]');
  return (await page.waitForFunction(() => document.getElementById('action-result').textContent.match(/^(user_\w+) signs up/)?.[1])).jsonValue();
}

/** The row of a user's sign-up, and the rows of the user's databases. */
const rowOf = (page, user) => page.locator('#deliveries > li').filter({ hasText: user }).last();
const databasesOf = (page, user) => page.locator('#databases > tr').filter({ hasText: user });
const outcome = (page, user, pattern) => until(async () => pattern.test(await rowOf(page, user).locator('.state').textContent()), `${user}: ${pattern}`);

async function oneDatabase(page, user) {
  await until(async () => (await databasesOf(page, user).count()) > 0, `${user} has a database`);
  insist((await databasesOf(page, user).count()) === 1, `${user} has more than one database`);
  insist((await state()).databases.filter((each) => each.user === user).length === 1, `${user} has not one database at the server`);
}

async function holds() {
  const { counts } = await state();
  for (const name of ['duplicates', 'acknowledged_without_database', 'acknowledged_without_entry']) insist(counts[name] === 0, `${name} is ${counts[name]}`);
}

// ---- the checks

const checks = {
  'The page is small, and shows something within a second': async () => {
    const sizes = new Map();
    const page = await open({ before: (fresh) => fresh.on('response', async (response) => {
      const { pathname } = new URL(response.url());
      if (!pathname.startsWith('/api/')) sizes.set(pathname, response.body().then((body) => body.length, () => 0));
    }) });
    const total = (await Promise.all(sizes.values())).reduce((sum, size) => sum + size, 0);
    const paints = [];
    for (let pages = 0; pages < 5; pages += 1) {
      const another = await open();
      paints.push(await until(() => another.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime), 'a first paint'));
      await another.context().close();
    }
    const paint = paints.sort((a, b) => a - b)[2];
    console.log(`   ${sizes.size} files, ${total} bytes, first paint after ${Math.round(paint)} ms, of five pages the median`);
    insist(total < 100_000, `the page has ${total} bytes`);
    insist(paint < 1000, `the first paint is after ${paint} ms`);
    await close(page);
  },

  'A user from Berlin gets a database in Frankfurt': async () => {
    const page = await open();
    const user = await signUp(page, { name: 'Mara' });
    await outcome(page, user, /created/);
    await oneDatabase(page, user);
    insist(/Frankfurt/.test(await databasesOf(page, user).textContent()), 'the database is not in Frankfurt');
    await until(async () => /agrees/.test(await databasesOf(page, user).textContent()), 'the entry agrees');
    const last = await until(() => rowOf(page, user).locator('.track[data-at="4"]').count(), 'the dot arrives at Clerk');
    insist(last, 'the dot has not arrived');
    await close(page);
  },

  'While Xata is down, Hookdeck retries, and then there is one database': async () => {
    const page = await open();
    await turn(page, 'xata_down', true);
    const user = await signUp(page);
    await outcome(page, user, /^attempt \d+ /);
    await outcome(page, user, /^attempt [3-9] /);
    insist(/50\d/.test(await rowOf(page, user).locator('.what .sub').textContent()), 'the row does not show the answer');
    await page.click('input[name="outcome"][value="waiting"]');
    insist(await rowOf(page, user).count() === 1, 'the filter for what waits hides the row');
    await page.click('input[name="outcome"][value="all"]');
    await turn(page, 'xata_down', false);
    await outcome(page, user, /created|exists/);
    await oneDatabase(page, user);
    await holds();
    await close(page);
  },

  'When the answer of Xata is lost, there is one database': async () => {
    const page = await open();
    const button = page.locator('#experiments li', { hasText: 'too late' }).getByRole('button');
    await button.click();
    const user = (await (await page.waitForFunction(() => document.getElementById('action-result').textContent.match(/^(user_\w+) signs up/)?.[1])).jsonValue());
    await until(async () => (await rowOf(page, user).locator('.what .sub').textContent()) !== '', 'a first answer');
    if (await page.locator('#switch-xata_lost_answer').isChecked()) await button.click();
    await outcome(page, user, /created|exists/);
    await oneDatabase(page, user);
    await holds();
    await close(page);
  },

  'When the function is killed in the middle, the next attempt finishes the work': async () => {
    const page = await open();
    await turn(page, 'xata_slow', true);
    const user = await signUp(page);
    await rowOf(page, user).and(page.locator('[data-tone="move"]')).waitFor();
    await page.click('#once [data-action="kill_function"]');
    await turn(page, 'xata_slow', false);
    await until(async () => (await state()).rows.find((row) => row.user === user).attempts >= 2, 'a second attempt');
    await outcome(page, user, /created|exists/);
    await oneDatabase(page, user);
    await holds();
    await close(page);
  },

  'When each event is delivered three times, there is one database': async () => {
    const page = await open();
    await turn(page, 'hookdeck_duplicates', true);
    const user = await signUp(page);
    await outcome(page, user, /created|exists/);
    await turn(page, 'hookdeck_duplicates', false);
    await oneDatabase(page, user);
    await holds();
    await close(page);
  },

  'While delivery is paused, a delivery waits, and then it is made': async () => {
    const page = await open();
    await page.click('#pause');
    await page.getByRole('button', { name: 'Resume delivery' }).waitFor();
    const user = await signUp(page);
    await outcome(page, user, /paused/);
    await page.click('#pause');
    await outcome(page, user, /created/);
    await oneDatabase(page, user);
    await close(page);
  },

  'A deleted user loses the database, or it is parked': async () => {
    const page = await open();
    const user = await signUp(page);
    await oneDatabase(page, user);
    await outcome(page, user, /created/);
    await databasesOf(page, user).getByRole('button', { name: `Delete ${user}` }).click();
    await until(async () => (await page.locator('#deliveries > li').filter({ hasText: user }).count()) === 2, 'user.deleted has a row of its own');
    await until(async () => (await databasesOf(page, user).allTextContents()).every((text) => /parked/.test(text)), 'the database is gone or parked');
    await close(page);
  },

  'A reload in the middle loses nothing': async () => {
    const page = await open();
    await turn(page, 'xata_down', true);
    await page.fill('#burst-count', '20');
    await page.click('#burst button');
    await until(async () => (await page.locator('#deliveries > li[data-tone="wait"]').count()) >= 20, '20 deliveries wait');
    const before = await page.locator('#deliveries > li').evaluateAll((nodes) => nodes.map((node) => node.dataset.id));
    await page.reload();
    await connected(page);
    insist(await page.locator('#switch-xata_down').isChecked(), 'the switch is off after the reload');
    const after = new Set(await until(async () => {
      const ids = await page.locator('#deliveries > li').evaluateAll((nodes) => nodes.map((node) => node.dataset.id));
      return ids.length >= before.length && ids;
    }, 'the rows are there again'));
    insist(before.every((id) => after.has(id)), 'a row is missing after the reload');
    await turn(page, 'xata_down', false);
    await until(async () => (await page.locator('#deliveries > li[data-tone="wait"]').count()) === 0, 'nothing waits');
    await settled();
    await holds();
    await close(page);
  },

  'A lost connection is shown, and the page recovers': async () => {
    const page = await open();
    await page.route('**/api/stream*', (route) => route.abort());
    await page.reload();
    await page.locator('#lost').waitFor();
    const user = (await post('sign-ups', { place: 'berlin', ip: null, name: 'Meanwhile', region: null, by: 'browser' })).user;
    await page.unroute('**/api/stream*');
    await connected(page);
    await page.locator('#lost').waitFor({ state: 'hidden' });
    await outcome(page, user, /created/);
    page.troubles = page.troubles.filter((trouble) => !/ERR_FAILED/.test(trouble));
    await close(page);
  },

  'Five hundred sign-ups at once stay smooth': async () => {
    const page = await open();
    const start = Date.now();
    const before = (await state()).counts.databases;
    await page.evaluate(() => { window.seen.longTasks.length = 0; window.seen.updates.length = 0; window.seen.announcements = 0; });
    await page.fill('#burst-count', '500');
    await page.click('#burst button');
    const shown = page.locator('#invariants div').filter({ hasText: /^databases/ }).locator('dd');
    await until(async () => Number((await shown.textContent()).replaceAll(',', '')) === before + 500, 'the page counts 500 databases more');
    await until(async () => /showing 200 of/.test(await page.locator('#shown').textContent()), 'the page says how many it shows');
    await until(async () => await page.locator('#deliveries > li').count() === 200, '200 rows are in the document');
    insist(await page.locator('#databases > tr').count() <= 200, 'more than 200 databases are in the document');
    const { longTasks, updates, announcements } = await page.evaluate(() => window.seen);
    const seconds = (Date.now() - start) / 1000;
    const longest = (list) => Math.round(Math.max(0, ...list));
    console.log(`   ${seconds.toFixed(1)} s, ${updates.length} updates, the longest ${longest(updates)} ms; ${longTasks.length} long tasks, the longest ${longest(longTasks)} ms; ${announcements} announcements`);
    insist(updates.length > 0, 'the updates are not measured');
    // One slow update may be a machine that did something else in the middle of it.
    const slow = updates.filter((duration) => duration > 100);
    insist(slow.length <= 1, `${slow.length} updates of the page take more than 100 ms, the longest ${longest(updates)} ms`);
    insist(announcements <= seconds / 3 + 2, `${announcements} announcements in ${seconds} s`);
    await holds();
    await close(page);
  },

  'A name with a script is shown as text': async () => {
    const page = await open();
    const name = '<script>document.title = "wrong"</script><img src=x onerror=alert(1)>';
    const user = await signUp(page, { name });
    await outcome(page, user, /created/);
    insist((await rowOf(page, user).locator('.open').textContent()) === name, 'the name is not shown as it is');
    await rowOf(page, user).locator('.open').click();
    await page.locator('#detail-body > details').first().waitFor();
    insist((await page.locator('#detail-title').textContent()).startsWith(name), 'the dialog does not show the name as it is');
    insist((await page.title()) === 'per-user-db console', 'the script ran');
    insist((await page.locator('#deliveries script, #deliveries img, dialog script, dialog img').count()) === 0, 'the name became elements');
    await close(page);
  },

  'The detail shows the request, the answer, the calls and the log line, and copies the event': async () => {
    const page = await open();
    const user = await signUp(page, { name: 'Detail' });
    await outcome(page, user, /created/);
    await rowOf(page, user).locator('.open').click();
    await page.locator('.waterfall li').first().waitFor();
    const text = await page.locator('#detail-body').evaluate((node) => node.textContent);
    for (const part of ['x-hookdeck-signature', 'Xata', '"status": "created"', 'user.created', user]) insist(text.includes(part), `the detail has no ${part}`);
    insist(!/Bearer [^*]/.test(text), 'the detail shows a key');
    for (const [kind, pattern] of [['curl', /^curl /], ['sam', /"rawPath"/], ['fixture', /user\.created/]]) {
      await page.locator('#detail-result').evaluate((node) => { node.textContent = ''; });
      await page.click(`[data-copy="${kind}"]`);
      await until(async () => /Copied/.test(await page.locator('#detail-result').textContent()), `the ${kind} is copied`);
      insist(pattern.test(await page.evaluate(() => navigator.clipboard.readText())), `the clipboard has no ${kind}`);
    }
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: { writeText: () => Promise.reject(new Error('no')) } }));
    await page.click('[data-copy="curl"]');
    await page.locator('#copy-text').waitFor();
    insist((await page.locator('#copy-text').inputValue()).startsWith('curl '), 'the field to copy from is empty');
    await page.click('[data-do="retry"]');
    await until(async () => (await page.locator('#detail-body > details').filter({ hasText: 'Attempt 2' }).count()) === 1, 'the dialog shows the second attempt');
    await close(page);
  },

  'Everything works with the keyboard alone': async () => {
    const page = await open();
    const tabTo = async (selector) => {
      for (let presses = 0; presses < 80; presses += 1) {
        await page.keyboard.press('Tab');
        const here = await page.evaluate((wanted) => {
          const node = document.activeElement;
          const shown = (style) => style.outlineStyle !== 'none' && style.outlineWidth !== '0px';
          const marks = [getComputedStyle(node), getComputedStyle(node, '::after'), node.nextElementSibling && getComputedStyle(node.nextElementSibling)];
          return { is: node.matches(wanted), visible: node === document.body || marks.some((style) => style && shown(style)), what: node.outerHTML.slice(0, 100) };
        }, selector);
        insist(here.visible, `the focus is not visible on ${here.what}`);
        if (here.is) return;
      }
      throw new Error(`Tab does not reach ${selector}`);
    };
    await tabTo('#place');
    await tabTo('#name');
    await page.keyboard.type('Keyboard');
    await page.keyboard.press('Enter');
    const user = await (await page.waitForFunction(() => document.getElementById('action-result').textContent.match(/^(user_\w+) signs up/)?.[1])).jsonValue();
    await outcome(page, user, /created/);
    await until(() => page.evaluate(() => /created/.test(document.getElementById('announcer').textContent)), 'the outcome is announced');
    await tabTo('#deliveries .open');
    await page.keyboard.press('End');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    const first = await page.evaluate(() => document.activeElement.closest('li').dataset.id);
    insist(first === await page.locator('#deliveries > li').first().getAttribute('data-id'), 'the arrow keys do not lead back to the first row');
    await page.keyboard.press('Enter');
    await page.locator('#detail-body > details').first().waitFor();
    for (let presses = 0; presses < 30; presses += 1) {
      await page.keyboard.press(presses % 5 === 4 ? 'Shift+Tab' : 'Tab');
      insist(await page.evaluate(() => document.getElementById('detail').contains(document.activeElement)), 'the focus leaves the dialog');
    }
    await page.keyboard.press('Escape');
    await page.locator('#detail').waitFor({ state: 'hidden' });
    insist(await page.evaluate((id) => document.activeElement.closest('li')?.dataset.id === id, first), 'the focus does not return to the row');
    await tabTo('#databases button');
    await close(page);
  },

  'With real services, a sign-up asks first and names the cost': async () => {
    const sent = [];
    const page = await open({ before: async (fresh) => {
      await fresh.route('**/api/state', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), mode: 'live', switches: [] } });
      });
      await fresh.route('**/api/sign-ups', (route) => {
        sent.push(route.request().postDataJSON());
        return route.fulfill({ json: { ok: true, user: 'user_37real' } });
      });
    } });
    await page.locator('#live').waitFor();
    await page.click('#sign-up button[type="submit"]');
    insist(/costs money/.test(await page.locator('#confirm-text').textContent()), 'the cost is not named');
    await page.keyboard.press('Escape');
    await page.locator('#confirm').waitFor({ state: 'hidden' });
    insist(sent.length === 0, 'a declined sign-up is sent');
    await page.click('#sign-up button[type="submit"]');
    await page.click('#confirm-yes');
    await until(() => sent.length === 1, 'the sign-up is sent');
    insist(sent[0].confirm === 'creates a real database, which costs money', 'the sign-up does not confirm the cost');
    await page.screenshot({ path: join(pictures, 'live.png') });
    await close(page);
  },

  'In light and dark, wide and narrow, axe finds nothing and nothing is cut off': async () => {
    const found = [];
    await post('actions/wrong_secret_event');
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [360, 1440]) {
        const page = await open({ width, height: width === 360 ? 740 : 900, colorScheme, reducedMotion: 'reduce' });
        await page.evaluate(axe);
        const look = async (what, withAxe = false) => {
          const violations = withAxe ? await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)) : [];
          found.push(...violations.map((each) => `${colorScheme} ${width} ${what}: ${each}`));
          await page.screenshot({ path: join(pictures, `${colorScheme}-${width}-${what}.png`) });
        };
        insist(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `the page scrolls sideways at ${width}`);
        await look('top', true);
        await page.evaluate(() => document.getElementById('path').scrollIntoView());
        await look('deliveries');
        await page.evaluate(() => document.getElementById('databases-title').scrollIntoView());
        await look('databases');
        await page.evaluate(() => document.getElementById('numbers-title').scrollIntoView());
        await look('numbers');
        await page.locator('#deliveries .open').nth(1).click();
        await page.locator('#detail-body > details').first().waitFor();
        await look('detail', true);
        insist(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `the page scrolls sideways at ${width}`);
        await close(page);
      }
    }
    insist(!found.length, `axe finds:\n   ${found.join('\n   ')}`);
  },

  'The pictures of the documentation': async () => {
    const { places } = await state();
    const people = ['Aiko Tanaka', 'Noah Williams', 'Zanele Dube', 'Lucas Martin', 'Priya Raman', 'Elin Berg', 'Tomás Oliveira', 'Mara Lindgren'];
    for (const [index, name] of people.entries()) {
      if (index === people.length - 2) {
        await settled();
        await post('switches/xata_down', { on: true });
        await post('time-scale', { value: 1 });
      }
      await post('sign-ups', { place: places[(5 * index + 3) % places.length].id, ip: null, name, region: null, by: 'browser' });
    }
    await until(async () => (await state()).rows.filter((row) => row.next_at != null).length >= 2, 'two deliveries wait');
    for (const colorScheme of ['light', 'dark']) {
      const page = await open({ width: 1280, height: 800, colorScheme, reducedMotion: 'reduce' });
      await until(async () => (await page.locator('#deliveries > li[data-tone="wait"]').count()) >= 2, 'two rows wait');
      await page.screenshot({ path: join(pictures, `console-${colorScheme}.png`) });
      await close(page);
    }
    await post('switches/xata_down', { on: false });
    await post('time-scale', { value: 100 });
  },
};

await post('time-scale', { value: 100 });
let running;
let failed = 0;
let ran = 0;
for (const [sentence, check] of Object.entries(checks)) {
  if (words.length && !words.some((word) => sentence.includes(word))) continue;
  const start = Date.now();
  ran += 1;
  running = sentence;
  try {
    await check();
    console.log(`ok ${sentence} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${sentence}\n   ${error.message}`);
    for (const context of browser.contexts()) {
      for (const page of context.pages()) await photograph(page, `failed ${sentence}`).catch(() => {});
      await context.close();
    }
    for (const { id, on } of (await state()).switches) if (on) await post(`switches/${id}`, { on: false });
  }
}
await browser.close();
console.log(failed ? `${failed} of ${ran} checks fail` : `all ${ran} checks pass`);
process.exit(failed ? 1 : 0);
