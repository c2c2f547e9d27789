-- One row about the store itself.
CREATE TABLE store (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    id        BLOB    NOT NULL,  -- 16 random bytes: sealed values are bound to them
    salt      BLOB    NOT NULL,  -- 32 random bytes for the hashes of seeds
    counter   INTEGER NOT NULL,  -- versions and epochs, so that none comes twice
    key_id    BLOB,              -- of the store key; NULL as long as nothing is sealed
    key_place TEXT               -- where the key is by default: 'keyring' or 'file'
) STRICT;

INSERT INTO store (only_row, id, salt, counter) VALUES (1, randomblob(16), randomblob(32), 0);

-- Sealed columns are BLOBs that only the store key opens; see src/store/seal.rs.
CREATE TABLE accounts (
    name          TEXT    PRIMARY KEY,
    kind          TEXT    NOT NULL CHECK (kind IN ('oauth', 'access_token', 'personal_access_key')),
    version       INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    since         INTEGER NOT NULL,  -- milliseconds since 1970, as all times here
    api_origin    TEXT    NOT NULL,
    token_origin  TEXT    NOT NULL,
    client_id     TEXT,
    client_secret BLOB,              -- sealed
    secret        BLOB,              -- sealed: refresh token, static token or key; NULL after a logout
    access_token  BLOB,              -- sealed
    issued        INTEGER,
    expires       INTEGER,
    token_hub_id  INTEGER,
    begun         INTEGER,           -- when a refresh began that has not ended
    seed_hash     BLOB,
    hub_id        INTEGER,
    user          TEXT,
    user_id       INTEGER,
    app_id        INTEGER,
    scopes        TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE client_keys (
    name    TEXT    PRIMARY KEY,
    hash    BLOB    NOT NULL UNIQUE,  -- SHA-256 of the key
    account TEXT,
    mode    TEXT,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT;
