// Postman's runner with the environment of docs/clients, through the proxy, against the sandbox. The
// requests are like those of HubSpot's collections, each with its way to send a credential.
//
// Reads PROXY_URL, SANDBOX_URL (for the log of what arrived), LEG (a word for the output), PLACEHOLDER
// (the token that is sent and must never arrive) and ENVIRONMENT (the file).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import newman from 'newman';

const { PROXY_URL, SANDBOX_URL, LEG, PLACEHOLDER, ENVIRONMENT } = process.env;
const DOCUMENTED = 'http://localhost:8787';

const environment = JSON.parse(readFileSync(ENVIRONMENT, 'utf8'));
const baseUrl = environment.values.find((value) => value.key === 'baseUrl');
assert.equal(baseUrl.value, DOCUMENTED);
// The port of the proxy under test is another one each time.
baseUrl.value = PROXY_URL;

const get = (name, path, { header = [], query = [] } = {}) => ({
  name,
  request: {
    method: 'GET',
    header,
    url: { raw: `{{baseUrl}}${path}`, host: ['{{baseUrl}}'], path: path.slice(1).split('/'), query },
  },
});
const key = (name) => ({ key: name, value: PLACEHOLDER });
const collection = {
  info: {
    name: 'contacts',
    schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
  },
  // What the environment has to win over.
  variable: [{ key: 'baseUrl', value: 'https://api.hubapi.com' }],
  item: [
    get('a private app', '/crm/v3/objects/contacts', { header: [key('private-app')] }),
    get('a legacy private app', '/crm/v3/owners', { header: [key('private-app-legacy')] }),
    get('a key in the query', '/account-info/v3/details', { query: [key('hapikey')] }),
    get('a bearer', '/crm/v3/objects/deals', {
      header: [{ key: 'Authorization', value: `Bearer ${PLACEHOLDER}` }],
    }),
  ],
};

const summary = await new Promise((resolve, reject) =>
  newman.run({ collection, environment }, (error, done) => (error ? reject(error) : resolve(done))),
);

let passed = 0;
let failed = 0;

function step(name, body) {
  try {
    body();
    passed += 1;
    console.log(`ok postman ${LEG}: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok postman ${LEG}: ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, '    '));
  }
}

for (const { item, requestError, response } of summary.run.executions) {
  step(item.name, () => {
    assert.ifError(requestError);
    assert.equal(response.code, 200);
  });
}

const log = await (await fetch(`${SANDBOX_URL}/sandbox/requests`)).json();
step('every request arrived with the right token and no other', () => {
  const calls = log.filter((request) => !request.path.startsWith('/sandbox/'));
  assert.equal(calls.length, collection.item.length);
  for (const { headers, path } of calls) {
    assert.equal(headers.authorization, 'Bearer sandbox-access-token', path);
    // Postman's own id of the request: its name alone makes the log hide it.
    delete headers['postman-token'];
  }
  const text = JSON.stringify(log);
  assert.ok(!text.includes(PLACEHOLDER) && !text.includes('[redacted]'), 'a placeholder arrived');
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
