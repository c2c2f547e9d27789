"""HubSpot's official Python client, through the proxy, against the sandbox.

Reads PROXY_URL (what the client talks to), SANDBOX_URL (for the log of what arrived), LEG (a word
for the output) and PLACEHOLDER (the token that the client is given and that must never arrive).
"""

import json
import os
import sys
import tempfile
import traceback
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

from hubspot import HubSpot
from hubspot.crm.contacts import (
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)

PROXY_URL = os.environ["PROXY_URL"]
SANDBOX_URL = os.environ["SANDBOX_URL"]
LEG = os.environ["LEG"]
PLACEHOLDER = os.environ["PLACEHOLDER"]
RUN = uuid.uuid4().hex[:8]
FILE = os.urandom(3 * 1024 * 1024 + 17)
PAGE = 25

# `host` is for the typed calls, `base_url` for api_request(), which reads nothing else.
hubspot = HubSpot(access_token=PLACEHOLDER, host=PROXY_URL, base_url=PROXY_URL)
contacts = hubspot.crm.contacts
ids = []
steps = []


def step(name):
    """Registers a step; they run in the order of the file."""
    return lambda body: steps.append((name, body)) or body


def email(name):
    return f"{name}-{RUN}@example.com"


def new_contact(name, **properties):
    return SimplePublicObjectInputForCreate(
        properties={"email": email(name), **properties}, associations=[]
    )


def api_error(call):
    """The error that HubSpot's client makes of an error answer, and its body."""
    try:
        call()
    except Exception as error:  # each API package has an ApiException of its own
        body = json.loads(error.body)
        assert body["category"], "no category in the error body"
        assert body["correlationId"], "no correlationId in the error body"
        return error, body
    raise AssertionError("the call was expected to fail")


def sandbox_requests():
    with urllib.request.urlopen(f"{SANDBOX_URL}/sandbox/requests", timeout=10) as answer:
        return json.load(answer)


@step("create a contact")
def create():
    contact = contacts.basic_api.create(new_contact("ada", firstname="Ada", lastname="Lovelace"))
    assert contact.id
    ids.append(contact.id)


@step("read it back")
def read():
    contact = contacts.basic_api.get_by_id(ids[0], properties=["email", "firstname"])
    assert contact.properties["email"] == email("ada")
    assert contact.properties["firstname"] == "Ada"


@step("update it")
def update():
    changed = SimplePublicObjectInput(properties={"firstname": "Augusta Ada – 東京"})
    contacts.basic_api.update(ids[0], changed)
    contact = contacts.basic_api.get_by_id(ids[0], properties=["firstname"])
    assert contact.properties["firstname"] == "Augusta Ada – 東京"


@step("search for it")
def search():
    wanted = {"propertyName": "email", "operator": "EQ", "value": email("ada")}
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [wanted]}], properties=["email"], limit=10
    )
    found = contacts.search_api.do_search(request)
    assert found.total == 1
    assert found.results[0].id == ids[0]


@step("create a batch")
def batch_create():
    inputs = [new_contact(f"batch{n}", firstname=f"Batch {n}") for n in range(60)]
    answer = contacts.batch_api.create({"inputs": inputs})
    assert answer.status == "COMPLETE"
    assert len(answer.results) == len(inputs)
    ids.extend(contact.id for contact in answer.results)


@step("read the batch")
def batch_read():
    request = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": id} for id in ids[1:]], properties=["email"], properties_with_history=[]
    )
    answer = contacts.batch_api.read(request)
    assert sorted(contact.id for contact in answer.results) == sorted(ids[1:])


@step("page to the end")
def paging():
    paged, after = [], None
    while True:
        page = contacts.basic_api.get_page(limit=PAGE, after=after, properties=["email"])
        assert len(page.results) <= PAGE
        paged.extend(contact.id for contact in page.results)
        if page.paging is None or page.paging.next is None or len(paged) > 10_000:
            break
        after = page.paging.next.after
    assert len(set(paged)) == len(paged), "a contact came twice"
    assert sorted(paged) == sorted(contact.id for contact in contacts.get_all())
    assert set(ids) <= set(paged), "a contact made here is missing"


@step("forty calls at once")
def burst():
    with ThreadPoolExecutor(max_workers=40) as pool:
        found = list(pool.map(contacts.basic_api.get_by_id, [ids[0]] * 40))
    assert all(contact.id == ids[0] for contact in found)


file_ids = []


@step("upload a file")
def upload():
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(FILE)
        file.flush()
        answer = hubspot.files.files_api.upload(
            file=file.name,
            folder_path="/client-suite",
            file_name="random.bin",
            options=json.dumps({"access": "PRIVATE"}),
        )
    assert answer.id
    file_ids.append(answer.id)


@step("download it byte for byte")
def download():
    answer = hubspot.api_request({"path": f"/files/v3/files/{file_ids[0]}/download"})
    assert answer.status_code == 200
    assert answer.content == FILE, "the bytes differ"


@step("a host that ends in a slash")
def trailing_slash():
    slashed = HubSpot(access_token=PLACEHOLDER, host=f"{PROXY_URL}/")
    assert slashed.crm.contacts.basic_api.get_by_id(ids[0]).id == ids[0]


@step("api_request, the untyped call")
def untyped():
    answer = hubspot.api_request(
        {
            "method": "PATCH",
            "path": f"/crm/v3/objects/contacts/{ids[0]}",
            "body": {"properties": {"lastname": "King"}},
        }
    )
    assert answer.status_code == 200
    assert answer.json()["properties"]["lastname"] == "King"


@step("read the error of a missing contact")
def missing():
    error, body = api_error(lambda: contacts.basic_api.get_by_id("999999999999"))
    assert error.status == 404
    assert body["category"] == "OBJECT_NOT_FOUND"


@step("read the error of a contact that exists")
def conflict():
    error, _ = api_error(lambda: contacts.basic_api.create(new_contact("ada")))
    assert error.status in (400, 409), error.status


@step("the OAuth helper of an old script is refused by the proxy")
def oauth_helper():
    error, _ = api_error(
        lambda: hubspot.oauth.tokens_api.create(
            grant_type="refresh_token",
            client_id="an-app",
            client_secret="none",
            refresh_token="none",
        )
    )
    assert error.status == 403
    assert error.headers["X-HubSpot-Proxy-Error"] == "credential-path-blocked"


@step("delete the contact")
def delete():
    contacts.basic_api.archive(ids[0])
    error, _ = api_error(lambda: contacts.basic_api.get_by_id(ids[0]))
    assert error.status == 404


@step("every request arrived with the right token and no other")
def credentials():
    log = sandbox_requests()
    calls = [request for request in log if not request["path"].startswith("/sandbox/")]
    assert len(calls) > 60, f"only {len(calls)} requests arrived"
    for call in calls:
        where = f"{call['method']} {call['path']}"
        # A header that comes twice is a list here, and so not equal.
        assert call["headers"].get("authorization") == "Bearer sandbox-access-token", where
        assert not call["path"].startswith("//"), f"{where} kept its slashes"
        assert not call["path"].startswith("/oauth/"), f"{where} got through"
    text = json.dumps(log)
    assert PLACEHOLDER not in text, "the placeholder arrived"
    assert "[redacted]" not in text, "a credential arrived that is not the account's"


def main():
    failed = 0
    for name, body in steps:
        try:
            body()
            print(f"ok python {LEG}: {name}", flush=True)
        except Exception:
            # A step that fails is told and the rest still run.
            failed += 1
            print(f"not ok python {LEG}: {name}")
            print("    " + traceback.format_exc().replace("\n", "\n    "), flush=True)
    print(f"{len(steps) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
