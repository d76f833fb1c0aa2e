-- load_csv.sql: loads a listening log from any CSV file.
--
--     psql -v file=plays.csv -f doc/examples/load_csv.sql
--     psql -v file=plays.csv -v users=people.csv -f doc/examples/load_csv.sql
--     psql -v file=log.tsv -v delimiter="$(printf '\t')" -v ts=played_at -v zone=Europe/Rome \
--          -v unit=ms -f doc/examples/load_csv.sql
--     psql -v file=log.csv -v columns=user_id,ts,track_name -f doc/examples/load_csv.sql
--
-- The header line says where the columns are, in any order and case; others are left
-- alone.  user_id, ts, artist_name, track_name and duration are found under these and some
-- other usual names, or under the one that a variable of that name says; a file
-- without a header has its columns named by the variable columns.  Fields may be in double
-- quotes, with "" for a quote; a line is a row, so a line end within quotes makes two
-- lines that are rejected.
--
-- A time is ISO 8601, of time zone zone (UTC) if it does not say which, or seconds or
-- milliseconds since 1970.  A duration is in seconds, or with unit=ms in milliseconds; empty,
-- 0 and negative ones are unknown.  Bytes that are not UTF-8 are read as Latin-1.
--
-- The file users has user_id and any of gender, age, country and registered.  Fills the
-- tables plays, users and rejects of the current schema and makes them if they are
-- missing.  Loading again adds nothing; a line that can't be used goes to rejects with its
-- number and the reason and stops nothing.

\set ON_ERROR_STOP on
\if :{?file}
\else
	\warn 'usage: psql -v file=plays.csv -f load_csv.sql'
	DO $$ BEGIN RAISE 'the variable file is not set'; END $$;
\endif
\if :{?users}
\else
	\set users ''
\endif
\if :{?delimiter}
\else
	\set delimiter ','
\endif
\if :{?columns}
\else
	\set columns ''
\endif
\if :{?zone}
\else
	\set zone UTC
\endif
\if :{?unit}
\else
	\set unit s
\endif
\if :{?user_id}
\else
	\set user_id 'user_id|userid|user'
\endif
\if :{?ts}
\else
	\set ts 'ts|timestamp|time|played_at'
\endif
\if :{?artist_name}
\else
	\set artist_name 'artist_name|artist'
\endif
\if :{?track_name}
\else
	\set track_name 'track_name|track|title'
\endif
\if :{?duration}
\else
	\set duration 'duration|seconds'
\endif

SELECT current_setting('server_encoding') <> 'UTF8' AS wrong_encoding,
	   length(:'delimiter') <> 1 OR :'delimiter' IN ('"', ' ') AS wrong_delimiter,
	   :'unit' NOT IN ('s', 'ms') AS wrong_unit,
	   now() AT TIME ZONE :'zone' IS NULL AS no_zone,
	   concat_ws(',', :'user_id', :'ts', :'artist_name', :'track_name', :'duration') AS wanted,
	   concat_ws(',', :'user_id', 'gender|sex', 'age', 'country', 'registered|signup') AS wanted_of_users
\gset
\if :wrong_encoding
	DO $$ BEGIN RAISE 'the database must have encoding UTF8'; END $$;
\endif
\if :wrong_delimiter
	DO $$ BEGIN RAISE 'the delimiter must be one character, and neither a quote nor a space'; END $$;
\endif
\if :wrong_unit
	DO $$ BEGIN RAISE 'the unit of durations must be s or ms'; END $$;
\endif

\ir csv_lines.sql
\setenv CSV_FILE :file
\setenv CSV_USERS :users
\setenv CSV_DELIMITER :delimiter
\setenv CSV_HEADER :columns
\setenv CSV_WANTED :wanted
\setenv CSV_WANTED_OF_USERS :wanted_of_users

BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '512MB';
\ir plays_tables.sql
\ir line_functions.sql

CREATE TEMPORARY TABLE play_field (
	line bigint, reason text, content text,
	user_id text, ts text, artist_name text, track_name text, duration text
) ON COMMIT DROP;
CREATE TEMPORARY TABLE profile_field (
	line bigint, reason text, content text,
	user_id text, gender text, age text, country text, registered text
) ON COMMIT DROP;

\copy play_field from program 'test -r "$CSV_FILE" && tr "\000\001\002\r" "    " < "$CSV_FILE" | LC_ALL=C awk -v needed=2 -v header="$CSV_HEADER" -v wanted="$CSV_WANTED" -v delimiter="$CSV_DELIMITER" "$CSV_READ"' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\copy profile_field from program 'test -z "$CSV_USERS" || { test -r "$CSV_USERS" && tr "\000\001\002\r" "    " < "$CSV_USERS" | LC_ALL=C awk -v needed=1 -v wanted="$CSV_WANTED_OF_USERS" -v delimiter="$CSV_DELIMITER" "$CSV_READ"; }' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')

