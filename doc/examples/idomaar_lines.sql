-- idomaar_lines.sql: how the files of 30Music's archive are read.  Included by
-- load_30music.sql.
--
-- A line is a kind, a number, a time in seconds since 1970 or -1, properties and links,
-- both JSON, with tabs between them; in some lines there is a space before the links, and
-- some kinds have no links.
--
--     relations/events.idomaar    plays: the time, and links to a user and a track
--     entities/users.idomaar      when registered, and gender, age, country
--     entities/tracks.idomaar     the name, "artist/_/track" written as in an URL, the
--                                 duration in milliseconds, and links to persons and tags
--     entities/persons.idomaar    artists' names, written as in an URL
--     entities/tags.idomaar       tags' names
--
-- Users keep their numbers.  An artist's name is that of the person, or else the one in the
-- track's name.  A play of a track that tracks.idomaar does not describe is kept, with the
-- track's number for a name.  Durations and tags also go to track_metadata, so that the web
-- is asked only for what is unknown.  The other files are not needed: sessions.idomaar has
-- the same plays again, cut by the publisher, and a play's "playtime" is the publisher's
-- reckoning from the times of plays.

CREATE TEMPORARY TABLE play_line (line text) ON COMMIT DROP;
CREATE TEMPORARY TABLE entity_line (line text) ON COMMIT DROP;

\cd :folder
\copy play_line from program 'test -r relations/events.idomaar && tr "\000\001\002\r" "    " < relations/events.idomaar | cat -n' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\copy entity_line from program 'for f in persons tags tracks users; do test -r entities/$f.idomaar || exit 1; tr "\000\001\002\r" "    " < entities/$f.idomaar | cat -n | awk -v f=$f "{print f \"\t\" \$0}"; done' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\cd :here

\ir line_functions.sql

