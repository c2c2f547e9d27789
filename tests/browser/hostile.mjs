// Pages that mean ill, in a real browser: nothing that they try reaches the upstream.

import { browser, check, home, page, serve, suite, until } from './harness.mjs';

// Each is the body of a function in the page; `u(name)` is an address of the proxy that bears the
// name, and `wait` a promise for the time that a try may take.
const attempts = {};
for (const mode of ['cors', 'no-cors', 'same-origin']) {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']) {
    attempts[`fetch-${mode}-${method}`] =
      `await fetch(u(name), { mode: '${mode}', method: '${method}', credentials: 'include' })`;
  }
  for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    attempts[`fetch-${mode}-${type}`] =
      `await fetch(u(name), { mode: '${mode}', method: 'POST', body: '{}', headers: { 'content-type': '${type}' } })`;
  }
}
Object.assign(attempts, {
  'fetch-bodyless-post': "await fetch(u(name), { mode: 'no-cors', method: 'POST' })",
  'fetch-keepalive': "await fetch(u(name), { mode: 'no-cors', method: 'POST', body: 'x', keepalive: true })",
  'fetch-no-referrer': "await fetch(u(name), { mode: 'no-cors', referrerPolicy: 'no-referrer' })",
  'fetch-authorization': "await fetch(u(name), { headers: { authorization: 'Bearer x' } })",
  'fetch-hapikey': "await fetch(u(name) + '&hapikey=x', { mode: 'no-cors' })",
  'xhr-get': "const x = new XMLHttpRequest(); x.open('GET', u(name)); x.send(); await wait",
  'xhr-post': "const x = new XMLHttpRequest(); x.open('POST', u(name)); x.send('a=b'); await wait",
  'beacon-text': "navigator.sendBeacon(u(name), 'text')",
  'beacon-form': "const f = new FormData(); f.append('a', 'b'); navigator.sendBeacon(u(name), f)",
  'beacon-json': "navigator.sendBeacon(u(name), new Blob(['{}'], { type: 'application/json' }))",
  'event-source': 'new EventSource(u(name)); await wait',
  'web-socket': "new WebSocket(u(name).replace('http', 'ws')); await wait",
  'worker-import': "new Worker(URL.createObjectURL(new Blob(['importScripts(\"' + u(name) + '\")']))); await wait",
  'dynamic-import': 'await import(u(name))',
  'window-open': 'window.open(u(name)); await wait',
  'popup-post': "const f = element('form', { method: 'POST', action: u(name), target: '_blank' }); f.submit(); await wait",
  'css-background': "document.body.style.background = 'url(' + u(name) + ')'; await wait",
  'css-font': "new FontFace('x', 'url(' + u(name) + ')').load().catch(() => {}); await wait",
  'a-ping': "element('a', { href: '#x', ping: u(name) }).click(); await wait",
  'meta-refresh': "element('iframe', { srcdoc: '<meta http-equiv=refresh content=\"0;url=' + u(name) + '\">' }); await wait",
  'srcdoc-fetch': "element('iframe', { srcdoc: '<script>fetch(\"' + u(name) + '\", {mode:\"no-cors\",method:\"POST\",body:\"x\"})</' + 'script>' }); await wait",
  'null-origin-fetch': "element('iframe', { sandbox: 'allow-scripts', srcdoc: '<script>fetch(\"' + u(name) + '\", {mode:\"no-cors\",method:\"POST\",body:\"x\"})</' + 'script>' }); await wait",
  'null-origin-form': "element('iframe', { sandbox: 'allow-scripts allow-forms', srcdoc: '<form method=post action=\"' + u(name) + '\"></form><script>document.forms[0].submit()</' + 'script>' }); await wait",
});
for (const [tag, attribute] of [
  ['img', 'src'],
  ['script', 'src'],
  ['iframe', 'src'],
  ['object', 'data'],
  ['embed', 'src'],
  ['video', 'src'],
  ['audio', 'src'],
]) {
  attempts[`element-${tag}`] = `element('${tag}', { ${attribute}: u(name) }); await wait`;
}
for (const rel of ['stylesheet', 'prefetch', 'preload', 'modulepreload', 'icon', 'prerender']) {
  attempts[`link-${rel}`] = `element('link', { rel: '${rel}', as: 'fetch', href: u(name) }); await wait`;
}
for (const method of ['GET', 'POST']) {
  for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']) {
    attempts[`form-${method}-${type}`] =
      `const i = element('iframe', { name: name }); const f = element('form', { method: '${method}', enctype: '${type}', action: u(name), target: name }); element('input', { name: 'attempt', value: name }, f); f.submit(); await wait`;
  }
}

