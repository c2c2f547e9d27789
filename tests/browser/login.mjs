// `hubspot-proxy login` with a real browser: the sandbox's consent page, and a server that is not ours.

import { createServer } from 'node:http';
import { browser, check, home, login, page, serve, suite, until } from './harness.mjs';

const contacts = '/crm/v3/objects/contacts?limit=1';

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const status = async (url) => (await fetch(url)).status;

suite(async () => {
  const chrome = await browser();
  await againstTheSandbox(chrome);
  await againstAnother(chrome);
});

async function againstTheSandbox(chrome) {
  const sandbox = await serve(['sandbox']);
  const redirect = `http://localhost:${await freePort()}/oauth-callback`;
  const folder = home(`
[upstream]
url = "${sandbox.url}"
[oauth]
authorize_url = "${sandbox.url}/oauth/authorize"
redirect_uri = "${redirect}"
[accounts.acme]
type = "oauth"
client_id = "sandbox-client"
client_secret = { env = "ACME_SECRET" }
scopes = ["oauth", "crm.objects.contacts.read"]
pkce = true
`);
  const options = { folder, env: { ACME_SECRET: 'sandbox-secret' } };
  const proxy = await serve(['serve'], options);
  check('without a login a request is refused', (await status(proxy.url + contacts)) === 503);

  const connecting = await login(['acme'], options);
  const tab = await chrome.newPage();
  await tab.goto(connecting.url);
  const button = (label) => `::-p-xpath(//button[normalize-space()="${label}"])`;
  await Promise.all([tab.waitForNavigation(), tab.click(button('Connect app'))]);
  const text = await tab.evaluate(() => document.body.innerText);
  check('the browser ends on a page that names account and portal', text.includes('acme') && text.includes('1234567'), text);
  check('which holds no script and no token', !(await tab.content()).includes('<script') && !text.includes('sandbox-'));
  check('the login ends well', (await connecting.ended) === 0, connecting.errors);
  check('the running proxy serves', await until('it serves', async () => (await status(proxy.url + contacts)) === 200));

  const cancelling = await login(['acme', '--timeout', '2s'], options);
  await tab.goto(cancelling.url);
  await Promise.all([tab.waitForNavigation(), tab.click(button('Cancel'))]);
  check('a login that is cancelled ends by itself', (await cancelling.ended) === 1);
  check('and says so', cancelling.errors.includes('no answer came from HubSpot'), cancelling.errors);
  check('the login from before still serves', (await status(proxy.url + contacts)) === 200);
  await tab.close();
}

// npm's oidc-provider: another implementation of OAuth, with refresh tokens that rotate and are
// revoked as a family when one is used twice.
async function againstAnother(chrome) {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const redirect = `http://localhost:${await freePort()}/oauth-callback`;
  const { default: Provider } = await import('oidc-provider');
  const life = 12;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'an-app',
        client_secret: 'the-secret-of-the-app',
        redirect_uris: [redirect],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'client_secret_post',
        application_type: 'native',
      },
    ],
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'contacts'],
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: life, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 600 },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    cookies: { keys: ['a-key-for-this-test'] },
  });
  const counts = { refreshed: 0, failed: 0, revoked: 0 };
  provider.on('grant.success', (context) => {
    counts.refreshed += context.oidc.params.grant_type === 'refresh_token' ? 1 : 0;
  });
  provider.on('grant.error', () => (counts.failed += 1));
  provider.on('grant.revoked', () => (counts.revoked += 1));
  const server = provider.listen(port, 'localhost');
  const tokens = new Set();
  const upstream = await page(async (request, response) => {
    const token = (request.headers.authorization ?? '').replace('Bearer ', '');
    const known = await provider.AccessToken.find(token);
    tokens.add(token);
    response.statusCode = known && !known.isExpired ? 200 : 401;
    response.end('{}');
  });
  const folder = home(`
[upstream]
url = "http://localhost:${upstream}"
[oauth]
authorize_url = "${issuer}/auth"
token_url = "${issuer}/token"
introspect_url = "${issuer}/token/introspection"
revoke_url = "${issuer}/token/revocation"
redirect_uri = "${redirect}"
[accounts.acme]
type = "oauth"
client_id = "an-app"
client_secret = { env = "APP_SECRET" }
scopes = ["openid", "contacts"]
pkce = true
`);
  const options = { folder, env: { APP_SECRET: 'the-secret-of-the-app' } };
  const connecting = await login(['acme'], options);
  const tab = await chrome.newPage();
  await tab.goto(connecting.url);
  await tab.type('input[name=login]', 'ada');
  await tab.type('input[name=password]', 'x');
  await Promise.all([tab.waitForNavigation(), tab.click('button[type=submit]')]);
  await Promise.all([tab.waitForNavigation(), tab.click('button[type=submit]')]);
  const text = await tab.evaluate(() => document.body.innerText);
  check('a server that is not ours ends on the same page', text.includes('Account acme is connected'), text);
  check('and the login ends well', (await connecting.ended) === 0, connecting.errors);
  await tab.close();

  const proxies = [await serve(['serve'], options), await serve(['serve'], options)];
  const answers = [];
  const end = Date.now() + 3.5 * life * 1000;
  while (Date.now() < end) {
    for (const proxy of proxies) {
      answers.push(await status(`${proxy.url}/anything`));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const bad = answers.filter((answer) => answer !== 200);
  check(`all of ${answers.length} requests over several lives of a token are served`, bad.length === 0, bad.join(' '));
  check('the refresh token has rotated several times', counts.refreshed >= 3, JSON.stringify(counts));
  check('and none was used twice', counts.failed === 0 && counts.revoked === 0, JSON.stringify(counts));
  check('two proxies on one store share each token', tokens.size <= counts.refreshed + 1, `${tokens.size} ${JSON.stringify(counts)}`);
  server.close();
  server.closeAllConnections();
}
