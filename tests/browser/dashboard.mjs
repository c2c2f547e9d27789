// The dashboard in a real browser: how it is let in, what it asks of whom, what another origin can do
// with it, and what it keeps.

import { browser, check, page, serve, suite, until } from './harness.mjs';
import { opened, scene, traffic } from './dashboard_scene.mjs';

const text = (tab, selector) => tab.$eval(selector, (element) => element.textContent);

suite(async () => {
  const stage = await scene();
  const chrome = await browser('MAP evil.test 127.0.0.1');
  await traffic(stage);
  await wayIn(stage, chrome);
  await otherOrigins(stage, chrome);
  await history(stage, chrome);
  await login(stage, chrome);
  await restart(stage, chrome);
});

async function wayIn(stage, chrome) {
  const asked = [];
  const link = await stage.link();
  const tab = await opened(chrome, link, { record: (url) => asked.push(url) });
  await traffic(stage);
  await until('requests are shown', async () => (await tab.$$('#live tr')).length > 5);
  const hosts = new Set(asked.map((url) => (url.startsWith('data:') ? 'data:' : url.startsWith('http') ? new URL(url).origin : url)));
  check(`all of ${asked.length} requests go to the proxy, and nothing is logged or thrown`, hosts.size === 1 && hosts.has(stage.proxy.url), [...hosts].join(' '));
  check('no request holds the code in its URL', asked.slice(1).every((url) => !url.includes('code=')));
  const kept = await tab.evaluate(async () => ({
    address: location.href,
    cookies: document.cookie,
    local: Object.keys(localStorage),
    session: Object.keys(sessionStorage),
    databases: (await indexedDB.databases()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length,
    loaded: performance.getEntriesByType('navigation')[0].decodedBodySize,
    globals: Object.keys(window).filter((name) => String(window[name]).startsWith('hsp')),
  }));
  check('the code is gone from the address', kept.address === `${stage.proxy.url}/_proxy/`, kept.address);
  check('nothing is kept beyond the page', kept.cookies === '' && kept.local.length === 0 && kept.session.length === 0 && kept.databases === 0 && kept.workers === 0 && kept.globals.length === 0, JSON.stringify(kept));
  check('no cookie is set, for any path', (await tab.cookies(stage.proxy.url, `${stage.proxy.url}/_proxy/api/status`)).length === 0);
  check(`the page has ${kept.loaded} bytes, less than 120 KB`, kept.loaded > 10_000 && kept.loaded < 120_000);

  const thief = await chrome.newPage();
  await thief.goto(link);
  await until('the second use is refused', async () => (await text(thief, '#notice-title')) === 'This link does not open the dashboard');
  check('a code that was used does not open it again', (await thief.$$('.account')).length === 0);
  const without = await chrome.newPage();
  await without.goto(`${stage.proxy.url}/_proxy/`);
  await until('it says how to open it', async () => (await text(without, '#notice-title')) === 'Open the dashboard from a terminal');
  check('without a code it shows nothing', (await without.$$('.account, #live tr')).length === 0);
  await tab.reload();
  await until('a reload needs a new link', async () => (await text(tab, '#notice-title')) === 'Open the dashboard from a terminal');
  check('the token ends with the page', (await tab.$$('.account')).length === 0);
  // A new link in the same tab, as by the address bar.
  const again = await stage.link();
  await tab.goto(again);
  await until('it opens', async () => (await text(tab, '#state')) === 'connected');
  check('a new link in the same tab opens it', (await tab.$eval('#notice', (notice) => notice.hidden)) === true);
  await Promise.all([tab.close(), thief.close(), without.close()]);
}

// What a page of another origin tries. It knows a link that has not been used yet.
async function otherOrigins(stage, chrome) {
  const evil = await page((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>evil</title><body></body>');
  }, '127.0.0.1');
  const paths = ['/_proxy/', '/_proxy/metrics', '/_proxy/api/status', '/_proxy/api/requests', '/_proxy/api/keys', '/_proxy/api/stream', '/_proxy/api/accounts/acme/login'];
  const victim = await opened(chrome, await stage.link());
  for (const host of ['127.0.0.1', 'evil.test']) {
    const link = await stage.link();
    const made = Date.now();
    const code = link.split('#code=')[1];
    const tab = await chrome.newPage();
    await tab.goto(`http://${host}:${evil}/`);
    const tried = await tab.evaluate(tryAll, stage.proxy.url, paths, code);
    const read = tried.filter(({ outcome }) => outcome !== 'nothing');
    check(`a page of ${host} reads nothing in ${tried.length} tries, nor has the code exchanged`, read.length === 0, JSON.stringify(read));
    check(`and frames none of it`, await framesNothing(tab, stage.proxy.url, paths));
    // It opens the dashboard with its stolen code in a window of its own.
    const opening = new Promise((resolve) => chrome.once('targetcreated', resolve));
    const holds = await tab.evaluate((address) => {
      window.stolen = window.open(address);
      return window.stolen !== null;
    }, link);
    const popup = await (await opening).page();
    await until('the window has an answer', () => popup.evaluate(() => document.readyState === 'complete' && location.href !== 'about:blank').catch(() => true));
    const driven = await tab.evaluate(() => {
      try {
        return Boolean(window.stolen.document?.title) || window.stolen.length > 0;
      } catch {
        return false;
      }
    });
    check(`a window that ${host} opens on it is refused and out of its hands`, holds && !driven && (await popup.$$('#main')).length === 0, await popup.content());
    await popup.close();
    const used = await fetch(`${stage.proxy.url}/_proxy/api/dashboard/session`, { method: 'POST', body: JSON.stringify({ code }) });
    // A code lives for 30 s, which a slow machine can take for the tries.
    const isAlive = Date.now() - made < 28_000;
    check('its code has opened nothing so far, and works once', (isAlive ? [200] : [200, 403]).includes(used.status), `${used.status} after ${Date.now() - made} ms`);
    const second = await fetch(`${stage.proxy.url}/_proxy/api/dashboard/session`, { method: 'POST', body: JSON.stringify({ code }) });
    check('and not twice', second.status === 403);
    await tab.close();
  }
  // What shows that all this could have failed: the proxy's own page reads.
  const own = await victim.evaluate(tryAll, stage.proxy.url, ['/_proxy/', '/_proxy/metrics'], 'none');
  check('the same tries from the page itself do read', own.filter(({ outcome }) => /hubspot_proxy_|<title>/.test(outcome)).length >= 4, JSON.stringify(own).slice(0, 500));
  const standing = await victim.$$eval('.account', (accounts) => accounts.length);
  const waiting = await victim.evaluate(() => [...document.querySelectorAll('.account a')].some((link) => link.offsetParent !== null));
  check('the open dashboard goes on, and no login was begun', standing === 3 && !waiting && (await text(victim, '#state')) === 'connected');
  await victim.close();
}

async function tryAll(base, paths, code) {
  const outcomes = [];
  const read = (what, asking) =>
    Promise.race([asking(), new Promise((resolve) => setTimeout(() => resolve('nothing'), 3000))])
      .catch(() => 'nothing')
      .then((outcome) => outcomes.push({ what, outcome: outcome === '' || outcome === undefined ? 'nothing' : outcome }));
  for (const path of paths) {
    for (const mode of ['cors', 'no-cors']) {
      for (const method of ['GET', 'POST']) {
        await read(`${mode} ${method} ${path}`, async () => (await fetch(base + path, { mode, method, credentials: 'include' })).text());
      }
    }
    await read(`authorization ${path}`, async () => (await fetch(base + path, { headers: { authorization: 'Bearer x' } })).text());
    await read(`xhr ${path}`, () => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.onloadend = () => resolve(request.responseText);
      request.open('GET', base + path);
      request.send();
    }));
    await read(`event source ${path}`, () => new Promise((resolve) => {
      const source = new EventSource(base + path);
      source.onmessage = (event) => resolve(event.data);
      source.onerror = () => resolve('nothing') ?? source.close();
    }));
    await read(`script ${path}`, () => new Promise((resolve) => {
      const script = document.createElement('script');
      script.src = base + path;
      script.onload = () => resolve('loaded');
      script.onerror = () => resolve('nothing');
      document.body.append(script);
    }));
    await read(`worker ${path}`, () => new Promise((resolve) => {
      const worker = new Worker(URL.createObjectURL(new Blob([`importScripts(${JSON.stringify(base + path)}); postMessage('loaded')`])));
      worker.onmessage = (event) => resolve(event.data);
      worker.onerror = () => resolve('nothing');
    }));
  }
  for (const mode of ['cors', 'no-cors']) {
    await read(`exchange ${mode}`, async () => (await fetch(`${base}/_proxy/api/dashboard/session`, { mode, method: 'POST', body: JSON.stringify({ code }) })).text());
  }
  navigator.sendBeacon(`${base}/_proxy/api/dashboard/session`, JSON.stringify({ code }));
  return outcomes;
}

