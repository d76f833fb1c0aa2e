-- load_lastfm_1k.sql: loads the original last.fm-1K files as they are.
--
--     psql -v folder=/path/to/lastfm-dataset-1K -f doc/examples/load_lastfm_1k.sql
--
-- The folder holds userid-timestamp-artid-artname-traid-traname.tsv and
-- userid-profile.tsv.  Fills the tables plays, users and rejects of the current schema
-- and makes them if they are missing.  Loading again adds nothing; a line that can't be
-- used goes to rejects with its number and the reason and stops nothing.
--
-- The files hold every byte there is: quotes and backslashes, tabs and carriage returns
-- within names, names that are not UTF-8.  So each line is first read as one text value
-- in which a character is a byte (Latin-1) and taken apart in SQL.  On the way tr replaces
-- the four control characters COPY would stumble over by spaces, and cat numbers the
-- lines, which also keeps a line "\." from ending the data.

\set ON_ERROR_STOP on
\if :{?folder}
\else
	\warn 'usage: psql -v folder=/path/to/lastfm-dataset-1K -f load_lastfm_1k.sql'
	DO $$ BEGIN RAISE 'the variable folder is not set'; END $$;
\endif

SELECT current_setting('server_encoding') <> 'UTF8' AS wrong_encoding \gset
\if :wrong_encoding
	DO $$ BEGIN RAISE 'the database must have encoding UTF8'; END $$;
\endif

BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '512MB';
\ir plays_tables.sql

CREATE TEMPORARY TABLE play_line (line text) ON COMMIT DROP;
CREATE TEMPORARY TABLE profile_line (line text) ON COMMIT DROP;

\set here `pwd`
\cd :folder
\copy play_line from program 'test -r userid-timestamp-artid-artname-traid-traname.tsv && tr "\000\001\002\r" "    " < userid-timestamp-artid-artname-traid-traname.tsv | cat -n' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\copy profile_line from program 'test -r userid-profile.tsv && tr "\000\001\002\r" "    " < userid-profile.tsv | cat -n' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\cd :here

\ir line_functions.sql

-- "2009-05-04T23:08:57Z", or NULL.  The first test lets days pass that every month has.
CREATE FUNCTION pg_temp.time_of(text) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN CASE
	WHEN $1 ~ ('^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])'
		|| 'T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$')
	THEN $1::timestamptz
	WHEN $1 ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$'
		 AND pg_temp.day_of(substr($1, 1, 4)::integer, substr($1, 6, 2)::integer,
							substr($1, 9, 2)::integer) IS NOT NULL
	THEN $1::timestamptz
END;

-- ---- plays ----
-- Fields: number, user, time, artist id, artist name, track id, track name.  More than
-- seven means a tab within a name: the track id, an uuid or else the first empty field,
-- tells where the artist's name ends.

INSERT INTO new_plays (file, line, user_id, ts, artist_name, track_name, reason, content)
SELECT CASE WHEN reason IS NOT NULL THEN 'userid-timestamp-artid-artname-traid-traname.tsv' END,
	   CASE WHEN reason IS NOT NULL THEN btrim(f[1])::bigint END,
	   f[2], ts,
	   nullif(btrim(translate(name[1], E'\t', ' ')), ''),
	   nullif(btrim(translate(name[2], E'\t', ' ')), ''),
	   reason,
	   CASE
		   WHEN reason IS NOT NULL THEN left(substr(line, position(E'\t' IN line) + 1), 1000)
	   END
  FROM (SELECT *, CASE
					  WHEN octet_length(line) > 1800 THEN 'too long'
					  WHEN cardinality(f) < 7 THEN 'fewer than six fields'
					  WHEN f[2] = '' THEN 'no user'
					  WHEN ts IS NULL THEN 'not a time'
					  WHEN name IS NULL THEN 'a tab too many'
				  END AS reason
		  FROM (SELECT line, f, pg_temp.time_of(f[3]) AS ts,
					   CASE
						   WHEN cardinality(f) = 7 THEN ARRAY[f[5], f[7]]
						   WHEN cardinality(f) > 7 THEN
							   coalesce(regexp_match(array_to_string(f[5:], E'\t'),
													 '^(.*?)\t[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\t(.*)$'),
										regexp_match(array_to_string(f[5:], E'\t'), '^(.*?)\t\t(.*)$'))
					   END AS name
				  FROM (SELECT line, string_to_array(line, E'\t') AS f
						  FROM (SELECT pg_temp.decoded(line) AS line FROM play_line OFFSET 0) d
						OFFSET 0) s
				OFFSET 0) p
		OFFSET 0) r;

-- ---- profiles ----
-- Fields: number, user, gender, age, country, registered.  A value that makes no sense is
-- rejected alone, and the user stays.  Of several profiles of a user the first one stays.

CREATE TEMPORARY TABLE profile_field ON COMMIT DROP AS
SELECT btrim(f[1])::bigint AS line, btrim(f[2]) AS user_id, lower(btrim(f[3])) AS gender,
	   btrim(f[4]) AS age, btrim(f[5]) AS country, btrim(f[6]) AS registered,
	   cardinality(f) AS fields, substr(line, position(E'\t' IN line) + 1) AS content
  FROM (SELECT line, string_to_array(line, E'\t') AS f
		  FROM (SELECT pg_temp.decoded(line) AS line FROM profile_line OFFSET 0) d
		OFFSET 0) s
 WHERE NOT (btrim(f[1]) = '1' AND btrim(f[2]) IN ('#id', 'id'));

INSERT INTO new_users (file, line, user_id, gender, age, country, registered)
SELECT 'userid-profile.tsv', line, user_id,
	   CASE WHEN gender IN ('m', 'f') THEN gender END,
	   CASE WHEN age ~ '^[0-9]{1,3}$' THEN age::integer END,
	   nullif(country, ''),
	   pg_temp.registered_on(registered)
  FROM profile_field
 WHERE fields = 6 AND user_id <> '' AND octet_length(content) <= 1800;

INSERT INTO new_rejects (file, line, reason, content)
SELECT 'userid-profile.tsv', line, reason, content
  FROM profile_field,
	   LATERAL (SELECT 'too long' WHERE octet_length(content) > 1800
				UNION ALL
				SELECT 'not five fields' WHERE fields <> 6
				UNION ALL
				SELECT 'no user' WHERE fields = 6 AND user_id = ''
				UNION ALL
				SELECT 'not a gender' WHERE fields = 6 AND gender NOT IN ('m', 'f', '')
				UNION ALL
				SELECT 'not an age' WHERE fields = 6 AND age !~ '^[0-9]{0,3}$'
				UNION ALL
				SELECT 'not a date' WHERE fields = 6 AND registered <> ''
				   AND pg_temp.registered_on(registered) IS NULL) r (reason);

DELETE FROM rejects
 WHERE file IN ('userid-timestamp-artid-artname-traid-traname.tsv', 'userid-profile.tsv');

\ir users_insert.sql
\ir plays_insert.sql
COMMIT;

-- The temporary functions outlive the transaction.
DROP FUNCTION pg_temp.decoded, pg_temp.time_of, pg_temp.registered_on, pg_temp.day_of;
VACUUM ANALYZE plays;
VACUUM ANALYZE users;
