-- plays_tables.sql: the tables every load_*.sql fills, made in the current schema unless
-- they are there.  Included by the loaders.

SET LOCAL client_min_messages = warning;

CREATE TABLE IF NOT EXISTS plays (
	user_id text NOT NULL,
	ts timestamptz NOT NULL,
	artist_name text,
	track_name text,
	duration double precision
);
COMMENT ON TABLE plays IS 'one row for every track a user started';
COMMENT ON COLUMN plays.ts IS 'when the track started';
COMMENT ON COLUMN plays.duration IS 'seconds it lasted; NULL is unknown';

CREATE TABLE IF NOT EXISTS users (
	user_id text PRIMARY KEY,
	gender text CHECK (gender IN ('m', 'f')),
	age integer,
	country text,
	registered date
);
COMMENT ON TABLE users IS 'what users said about themselves; NULL is unknown';
COMMENT ON COLUMN users.age IS 'years, when the user registered';

CREATE TABLE IF NOT EXISTS rejects (
	file text NOT NULL,
	line bigint NOT NULL,
	reason text NOT NULL,
	content text
);
COMMENT ON TABLE rejects IS 'what the last load of a file could not use, and why';

-- Two loads at the same time must not both find a play missing.
LOCK TABLE plays, users, rejects IN SHARE ROW EXCLUSIVE MODE;

-- What a loader has read: a row with a reason is rejected, and only such rows need file,
-- line and content.
CREATE TEMPORARY TABLE new_plays (
	file text,
	line bigint,
	user_id text,
	ts timestamptz,
	artist_name text,
	track_name text,
	duration double precision,
	reason text,
	content text
) ON COMMIT DROP;

-- Likewise of users.  A line may be rejected in part: the rest goes to new_users.
CREATE TEMPORARY TABLE new_users (
	file text,
	line bigint,
	LIKE users
) ON COMMIT DROP;

CREATE TEMPORARY TABLE new_rejects (LIKE rejects) ON COMMIT DROP;
