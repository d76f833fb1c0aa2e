-- Reports and plots: well-formed, complete, harmless, and with the figures of evaluate().
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET extra_float_digits = 0;

-- Lengths with a heavy tail; every user has a level of their own.
CREATE TABLE report_sessions AS
SELECT u AS user_id, timestamptz '2020-01-01 00:00+00' + n * interval '5 hours' AS session_start,
	   n AS session_number,
	   round(exp(5 + 0.02 * u + 5 * ((u * 7919 + n * 104729) % 1009) / 1009.0))::float8 AS session_length
  FROM generate_series(1, 60) u, generate_series(1, 80) n;
SELECT version, epochs FROM sessionlen.train('report', 'report_sessions', 'session_length', 'user_id', 'session_start',
	known => '{session_number}',
	options => '{"epochs": 3, "hidden_dim": 8, "verbose": false, "target_transform": "log1p"}');

-- count(page, path): how many nodes a path finds; names are those of XHTML and SVG.
CREATE FUNCTION report_count(page text, path text) RETURNS bigint LANGUAGE sql
RETURN cardinality(xpath(path, xmlparse(DOCUMENT page),
	'{{h, http://www.w3.org/1999/xhtml}, {s, http://www.w3.org/2000/svg}}'));
CREATE FUNCTION report_text(page text, path text) RETURNS text[] LANGUAGE sql
RETURN xpath(path, xmlparse(DOCUMENT page),
	'{{h, http://www.w3.org/1999/xhtml}, {s, http://www.w3.org/2000/svg}}')::text[];

-- The learning curve: two panels, a mark for each epoch and curve.
SELECT sessionlen.plot_learning_curve('report') AS svg \gset
SELECT report_text(:'svg', '/s:svg/s:title/text()') AS title,
	   report_count(:'svg', '/s:svg[@role = "img"]') AS image,
	   report_count(:'svg', '//s:path[contains(@class, "sl-l ")]') AS lines,
	   report_count(:'svg', '//s:circle[@r = "3.5"]') AS marks;
SELECT unnest(report_text(:'svg', '//s:text[@class = "sl-h" or @class = "sl-q"]/text()')) AS label;
SELECT :'svg' ~ 'prefers-color-scheme:dark' AS dark, :'svg' ~ '(href|src|url\(|@import|<script)' AS outside,
	   :'svg' !~ '[^\x01-\x7f]' AS ascii;
SELECT sessionlen.plot_learning_curve('report', 1) = :'svg' AS by_version;

-- Every class that is used has a colour or a width.
SELECT DISTINCT c AS undefined_class
  FROM unnest(report_text(:'svg' , '//@class')) u, regexp_split_to_table(u, ' ') c
 WHERE strpos(:'svg', '.' || c || '{') = 0 AND strpos(:'svg', '.' || c || ',') = 0;

-- Predictions: a dot a row, drawn where the values are.
SELECT sessionlen.plot_predictions('report') AS svg \gset
SELECT report_text(:'svg', '/s:svg/s:title/text()') AS title,
	   report_count(:'svg', '//s:circle') = (SELECT count(*) FROM sessionlen.predictions('report')) AS a_dot_a_row,
	   report_count(:'svg', '//s:rect') AS boxes;
SELECT unnest(report_text(:'svg', '//s:text[@class = "sl-h" or @class = "sl-q"]/text()')) AS label;
WITH dots AS (
	SELECT ordinality, (xpath('//@cx', x))[1]::text::float8 AS x, (xpath('//@cy', x))[1]::text::float8 AS y
	  FROM unnest(xpath('//*[local-name() = "circle"]', :'svg'::xml)) WITH ORDINALITY u(x, ordinality)),
rows AS (
	SELECT ordinality, actual, prediction FROM sessionlen.predictions('report') WITH ORDINALITY)
SELECT corr(x, ln(actual)) > 0.9999 AS x_is_log_of_actual, corr(y, -ln(prediction)) > 0.9999 AS y_is_log_of_predicted,
	   min(x) >= 0 AND max(x) <= 440 AND min(y) >= 0 AND max(y) <= 330 AS inside
  FROM dots JOIN rows USING (ordinality);

