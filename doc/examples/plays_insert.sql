-- plays_insert.sql: moves new_plays into plays, each play once and none that is there, and
-- its rejected lines into rejects.  Included by the loaders.

ANALYZE new_plays;

-- In the order of users and time, so that a user's plays lie together on disk.  The
-- collation only has to be fast: it decides what comes first, not what is equal.
INSERT INTO plays (user_id, ts, artist_name, track_name, duration)
SELECT DISTINCT ON (n.user_id COLLATE "C", n.ts, n.artist_name COLLATE "C",
					n.track_name COLLATE "C")
	   n.user_id, n.ts, n.artist_name, n.track_name, n.duration
  FROM new_plays n
 WHERE n.reason IS NULL
   AND NOT EXISTS (SELECT FROM plays p
					WHERE p.user_id = n.user_id
					  AND p.ts = n.ts
					  AND coalesce(p.artist_name, '') = coalesce(n.artist_name, '')
					  AND coalesce(p.track_name, '') = coalesce(n.track_name, ''))
 ORDER BY n.user_id COLLATE "C", n.ts, n.artist_name COLLATE "C", n.track_name COLLATE "C",
		  n.duration DESC NULLS LAST;

INSERT INTO rejects (file, line, reason, content)
SELECT file, line, reason, left(content, 1000)
  FROM new_plays
 WHERE reason IS NOT NULL
 ORDER BY file, line;

CREATE INDEX IF NOT EXISTS plays_user_id_ts_idx ON plays (user_id, ts);

-- Users without a profile are users too.
INSERT INTO users (user_id)
SELECT DISTINCT user_id FROM new_plays WHERE reason IS NULL
ON CONFLICT DO NOTHING;
