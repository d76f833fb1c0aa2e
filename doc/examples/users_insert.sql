-- users_insert.sql: moves new_users into users and new_rejects into rejects.  A user known
-- from plays alone gets a profile; of several profiles the first stays, and another one is
-- rejected.  Included by the loaders.

INSERT INTO users AS u (user_id, gender, age, country, registered)
SELECT DISTINCT ON (user_id COLLATE "C") user_id, gender, age, country, registered
  FROM new_users
 ORDER BY user_id COLLATE "C", line
ON CONFLICT (user_id) DO UPDATE
   SET (gender, age, country, registered)
	   = (excluded.gender, excluded.age, excluded.country, excluded.registered)
 WHERE num_nonnulls(u.gender, u.age, u.country, u.registered) = 0
   AND num_nonnulls(excluded.gender, excluded.age, excluded.country, excluded.registered) > 0;

INSERT INTO new_rejects (file, line, reason, content)
SELECT n.file, n.line, 'another profile of this user',
	   concat_ws(E'\t', n.user_id, coalesce(n.gender, ''), coalesce(n.age::text, ''),
				 coalesce(n.country, ''), coalesce(n.registered::text, ''))
  FROM new_users n
  JOIN users u USING (user_id)
 WHERE (n.gender, n.age, n.country, n.registered)
	   IS DISTINCT FROM (u.gender, u.age, u.country, u.registered);

INSERT INTO rejects (file, line, reason, content)
SELECT file, line, reason, left(content, 1000)
  FROM new_rejects
 ORDER BY file, line, reason;
