-- demo.sql: what the loaded plays look like as sessions.
SELECT count(*) AS users, sum(cardinality(l)) AS sessions
FROM (SELECT user_id, sessionlen.sessions(ts, duration, '30 min') AS l
	  FROM plays GROUP BY user_id) p;
