// Every control of the dashboard, by mouse and by keyboard, and what axe finds in it.
//
// SCREENSHOTS names a folder that pictures for the documentation are written to.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { browser, check, suite, until } from './harness.mjs';
import { opened, scene, traffic } from './dashboard_scene.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FOCUSABLE = 'a[href], button, input, select, [tabindex="0"]';
const ways = ['mouse', 'keyboard'];
// Selectors of what has been used, by each way.
const used = { mouse: new Set(), keyboard: new Set() };

suite(async () => {
  const stage = await scene();
  const chrome = await browser();
  const origin = stage.proxy.url;
  await chrome.defaultBrowserContext().overridePermissions(origin, ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write']);
  await traffic(stage, 2);
  for (const way of ways) {
    const tab = await opened(chrome, await stage.link());
    await traffic(stage, 2);
    await until('there are errors', async () => (await tab.$$('#failed tr')).length >= 5);
    await useAll(tab, way, chrome, stage);
    await tab.close();
  }
  await reachable(chrome, stage);
  await accessible(chrome, stage);
  await pictures(chrome, stage);
  await ended(chrome, stage);
  const left = await everyControl(chrome, stage);
  check('no control is left out', left.length === 0, left.join('; '));
});

// Puts the focus on `selector` as a person without a mouse does.
async function tabTo(tab, selector) {
  const is = () => tab.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
  for (let press = 0; press < 900; press += 1) {
    if (await is()) {
      return;
    }
    await tab.keyboard.press('Tab');
  }
  throw new Error(`Tab does not come to ${selector}`);
}

async function press(tab, way, selector, key = 'Enter') {
  used[way].add(selector);
  if (way === 'mouse') {
    return tab.click(selector);
  }
  // From the start of the document, or of the dialog that is open.
  await tab.evaluate(() => document.activeElement?.blur());
  await tabTo(tab, selector);
  return tab.keyboard.press(key);
}

// The list of a select is the browser's own, outside the page: with the mouse it is opened, and the
// choice made for it.
async function choose(tab, way, selector, value) {
  used[way].add(selector);
  if (way === 'mouse') {
    await tab.click(selector);
    await tab.keyboard.press('Escape');
    return tab.select(selector, value);
  }
  await tab.evaluate(() => document.activeElement?.blur());
  await tabTo(tab, selector);
  const key = value === '' ? 'ArrowUp' : 'ArrowDown';
  for (let step = 0; (await tab.$eval(selector, (select) => select.value)) !== value; step += 1) {
    if (step > 10) {
      throw new Error(`${selector} does not come to "${value}" by keyboard`);
    }
    await tab.keyboard.press(key);
  }
}

const texts = (tab, selector) => tab.$$eval(selector, (all) => all.map((element) => element.textContent));
const text = (tab, selector) => tab.$eval(selector, (element) => element.textContent);

async function useAll(tab, way, chrome, stage) {
  const says = (name, ok, detail) => check(`${name}, by ${way}`, ok, detail);
  // Links within the page.
  await press(tab, way === 'mouse' ? 'keyboard' : way, '.skip');
  says('the skip link leads to the content', (await tab.evaluate(() => location.hash)) === '#main');
  for (const section of ['accounts', 'charts', 'requests', 'errors', 'retiring', 'keys']) {
    await press(tab, way, `nav a[href="#${section}"]`);
    const seen = await until(`${section} comes into view`, () => tab.$eval(`#${section}`, (element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    }));
    says(`the link to ${section} shows it`, seen && (await tab.evaluate(() => location.hash)) === `#${section}`);
  }
  // Theme.
  for (const theme of ['light', 'dark']) {
    await choose(tab, way, '#theme', theme);
    says(`the theme ${theme} is applied and remembered`, await tab.evaluate((wanted) => document.documentElement.dataset.theme === wanted && localStorage.getItem('theme') === wanted, theme));
  }
  await tab.evaluate(() => localStorage.clear());
  // Pause, search and filters.
  await press(tab, way, '#pause', 'Space');
  const before = await texts(tab, '#live tr');
  await traffic(stage, 2);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  says('while it pauses the list stands still', (await texts(tab, '#live tr')).join() === before.join());
  await press(tab, way, '#pause', 'Space');
  await away(tab);
  await until('the list goes on', async () => (await texts(tab, '#live tr')).length > before.length);
  await choose(tab, way, '#by-method', 'POST');
  await until('only POST is left', async () => (await texts(tab, '#live td:nth-child(2)')).every((method) => method === 'POST'));
  says('the method filters', (await tab.$$('#live tr')).length > 0 && /\d+ of \d+ match/.test(await text(tab, '#matching')));
  await choose(tab, way, '#by-method', '');
  await choose(tab, way, '#by-account', 'reports');
  await until('only one account is left', async () => (await texts(tab, '#live td:nth-child(4)')).every((account) => account === 'reports'));
  says('the account filters', (await tab.$$('#live tr')).length > 0);
  await choose(tab, way, '#by-account', '');
  await choose(tab, way, '#by-status', 'failed');
  await until('only failures are left', async () => (await texts(tab, '#live td:nth-child(6)')).every((status) => status.startsWith('!')));
  says('the status filters', (await tab.$$('#live tr')).length > 0);
  await choose(tab, way, '#by-status', '');
  await press(tab, way, '#search');
  await tab.keyboard.type('OWNERS');
  await until('only the owners are left', async () => (await texts(tab, '#live td:nth-child(3)')).every((path) => path.includes('/owners')));
  says('the search finds', (await tab.$$('#live tr')).length > 0);
  await tab.keyboard.down('Control');
  await tab.keyboard.press('a');
  await tab.keyboard.up('Control');
  await tab.keyboard.press('Delete');
  await until('all are back', async () => new Set(await texts(tab, '#live td:nth-child(3)')).size > 3);
  // Explain, from both lists and by an id.
  const id = await explained(tab, way, '#failed button', says);
  await explained(tab, way, '#live button', says);
  await press(tab, way, '#lookup-id');
  await tab.keyboard.type(id);
  if (way === 'keyboard') {
    await press(tab, way, '#lookup button');
  } else {
    used.mouse.add('#lookup button');
    await tab.click('#lookup button');
  }
  await until('the request is explained', () => tab.$eval('#details', (dialog) => dialog.open));
  says('an id is explained', (await text(tab, '#details-facts')).includes(id));
  await close(tab, way, '#details-close');
  says('and the focus is back where it was', await tab.evaluate(() => document.activeElement.closest('#lookup') !== null));
  await tab.$eval('#lookup-id', (input) => (input.value = ''));
  await press(tab, way, '#lookup-id');
  await tab.keyboard.type('no-such-id');
  await tab.keyboard.press('Enter');
  says('an id that is none is told', Boolean(await until('it is told', async () => (await text(tab, '#lookup-said')).length > 0)));
  // Lists that scroll.
  for (const list of ['Table of requests', 'Table of errors']) {
    const selector = `[aria-label="${list}"]`;
    used[way].add(selector);
    await tab.$eval(selector, (region) => region.scrollIntoView({ block: 'center' }));
    if (way === 'mouse') {
      await tab.hover(selector);
      await tab.mouse.wheel({ deltaY: 200 });
    } else {
      await tab.evaluate(() => document.activeElement?.blur());
      await tabTo(tab, selector);
      await tab.keyboard.press('PageDown');
    }
    says(`the ${list.toLowerCase()} scrolls`, Boolean(await until('it scrolls', () => tab.$eval(selector, (region) => region.scrollTop > 0))));
  }
  for (const selector of ['[aria-label="Table of client keys"]', '#retiring-table']) {
    used[way].add(selector);
    if (way === 'keyboard') {
      await tab.evaluate(() => document.activeElement?.blur());
      await tabTo(tab, selector);
    } else {
      await tab.click(selector);
    }
    says(`${selector} takes the focus`, await tab.evaluate((wanted) => document.activeElement.closest(wanted) !== null, selector));
  }
  await away(tab);
  await press(tab, way, '#clear', 'Space');
  says('the list is cleared', (await tab.$$('#live tr')).length === 0);
  await logIn(tab, way, chrome, says);
}

async function away(tab) {
  await tab.mouse.move(5, 5);
  await tab.evaluate(() => document.activeElement?.blur());
}

async function close(tab, way, selector) {
  used[way].add(selector);
  if (way === 'mouse') {
    await tab.click(selector);
  } else {
    await tabTo(tab, selector);
    await tab.keyboard.press('Enter');
  }
  await until('the dialog is closed', () => tab.$eval('#details', (dialog) => !dialog.open));
}

async function explained(tab, way, selector, says) {
  await tab.$eval(selector, (button) => button.scrollIntoView({ block: 'center' }));
  await press(tab, way, selector);
  await until('the dialog is open', () => tab.$eval('#details', (dialog) => dialog.open));
  const shown = await text(tab, '#details');
  says(`${selector} explains`, ['gate', 'route', 'Cause', 'Id'].every((word) => shown.includes(word)), shown);
  const inside = await tab.evaluate(() => document.activeElement.closest('#details') !== null);
  const id = await tab.$eval('#details-facts dd', (fact) => fact.textContent);
  await tab.keyboard.press('Escape');
  await until('Escape closes it', () => tab.$eval('#details', (dialog) => !dialog.open));
  says(`the focus goes into the dialog and comes back to ${selector}`, inside && (await tab.evaluate((wanted) => document.activeElement.matches(wanted), selector)));
  return id;
}

async function logIn(tab, way, chrome, says) {
  const name = '[aria-label="Log in acme"]';
  const popup = async (act) => {
    const opening = new Promise((resolve) => chrome.once('targetcreated', resolve));
    await act();
    const target = await Promise.race([opening, new Promise((resolve) => setTimeout(resolve, 5000))]);
    const consent = await target?.page();
    await until('the consent page', () => consent?.url().includes('/oauth/authorize'));
    await consent.close();
    await tab.bringToFront();
    return true;
  };
  says('Log in opens the consent page', await popup(() => press(tab, way, name)));
  says("so does the link below, if the first was kept from opening", await popup(() => press(tab, way, '.account div p a[href]')));
  const copy = '[aria-label="Copy the login command of acme"]';
  await press(tab, way, copy);
  await until('it is copied', async () => (await text(tab, copy)) === 'Copied');
  says('the command is copied', (await tab.evaluate(() => navigator.clipboard.readText())) === 'hubspot-proxy login acme');
}

// Tab comes to every control that can be seen, in the order of the page, and shows where it is.
async function reachable(chrome, stage) {
  const tab = await opened(chrome, await stage.link());
  await traffic(stage);
  await until('there are requests', async () => (await tab.$$('#live tr')).length > 2);
  await press(tab, 'mouse', '#pause');
  await tab.evaluate((focusable) => {
    document.activeElement?.blur();
    // From the top, wherever the click was.
    getSelection().removeAllRanges();
    window.wanted = [...document.querySelectorAll(focusable)].filter((element) => element.checkVisibility() && !element.closest('dialog'));
    window.reached = [];
    window.unseen = [];
  }, FOCUSABLE);
  const wanted = await tab.evaluate(() => window.wanted.length);
  await tab.evaluate(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex'); });
  // Errors may still come in, each with a button of its own.
  for (let press = 0, left = true; left && press <= 2 * wanted; press += 1) {
    await tab.keyboard.press('Tab');
    left = await tab.evaluate(() => {
      const at = document.activeElement;
      window.reached.push(at);
      const style = getComputedStyle(at);
      if (at !== document.body && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2)) {
        window.unseen.push(at.outerHTML.slice(0, 80));
      }
      return window.wanted.some((element) => !window.reached.includes(element));
    });
  }
  const found = await tab.evaluate(() => ({
    missed: window.wanted.filter((element) => !window.reached.includes(element)).map((element) => element.outerHTML.slice(0, 80)),
    unseen: window.unseen,
    order: window.wanted.every((element, at) => at === 0 || window.reached.indexOf(element) > window.reached.indexOf(window.wanted[at - 1])),
  }));
  check(`Tab comes to each of ${wanted} controls in the order of the page`, found.missed.length === 0 && found.order, JSON.stringify(found));
  check('and each shows the focus', found.unseen.length === 0, found.unseen.join(' '));
  await tab.close();
}

async function judged(tab, name) {
  await tab.evaluate(axe);
  // What is scrolled out of sight, or lies below a head that stays, has no background that axe could tell.
  await tab.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('.scroll { max-height: none; contain: none; overflow: visible } thead th { position: static }');
    document.adoptedStyleSheets = [sheet];
  });
  const { violations, passes, incomplete } = await tab.evaluate(() => window.axe.run(document, { resultTypes: ['violations', 'incomplete'] }));
  await tab.evaluate(() => (document.adoptedStyleSheets = []));
  const say = (found) => found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} ${any.map(({ message }) => message).join(', ')}`).join(' | ')}`).join('\n');
  check(`axe finds nothing in ${name}, of ${passes.length} rules that apply`, violations.length === 0 && passes.length > 20, say(violations));
  if (incomplete.length > 0) {
    console.log(`# to be looked at by a person: ${incomplete.map(({ id, nodes }) => `${id} (${nodes.length}: ${nodes[0].html} ${nodes[0].any[0]?.message})`).join(', ')}`);
  }
}