-- More rows than points: 2,000 of them, always the same.
SELECT report_count(svg, '//s:circle') AS points, svg = sessionlen.plot_predictions('report', part => 'all') AS again
  FROM sessionlen.plot_predictions('report', 'report_sessions', 'all') svg;

-- A target that is not heavy-tailed and not in seconds, negative too: linear axes.
CREATE VIEW report_plain AS SELECT user_id, session_start, session_number, (user_id % 10) - 5.0 + (session_number % 3) AS score
  FROM report_sessions;
SELECT version FROM sessionlen.train('report_plain', 'report_plain', 'score', 'user_id', 'session_start',
	known => '{session_number}', options => '{"epochs": 1, "hidden_dim": 4, "verbose": false, "split": {"validation": 0}}');
SELECT unnest(report_text(sessionlen.plot_predictions('report_plain'), '//s:text[@class = "sl-h" or @class = "sl-q"]/text()')) AS label;
-- without validation there is one panel, and one epoch is a mark without a line
SELECT report_text(svg, '/s:svg/@viewBox') AS size, report_count(svg, '//s:circle[@r = "3.5"]') AS marks
  FROM sessionlen.plot_learning_curve('report_plain') svg;

-- The page is well-formed, in order, and complete.
SELECT sessionlen.report('report') AS page \gset
SELECT unnest(report_text(:'page', '//h:h1/text() | //h:h2/text() | //h:h3/text()')) AS heading;
SELECT report_text(:'page', '/h:html/@lang') AS lang, report_count(:'page', '//h:header') AS header,
	   report_count(:'page', '//h:main') AS main, report_count(:'page', '//h:footer') AS footer,
	   report_count(:'page', '//h:nav[@aria-label]') AS nav, report_count(:'page', '//s:svg') AS drawings,
	   report_count(:'page', '//h:meta[@name = "viewport"]') AS viewport;
SELECT report_count(:'page', '//h:table[not(h:caption)]') AS without_caption,
	   report_count(:'page', '//h:th[not(@scope)]') AS without_scope,
	   report_count(:'page', '//h:figure[not(h:figcaption)]') AS without_figcaption,
	   report_count(:'page', '//h:tbody/h:tr[count(*) != count(../../h:thead/h:tr/*)]') AS ragged,
	   report_count(:'page', '//h:a[not(starts-with(@href, "#"))]') AS outside_links,
	   report_count(:'page', '//*[local-name() = "script" or local-name() = "link" or local-name() = "iframe"]') AS active,
	   report_count(:'page', '//@src | //@*[starts-with(local-name(), "on")]') AS loaded;
SELECT id, count(*) FROM unnest(report_text(:'page', '//@id')) id GROUP BY id HAVING count(*) > 1;
SELECT ref AS dangling FROM unnest(report_text(:'page', '//@aria-labelledby')) l, regexp_split_to_table(l, ' ') ref
 WHERE ref <> ALL (report_text(:'page', '//@id'));
SELECT href AS dangling FROM unnest(report_text(:'page', '//@href')) href
 WHERE substr(href, 2) <> ALL (report_text(:'page', '//@id'));
SELECT DISTINCT c AS undefined_class
  FROM unnest(report_text(:'page' , '//@class')) u, regexp_split_to_table(u, ' ') c
 WHERE :'page' !~ ('\.' || c || '[^-a-z0-9]');

-- Its errors are those of evaluate().
WITH shown AS (
	SELECT ordinality, (xpath('/h:tr/*/text()', r, '{{h, http://www.w3.org/1999/xhtml}}'))::text[] AS cell
	  FROM unnest(xpath('//h:section[@id = "errors"]//h:tbody/h:tr', xmlparse(DOCUMENT :'page'),
						'{{h, http://www.w3.org/1999/xhtml}}')) WITH ORDINALITY u(r, ordinality)),
expected AS (
	SELECT ordinality, predictor, mae, rmse, median_ae, normalized_mae
	  FROM sessionlen.evaluate('report') WITH ORDINALITY)
