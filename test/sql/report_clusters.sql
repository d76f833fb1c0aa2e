-- Drawings of clusterings, and reports of models with a network for each cluster.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE FUNCTION rc_count(page text, path text) RETURNS bigint LANGUAGE sql
RETURN cardinality(xpath(path, xmlparse(DOCUMENT page),
	'{{h, http://www.w3.org/1999/xhtml}, {s, http://www.w3.org/2000/svg}}'));
CREATE FUNCTION rc_text(page text, path text) RETURNS text[] LANGUAGE sql
RETURN xpath(path, xmlparse(DOCUMENT page),
	'{{h, http://www.w3.org/1999/xhtml}, {s, http://www.w3.org/2000/svg}}')::text[];

-- Three groups far apart, of 60, 30 and 10 users, and one user without a length.
CREATE TABLE rc_users AS
SELECT 'user ' || i AS id, (i % 7) + g * 100.0 AS sessions, 1000 + i % 11 + g * 5000.0 AS average_session_length, i AS nothing
  FROM generate_series(1, 100) i, LATERAL (SELECT CASE WHEN i <= 60 THEN 0 WHEN i <= 90 THEN 1 ELSE 2 END) x(g);
SELECT k, points, sizes FROM sessionlen.cluster('rc', 'rc_users', 'id', '{sessions,average_session_length}', 3);
UPDATE rc_users SET nothing = NULL WHERE id = 'user 7';

SELECT sessionlen.plot_clusters('rc', 'sessions', 'average_session_length') AS svg \gset
SELECT rc_text(:'svg', '/s:svg/s:title/text()') AS title, rc_count(:'svg', '//s:circle[@r = "2"]') AS points,
	   rc_count(:'svg', '//s:circle[@r = "6.5"]') AS centroids;
SELECT unnest(rc_text(:'svg', '//s:text[@class]/text()')) AS label;
SELECT class, count(*) FROM unnest(rc_text(:'svg', '//s:circle[@r = "2"]/@class')) class GROUP BY class ORDER BY class;
-- a centroid lies amid its cluster's points
SELECT c.class, abs(avg((xpath('/*/@cx', d)::text[])[1]::float8) - min(c.x)) < 0.1 AS x,
	   abs(avg((xpath('/*/@cy', d)::text[])[1]::float8) - min(c.y)) < 0.1 AS y
  FROM (SELECT substr((xpath('/*/@class', m)::text[])[1], 6) AS class, (xpath('/*/@cx', m)::text[])[1]::float8 AS x,
			   (xpath('/*/@cy', m)::text[])[1]::float8 AS y
		  FROM unnest(xpath('//*[@r = "6.5"]', :'svg'::xml)) m) c
  JOIN unnest(xpath('//*[@r = "2"]', :'svg'::xml)) d ON substr((xpath('/*/@class', d)::text[])[1], 6) = c.class
 GROUP BY c.class ORDER BY c.class;
SELECT DISTINCT c AS undefined_class
  FROM unnest(rc_text(:'svg' , '//@class')) u, regexp_split_to_table(u, ' ') c
 WHERE :'svg' !~ ('\.' || c || '[^-a-z0-9]');
-- any column of the source or of another with the same keys; rows with a NULL are left out
SELECT rc_count(sessionlen.plot_clusters('rc', 'nothing', 'sessions'), '//s:circle[@r = "2"]') AS points;
SELECT rc_count(sessionlen.plot_clusters('rc', 'a', 'b"&<', 'SELECT id, 1 AS a, sessions AS "b""&<" FROM rc_users WHERE sessions < 100'),
				'//s:circle[@r = "2"]') AS points;

SELECT sessionlen.plot_elbow('rc_users', '{sessions,average_session_length}', 1, 6) AS svg \gset
SELECT rc_text(:'svg', '/s:svg/s:title/text()') AS title, rc_count(:'svg', '//s:circle[@r = "3.5"]') AS marks;
SELECT unnest(rc_text(:'svg', '//s:text[@class]/text()')) AS label;
SELECT corr((xpath('/*/@cy', c)::text[])[1]::float8, -inertia) > 0.99999 AS height_is_inertia
  FROM unnest(xpath('//*[local-name() = "circle"]', :'svg'::xml)) WITH ORDINALITY u(c, n)
  JOIN sessionlen.elbow('rc_users', '{sessions,average_session_length}', 1, 6) WITH ORDINALITY e(k, inertia, knee, n) USING (n);