async function accessible(chrome, stage) {
  for (const scheme of ['light', 'dark']) {
    const prepare = (tab) => tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    const tab = await opened(chrome, await stage.link(), { prepare });
    await traffic(stage);
    await until('there are requests', async () => (await tab.$$('#live tr')).length > 4);
    check(`the system's ${scheme} is followed`, await tab.evaluate((wanted) => document.documentElement.dataset.theme === wanted, scheme));
    await judged(tab, `the page in ${scheme}`);
    await tab.click('#failed button');
    await judged(tab, `an explanation in ${scheme}`);
    await tab.keyboard.press('Escape');
    await tab.click('[aria-label="Log in acme"]');
    await until('the login waits', async () => (await text(tab, '#account-list')).includes('Waiting for your consent'));
    await tab.bringToFront();
    await judged(tab, `a login in ${scheme}`);
    // Small, as on a telephone or at 400 %: nothing is cut off or scrolls both ways.
    await tab.setViewport({ width: 320, height: 640 });
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
    check(`320 pixels are wide enough in ${scheme}`, wide <= 320, `${wide}`);
    await judged(tab, `a narrow page in ${scheme}`);
    await tab.close();
    const closed = await chrome.newPage();
    await prepare(closed);
    await closed.goto(`${stage.proxy.url}/_proxy/`);
    await until('it is refused', () => closed.$eval('#notice', (notice) => !notice.hidden));
    await judged(closed, `a page without access in ${scheme}`);
    await closed.close();
  }
}

