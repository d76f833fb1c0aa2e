-- The query of bench/sessions.sql in DuckDB, over the same log, on one thread and on all:
--
--   psql -v export=/tmp/log.csv -f bench/sessions.sql
--   LOG=/tmp/log.csv duckdb -f bench/sessions_duckdb.sql
--
-- Prints the sessions and their seconds for each run, then times for table.pl.  Times in
-- the log are whole microseconds, since intervals would be slower.
.mode list
.separator "\t"
.headers off
SET VARIABLE several = current_setting('threads');
CREATE TABLE log AS
	SELECT user_id, epoch_us(ts) AS ts, CAST(round(duration * 1e6) AS BIGINT) AS duration
	  FROM read_csv(getenv('LOG'), header = true,
	                columns = {'user_id': 'BIGINT', 'ts': 'TIMESTAMPTZ', 'duration': 'DOUBLE'});
PREPARE run AS
	SELECT count(*) AS sessions, sum(length) AS seconds
	  FROM (SELECT user_id, n, min(ts), (max(ts + duration) - min(ts)) / 1e6 AS length, count(*)
	          FROM (SELECT user_id, ts, duration, sum(new) OVER (PARTITION BY user_id ORDER BY ts, duration ROWS UNBOUNDED PRECEDING) AS n
	                  FROM (SELECT user_id, ts, duration, CAST(coalesce(ts - lag(ts + duration) OVER (PARTITION BY user_id ORDER BY ts, duration) > 1800000000, true) AS INT) AS new
	                          FROM log))
	         GROUP BY user_id, n);
CREATE TABLE times (threads INT, us BIGINT);
SET threads = 1;
SET VARIABLE began = epoch_us(now());
EXECUTE run;
INSERT INTO times SELECT current_setting('threads'), epoch_us(now()) - getvariable('began');
SET VARIABLE began = epoch_us(now());
EXECUTE run;
INSERT INTO times SELECT current_setting('threads'), epoch_us(now()) - getvariable('began');
SET threads = getvariable('several');
SET VARIABLE began = epoch_us(now());
EXECUTE run;
INSERT INTO times SELECT current_setting('threads'), epoch_us(now()) - getvariable('began');
SET VARIABLE began = epoch_us(now());
EXECUTE run;
INSERT INTO times SELECT current_setting('threads'), epoch_us(now()) - getvariable('began');
SELECT 'VERSION', 'DuckDB', ltrim(version(), 'v');
SELECT 'RESULT', (SELECT format('sessions() of {:,} events', count(*)) FROM log), 'DuckDB', us / 1e6, threads || ' threads' FROM times ORDER BY us;
