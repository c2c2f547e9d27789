// HubSpot's official Node client, through the proxy, against the sandbox.
//
// Reads PROXY_URL (what the client talks to), SANDBOX_URL (for the log of what arrived), LEG (a word
// for the output) and PLACEHOLDER (the token that the client is given and that must never arrive).

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { Client } from '@hubspot/api-client';

const { PROXY_URL, SANDBOX_URL, LEG, PLACEHOLDER } = process.env;
const RUN = randomUUID().slice(0, 8);
const FILE = randomBytes(3 * 1024 * 1024 + 17);
const PAGE = 25;

const hubspot = new Client({ accessToken: PLACEHOLDER, basePath: PROXY_URL });
const contacts = hubspot.crm.contacts;
const email = (name) => `${name}-${RUN}@example.com`;
const ids = [];

let passed = 0;
let failed = 0;

/** Runs one step; a step that fails is told and the rest still run. */
async function step(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok node ${LEG}: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok node ${LEG}: ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, '    '));
  }
}

/** The error that HubSpot's client makes of an error answer. */
async function apiError(promise) {
  const error = await promise.then(
    () => assert.fail('the call was expected to fail'),
    (error) => error,
  );
  assert.equal(typeof error.code, 'number', `no HTTP status in ${error}`);
  assert.ok(error.body.category, 'no category in the error body');
  assert.ok(error.body.correlationId, 'no correlationId in the error body');
  return error;
}

async function sandboxRequests() {
  const response = await fetch(`${SANDBOX_URL}/sandbox/requests`, {
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(response.status, 200);
  return response.json();
}

/** Every contact that the account has, page by page. */
async function allPages() {
  const found = [];
  let after;
  do {
    const page = await contacts.basicApi.getPage(PAGE, after, ['email']);
    assert.ok(page.results.length <= PAGE);
    found.push(...page.results.map((contact) => contact.id));
    after = page.paging?.next?.after;
  } while (after !== undefined && found.length < 10_000);
  return found;
}

await step('create a contact', async () => {
  const contact = await contacts.basicApi.create({
    properties: { email: email('ada'), firstname: 'Ada', lastname: 'Lovelace' },
    associations: [],
  });
  assert.ok(contact.id);
  ids.push(contact.id);
});

await step('read it back', async () => {
  const contact = await contacts.basicApi.getById(ids[0], ['email', 'firstname']);
  assert.equal(contact.properties.email, email('ada'));
  assert.equal(contact.properties.firstname, 'Ada');
});

await step('update it', async () => {
  await contacts.basicApi.update(ids[0], { properties: { firstname: 'Augusta Ada – 東京' } });
  const contact = await contacts.basicApi.getById(ids[0], ['firstname']);
  assert.equal(contact.properties.firstname, 'Augusta Ada – 東京');
});

await step('search for it', async () => {
  const filter = { propertyName: 'email', operator: 'EQ', value: email('ada') };
  const found = await contacts.searchApi.doSearch({
    filterGroups: [{ filters: [filter] }],
    properties: ['email'],
    limit: 10,
  });
  assert.equal(found.total, 1);
  assert.equal(found.results[0].id, ids[0]);
});

await step('create a batch', async () => {
  const inputs = Array.from({ length: 60 }, (_, n) => ({
    properties: { email: email(`batch${n}`), firstname: `Batch ${n}` },
    associations: [],
  }));
  const answer = await contacts.batchApi.create({ inputs });
  assert.equal(answer.status, 'COMPLETE');
  assert.equal(answer.results.length, inputs.length);
  ids.push(...answer.results.map((contact) => contact.id));
});

await step('read the batch', async () => {
  const answer = await contacts.batchApi.read({
    inputs: ids.slice(1).map((id) => ({ id })),
    properties: ['email'],
    propertiesWithHistory: [],
  });
  assert.deepEqual(answer.results.map((c) => c.id).sort(), ids.slice(1).sort());
});

await step('page to the end', async () => {
  const paged = await allPages();
  const listed = await contacts.getAll();
  assert.equal(new Set(paged).size, paged.length, 'a contact came twice');
  assert.deepEqual(paged.sort(), listed.map((contact) => contact.id).sort());
  assert.ok(ids.every((id) => paged.includes(id)), 'a contact made here is missing');
});

await step('forty calls at once', async () => {
  const burst = Array.from({ length: 40 }, () => contacts.basicApi.getById(ids[0], ['email']));
  for (const contact of await Promise.all(burst)) assert.equal(contact.id, ids[0]);
});

let fileId;

await step('upload a file', async () => {
  const file = await hubspot.files.filesApi.upload(
    { data: FILE, name: 'random.bin' },
    undefined,
    '/client-suite',
    'random.bin',
    undefined,
    JSON.stringify({ access: 'PRIVATE' }),
  );
  assert.ok(file.id);
  fileId = file.id;
});

await step('download it byte for byte', async () => {
  const response = await hubspot.apiRequest({ path: `/files/v3/files/${fileId}/download` });
  assert.equal(response.status, 200);
  assert.ok(FILE.equals(Buffer.from(await response.arrayBuffer())), 'the bytes differ');
});

await step('a base path that ends in a slash', async () => {
  const slashed = new Client({ accessToken: PLACEHOLDER, basePath: `${PROXY_URL}/` });
  const contact = await slashed.crm.contacts.basicApi.getById(ids[0], ['email']);
  assert.equal(contact.id, ids[0]);
});

await step('apiRequest, the untyped call', async () => {
  const response = await hubspot.apiRequest({
    method: 'PATCH',
    path: `/crm/v3/objects/contacts/${ids[0]}`,
    body: { properties: { lastname: 'King' } },
  });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).properties.lastname, 'King');
});

await step('read the error of a missing contact', async () => {
  const error = await apiError(contacts.basicApi.getById('999999999999'));
  assert.equal(error.code, 404);
  assert.equal(error.body.category, 'OBJECT_NOT_FOUND');
});

await step('read the error of a contact that exists', async () => {
  const twice = { properties: { email: email('ada') }, associations: [] };
  const error = await apiError(contacts.basicApi.create(twice));
  assert.ok([400, 409].includes(error.code), `status ${error.code}`);
});

await step('the OAuth helper of an old script is refused by the proxy', async () => {
  const error = await apiError(
    hubspot.oauth.tokensApi.create('refresh_token', undefined, undefined, 'an-app', 'none', 'none'),
  );
  assert.equal(error.code, 403);
  assert.equal(error.headers['x-hubspot-proxy-error'], 'credential-path-blocked');
});

await step('delete the contact', async () => {
  await contacts.basicApi.archive(ids[0]);
  assert.equal((await apiError(contacts.basicApi.getById(ids[0]))).code, 404);
});

await step('every request arrived with the right token and no other', async () => {
  const log = await sandboxRequests();
  const calls = log.filter((request) => !request.path.startsWith('/sandbox/'));
  assert.ok(calls.length > 60, `only ${calls.length} requests arrived`);
  for (const call of calls) {
    // A header that comes twice is a list here, and so not equal.
    const { authorization } = call.headers;
    assert.equal(authorization, 'Bearer sandbox-access-token', `${call.method} ${call.path}`);
    assert.ok(!call.path.startsWith('//'), `${call.path} kept its slashes`);
    assert.ok(!call.path.startsWith('/oauth/'), `${call.path} got through`);
  }
  const text = JSON.stringify(log);
  assert.ok(!text.includes(PLACEHOLDER), 'the placeholder arrived');
  assert.ok(!text.includes('[redacted]'), 'a credential arrived that is not the one expected');
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