// A frame that may not be has the browser's own error page in it, whose address is not the proxy's.
async function framesNothing(tab, base, paths) {
  await tab.evaluate((addresses) => Promise.all(addresses.map((address) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.src = address;
    frame.onload = resolve;
    setTimeout(resolve, 2000);
    document.body.append(frame);
  }))), paths.map((path) => base + path));
  const texts = await Promise.all(tab.frames().slice(1).map((frame) => frame.evaluate(() => document.title + document.body.innerText).catch(() => '')));
  return texts.every((shown) => !/Accounts|hubspot_proxy_|"version"|"requests"/.test(shown));
}

// No more is held than the page says, and what is read out is little.
async function history(stage, chrome) {
  const tab = await opened(chrome, await stage.link());
  await tab.evaluate(() => {
    window.announced = 0;
    const count = () => (window.announced += 1);
    for (const live of document.querySelectorAll('[aria-live], [role=status], [role=alert]')) {
      new MutationObserver(count).observe(live, { childList: true, characterData: true, subtree: true });
    }
  });
  for (let round = 0; round < 30; round += 1) {
    await traffic(stage, 12);
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  const rows = await tab.evaluate(() => ({ live: live.rows.length, failed: failed.rows.length, announced: window.announced, all: document.querySelectorAll('*').length }));
  check(`at most 200 requests and 100 errors are held: ${rows.live} and ${rows.failed}`, rows.live > 150 && rows.live <= 200 && rows.failed > 50 && rows.failed <= 100, JSON.stringify(rows));
  check(`a screen reader is told ${rows.announced} times of some 3,000 requests`, rows.announced === 0, `${rows.announced}`);
  check(`the page has ${rows.all} elements`, rows.all < 6000);
  await tab.close();
}

async function login(stage, chrome) {
  const tab = await opened(chrome, await stage.link());
  await until('the account needs a login', async () => (await text(tab, '#account-list')).includes('needs-login'));
  const opening = new Promise((resolve) => chrome.once('targetcreated', resolve));
  await tab.click('[aria-label="Log in shop"]');
  const consent = await (await opening).page();
  await until('the consent page is there', () => consent.$('button'));
  check('the button opens the consent page, in a tab of its own', new URL(consent.url()).origin === stage.sandbox.url, consent.url());
  check('which knows nothing of the dashboard', await consent.evaluate(() => window.opener === null && document.referrer === ''));
  const button = '::-p-xpath(//button[normalize-space()="Connect app"])';
  await Promise.all([consent.waitForNavigation(), consent.click(button)]);
  const said = await consent.evaluate(() => document.body.innerText);
  check('it ends on a page that names account and portal', said.includes('shop') && said.includes('1234567'), said);
  await consent.close();
  await tab.bringToFront();
  await until('the dashboard says so', async () => (await text(tab, '#account-list')).includes('Account shop is connected'));
  const served = await until('the proxy serves', async () => (await fetch(`${stage.proxy.url}/@shop/crm/v3/objects/contacts?limit=1`)).status === 200);
  check('the proxy serves the account', served);
  await until('the card shows it', async () => !(await text(tab, '#account-list')).includes('needs-login'));
  check('its clock runs', await until('its clock', async () => (await text(tab, '#account-list')).match(/Token expires in/g)?.length === 2));
  await tab.close();
}

async function restart(stage, chrome) {
  const tab = await opened(chrome, await stage.link());
  stage.proxy.kill();
  await stage.proxy.ended;
  await until('the end is noticed', async () => (await text(tab, '#notice-title')) === 'Disconnected from the proxy');
  check('the end of the proxy is shown', (await text(tab, '#state')) === 'disconnected');
  const { port } = new URL(stage.proxy.url);
  stage.proxy = await serve(['serve'], { ...stage.options, port });
  await until('the token of another run does not count', async () => (await text(tab, '#notice-title')) === 'This page has no access any more', 30);
  check('another run wants another link, and the page says how', (await text(tab, '#notice-command')) === 'hubspot-proxy dashboard');
  await tab.close();
}