const target = '/crm/v3/objects/contacts?limit=1';

async function tryAll(tab, proxy, from) {
  for (const [name, body] of Object.entries(attempts)) {
    const source = `(async () => {
      const name = ${JSON.stringify(`${from}-${name}`)};
      const u = (attempt) => ${JSON.stringify(proxy + target)} + '&attempt=' + attempt;
      const wait = new Promise((resolve) => setTimeout(resolve, 60));
      const element = (tag, attributes, parent = document.body) => {
        const made = document.createElement(tag);
        for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
        return parent.appendChild(made);
      };
      const trying = (async () => { ${body} })().catch(() => {});
      await Promise.race([trying, new Promise((resolve) => setTimeout(resolve, 500))]);
    })()`;
    await tab.evaluate(source).catch(() => {});
  }
}

async function seen(sandbox, word) {
  const requests = await (await fetch(`${sandbox.url}/sandbox/requests`)).json();
  return requests.filter((request) => JSON.stringify(request.query ?? {}).includes(word) || request.path.includes(word));
}

suite(async () => {
  const sandbox = await serve(['sandbox']);
  const env = { HUBSPOT_ACCESS_TOKEN: 'sandbox-access-token', HUBSPOT_PROXY_UPSTREAM__URL: sandbox.url };
  const proxy = await serve(['serve', '--log-requests'], { env });
  const port = new URL(proxy.url).port;
  const evil = await page((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>evil</title><body>evil</body>');
  }, '127.0.0.1');
  const chrome = await browser('MAP evil.test 127.0.0.1, MAP rebind.test 127.0.0.1');

  // Same site with another port, another loopback name, and another site.
  for (const host of ['localhost', '127.0.0.1', 'evil.test']) {
    const tab = await chrome.newPage();
    await tab.goto(`http://${host}:${evil}/`).catch(async () => {
      // The page server has one address; `localhost` may mean the other one first.
      await tab.goto(`http://127.0.0.1:${evil}/`);
    });
    await tryAll(tab, proxy.url, host);
    await tryAll(tab, `http://127.0.0.1:${port}`, `${host}-by-address`);
    // A click that leaves the page, and a script that does.
    for (const leave of ['link', 'script', 'form']) {
      const leaving = await chrome.newPage();
      await leaving.goto(`http://${host === 'evil.test' ? host : '127.0.0.1'}:${evil}/`);
      await leaving.evaluate(
        (address, how) => {
          if (how === 'script') {
            location.href = address;
          } else if (how === 'link') {
            const link = document.createElement('a');
            link.href = address;
            document.body.append(link);
            link.click();
          } else {
            const form = document.createElement('form');
            form.method = 'POST';
            form.action = address;
            document.body.append(form);
            form.submit();
          }
        },
        `${proxy.url}${target}&attempt=leave-${leave}`,
        leave,
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
      await leaving.close();
    }
    for (const opened of await chrome.pages()) {
      if (opened !== tab && opened.url().includes('attempt=')) {
        await opened.close();
      }
    }
    await tab.close();
  }

  // A name that was made to point here: the page is refused, and what it would fetch as well.
  const rebound = await chrome.newPage();
  const answer = await rebound.goto(`http://rebind.test:${port}${target}&attempt=rebind-page`);
  check('a rebound name is refused', answer.status() === 403, `${answer.status()}`);
  const code = answer.headers()['x-hubspot-proxy-error'];
  check('and the refusal names Host', code === 'host-not-allowed', code);
  await tryAll(rebound, `http://rebind.test:${port}`, 'rebind');
  await rebound.close();

  const reached = await seen(sandbox, 'attempt');
  const count = Object.keys(attempts).length;
  check(
    `none of ${count} kinds of attempt from 4 origins, nor a page that is left, reaches the upstream`,
    reached.length === 0,
    reached.map((request) => `${request.method} ${JSON.stringify(request.query)}`).join('\n'),
  );

  // What shows that all this could have failed.
  const refused = proxy.errors.match(/status=403/g)?.length ?? 0;
  check(`the attempts were made: ${refused} were refused`, refused > 300);
  await fetch(`${proxy.url}${target}&control=program`);
  check('a program reaches it', (await seen(sandbox, 'program')).length === 1);
  const typed = await chrome.newPage();
  const shown = await typed.goto(`${proxy.url}${target}&control=typed`);
  check('an address that is typed reaches it', shown.status() === 200 && (await seen(sandbox, 'typed')).length > 0);

  // The proxy's own pages are for nobody else to read.
  const reader = await chrome.newPage();
  await reader.goto(`http://127.0.0.1:${evil}/`);
  for (const path of ['/_proxy/health', '/_proxy/ready']) {
    const read = await reader.evaluate(
      (address) => fetch(address).then((response) => response.text()).catch(() => 'nothing'),
      proxy.url + path,
    );
    check(`a page does not read ${path}`, read === 'nothing', read);
  }

  await allowedOrigin(chrome, sandbox, evil);
  await content(chrome);
});

async function allowedOrigin(chrome, sandbox, port) {
  const file = `[server]\nallowed_origins = ["http://127.0.0.1:${port}"]\n`;
  const env = { HUBSPOT_ACCESS_TOKEN: 'sandbox-access-token', HUBSPOT_PROXY_UPSTREAM__URL: sandbox.url };
  const proxy = await serve(['serve'], { folder: home(file), env });
  const ask = async (host) => {
    const tab = await chrome.newPage();
    await tab.goto(`http://${host}:${port}/`);
    const outcome = await tab.evaluate(
      async (address) => {
        try {
          const response = await fetch(address, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-custom': '1' },
            body: '{"limit":1}',
          });
          return `${response.status} ${response.headers.get('x-hubspot-proxy') !== null}`;
        } catch {
          return 'refused';
        }
      },
      `${proxy.url}/crm/v3/objects/contacts/search?origin=${host}`,
    );
    await tab.close();
    return outcome;
  };
  const allowed = await ask('127.0.0.1');
  check('a page of an allowed origin passes its preflight and reads the answer', allowed === '200 true', allowed);
  const other = await ask('evil.test');
  check('a page of another origin still does not', other === 'refused' && (await seen(sandbox, 'evil.test')).length === 0, other);
}