SELECT predictor, cell[1] AS named,
	   abs(replace(cell[2], ',', '')::float8 - mae) <= 0.51 AS mae,
	   abs(replace(cell[3], ',', '')::float8 - rmse) <= 0.51 AS rmse,
	   abs(replace(cell[4], ',', '')::float8 - median_ae) <= 0.51 AS median_ae,
	   abs(cell[5]::float8 - normalized_mae) <= 0.00051 AS normalized
  FROM expected LEFT JOIN shown USING (ordinality) ORDER BY ordinality;
-- and of each band those of a query
WITH shown AS (
	SELECT (xpath('/h:tr/*/text()', r, '{{h, http://www.w3.org/1999/xhtml}}'))::text[] AS cell
	  FROM unnest(xpath('(//h:section[@id = "predictions"]//h:table)[1]/h:tbody/h:tr', xmlparse(DOCUMENT :'page'),
						'{{h, http://www.w3.org/1999/xhtml}}')) u(r)),
expected AS (
	SELECT width_bucket(actual, '{600,1800,3600,7200}') AS band, count(*) AS rows,
		   percentile_cont(0.5) WITHIN GROUP (ORDER BY prediction / actual) AS median
	  FROM sessionlen.predictions('report') GROUP BY band)
SELECT cell[1] AS band, cell[2]::bigint = e.rows AS rows, abs(cell[6]::float8 - e.median) < 0.006 AS median
  FROM expected e FULL JOIN (SELECT *, row_number() OVER () AS n FROM shown) s ON s.n = e.band + 1
 ORDER BY e.band;

-- Several models: sorted by error, equal baselines once, references beside.
SELECT version FROM sessionlen.train('report_other', 'report_sessions', 'session_length', 'user_id', 'session_start',
	known => '{session_number}', options => '{"epochs": 2, "hidden_dim": 4, "verbose": false, "target_transform": "log1p", "seed": 5}');
SELECT sessionlen.report(ARRAY['report', 'report_other'], reference => '{"report": 0.87, "user mean": 1, "none": 2}') AS page \gset
SELECT report_text(:'page', '//h:h1/text() | //h:h2/text()') AS headings, report_count(:'page', '//s:svg') AS drawings,
	   report_text(:'page', '//s:title/text()') AS title;
WITH shown AS (
	SELECT ordinality, (xpath('/h:tr/*/text()', r, '{{h, http://www.w3.org/1999/xhtml}}'))::text[] AS cell
	  FROM unnest(xpath('//h:section[@id = "errors"]//h:tbody/h:tr', xmlparse(DOCUMENT :'page'),
						'{{h, http://www.w3.org/1999/xhtml}}')) WITH ORDINALITY u(r, ordinality)),
expected AS (
	SELECT DISTINCT ON (name) name, row_count, mae, normalized_mae
	  FROM unnest('{report,report_other}'::text[]) m, sessionlen.evaluate(m),
		   LATERAL (SELECT CASE predictor WHEN 'model' THEN m ELSE predictor END) n(name) ORDER BY name)
SELECT count(*), bool_and(abs(replace(cell[3], ',', '')::float8 - mae) <= 0.51) AS mae,
	   bool_and(abs(cell[6]::float8 - normalized_mae) <= 0.00051) AS normalized,
	   bool_and(replace(cell[2], ',', '')::bigint = row_count) AS rows,
	   string_agg(name || ' ' || cell[7], ', ' ORDER BY name) AS reference
  FROM expected FULL JOIN shown ON name = cell[1];
SELECT array_agg(m ORDER BY n) = array_agg(m ORDER BY m) AS smallest_first
  FROM unnest(report_text(:'page', '//h:section[@id = "errors"]//h:tbody/h:tr/h:td[2]/text()')) WITH ORDINALITY u(t, n),
	   LATERAL (SELECT replace(t, ',', '')::float8) x(m);
-- references in detail: several scores, one of another measure with ours by it, a note
SELECT sessionlen.report(ARRAY['report', 'report_other'], reference =>
	'{"report": {"score": 0.62, "measured": 0.4449, "note": "divided <otherwise>"}, "report_other": [0.81, 0.79], "user mean": {"score": [1]}}') AS page \gset