-- A time as the file writes it, or NULL.
CREATE FUNCTION pg_temp.time_of(written text, zone text) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN CASE
	WHEN written ~ '^[0-9]{1,11}(\.[0-9]{1,6})?$' THEN to_timestamp(written::float8)
	WHEN written ~ '^[0-9]{12,14}$' THEN to_timestamp(written::float8 / 1000)
	WHEN written !~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]'
					 || '(:[0-5][0-9](\.[0-9]{1,9})?)? ?(Z|UTC|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)?$')
		 OR pg_temp.day_of(substr(written, 1, 4)::integer, substr(written, 6, 2)::integer,
						   substr(written, 9, 2)::integer) IS NULL
	THEN NULL
	WHEN substr(written, 17) ~ '[-+ZC]' THEN written::timestamptz
	ELSE written::timestamp AT TIME ZONE zone
END;

-- ---- plays ----

INSERT INTO new_plays (file, line, user_id, ts, artist_name, track_name, duration, reason, content)
SELECT CASE WHEN reason IS NOT NULL THEN :'file' END,
	   CASE WHEN reason IS NOT NULL THEN line END,
	   user_id, ts, artist_name, track_name, duration, reason,
	   CASE
		   WHEN reason IS NOT NULL
		   THEN coalesce(content, concat_ws(:'delimiter', user_id, written,
											coalesce(artist_name, ''), coalesce(track_name, ''),
											length))
	   END
  FROM (SELECT line, content, user_id, ts, artist_name, track_name, written, length,
			   coalesce(reason, CASE
									WHEN user_id = '' THEN 'no user'
									WHEN ts IS NULL THEN 'not a time'
									WHEN length !~ '^-?[0-9]{1,12}(\.[0-9]{1,12})?$' THEN 'not a duration'
								END) AS reason,
			   CASE
				   WHEN length ~ '^[0-9]{1,12}(\.[0-9]{1,12})?$'
				   THEN nullif(length::float8, 0) / CASE :'unit' WHEN 'ms' THEN 1000 ELSE 1 END
			   END AS duration
		  FROM (SELECT line, reason,
					   CASE WHEN reason IS NOT NULL THEN coalesce(pg_temp.decoded(content), '') END AS content,
					   btrim(coalesce(pg_temp.decoded(user_id), '')) AS user_id,
					   pg_temp.time_of(btrim(ts), :'zone') AS ts, btrim(ts) AS written,
					   nullif(btrim(pg_temp.decoded(artist_name)), '') AS artist_name,
					   nullif(btrim(pg_temp.decoded(track_name)), '') AS track_name,
					   nullif(btrim(duration), '') AS length
				  FROM play_field
				OFFSET 0) f
		OFFSET 0) p;

-- ---- profiles ----
-- A value that makes no sense is rejected alone, and the user stays.

CREATE TEMPORARY TABLE profile_value ON COMMIT DROP AS
SELECT line, reason, CASE WHEN reason IS NOT NULL THEN coalesce(pg_temp.decoded(content), '') END AS content,
	   btrim(coalesce(pg_temp.decoded(user_id), '')) AS user_id,
	   left(lower(btrim(gender)), 1) AS gender, btrim(gender) AS gender_written,
	   btrim(age) AS age, nullif(btrim(pg_temp.decoded(country)), '') AS country,
	   CASE
		   WHEN btrim(registered) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$'
		   THEN pg_temp.day_of(left(btrim(registered), 4)::integer, substr(btrim(registered), 6, 2)::integer,
							   substr(btrim(registered), 9, 2)::integer)
		   ELSE pg_temp.registered_on(btrim(registered))
	   END AS registered, btrim(registered) AS registered_written
  FROM profile_field;

INSERT INTO new_users (file, line, user_id, gender, age, country, registered)
SELECT :'users', line, user_id,
	   CASE WHEN lower(gender_written) IN ('m', 'f', 'male', 'female') THEN gender END,
	   CASE WHEN age ~ '^[0-9]{1,3}$' THEN age::integer END,
	   country, registered
  FROM profile_value
 WHERE reason IS NULL AND user_id <> '';

INSERT INTO new_rejects (file, line, reason, content)
SELECT :'users', line, r.reason,
	   coalesce(content, concat_ws(:'delimiter', user_id, coalesce(gender_written, ''), coalesce(age, ''),
								   coalesce(country, ''), coalesce(registered_written, '')))
  FROM profile_value v,
	   LATERAL (SELECT v.reason WHERE v.reason IS NOT NULL
				UNION ALL
				SELECT 'no user' WHERE v.reason IS NULL AND user_id = ''
				UNION ALL
				SELECT 'not a gender' WHERE lower(gender_written) NOT IN ('m', 'f', 'male', 'female', '')
				UNION ALL
				SELECT 'not an age' WHERE age !~ '^[0-9]{0,3}$'
				UNION ALL
				SELECT 'not a date' WHERE registered_written <> '' AND registered IS NULL) r (reason);

DELETE FROM rejects WHERE file IN (:'file', :'users');

\ir users_insert.sql
\ir plays_insert.sql
COMMIT;

-- The temporary functions outlive the transaction.
DROP FUNCTION pg_temp.decoded, pg_temp.time_of, pg_temp.registered_on, pg_temp.day_of;
VACUUM ANALYZE plays;
VACUUM ANALYZE users;
