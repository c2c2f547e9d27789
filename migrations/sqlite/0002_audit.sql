-- How far each audit log has come: what a log that was cut off is measured by.
CREATE TABLE audit_heads (
    chain TEXT    PRIMARY KEY,      -- as the log names itself
    path  TEXT    NOT NULL UNIQUE,  -- where it is written
    seq   INTEGER NOT NULL,         -- of the last line
    mac   BLOB    NOT NULL,         -- of the last line
    tag   BLOB    NOT NULL,         -- proves the three above; see src/telemetry/audit/chain.rs
    noted INTEGER NOT NULL          -- the last row of account_events that is in the log
) STRICT;

-- Audit keys of former store keys, so that what was written under them can still be verified.
CREATE TABLE audit_keys (
    id  TEXT PRIMARY KEY,           -- of the store key that it was derived from
    key BLOB NOT NULL               -- sealed
) STRICT;

-- What became of accounts and client keys, until the audit logs have it: a command may run while no
-- proxy does.
CREATE TABLE account_events (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    time    INTEGER NOT NULL,
    event   TEXT    NOT NULL,       -- as audit logs call it
    account TEXT,
    key     TEXT,                   -- name of the client key
    detail  TEXT
) STRICT;

CREATE TRIGGER few_account_events AFTER INSERT ON account_events BEGIN
    DELETE FROM account_events WHERE number <= NEW.number - 1000;
END;

-- What shows that somebody still uses a key that was taken away.
CREATE TABLE revoked_keys (
    hash    BLOB    PRIMARY KEY,    -- SHA-256 of the key
    name    TEXT    NOT NULL,
    revoked INTEGER NOT NULL
) STRICT;
