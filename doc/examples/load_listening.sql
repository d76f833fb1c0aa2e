-- load_listening.sql: loads an invented listening log.
--
--     make build/listening
--     psql -f doc/examples/load_listening.sql                     1,000 users, seed 1
--     psql -v users=5000 -v seed=7 -f doc/examples/load_listening.sql
--     psql -v clusters=4 -f doc/examples/load_listening.sql       users of planted clusters
--     psql -v folder=/path/to/files -f doc/examples/load_listening.sql
--
-- Without a folder the log is generated on the fly by build/listening, in the
-- project's top folder.  With one, plays.tsv, profiles.tsv and truth.tsv are read there, as
-- written by the options --plays, --profiles and --truth.  Fills the tables plays, users
-- and truth of the current schema and makes them if they are missing; loading
-- again adds nothing.  With clusters, also the table members, from members.tsv or the
-- option --members.

\set ON_ERROR_STOP on
\if :{?users}
\else
	\set users 1000
\endif
\if :{?seed}
\else
	\set seed 1
\endif
SELECT :{?clusters} AS with_members \gset
\if :with_members
\else
	\set clusters 1
\endif

BEGIN;
SET LOCAL work_mem = '256MB';
\ir plays_tables.sql

CREATE TABLE IF NOT EXISTS truth (
	user_id text,
	session_number bigint,
	session_start timestamptz NOT NULL,
	session_length double precision NOT NULL,
	ideal double precision NOT NULL,
	ideal_low double precision NOT NULL,
	ideal_high double precision NOT NULL,
	PRIMARY KEY (user_id, session_number)
);
COMMENT ON TABLE truth IS 'the sessions of an invented log, and the best possible prediction of their lengths from the rows before';
COMMENT ON COLUMN truth.ideal IS 'median of the length given the past: the prediction with the smallest expected absolute error';
COMMENT ON COLUMN truth.ideal_low IS 'its 10 % quantile';
COMMENT ON COLUMN truth.ideal_high IS 'its 90 % quantile';
LOCK TABLE truth IN SHARE ROW EXCLUSIVE MODE;
\if :with_members
	CREATE TABLE IF NOT EXISTS members (user_id text PRIMARY KEY, cluster int NOT NULL);
	COMMENT ON TABLE members IS 'the planted cluster of every user of an invented log';
	LOCK TABLE members IN SHARE ROW EXCLUSIVE MODE;
	CREATE TEMPORARY TABLE new_members (LIKE members) ON COMMIT DROP;
\endif

CREATE TEMPORARY TABLE new_truth (LIKE truth) ON COMMIT DROP;

\if :{?folder}
	\set here `pwd`
	\cd :folder
	\copy new_plays (user_id, ts, artist_name, track_name, duration) from 'plays.tsv'
	\copy new_users (user_id, gender, age, country, registered) from 'profiles.tsv'
	\copy new_truth from 'truth.tsv'
	\if :with_members
		\copy new_members from 'members.tsv'
	\endif
	\cd :here
\else
	\setenv LISTENING_USERS :users
	\setenv LISTENING_SEED :seed
	\setenv LISTENING_CLUSTERS :clusters
	\copy new_plays (user_id, ts, artist_name, track_name, duration) from program 'build/listening --users $LISTENING_USERS --seed $LISTENING_SEED --clusters $LISTENING_CLUSTERS --plays - 2> /dev/null'
	\copy new_users (user_id, gender, age, country, registered) from program 'build/listening --users $LISTENING_USERS --seed $LISTENING_SEED --clusters $LISTENING_CLUSTERS --profiles - 2> /dev/null'
	\copy new_truth from program 'build/listening --users $LISTENING_USERS --seed $LISTENING_SEED --clusters $LISTENING_CLUSTERS --truth -'
	\if :with_members
		\copy new_members from program 'build/listening --users $LISTENING_USERS --seed $LISTENING_SEED --clusters $LISTENING_CLUSTERS --members - 2> /dev/null'
	\endif
\endif

INSERT INTO users
SELECT user_id, gender, age, country, registered FROM new_users
ON CONFLICT DO NOTHING;
INSERT INTO truth SELECT * FROM new_truth ON CONFLICT DO NOTHING;
\if :with_members
	INSERT INTO members SELECT * FROM new_members ON CONFLICT DO NOTHING;
\endif
\ir plays_insert.sql
COMMIT;
VACUUM ANALYZE plays;
VACUUM ANALYZE users;
VACUUM ANALYZE truth;
\if :with_members
	VACUUM ANALYZE members;
\endif
