-- load_30music.sql: loads the 30Music listening data, the archive as published or slices.
--
--     psql -v folder=/path/to/30music -f doc/examples/load_30music.sql
--
-- A folder with relations/events.idomaar is the unpacked archive: idomaar_lines.sql says
-- what is taken from it.  Otherwise the folder's files 30music*.txt are tab-separated UserId
-- SessionId ItemId Time ArtistId with a header line, Time in seconds since 1970; names are
-- the numbers of artists and items, and durations are unknown.
--
-- Fills the tables plays, users and rejects of the current schema and makes them if they
-- are missing; from the archive track_metadata too.  The publisher's sessions, which it cut
-- by a rule of its own, are not kept.  Rows occur twice: each play is loaded once, and
-- loading again adds nothing; a line that can't be used goes to rejects with its number and
-- the reason and stops nothing.

\set ON_ERROR_STOP on
\if :{?folder}
\else
	\warn 'usage: psql -v folder=/path/to/30music -f load_30music.sql'
	DO $$ BEGIN RAISE 'the variable folder is not set'; END $$;
\endif

SELECT current_setting('server_encoding') <> 'UTF8' AS wrong_encoding \gset
\if :wrong_encoding
	DO $$ BEGIN RAISE 'the database must have encoding UTF8'; END $$;
\endif

\set here `pwd`
\cd :folder
\set archive `test -e relations/events.idomaar && echo true || echo false`
\cd :here

\if :archive
	\ir track_metadata.sql
\endif

BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '512MB';
\ir plays_tables.sql

\if :archive

\ir idomaar_lines.sql

\else

CREATE TEMPORARY TABLE play_line (line text) ON COMMIT DROP;

\cd :folder
\copy play_line from program 'awk "{print FILENAME \"\t\" FNR \"\t\" \$0}" 30music*.txt | tr "\000\001\002\r" "    "; ls 30music*.txt > /dev/null' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\cd :here

-- Fields: file, line, user, session, item, time, artist.
INSERT INTO new_plays (file, line, user_id, ts, artist_name, track_name, reason, content)
SELECT f[1], f[2]::bigint, f[3],
	   CASE WHEN f[6] ~ '^[0-9]{1,10}$' THEN to_timestamp(f[6]::bigint) END,
	   nullif(f[7], ''), nullif(f[5], ''),
	   CASE
		   WHEN octet_length(array_to_string(f[3:], ' ')) > 1800 THEN 'too long'
		   WHEN cardinality(f) <> 7 THEN 'not five fields'
		   WHEN f[3] = '' THEN 'no user'
		   WHEN f[6] !~ '^[0-9]{1,10}$' THEN 'not a time'
	   END,
	   CASE
		   WHEN cardinality(f) <> 7 OR f[3] = '' OR f[6] !~ '^[0-9]{1,10}$'
				OR octet_length(array_to_string(f[3:], ' ')) > 1800
		   THEN array_to_string(f[3:], E'\t')
	   END
  FROM (SELECT string_to_array(rtrim(line, ' '), E'\t') AS f FROM play_line OFFSET 0) s
 WHERE NOT (f[2] = '1' AND f[3] = 'UserId');

DELETE FROM rejects WHERE file LIKE '30music%.txt';

\endif

\ir plays_insert.sql
COMMIT;
VACUUM ANALYZE plays;
VACUUM ANALYZE users;