SELECT rc[1] AS name, rc[7] AS reference, rc[8] AS by_its_measure
  FROM unnest(xpath('//h:section[@id = "errors"]//h:tbody/h:tr', xmlparse(DOCUMENT :'page'), '{{h, http://www.w3.org/1999/xhtml}}')) r,
	   LATERAL (SELECT array_agg(coalesce((xpath('/*/text()', c))[1]::text, '') ORDER BY n)
				  FROM unnest(xpath('/h:tr/*', r, '{{h, http://www.w3.org/1999/xhtml}}')) WITH ORDINALITY u(c, n)) x(rc)
 ORDER BY 1;
SELECT unnest(report_text(:'page', '//h:section[@id = "errors"]//h:thead//h:th/text()')) AS head;
SELECT unnest(report_text(:'page', '//h:section[@id = "errors"]/h:p/text()')) AS says;
-- not comparable row by row: said so, with the baselines of each
SELECT report_text(page, '//h:section[@id = "errors"]/h:p[not(@class)]/text()') AS says,
	   report_count(page, '//h:section[@id = "errors"]//h:tbody/h:tr') AS rows, report_count(page, '//s:svg') AS drawings
  FROM sessionlen.report('{report,report_plain}'::text[]) page;
SELECT sessionlen.report('{}'::text[]);
SELECT sessionlen.report('{report,NULL}'::text[]);
SELECT sessionlen.report(NULL::text[]);
SELECT sessionlen.report('{report,report_none}'::text[]);
SELECT sessionlen.report('{report}'::text[], reference => '[1]');
SELECT sessionlen.report('{report}'::text[], reference => '{"report": "good"}');
SELECT sessionlen.report('{report}'::text[], reference => '{"report": [0.8, "good"]}');
SELECT sessionlen.report('{report}'::text[], reference => '{"report": {"score": {}}}');
SELECT sessionlen.report('{report}'::text[], reference => '{"report": {"score": 1, "measured": true}}');
SELECT sessionlen.report('{report}'::text[], reference => '{"report": {"score": 1, "note": 5}}');

-- Models of classes or items are compared by what their tasks are measured by, the best first.
CREATE TABLE report_tracks AS
SELECT s, p, 'track ' || (s * 7 + p * p) % 12 AS track, (s / 2 + p / 6) % 2 = 0 AS skipped
  FROM generate_series(1, 200) s, generate_series(1, 8) p;
SELECT m.model, t.version
  FROM (VALUES ('report_skip', 'skip', 'gru'), ('report_skip2', 'skip', 'encoder_decoder'), ('report_binary', 'binary', 'gru'),
			   ('report_items', 'next_items', 'gru')) m(model, task, architecture),
	   sessionlen.train(m.model, 'report_tracks', task => m.task, target => CASE WHEN m.task <> 'next_items' THEN 'skipped' END,
		partition_by => 's', order_by => 'p', item => 'track',
		options => jsonb_build_object('architecture', m.architecture, 'hidden_dim', 4, 'epochs', 2, 'verbose', false)) t;
CREATE FUNCTION report_rows(page text, measures int) RETURNS TABLE (place bigint, name text, rows bigint, measure float8[])
LANGUAGE sql BEGIN ATOMIC
	SELECT n, cell[1], cell[2]::bigint, (SELECT array_agg(nullif(m, U&'\2013')::float8 ORDER BY i)
		FROM unnest(cell[3:2 + measures]) WITH ORDINALITY c(m, i))
	  FROM unnest(xpath('//h:section[@id = "errors"]//h:tbody/h:tr', xmlparse(DOCUMENT page),
						'{{h, http://www.w3.org/1999/xhtml}}')) WITH ORDINALITY u(r, n),
		   LATERAL (SELECT (xpath('/h:tr/*/text()', r, '{{h, http://www.w3.org/1999/xhtml}}'))::text[] AS cell) c;
END;
CREATE FUNCTION report_expected(models text[], OUT name text, OUT rows bigint, OUT measure float8[]) RETURNS SETOF record
LANGUAGE sql BEGIN ATOMIC
	SELECT DISTINCT ON (1) CASE predictor WHEN 'model' THEN m ELSE predictor END, row_count,
		   CASE WHEN recall IS NOT NULL THEN ARRAY[recall, mrr]
				WHEN average_accuracy IS NOT NULL THEN ARRAY[average_accuracy, first_accuracy, accuracy, auc, log_loss]
				ELSE ARRAY[auc, log_loss, accuracy] END
	  FROM unnest(models) m, sessionlen.evaluate(m) WHERE cluster IS NULL;
