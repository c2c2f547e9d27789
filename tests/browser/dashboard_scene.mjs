// A proxy in front of a sandbox, with accounts, keys and traffic, and its dashboard in a browser.

import { createServer } from 'node:http';
import { command, home, serve, until } from './harness.mjs';

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Three accounts: one with a token that runs out, one that needs a login, one with a token that stays.
export async function scene() {
  const sandbox = await serve(['sandbox']);
  const file = `
default_account = "acme"
[upstream]
url = "${sandbox.url}"
[oauth]
authorize_url = "${sandbox.url}/oauth/authorize"
redirect_uri = "http://localhost:${await freePort()}/oauth-callback"
[accounts.acme]
type = "oauth"
client_id = "sandbox-client"
client_secret = { env = "APP_SECRET" }
refresh_token = { env = "SEED" }
scopes = ["oauth", "crm.objects.contacts.read"]
[accounts.shop]
type = "oauth"
client_id = "sandbox-client"
client_secret = { env = "APP_SECRET" }
scopes = ["oauth", "crm.objects.contacts.read"]
[accounts.reports]
type = "access_token"
token = { env = "TOKEN" }
policy = { mode = "read-only" }
`;
  const env = { APP_SECRET: 'sandbox-secret', SEED: 'sandbox-refresh-token', TOKEN: 'sandbox-access-token' };
  const options = { folder: home(file), env };
  const key = await command(['keys', 'create', '--name', 'nightly', '--policy', 'read-only', '--expires', '30d'], options);
  await command(['keys', 'create', '--name', 'importer', '--account', 'acme'], options);
  const proxy = await serve(['serve'], options);
  // A link that opens the dashboard, once.
  const link = () => command(['dashboard', '--no-browser'], options);
  return { sandbox, proxy, options, key: key.split('\n')[0], link };
}

// Some of everything that a list or chart shows.
export async function traffic({ proxy, key }, rounds = 1) {
  const ask = (path, options) => fetch(proxy.url + path, options).then((answer) => answer.arrayBuffer());
  const json = { 'content-type': 'application/json' };
  const [agent, nightly] = [{ 'user-agent': 'sync-job/2.1' }, { 'user-agent': 'nightly/1.4', 'x-hubspot-proxy-key': key }];
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all([
      ask('/crm/v3/objects/contacts?limit=10', { headers: agent }),
      ask('/crm/objects/2026-03/contacts?limit=10'),
      ask('/crm/v3/objects/companies?limit=5', { headers: nightly }),
      ask('/crm/v3/owners', { headers: nightly }),
      ask('/@reports/crm/v3/objects/deals?limit=3'),
      ask('/crm/v3/objects/contacts', { method: 'POST', headers: json, body: JSON.stringify({ properties: { email: `ada.${Date.now()}.${round}@example.com` } }) }),
    ]);
  }
  await ask('/crm/v3/objects/contacts/999999999');
  await ask('/contacts/v1/lists/all/contacts/all', { headers: { 'user-agent': 'legacy-export/0.9' } });
  await ask('/@shop/crm/v3/objects/contacts');
  await ask('/@nobody/crm/v3/objects/contacts');
  await ask('/@reports/crm/v3/objects/contacts/1', { method: 'DELETE' });
}

// The dashboard in a new tab, connected. `record` is told of each request that the tab makes.
export async function opened(chrome, link, { record = () => {}, prepare = async () => {} } = {}) {
  const tab = await chrome.newPage();
  await tab.setViewport({ width: 1280, height: 900 });
  tab.on('request', (request) => record(request.url()));
  tab.on('pageerror', (error) => record(`error: ${error.message}`));
  tab.on('console', (message) => record(`console: ${message.text()}`));
  await prepare(tab);
  await tab.goto(link);
  await until('the dashboard is connected', () => tab.$eval('#state', (state) => state.textContent === 'connected'));
  await until('it shows the accounts', () => tab.$('.account'));
  return tab;
}