SELECT sessionlen.plot_silhouette('rc') AS svg \gset
SELECT rc_text(:'svg', '/s:svg/s:title/text()') AS title, rc_count(:'svg', '//s:path[contains(@class, "sl-b ")]') AS bands,
	   format('{"mean %s"}', to_char(sessionlen.silhouette_score('rc'), 'FM0.000')) = rc_text(:'svg', '//s:text[starts-with(., "mean")]/text()')::text AS mean;
SELECT unnest(rc_text(:'svg', '//s:text/text()')) AS label;

-- More points than are drawn.
CREATE TABLE rc_many AS SELECT i AS id, (i % 100)::float8 AS x, (i / 100)::float8 AS y FROM generate_series(0, 4999) i;
SELECT points FROM sessionlen.cluster('rc_many', 'rc_many', 'id', '{x,y}', 12, options => '{"n_init": 1}');
SELECT rc_text(svg, '//s:text[@class = "sl-h"]/text()') AS title, rc_count(svg, '//s:circle[@r = "2"]') AS points,
	   rc_count(svg, '//*[starts-with(@class, "sl-m")]') AS means_and_legend,
	   svg = sessionlen.plot_clusters('rc_many', 'x', 'y') AS again
  FROM sessionlen.plot_clusters('rc_many', 'x', 'y') svg;
SELECT rc_count(sessionlen.plot_silhouette('rc_many'), '//s:path[contains(@class, "sl-b ")]') AS bands;

SET sessionlen.memory_limit = '1MB';
SELECT sessionlen.plot_clusters('rc_many', 'x', 'y', 'SELECT m.* FROM rc_many m, generate_series(1, 5)');
RESET sessionlen.memory_limit;

-- Names are not markup.
SELECT k FROM sessionlen.cluster('rc <b>&"''', 'SELECT id AS "k<", sessions AS "<script>", average_session_length AS "y''" FROM rc_users',
	'k<', ARRAY['<script>', 'y'''], 2);
SELECT rc_text(svg, '/s:svg/s:title/text()') AS title, rc_count(svg, '//*[local-name() = "script" or local-name() = "b"]') AS elements
  FROM sessionlen.plot_clusters('rc <b>&"''', '<script>', 'y''') svg;
SELECT rc_text(sessionlen.plot_silhouette('rc <b>&"'''), '/s:svg/s:title/text()') AS title;
SELECT rc_text(sessionlen.plot_elbow('SELECT sessions AS "<b>" FROM rc_users --<b>', '{<b>}', 1, 3), '/s:svg/s:title/text()') AS title;

-- What is not there.
SELECT sessionlen.plot_clusters('rc_none', 'x', 'y');
SELECT sessionlen.plot_clusters('rc', 'sessions', 'no_column');
SELECT sessionlen.plot_clusters('rc', 'sessions', NULL);
SELECT sessionlen.plot_clusters('rc', 'sessions', 'id');
SELECT sessionlen.plot_clusters('rc', 'sessions', 'nothing', 'SELECT * FROM rc_users WHERE false');
SELECT sessionlen.plot_silhouette('rc_none');
SELECT sessionlen.plot_silhouette(NULL);
SELECT sessionlen.plot_elbow('rc_none', '{x}');
SELECT sessionlen.plot_elbow(NULL, '{x}');
SELECT k FROM sessionlen.cluster('rc_one', 'rc_users', 'id', '{sessions}', 1);
SELECT rc_count(sessionlen.plot_clusters('rc_one', 'sessions', 'nothing'), '//s:circle[@r = "6.5"]') AS centroids;
SELECT sessionlen.plot_silhouette('rc_one');
ALTER TABLE rc_users RENAME TO rc_renamed;
SELECT sessionlen.plot_clusters('rc', 'sessions', 'nothing');
CREATE ROLE regress_rc_reader;
SET ROLE regress_rc_reader;
SELECT sessionlen.plot_clusters('rc', 'sessions', 'nothing');
RESET ROLE;
-- another role's stored source is not run, by a superuser either
CREATE ROLE regress_rc_owner;
GRANT SELECT ON rc_renamed TO regress_rc_owner;
SET ROLE regress_rc_owner;
SELECT k FROM sessionlen.cluster('rc_theirs', 'rc_renamed', 'id', '{sessions}', 2);
RESET ROLE;
SELECT sessionlen.plot_clusters('rc_theirs', 'sessions', 'sessions');
SELECT rc_count(sessionlen.plot_clusters('rc_theirs', 'sessions', 'sessions', 'rc_renamed'), '//s:circle[@r = "6.5"]') AS centroids;

