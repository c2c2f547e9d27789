// HubSpot's MCP server as an assistant starts it, under `hubspot-proxy exec`, against the sandbox.
//
// Reads PROXY_BIN (the program under test), SANDBOX_URL (what it sends requests to, and the log of what
// arrived) and LEG (a word for the output).

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const { PATH, HOME, PROXY_BIN, SANDBOX_URL, LEG } = process.env;
const TOKEN = 'sandbox-access-token';
const HUB_ID = 1234567;
const EMAIL = `mcp-${randomUUID().slice(0, 8)}@example.com`;
const SERVER = fileURLToPath(import.meta.resolve('@hubspot/mcp-server'));

const transport = new StdioClientTransport({
  command: PROXY_BIN,
  args: ['exec', '--', 'node', SERVER],
  env: {
    PATH,
    HOME,
    HUBSPOT_ACCESS_TOKEN: TOKEN,
    HUBSPOT_PROXY_UPSTREAM__URL: SANDBOX_URL,
  },
});
const client = new Client({ name: 'suite', version: '1' });
const said = [];
let ids = [];
let passed = 0;
let failed = 0;

/** Runs one step; a step that fails is told and the rest still run. */
async function step(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok mcp ${LEG}: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok mcp ${LEG}: ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, '    '));
  }
}

/** The texts that a tool answers with. */
async function call(name, args = {}) {
  const answer = await client.callTool({ name, arguments: args });
  const texts = answer.content.map((part) => part.text);
  said.push(...texts);
  assert.ok(!answer.isError, texts.join('\n'));
  return texts;
}

/** The JSON somewhere in a text. */
function json(text) {
  return JSON.parse(text.slice(text.search(/[[{]/)));
}

await step('the server starts, and offers its tools', async () => {
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert.ok(tools.length >= 15, `${tools.length} tools`);
});

await step('who am I: what HubSpot knows of the token, and not the token', async () => {
  const [token, , account] = await call('hubspot-get-user-details');
  const { hubId, userId, scopes } = json(token);
  assert.equal(hubId, HUB_ID);
  assert.ok(userId && scopes.includes('crm.objects.contacts.read'), token);
  assert.equal(json(account).portalId, HUB_ID);
});

await step('list contacts', async () => {
  const [text] = await call('hubspot-list-objects', { objectType: 'contacts', limit: 5 });
  assert.equal(json(text).results.length, 5);
});

await step('create a contact', async () => {
  const inputs = [{ properties: { email: EMAIL, firstname: 'Ada' }, associations: [] }];
  await call('hubspot-batch-create-objects', { objectType: 'contacts', inputs });
});

await step('search for it', async () => {
  const filter = { propertyName: 'email', operator: 'EQ', value: EMAIL };
  const [text] = await call('hubspot-search-objects', {
    objectType: 'contacts',
    properties: ['email'],
    filterGroups: [{ filters: [filter] }],
  });
  ids = json(text).results.map((contact) => contact.id);
  assert.equal(ids.length, 1);
});

await step('update it, and read it back', async () => {
  const inputs = [{ id: ids[0], properties: { firstname: 'Augusta Ada' } }];
  await call('hubspot-batch-update-objects', { objectType: 'contacts', inputs });
  const [text] = await call('hubspot-batch-read-objects', {
    objectType: 'contacts',
    inputs: [{ id: ids[0] }],
    properties: ['firstname'],
  });
  assert.match(text, /Augusta Ada/);
});

await step('no answer held the token, and each request arrived with it', async () => {
  assert.ok(!said.some((text) => text.includes(TOKEN)), 'a tool gave the token out');
  const log = await (await fetch(`${SANDBOX_URL}/sandbox/requests`)).json();
  const calls = log.filter((request) => request.headers['user-agent']?.includes('mcp'));
  assert.ok(calls.length >= 6, `only ${calls.length} requests arrived`);
  for (const { method, path, headers } of calls) {
    assert.equal(headers.authorization, `Bearer ${TOKEN}`, `${method} ${path}`);
    assert.ok(!path.startsWith('/oauth/'), `${path} got through`);
  }
  assert.ok(!JSON.stringify(log).includes('the-proxy-holds-the-token'), 'the placeholder arrived');
});

await client.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