// What is left when the proxy has gone.
async function ended(chrome, stage) {
  for (const way of ways) {
    const tab = await chrome.newPage();
    await tab.goto(`${stage.proxy.url}/_proxy/`);
    await until('it says how to open it', () => tab.$eval('#notice', (notice) => !notice.hidden));
    await press(tab, way, '#notice-copy');
    await until('it is copied', async () => (await text(tab, '#notice-copy')) === 'Copied');
    check(`the command that opens it is copied, by ${way}`, (await tab.evaluate(() => navigator.clipboard.readText())) === 'hubspot-proxy dashboard');
    await tab.close();
  }
}

// The controls of the page that no selector in `used` means.
async function everyControl(chrome, stage) {
  const tab = await opened(chrome, await stage.link());
  await traffic(stage);
  await until('there are requests', async () => (await tab.$$('#live tr, #failed tr')).length > 4);
  const left = [];
  for (const way of ways) {
    const missed = await tab.evaluate((focusable, selectors) => [...document.querySelectorAll(focusable)]
      // Each account has the same controls.
      .filter((element) => !element.closest('.account') || element.closest('.account').textContent.startsWith('acme'))
      .filter((element) => !selectors.some((selector) => element.matches(selector)))
      .map((element) => element.outerHTML.slice(0, 100)), FOCUSABLE, [...used[way], ...(way === 'mouse' ? ['.skip'] : [])]);
    left.push(...missed.map((control) => `${way}: ${control}`));
  }
  await tab.close();
  return left;
}

async function pictures(chrome, stage) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) {
    return;
  }
  const tab = await opened(chrome, await stage.link());
  for (let round = 0; round < 60; round += 1) {
    await traffic(stage, 2 + (round % 5));
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  await away(tab);
  for (const scheme of ['light', 'dark']) {
    await tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await tab.setViewport({ width: 1060, height: 800 });
    await new Promise((resolve) => setTimeout(resolve, 800));
    await tab.screenshot({ path: join(folder, `dashboard-${scheme}.png`), optimizeForSpeed: false });
  }
  await tab.close();
}