END;
SELECT v.models, p.heads, p.drawings, count(e) AS expected, count(r) AS shown,
	   bool_and(r.rows = e.rows AND (SELECT bool_and(abs(a - b) <= 0.00051) FROM unnest(r.measure, e.measure) x(a, b))) AS as_evaluated,
	   array_agg(r.measure[1] ORDER BY r.place) = array_agg(r.measure[1] ORDER BY r.measure[1] DESC) AS best_first
  FROM (VALUES ('{report_skip,report_skip2}'::text[], 5), ('{report_binary}', 3), ('{report_items}', 2)) v(models, measures),
	   LATERAL (SELECT page, report_text(page, '//h:section[@id = "errors"]//h:th[@scope = "col"]/text()') AS heads,
					   report_count(page, '//s:svg') AS drawings FROM sessionlen.report(v.models) page) p,
	   report_expected(v.models) e FULL JOIN report_rows(p.page, v.measures) r USING (name)
 GROUP BY v.models, p.heads, p.drawings ORDER BY v.models;
SELECT sessionlen.report('{report_skip,report_items}'::text[]);
SELECT sessionlen.report('{report,report_binary}'::text[]);
SELECT name, rows, measure FROM sessionlen.report('{report_skip}'::text[], 'SELECT * FROM report_tracks WHERE s < 0') page, report_rows(page, 5);
-- Probabilities: how often they came true, as a query says it; items have no such drawing.
SELECT substring(d FROM 'of \d+ rows') AS rows, d LIKE '%:' || e.said || '. On%' AS as_queried
  FROM sessionlen.plot_predictions('report_skip2') svg, LATERAL (SELECT (report_text(svg, '//s:desc/text()'))[1] AS d) d,
	   LATERAL (SELECT string_agg(format(' %s and %s', to_char(p, 'FM0.000'), to_char(a, 'FM0.000')), ';' ORDER BY p) AS said
				  FROM (SELECT avg(prediction) AS p, avg(actual) AS a FROM sessionlen.predictions('report_skip2')
						 WHERE actual IS NOT NULL GROUP BY floor(prediction * 10)) b) e;
SELECT sessionlen.plot_predictions('report_items');
-- Their pages have it too, with its numbers in a table.
WITH shown AS (
	SELECT m, page, report_text(page, '(//h:section[@id = "predictions"]//h:table)[1]/h:tbody/h:tr/h:th/text()') AS predicted,
		   report_text(page, '(//h:section[@id = "predictions"]//h:table)[1]/h:tbody/h:tr/h:td[2]/text()') AS actual
	  FROM unnest('{report_skip,report_binary,report_items}'::text[]) m, sessionlen.report(m) page),
expected AS (
	SELECT m, array_agg(to_char(p, 'FM0.000') ORDER BY p) AS predicted, array_agg(to_char(a, 'FM0.000') ORDER BY p) AS actual
	  FROM (SELECT m, avg(prediction) AS p, avg(actual) AS a
			  FROM unnest('{report_skip,report_binary}'::text[]) m, sessionlen.predictions(m)
			 WHERE actual IS NOT NULL GROUP BY m, floor(prediction * 10)) b GROUP BY m)
SELECT m, report_text(page, '//h:section[@id = "predictions"]//s:svg/s:title/text()') AS drawn,
	   report_text(page, '//h:nav//h:a[@href = "#predictions"]/text()') AS contents,
	   s.predicted = e.predicted AND s.actual = e.actual AS as_queried
  FROM shown s LEFT JOIN expected e USING (m) ORDER BY m;

-- Nothing a user names becomes markup, whatever it is.
CREATE TABLE "report <b onclick='x'>&t" AS
SELECT '</td><img src=x onerror=alert(1)>' || user_id AS "user<i>", session_start AS "at""&'", session_number AS "</script>",
	   session_length AS "<svg onload=x>"
  FROM report_sessions WHERE user_id <= 30;
