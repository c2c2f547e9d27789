// What the suites share: programs that are started and ended, checks that are counted, a browser.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const binary = process.env.PROXY_BIN;
const work = mkdtempSync(join(tmpdir(), 'hubspot-proxy-browser-'));
const started = [];
let browsers = [];
let passed = 0;
let failed = 0;

export function check(name, ok, detail = '') {
  if (ok) {
    passed += 1;
    console.log(`ok ${name}`);
  } else {
    failed += 1;
    console.log(`not ok ${name}${detail ? `: ${detail}` : ''}`);
  }
}

// A folder of its own for a program, with a proxy.toml in it if there is one.
export function home(file) {
  const folder = mkdtempSync(join(work, 'home-'));
  if (file) {
    writeFileSync(join(folder, 'proxy.toml'), file, { mode: 0o600 });
  }
  return folder;
}

function run(args, { folder = home(), env = {} } = {}) {
  const child = spawn(binary, args, {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      XDG_STATE_HOME: join(folder, 'state'),
      XDG_CONFIG_HOME: join(folder, 'config'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.output = '';
  child.errors = '';
  child.stdout.on('data', (data) => (child.output += data));
  child.stderr.on('data', (data) => (child.errors += data));
  child.ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  started.push(child);
  return child;
}

// Starts any other program, to be ended with the suite.
export function program(name, args) {
  started.push(spawn(name, args, { stdio: ['ignore', 'ignore', 'inherit'] }));
}

// Waits until `look` returns something.
export async function until(what, look, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(`${what} does not come about`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// Starts a proxy or a sandbox; its address is `url`.
export async function serve(args, { port = 0, ...options } = {}) {
  const child = run([...args, '--listen', `localhost:${port}`], options);
  const address = /(?:Listening|emulator) on (http:\/\/localhost:\d+)/;
  child.url = await until('a listener', () => {
    if (child.exitCode !== null) {
      throw new Error(`${args[0]} ended: ${child.errors}`);
    }
    return address.exec(child.output)?.[1];
  });
  return child;
}

// Runs a command to its end: what it has printed.
export async function command(args, options) {
  const child = run(args, options);
  const code = await child.ended;
  if (code !== 0) {
    throw new Error(`${args.join(' ')} ended with ${code}: ${child.errors}`);
  }
  return child.output.trim();
}

// Starts a command that prints a URL to open.
export async function login(args, options) {
  const child = run(['login', ...args, '--no-browser'], options);
  child.url = await until('the URL', () => {
    if (child.exitCode !== null) {
      throw new Error(`login ended: ${child.errors}`);
    }
    return /^https?:\/\/\S+$/m.exec(child.output)?.[0];
  });
  return child;
}

export async function page(handler, host = 'localhost') {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, host, resolve));
  started.push({ kill: () => server.close(() => {}) && server.closeAllConnections() });
  return server.address().port;
}

export async function browser(rules = '') {
  const opened = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    headless: true,
    args: [
      // Root, as in a container, has no sandbox.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--no-proxy-server',
      '--disable-popup-blocking',
      ...(rules ? [`--host-resolver-rules=${rules}`] : []),
    ],
  });
  browsers.push(opened);
  return opened;
}

// Runs a suite, ends what it has started, and says what came of it.
export async function suite(body) {
  try {
    await body();
  } catch (error) {
    check('the suite runs to its end', false, error.stack);
  }
  await Promise.all(browsers.map((opened) => opened.close()));
  for (const child of started) {
    child.kill();
  }
  rmSync(work, { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}
