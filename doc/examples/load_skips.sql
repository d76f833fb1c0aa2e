-- load_skips.sql: loads an invented log of sessions with skips.
--
--     make build/skips
--     psql -f doc/examples/load_skips.sql                        20,000 sessions, seed 1
--     psql -v options='--sessions 50000 --length 20 --seed 7' -f doc/examples/load_skips.sql
--     psql -v folder=/path/to/files -f doc/examples/load_skips.sql
--
-- Without a folder the files are made by build/skips with these options, in the project's
-- top folder, and removed afterwards.  With one they are read there, as written by the
-- options --folder, --truth truth.tsv and --playlists playlists.tsv.  load_spotify.sql
-- takes them into the tables plays, tracks and rejects; beside these, skip_truth and
-- playlists of the current schema are filled, and made if they are missing.  Loading again
-- adds nothing.

\set ON_ERROR_STOP on
\if :{?options}
\else
	\set options '--sessions 20000'
\endif
\set made false
\if :{?folder}
\else
	\setenv SKIPS_OPTIONS :options
	\set folder `f=$(mktemp -d) && { build/skips $SKIPS_OPTIONS --folder "$f" --truth "$f/truth.tsv" --playlists "$f/playlists.tsv" >&2 && echo "$f" || rm -r "$f"; }`
	SELECT :'folder' = '' AS failed \gset
	\if :failed
		DO $$ BEGIN RAISE 'build/skips has made no files' USING HINT = 'make build/skips'; END $$;
	\endif
	\set made true
\endif

\ir load_spotify.sql

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE TABLE IF NOT EXISTS skip_truth (
	session_id text,
	session_position smallint,
	skipped boolean NOT NULL,
	ideal boolean NOT NULL,
	probability double precision NOT NULL,
	expected_aa double precision NOT NULL,
	PRIMARY KEY (session_id, session_position)
);
COMMENT ON TABLE skip_truth IS 'the second halves of invented sessions, and the best possible answer from the first half''s skips and all tracks';
COMMENT ON COLUMN skip_truth.skipped IS 'skip_2';
COMMENT ON COLUMN skip_truth.ideal IS 'of the answer with the highest expected average accuracy';
COMMENT ON COLUMN skip_truth.probability IS 'of a skip, exact';
COMMENT ON COLUMN skip_truth.expected_aa IS 'the answer''s expected average accuracy, one for the session';

CREATE TABLE IF NOT EXISTS playlists (
	track_id text PRIMARY KEY,
	playlist integer NOT NULL,
	place integer NOT NULL
);
COMMENT ON TABLE playlists IS 'what is played together in an invented log: the neighbours an embedding should find';
LOCK TABLE skip_truth, playlists IN SHARE ROW EXCLUSIVE MODE;

CREATE TEMPORARY TABLE new_truth (LIKE skip_truth) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_playlists (LIKE playlists) ON COMMIT DROP;
\set here `pwd`
\cd :folder
\copy new_truth from 'truth.tsv'
\copy new_playlists from 'playlists.tsv'
\cd :here
INSERT INTO skip_truth SELECT * FROM new_truth ON CONFLICT DO NOTHING;
INSERT INTO playlists SELECT * FROM new_playlists ON CONFLICT DO NOTHING;
COMMIT;
VACUUM ANALYZE skip_truth;
VACUUM ANALYZE playlists;

\if :made
	\setenv SKIPS_FOLDER :folder
	\! rm -r "$SKIPS_FOLDER"
	\unset folder
\endif
