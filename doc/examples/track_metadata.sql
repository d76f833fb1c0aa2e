-- track_metadata.sql: the table build/track_info fills with what the Last.fm web API says
-- about tracks, and the function that reads the API's answers.
--
--     psql -f doc/examples/track_metadata.sql
--
-- Makes both in the current schema unless they are there; running it again changes no row.

\set ON_ERROR_STOP on

BEGIN;
SET LOCAL client_min_messages = warning;

CREATE TABLE IF NOT EXISTS track_metadata (
	artist_name text NOT NULL,
	track_name text NOT NULL,
	duration double precision CHECK (duration > 0),
	genres text[] NOT NULL DEFAULT '{}',
	status text NOT NULL CHECK (status IN ('found', 'not found', 'failed')),
	reason text CHECK ((reason IS NULL) = (status = 'found')),
	tries integer NOT NULL CHECK (tries > 0),
	asked_at timestamptz NOT NULL,
	PRIMARY KEY (artist_name, track_name)
);
COMMENT ON TABLE track_metadata IS
	'what the web API answered about a track; names are lower-cased';
COMMENT ON COLUMN track_metadata.artist_name IS 'lower(artist_name) of the plays';
COMMENT ON COLUMN track_metadata.track_name IS 'lower(track_name) of the plays';
COMMENT ON COLUMN track_metadata.duration IS 'seconds the track lasts; NULL is unknown';
COMMENT ON COLUMN track_metadata.genres IS 'lower-cased tags, the most used first';
COMMENT ON COLUMN track_metadata.status IS
	'found, not found (the API does not know the track), or failed (no usable answer)';
COMMENT ON COLUMN track_metadata.reason IS 'why there is no answer';
COMMENT ON COLUMN track_metadata.tries IS 'requests made in the run that wrote the row';
COMMENT ON COLUMN track_metadata.asked_at IS 'when the row was written';

-- What an answer with this HTTP status means.  The verdict is
--     found, not found  final: the track's row can be written
--     retry             this request went wrong, another one may not
--     pause             the service wants to be left alone for a while
--     stop              no request can succeed: the key or the address is wrong
-- The API reports errors with status 200 as well as with others, so its own error number
-- decides where there is one.
CREATE OR REPLACE FUNCTION read_track_answer(http_status integer, answer bytea,
											 OUT verdict text, OUT reason text,
											 OUT duration double precision, OUT genres text[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
AS $$
DECLARE
	doc jsonb;
	track jsonb;
	tags jsonb;
	error text;
BEGIN
	BEGIN
		doc := convert_from(answer, 'UTF8')::jsonb;
		IF jsonb_typeof(doc) = 'object' THEN
			error := left(doc ->> 'error', 20);
			reason := 'error ' || error || coalesce(': ' || left(doc ->> 'message', 200), '');
			track := doc -> 'track';
		END IF;

		IF error IS NULL AND http_status = 200 AND jsonb_typeof(track) = 'object' THEN
			-- milliseconds, as a text or a number; 0 is unknown
			duration := substring(track ->> 'duration' FROM '^\s*([0-9]{1,12})\s*$')::bigint / 1000.0;
			duration := nullif(duration, 0);

			-- a list of tags, or the only tag itself, or "" in place of no tags
			tags := track -> 'toptags';
			IF jsonb_typeof(tags) = 'object' THEN
				tags := tags -> 'tag';
			END IF;
			IF jsonb_typeof(tags) = 'object' THEN
				tags := jsonb_build_array(tags);
			END IF;
			genres := '{}';
			IF jsonb_typeof(tags) = 'array' THEN
				SELECT coalesce(array_agg(name ORDER BY first), '{}')
				  INTO genres
				  FROM (SELECT lower(btrim(tag ->> 'name')) AS name, min(n) AS first
						  FROM jsonb_array_elements(tags) WITH ORDINALITY AS t (tag, n)
						 WHERE jsonb_typeof(tag) = 'object'
						 GROUP BY 1) g
				 WHERE name <> '';
			END IF;
			verdict := 'found';
			RETURN;
		END IF;
	EXCEPTION
		-- not UTF-8, not JSON, an escape that is no character; nested without end
		WHEN data_exception OR program_limit_exceeded OR feature_not_supported THEN
			reason := 'malformed answer';
			error := NULL;
			duration := NULL;
			genres := NULL;
	END;

	verdict := CASE
		WHEN error IN ('6', '7') THEN 'not found'
		WHEN error IN ('2', '3', '4', '5', '9', '10', '13', '14', '26') THEN 'stop'
		WHEN error IN ('11', '29') THEN 'pause'
		WHEN error IS NULL AND http_status IN (429, 503) THEN 'pause'
		ELSE 'retry'
	END;
	IF error IS NULL AND http_status <> 200 THEN
		reason := 'HTTP status ' || http_status;
	END IF;
	reason := coalesce(reason, 'neither a track nor an error');
END
$$;
COMMENT ON FUNCTION read_track_answer(integer, bytea) IS
	'what an answer of the web API to track.getInfo means';

COMMIT;