// HTML and SVG that come from the upstream run no script at the proxy's origin.
async function content(chrome) {
  const script = "document.title = 'ran'; fetch('/stolen').catch(() => {})";
  const bodies = {
    '/page': ['text/html', `<!doctype html><title>quiet</title><script>${script}</script><a id=next href=/clicked>next</a>`],
    '/picture': ['image/svg+xml', `<svg xmlns="http://www.w3.org/2000/svg"><title>quiet</title><script>${script}</script></svg>`],
    '/clicked': ['text/html', `<!doctype html><title>quiet</title><script>${script}</script>`],
    '/sniffed': ['text/plain', `<!doctype html><title>quiet</title><script>${script}</script>`],
  };
  const asked = [];
  const port = await page((request, response) => {
    asked.push(request.url);
    const [type, body] = bodies[request.url] ?? ['text/plain', ''];
    response.setHeader('content-type', type);
    response.end(body);
  }, '127.0.0.1');
  const env = { HUBSPOT_ACCESS_TOKEN: 'x', HUBSPOT_PROXY_UPSTREAM__URL: `http://127.0.0.1:${port}` };
  const proxy = await serve(['serve'], { env });
  for (const path of ['/page', '/picture', '/sniffed']) {
    const tab = await chrome.newPage();
    await tab.goto(proxy.url + path);
    await new Promise((resolve) => setTimeout(resolve, 200));
    check(`${path} from the upstream runs no script`, (await tab.title()) !== 'ran');
    if (path === '/page') {
      const [clicked] = await Promise.all([tab.waitForNavigation(), tab.click('#next')]);
      check('a link in it leads no further', clicked.status() === 403 || (await tab.title()) !== 'ran');
    }
    await tab.close();
  }
  check('and reaches no other path', !asked.includes('/stolen'), asked.join(' '));
  await until('the pages were asked for', () => asked.includes('/page') && asked.includes('/picture'));
}