SELECT version FROM sessionlen.train(E'<script>alert("1")</script>&amp;''\u202e]]>-->\x01', '"report <b onclick=''x''>&t"',
	'<svg onload=x>', 'user<i>', 'at"&''', known => '{</script>}',
	options => '{"epochs": 1, "hidden_dim": 4, "verbose": false}');
SELECT sessionlen.report(E'<script>alert("1")</script>&amp;''\u202e]]>-->\x01') AS page \gset
SELECT report_text(:'page', '//h:h1/text()') AS heading,
	   report_count(:'page', '//*[local-name() = "script" or local-name() = "img" or local-name() = "b"]') AS elements,
	   report_count(:'page', '//@*[starts-with(local-name(), "on")]') AS handlers,
	   :'page' ~ '(<script|<img|<b |<i>u)' AS raw, report_count(:'page', '//s:svg') AS drawings;
SELECT report_text(svg, '/s:svg/s:title/text()') AS title, report_count(svg, '//s:svg') AS drawings
  FROM sessionlen.plot_predictions(E'<script>alert("1")</script>&amp;''\u202e]]>-->\x01') svg;

-- What is not there.
\set VERBOSITY default
SELECT sessionlen.plot_learning_curve('report_none');
SELECT sessionlen.plot_learning_curve('report', 7);
SELECT sessionlen.plot_learning_curve('report', 0);
SELECT sessionlen.plot_learning_curve(NULL);
SELECT sessionlen.plot_predictions('report_none');
SELECT sessionlen.plot_predictions('report', part => 'tset');
SELECT sessionlen.plot_predictions('report', part => NULL);
SELECT sessionlen.plot_predictions('report', 'SELECT * FROM report_sessions WHERE user_id < 0');
SELECT sessionlen.plot_predictions('report', 'report_no_table');
SELECT sessionlen.report('report_none');
SELECT sessionlen.report(NULL);
BEGIN;
DELETE FROM sessionlen.training_log WHERE model = 'report';
SELECT report_text(sessionlen.report('report'), '//h:section[@id = "learning"]/h:p/text()') AS says;
SELECT sessionlen.plot_learning_curve('report');
ROLLBACK;

-- No rows to measure: the page says so and has the rest.
SELECT report_text(page, '//h:section[@id = "errors"]/h:p/text()') AS says, report_text(page, '//h:nav//h:a/text()') AS contents
  FROM sessionlen.report('report', 'SELECT * FROM report_sessions WHERE user_id < 0') page;
-- The source is gone: likewise, and with another source all is there.
ALTER TABLE report_sessions RENAME TO report_renamed;
SELECT report_text(page, '//h:section[@id = "errors"]/h:p/text()') AS says, report_count(page, '//s:svg') AS drawings
  FROM sessionlen.report('report') page;
SELECT report_count(sessionlen.report('report', 'report_renamed'), '//s:svg') AS drawings;
SELECT sessionlen.plot_predictions('report');

-- Others see what they may: nothing, then all but the owner's stored source.
CREATE ROLE regress_report_reader;
GRANT SELECT ON report_renamed TO regress_report_reader;
SET ROLE regress_report_reader;
SELECT sessionlen.report('report');
SELECT sessionlen.plot_learning_curve('report');
RESET ROLE;
SELECT sessionlen.grant_model('report', 'regress_report_reader');
SET ROLE regress_report_reader;
SELECT report_count(sessionlen.report('report', 'report_renamed'), '//s:svg') AS drawings;
SELECT report_count(sessionlen.plot_learning_curve('report'), '//s:svg') AS drawings;
SELECT sessionlen.plot_predictions('report');
RESET ROLE;

SELECT sessionlen.drop_model(model) FROM (SELECT model FROM sessionlen.models WHERE model ~ '^report|script') m;
DROP VIEW report_plain;
DROP TABLE report_tracks;
DROP TABLE report_renamed, "report <b onclick='x'>&t";
DROP FUNCTION report_count, report_text, report_rows, report_expected;
DROP OWNED BY regress_report_reader;
DROP ROLE regress_report_reader;