-- A network for each cluster: curves, errors and sizes of each.
CREATE TABLE rc_sessions AS
SELECT 'user ' || u AS user_id, timestamptz '2020-01-01 00:00+00' + n * interval '5 hours' AS session_start, n AS session_number,
	   round(exp(5 + 0.02 * u + 5 * ((u * 7919 + n * 104729) % 1009) / 1009.0))::float8 AS session_length
  FROM generate_series(1, 100) u, generate_series(1, 30) n;
SELECT version FROM sessionlen.train('rc', 'rc_sessions', 'session_length', 'user_id', 'session_start',
	known => '{session_number}', clusters => 'rc',
	options => '{"epochs": 2, "hidden_dim": 4, "verbose": false, "min_users": 20, "split": {"by": "time"}}');
SELECT sessionlen.report('rc') AS page \gset
SELECT unnest(rc_text(:'page', '//h:caption/h:span/text()')) AS caption;
-- the clusters themselves: first two columns, sizes and means
SELECT unnest(rc_text(:'page', '//h:section[@id = "clusters"]/h:p/text() | //h:section[@id = "clusters"]//h:figcaption/text()')) AS says;
SELECT rc_count(:'page', '//h:section[@id = "clusters"]//s:circle[@r = "2"]') AS points,
	   rc_count(:'page', '//h:nav//h:a[@href = "#clusters"]') AS link,
	   rc_text(:'page', '//h:section[@id = "clusters"]//h:th/text()') AS heads,
	   rc_text(:'page', '//h:section[@id = "clusters"]//h:td/text()') AS cells;
SELECT id, count(*) FROM unnest(rc_text(:'page', '//@id')) id GROUP BY id HAVING count(*) > 1;
CREATE FUNCTION rc_clusters() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s points; ', rc_count(p, '//h:section[@id = "clusters"]//s:circle[@r = "2"]'))
		   || array_to_string(rc_text(p, '//h:section[@id = "clusters"]/h:p/text()'), ' ')
	  FROM sessionlen.report('rc', 'rc_sessions') p
$$;
-- fitted again, of another role, by one column, its source dropped, itself dropped
BEGIN;
SELECT k FROM sessionlen.cluster('rc', 'SELECT * FROM rc_renamed', 'id', '{average_session_length}', 2);
SELECT rc_clusters();
ALTER TABLE rc_renamed RENAME TO rc_users;
SELECT k FROM sessionlen.cluster('rc', 'rc_users', 'id', '{average_session_length,sessions}', 2);
SELECT rc_clusters();
ALTER TABLE rc_users RENAME TO rc_renamed;
SELECT rc_clusters();
UPDATE sessionlen.clusterings SET owner = 'regress_rc_owner' WHERE name = 'rc';
SELECT rc_clusters();
SELECT sessionlen.drop_clustering('rc');
SELECT rc_clusters();
ROLLBACK;
DROP FUNCTION rc_clusters;
SELECT rc_count(sessionlen.plot_learning_curve('rc'), '//s:path[contains(@class, "sl-l ")]') AS lines,
	   rc_text(sessionlen.plot_learning_curve('rc'), '//s:text[not(@class)][starts-with(., "cluster") or . = "all"]/text()') AS legend;
WITH shown AS (
	SELECT (xpath('/h:tr/*/text()', r, '{{h, http://www.w3.org/1999/xhtml}}'))::text[] AS cell
	  FROM unnest(xpath('(//h:section[@id = "errors"]//h:table)[2]/h:tbody/h:tr', xmlparse(DOCUMENT :'page'),
						'{{h, http://www.w3.org/1999/xhtml}}')) r)
SELECT cluster, row_count = replace(cell[2], ',', '')::bigint AS rows, abs(replace(cell[3], ',', '')::float8 - mae) <= 0.51 AS mae,
	   abs(cell[6]::float8 - normalized_mae) <= 0.00051 AS normalized
  FROM sessionlen.evaluate('rc') FULL JOIN shown ON cell[1] = cluster
 WHERE predictor = 'model' AND cluster IS NOT NULL OR predictor IS NULL ORDER BY cluster;

SELECT sessionlen.drop_model('rc');
SELECT count(sessionlen.drop_clustering(name)) FROM (SELECT name FROM sessionlen.clusterings WHERE name ~ '^rc') c;
DROP TABLE rc_renamed, rc_many, rc_sessions;
DROP FUNCTION rc_count, rc_text;
DROP OWNED BY regress_rc_owner, regress_rc_reader;
DROP ROLE regress_rc_owner, regress_rc_reader;
