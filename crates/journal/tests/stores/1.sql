-- A store of format 1 as version 0.1.0 writes it: one mission, two events under two leases, a status.
PRAGMA application_id = 1868787562;
PRAGMA user_version = 1;
PRAGMA journal_mode = wal;
BEGIN;

-- Truth: meta, mission, lease, event, head. Derived: status.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- What is known of a mission before its first event. It never changes.
CREATE TABLE mission (
    id      INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
    project TEXT    NOT NULL,
    request TEXT    NOT NULL,
    created INTEGER NOT NULL
) STRICT;

-- The newest lease of each mission. `open` is 1 until its owner gives it back; whether the owner lives, the kernel knows.
CREATE TABLE lease (
    mission  INTEGER PRIMARY KEY REFERENCES mission (id),
    epoch    INTEGER NOT NULL,
    open     INTEGER NOT NULL CHECK (open IN (0, 1)),
    pid      INTEGER NOT NULL,
    boot     TEXT    NOT NULL,
    started  INTEGER NOT NULL,
    endpoint TEXT
) STRICT;

CREATE TABLE event (
    mission INTEGER NOT NULL REFERENCES mission (id),
    seq     INTEGER NOT NULL,
    format  INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    prev    BLOB    NOT NULL,
    hash    BLOB    NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (mission, seq)
) STRICT;

-- The end of each chain, apart from the events, so that a removed tail is missed.
CREATE TABLE head (
    mission INTEGER PRIMARY KEY REFERENCES mission (id),
    seq     INTEGER NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;

CREATE TABLE status (
    mission INTEGER PRIMARY KEY REFERENCES mission (id),
    text    TEXT    NOT NULL
) STRICT;

-- The rules below hold for every program that opens this file, not only for the one that made it.

CREATE TRIGGER event_only_follows BEFORE INSERT ON event
WHEN new.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE mission = new.mission)
BEGIN SELECT raise(ABORT, 'an event stands behind the last one or not at all'); END;

CREATE TRIGGER event_never_changes BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'an event never changes'); END;

CREATE TRIGGER event_never_goes BEFORE DELETE ON event
BEGIN SELECT raise(ABORT, 'an event never goes away'); END;

CREATE TRIGGER mission_never_changes BEFORE UPDATE ON mission
BEGIN SELECT raise(ABORT, 'a mission never changes'); END;

CREATE TRIGGER mission_never_goes BEFORE DELETE ON mission
BEGIN SELECT raise(ABORT, 'a mission never goes away'); END;

CREATE TRIGGER epoch_only_grows BEFORE UPDATE OF epoch ON lease
WHEN new.epoch <= old.epoch
BEGIN SELECT raise(ABORT, 'an epoch only grows'); END;

CREATE TRIGGER lease_never_goes BEFORE DELETE ON lease
BEGIN SELECT raise(ABORT, 'a lease never goes away'); END;

CREATE TRIGGER mission_is_never_replaced BEFORE INSERT ON mission
WHEN EXISTS (SELECT 1 FROM mission WHERE id = new.id)
BEGIN SELECT raise(ABORT, 'a mission never changes'); END;

CREATE TRIGGER lease_is_only_renewed BEFORE INSERT ON lease
WHEN EXISTS (SELECT 1 FROM lease WHERE mission = new.mission AND epoch >= new.epoch)
BEGIN SELECT raise(ABORT, 'an epoch only grows'); END;

CREATE TRIGGER meta_is_never_replaced BEFORE INSERT ON meta
WHEN EXISTS (SELECT 1 FROM meta WHERE name = new.name)
BEGIN SELECT raise(ABORT, 'what a store says of itself never changes'); END;

CREATE TRIGGER meta_never_changes BEFORE UPDATE ON meta
BEGIN SELECT raise(ABORT, 'what a store says of itself never changes'); END;

CREATE TRIGGER meta_never_goes BEFORE DELETE ON meta
BEGIN SELECT raise(ABORT, 'what a store says of itself never goes away'); END;

INSERT INTO meta VALUES ('store', x'30313233343536373839616263646566');
INSERT INTO mission VALUES (1, '/home/ada/shop', 'add a login', 1700000000000);
INSERT INTO lease VALUES (1, 3, 1, 4711, 'b2f1c0de', 99, '/run/orchestrator/4711.sock');
INSERT INTO event VALUES (1, 1, 1, 1, zeroblob(32), x'9f06611800bc5ddace70b942a9ecd49d4a2c4824f41f2be67f7b1aa588bfd8d2', x'7b2276223a312c2261736b6564223a226164642061206c6f67696e227d');
INSERT INTO event VALUES (1, 2, 1, 3, x'9f06611800bc5ddace70b942a9ecd49d4a2c4824f41f2be67f7b1aa588bfd8d2', x'931726c583058002a8bc56510521fb39153ee9add9a37de59e481c10a972b7e7', x'7b2276223a312c22726573756d6564223a747275657d');
INSERT INTO head VALUES (1, 2, x'931726c583058002a8bc56510521fb39153ee9add9a37de59e481c10a972b7e7');
INSERT INTO status VALUES (1, 'working');
COMMIT;