-- The JSON, or NULL where it is malformed.
CREATE FUNCTION pg_temp.json_of(text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
	RETURN $1::jsonb;
EXCEPTION
	WHEN data_exception OR program_limit_exceeded OR feature_not_supported THEN
		RETURN NULL;
END
$$;

-- A name written as in an URL: "Dj%27s+Rock".  As JSON strings have escapes too, they do the
-- work: a byte becomes the character of its number, as if read as Latin-1.  Control
-- characters become spaces.
CREATE FUNCTION pg_temp.unescaped(name text) RETURNS text
LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
	name := replace(name, '+', ' ');
	IF position('%' IN name) > 0 THEN
		name := convert_from(convert_to(replace(name, '%00', ' '), 'UTF8'), 'LATIN1');
		name := regexp_replace(to_json(name)::text, '%([0-9A-Fa-f]{2})', '\\u00\1', 'g')::jsonb #>> '{}';
		name := pg_temp.decoded(name);
	END IF;
	RETURN btrim(translate(name, E'\u0001\u0002\t\n\r', '     '));
END
$$;

-- Links behind a space.
CREATE FUNCTION pg_temp.json_fields(f text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE
	WHEN cardinality(f) = 1 AND position('} {' IN f[1]) > 0
	THEN ARRAY[substr(f[1], 1, position('} {' IN f[1])), substr(f[1], position('} {' IN f[1]) + 2)]
	ELSE f
END;

-- ---- artists, tags, tracks and users ----
-- Fields: file, line, kind, number, time, properties, links.

CREATE TEMPORARY TABLE entity ON COMMIT DROP AS
SELECT file, line, id, stamp, properties, links, content,
	   CASE
		   WHEN fields < 6 THEN 'fewer than four fields'
		   WHEN kind <> rtrim(file, 's') THEN 'another kind of thing'
		   WHEN id IS NULL THEN 'not a number'
		   WHEN jsonb_typeof(properties) IS DISTINCT FROM 'object'
				OR (file = 'tracks' AND jsonb_typeof(links) IS DISTINCT FROM 'object')
		   THEN 'malformed JSON'
	   END AS reason
  FROM (SELECT f[1] AS file, btrim(f[2])::bigint AS line, f[3] AS kind,
			   CASE WHEN f[4] ~ '^[0-9]{1,15}$' THEN f[4]::bigint END AS id,
			   btrim(f[5]) AS stamp, pg_temp.json_of(j[1]) AS properties,
			   CASE WHEN f[1] = 'tracks' THEN pg_temp.json_of(j[2]) END AS links,
			   cardinality(f) AS fields, array_to_string(f[3:], E'\t') AS content
		  FROM (SELECT f, pg_temp.json_fields(f[6:]) AS j
				  FROM (SELECT string_to_array(pg_temp.decoded(line), E'\t') AS f
						  FROM entity_line
						OFFSET 0) s
				OFFSET 0) t
		OFFSET 0) e;
CREATE INDEX ON entity (file, id, line);
ANALYZE entity;

-- Of several lines about the same thing the first one counts.
UPDATE entity e SET reason = 'another line of this number'
 WHERE reason IS NULL
   AND EXISTS (SELECT FROM entity b
				WHERE b.file = e.file AND b.id = e.id AND b.line < e.line AND b.reason IS NULL);

CREATE TEMPORARY TABLE named ON COMMIT DROP AS
SELECT file, id, pg_temp.unescaped(properties ->> CASE file WHEN 'persons' THEN 'name' ELSE 'value' END) AS name
  FROM entity WHERE reason IS NULL AND file IN ('persons', 'tags');
UPDATE entity e SET reason = 'too long'
  FROM named n WHERE n.file = e.file AND n.id = e.id AND e.reason IS NULL AND octet_length(n.name) > 900;
DELETE FROM named WHERE octet_length(name) > 900 OR name IS NULL OR name = '';
CREATE INDEX ON named (file, id);
ANALYZE named;

CREATE TEMPORARY TABLE track ON COMMIT DROP AS
SELECT t.id,
	   CASE WHEN n.name IS NOT NULL THEN n.name
			WHEN position('/_/' IN t.name) > 0
			THEN nullif(pg_temp.unescaped(split_part(t.name, '/_/', 1)), '')
	   END AS artist_name,
	   t.track_name, t.duration, t.tags
  FROM (SELECT id, name,
			   nullif(pg_temp.unescaped(CASE WHEN position('/_/' IN name) > 0
											 THEN substr(name, position('/_/' IN name) + 3)
											 ELSE name
										END), '') AS track_name,
			   CASE
				   WHEN properties ->> 'duration' ~ '^[0-9]{1,12}$'
				   THEN nullif((properties ->> 'duration')::float8 / 1000, 0)
			   END AS duration,
			   CASE
				   WHEN links #>> '{artists,0,id}' ~ '^[0-9]{1,15}$'
				   THEN (links #>> '{artists,0,id}')::bigint
			   END AS artist,
			   CASE WHEN jsonb_typeof(links -> 'tags') = 'array' THEN links -> 'tags' END AS tags
		  FROM (SELECT *, properties ->> 'name' AS name FROM entity
				 WHERE file = 'tracks' AND reason IS NULL
				OFFSET 0) e
		OFFSET 0) t
  LEFT JOIN named n ON n.file = 'persons' AND n.id = t.artist;
UPDATE entity e SET reason = 'too long'
  FROM track t
 WHERE e.file = 'tracks' AND e.id = t.id AND e.reason IS NULL
   AND (octet_length(t.artist_name) > 900 OR octet_length(t.track_name) > 900);
DELETE FROM track WHERE octet_length(artist_name) > 900 OR octet_length(track_name) > 900;
ALTER TABLE track ADD PRIMARY KEY (id);
ANALYZE track;

-- ---- profiles ----
-- A value that makes no sense is rejected alone, and the user stays.

CREATE TEMPORARY TABLE profile_value ON COMMIT DROP AS
SELECT line, id, lower(btrim(coalesce(properties ->> 'gender', ''))) AS gender,
	   btrim(coalesce(properties ->> 'age', '')) AS age,
	   nullif(btrim(properties ->> 'country'), '') AS country, stamp, content
  FROM entity WHERE file = 'users' AND reason IS NULL;

INSERT INTO new_users (file, line, user_id, gender, age, country, registered)
SELECT 'entities/users.idomaar', line, id,
	   CASE WHEN gender IN ('m', 'f') THEN gender END,
	   CASE WHEN age ~ '^[0-9]{1,3}$' THEN nullif(age::integer, 0) END,
	   left(country, 1000),
	   CASE
		   WHEN stamp ~ '^[0-9]{1,10}$' AND stamp !~ '^0+$'
		   THEN (to_timestamp(stamp::bigint) AT TIME ZONE 'UTC')::date
	   END
  FROM profile_value;

INSERT INTO new_rejects (file, line, reason, content)
SELECT 'entities/users.idomaar', line, r.reason, content
  FROM profile_value,
	   LATERAL (SELECT 'not a gender' WHERE gender NOT IN ('m', 'f', 'n', '')
				UNION ALL
				SELECT 'not an age' WHERE age !~ '^([0-9]{0,3}|-1)$'
				UNION ALL
				SELECT 'not a date' WHERE stamp !~ '^([0-9]{0,10}|-1)$') r (reason)
UNION ALL
SELECT 'entities/' || file || '.idomaar', line, reason, content
  FROM entity WHERE reason IS NOT NULL;

-- ---- plays ----
-- Fields: line, kind, number, time, properties, links.

CREATE TEMPORARY TABLE play_value ON COMMIT DROP AS
SELECT line, user_id, track, ts, reason,
	   CASE WHEN reason IS NOT NULL THEN coalesce(pg_temp.decoded(content), '') END AS content
  FROM (SELECT *, CASE
					  WHEN octet_length(content) > 1800 THEN 'too long'
					  WHEN fields <> 2 THEN 'not five fields'
					  WHEN kind <> 'event.play' THEN 'not a play'
					  WHEN ts IS NULL THEN 'not a time'
					  WHEN links IS NULL THEN 'malformed JSON'
					  WHEN user_id IS NULL THEN 'no user'
					  WHEN track IS NULL THEN 'no track'
				  END AS reason
		  FROM (SELECT btrim(f[1])::bigint AS line, f[2] AS kind,
					   CASE
						   WHEN f[4] ~ '^[0-9]{1,10}$' AND f[4] !~ '^0+$' THEN to_timestamp(f[4]::bigint)
					   END AS ts,
					   links, cardinality(j) AS fields,
					   CASE
						   WHEN links #>> '{subjects,0,type}' = 'user'
						   THEN substring(links #>> '{subjects,0,id}' FROM '^[0-9]{1,15}$')
					   END AS user_id,
					   CASE
						   WHEN links #>> '{objects,0,type}' = 'track'
						   THEN substring(links #>> '{objects,0,id}' FROM '^[0-9]{1,15}$')::bigint
					   END AS track,
					   substr(line, position(E'\t' IN line) + 1) AS content
				  FROM (SELECT line, f, j, pg_temp.json_of(j[2]) AS links
						  FROM (SELECT line, f, pg_temp.json_fields(f[5:]) AS j
								  FROM (SELECT line, string_to_array(rtrim(line, ' '), E'\t') AS f
										  FROM play_line
										OFFSET 0) s
								OFFSET 0) t
						OFFSET 0) l
				OFFSET 0) v
		OFFSET 0) r;

INSERT INTO new_plays (file, line, user_id, ts, artist_name, track_name, duration, reason, content)
SELECT CASE WHEN reason IS NOT NULL THEN 'relations/events.idomaar' END,
	   CASE WHEN reason IS NOT NULL THEN line END,
	   user_id, ts, t.artist_name, CASE WHEN t.track_name IS NULL THEN p.track::text ELSE t.track_name END,
	   t.duration, reason, content
  FROM play_value p
  LEFT JOIN track t ON t.id = p.track;

ANALYZE play_value;

-- ---- durations and tags ----

CREATE TEMPORARY TABLE genre ON COMMIT DROP AS
SELECT id, array_agg(name ORDER BY place) AS genres
  FROM (SELECT t.id, lower(n.name) AS name, min(g.place) AS place
		  FROM track t
		 CROSS JOIN jsonb_array_elements(t.tags) WITH ORDINALITY AS g (tag, place)
		  JOIN named n ON n.file = 'tags'
			   AND n.id = substring(g.tag ->> 'id' FROM '^[0-9]{1,15}$')::bigint
		 GROUP BY 1, 2) d
 GROUP BY id;
ANALYZE genre;

INSERT INTO track_metadata (artist_name, track_name, duration, genres, status, tries, asked_at)
SELECT DISTINCT ON (1, 2) lower(artist_name) COLLATE "C", lower(track_name) COLLATE "C", duration,
	   coalesce(genres, '{}'), 'found', 1, now()
  FROM track t
  LEFT JOIN genre g USING (id)
 WHERE artist_name <> '' AND track_name <> ''
   AND (duration IS NOT NULL OR genres IS NOT NULL)
   AND id IN (SELECT track FROM play_value WHERE reason IS NULL)
 ORDER BY 1, 2, duration IS NULL, id
ON CONFLICT DO NOTHING;

DELETE FROM rejects WHERE file ~ '^(relations/events|entities/(persons|tags|tracks|users))\.idomaar$';

\ir users_insert.sql

-- The temporary functions outlive the transaction.
DROP FUNCTION pg_temp.json_fields, pg_temp.unescaped, pg_temp.json_of, pg_temp.decoded,
	pg_temp.registered_on, pg_temp.day_of;
