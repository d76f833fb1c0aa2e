-- Prediction of items: what comes next, ranks of what came, both beside exhaustive
-- enumeration and plain SQL.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE TABLE pi_plays AS
	SELECT s, n, 'i' || CASE WHEN h < 70 THEN (s + n * 3) % 4 ELSE h % 6 END AS item, n % 3 AS hour, 's' || s % 2 AS country, h::float8 AS energy
	FROM generate_series(1, 150) s, generate_series(1, 1 + s % 9) n, LATERAL (SELECT ('x' || substr(md5(s || '-' || n), 1, 6))::bit(24)::int % 100 AS h) x;
CREATE FUNCTION pi_train(name text, options jsonb, known text[] DEFAULT '{}', static text[] DEFAULT '{}', observed text[] DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('pi_' || name, 'pi_plays', partition_by => 's', order_by => 'n', item => 'item', known => known, static => static, observed => observed, task => 'next_items',
		options => '{"epochs": 3, "hidden_dim": 7, "batch_size": 16, "learning_rate": 0.01, "verbose": false, "split": {"by": "user", "validation": 0.1, "test": 0.3}}' || options)
$$;
-- i5 and its like are too rare for a code: min_count 40.
SELECT pi_train('gru', '{"min_count": 40}'), pi_train('known', '{"architecture": "lstm", "hidden_dim": [6, 5]}', '{hour}', '{country}', '{energy}'), pi_train('ahead', '{"horizon": 2}'),
	   pi_train('row', '{"sequence_length": 1}'), pi_train('coder', '{"architecture": "encoder_decoder", "cell": "lstm", "horizon": 2}', '{hour}', '{}', '{energy}'),
	   pi_train('both', '{"architecture": "encoder_decoder", "bidirectional": true, "sequence_length": 6}', '{}', '{country}');
CREATE TABLE pi_model AS SELECT model, options ->> 'horizon' AS horizon FROM sessionlen.model_versions WHERE model LIKE 'pi\_%';
SELECT column_name, entries, row_counts FROM sessionlen.vocabularies WHERE model = 'pi_gru';
CREATE FUNCTION pi_near(a float8, b float8) RETURNS boolean LANGUAGE sql AS
	$$ SELECT abs(a - b) <= 2e-5 * greatest(abs(a), abs(b)) OR a IS NULL AND b IS NULL $$;

-- item_predictions(): ranks and probabilities are those of predict_items() from the rows
-- before; where the network has a horizon, of the first row that is predicted.
CREATE TABLE pi_ranks AS SELECT m.model, m.horizon, p.*, partition_key::int AS s, order_key::int AS n FROM pi_model m, sessionlen.item_predictions(m.model, part => 'all') p;
SELECT model, count(*), count(i.rank), bool_and(r.rank IS NOT DISTINCT FROM i.rank) AS rank, bool_and(pi_near(r.probability, i.probability)) AS probability
FROM pi_ranks r CROSS JOIN
	LATERAL (SELECT (SELECT array_agg(p ORDER BY n) FROM (SELECT s, n, CASE WHEN n < r.n THEN item END AS item, hour, country, CASE WHEN n < r.n THEN energy END AS energy FROM pi_plays p WHERE p.s = r.s AND p.n <= r.n) p) AS rows) y
	LEFT JOIN LATERAL (SELECT i.rank, i.probability FROM sessionlen.predict_items(r.model, y.rows, 100) i WHERE i.items = ARRAY[r.item]) i ON true
WHERE (horizon = '0' OR position = 1) AND s % 4 = 1 AND (model <> 'pi_both' OR s % 9 < 6) GROUP BY model ORDER BY model;
-- All items together are certain.
SELECT model, count(*), pi_near(sum(probability), 1) AS sum, bool_and(probability <= before) AS falling FROM (SELECT m.model, i.*, lag(probability, 1, 1.0::float8) OVER (PARTITION BY m.model ORDER BY rank) AS before
	FROM pi_model m, sessionlen.predict_items(m.model, (SELECT array_agg(p ORDER BY n) FROM pi_plays p WHERE s = 8), 100) i) i GROUP BY model ORDER BY model;

-- A beam that is wide enough finds what trying out all sequences finds.
CREATE FUNCTION pi_all(model text, rows pi_plays[], steps int) RETURNS TABLE (items text[], probability float8) LANGUAGE sql AS $$
	WITH RECURSIVE tree AS (
		SELECT i.items, i.probability FROM sessionlen.predict_items(model, rows, 100) i
		UNION ALL
		SELECT t.items || i.items, t.probability * i.probability
		FROM tree t, LATERAL (SELECT array_agg((8, 100 + o, item, NULL, 's0', NULL)::pi_plays ORDER BY o) AS more FROM unnest(t.items) WITH ORDINALITY u(item, o)) m,
			 LATERAL sessionlen.predict_items(model, rows || m.more, 100) i WHERE cardinality(t.items) < steps)
	SELECT tree.items, tree.probability FROM tree WHERE cardinality(tree.items) = steps
$$;
-- Where two sequences are as probable but for rounding, either may come first.
WITH tree AS MATERIALIZED (
	SELECT m.model, g.steps, r.rows, row_number() OVER (PARTITION BY m.model, g.steps ORDER BY a.probability DESC) AS rank, a.items, a.probability
	FROM (VALUES ('pi_gru'), ('pi_known'), ('pi_row')) m(model), (VALUES (2), (3)) g(steps), LATERAL (SELECT array_agg(p ORDER BY n) AS rows FROM pi_plays p WHERE s = 8) r,
		 LATERAL pi_all(m.model, r.rows, g.steps) a)
SELECT a.model, a.steps, count(*), bool_and(coalesce(pi_near(a.probability, b.probability) AND pi_near(same.probability, b.probability), false)) AS exhaustive
FROM tree a LEFT JOIN LATERAL sessionlen.predict_items(a.model, a.rows, 12, 300, a.steps) b ON b.rank = a.rank
	 LEFT JOIN tree same ON same.model = a.model AND same.steps = a.steps AND same.items = b.items
WHERE a.rank <= 12 GROUP BY a.model, a.steps ORDER BY a.model, a.steps;
-- So it does where an encoder has read the past: each sequence, as the truth, has as probability the product of its items'.
SELECT m.model, count(*), pi_near(sum(i.probability), 1) AS sum, bool_and(pi_near(i.probability, t.product)) AS products
FROM (VALUES ('pi_ahead'), ('pi_coder')) m(model), LATERAL (SELECT array_agg(p ORDER BY n) AS rows FROM (SELECT s, n, CASE WHEN n < 8 THEN item END AS item, hour, country, energy FROM pi_plays WHERE s = 8) p) r,
	 LATERAL sessionlen.predict_items(m.model, rows, 100, 1, 2) i, LATERAL (
	 SELECT partition_key::int AS rank, exp(sum(ln(p.probability))) AS product FROM sessionlen.item_predictions(m.model, format('SELECT q.rank AS s, n, CASE WHEN n < 8 THEN item ELSE items[n - 7] END AS item, hour, country, energy
		FROM pi_plays p, (SELECT row_number() OVER () AS rank, ARRAY[a, b] AS items FROM unnest(%1$L::text[]) a, unnest(%1$L::text[]) b) q WHERE s = 8',
		(SELECT entries FROM sessionlen.vocabularies v WHERE v.model = m.model AND column_name = 'item')), 'all') p GROUP BY partition_key) t
WHERE i.items = (SELECT ARRAY[entries[(t.rank - 1) / cardinality(entries) + 1], entries[(t.rank - 1) % cardinality(entries) + 1]] FROM sessionlen.vocabularies v WHERE v.model = m.model AND column_name = 'item')
GROUP BY m.model ORDER BY m.model;
-- A beam of 1 takes the best item at each step.
SELECT m.model, b.items[1] = g.items[1] AS first, b.items[2] = h.items[1] AS second, pi_near(b.probability, g.probability * h.probability) AS product
FROM (VALUES ('pi_gru'), ('pi_row')) m(model), LATERAL (SELECT array_agg(p ORDER BY n) AS rows FROM pi_plays p WHERE s = 17) r, sessionlen.predict_items(m.model, rows, 1, steps => 2) b,
	 sessionlen.predict_items(m.model, rows, 1) g, sessionlen.predict_items(m.model, rows || (17, 100, g.items[1], NULL, NULL, NULL)::pi_plays, 1) h ORDER BY m.model;
-- What is said of rows to come counts: known columns do, observed ones don't. Before the first row, and where no item is known, there is a prediction too.
SELECT bool_or(a.probability <> b.probability) AS known, bool_and(a.probability = c.probability) AS observed
FROM (SELECT array_agg(p ORDER BY n) AS rows FROM pi_plays p WHERE s = 8) r, sessionlen.predict_items('pi_coder', rows || (8, 100, NULL, 2, NULL, NULL)::pi_plays) a
	 JOIN LATERAL sessionlen.predict_items('pi_coder', rows || (8, 100, NULL, 1, NULL, NULL)::pi_plays) b USING (rank) JOIN LATERAL sessionlen.predict_items('pi_coder', rows || (8, 100, NULL, 2, NULL, 5)::pi_plays) c USING (rank);
SELECT model, count(i.*) AS nothing, count(u.*) AS unknown FROM pi_model, sessionlen.predict_items(model, '{}'::pi_plays[], 3) i JOIN LATERAL sessionlen.predict_items(model, ARRAY[(1, 1, 'never', 1, 's', 1)::pi_plays], 3) u USING (rank) GROUP BY model ORDER BY model;
SELECT count(*) FROM sessionlen.predict_items('pi_gru', NULL::pi_plays[]);

-- Baselines: rows of the training part by item, and pairs of neighbours in it.
CREATE TABLE pi_train_rows AS SELECT p.*, lag(item) OVER (PARTITION BY s ORDER BY n) AS previous FROM pi_plays p WHERE sessionlen.split_part(s::text, 0.1, 0.3) = 'train';
CREATE VIEW pi_places AS
	SELECT e.item, row_number() OVER (ORDER BY count(t.s) DESC, e.item COLLATE "C") AS place FROM (SELECT unnest(entries) AS item FROM sessionlen.vocabularies WHERE model = 'pi_gru') e LEFT JOIN pi_train_rows t USING (item) GROUP BY e.item;
CREATE VIEW pi_pairs AS
	SELECT q.item AS previous, p.item, row_number() OVER (PARTITION BY q.item ORDER BY (SELECT count(*) FROM pi_train_rows t WHERE t.previous = q.item AND t.item = p.item) DESC, p.place) AS place
	FROM pi_places p, (SELECT item FROM pi_places UNION ALL SELECT NULL) q;
SELECT part, count(*), bool_and(popularity_rank IS NOT DISTINCT FROM p.place) AS popularity, bool_and(cooccurrence_rank IS NOT DISTINCT FROM q.place) AS cooccurrence, count(*) FILTER (WHERE rank IS NULL) AS unknown
FROM (SELECT r.*, lag(item) OVER (PARTITION BY s ORDER BY n) AS previous FROM pi_ranks r WHERE model = 'pi_gru') r LEFT JOIN pi_places p USING (item)
LEFT JOIN pi_pairs q ON q.item = r.item AND q.previous IS NOT DISTINCT FROM (SELECT item FROM pi_places o WHERE o.item = r.previous) GROUP BY part ORDER BY part;
-- evaluate(): recall and MRR at k; a miss counts.
SELECT predictor, k, row_count, pi_near(e.recall, h.recall) AS recall, pi_near(e.mrr, h.mrr) AS mrr, num_nonnulls(mae, rmse, median_ae, normalized_mae, accuracy, first_accuracy, average_accuracy, auc, log_loss) AS others
FROM (VALUES (1), (3)) g(k), sessionlen.evaluate('pi_gru', k => k) e, LATERAL (
	SELECT avg((coalesce(r, 99) <= k)::int) AS recall, avg(CASE WHEN r <= k THEN 1.0 / r ELSE 0 END) AS mrr
	FROM (SELECT CASE e.predictor WHEN 'model' THEN rank WHEN 'popularity' THEN popularity_rank ELSE cooccurrence_rank END AS r FROM pi_ranks WHERE model = 'pi_gru' AND part = 'test') r) h ORDER BY k, predictor;
SELECT model, min(row_count) = max(row_count) AS rows, count(*), bool_and(recall BETWEEN mrr AND 1) AS sound FROM pi_model, sessionlen.evaluate(model) GROUP BY model ORDER BY model;
SELECT sessionlen.recall(r, 2) AS recall, round(sessionlen.mrr(r, 2)::numeric, 4) AS mrr, sessionlen.mrr(r, 1) AS first FROM unnest('{1,2,3,NULL}'::bigint[]) r;
SELECT sessionlen.recall(r, 2) AS nothing FROM unnest('{}'::bigint[]) r;
-- No leak: a row's own item and those after it change, and its ranks' distribution stays.
SELECT model, bool_and(float8send(a.probability) = float8send(b.probability)) AS same, count(*) FROM pi_model,
	LATERAL (SELECT item, i.probability FROM sessionlen.item_predictions(model, $$SELECT s, n, CASE WHEN n < 8 THEN item ELSE 'i1' END AS item, hour, country, energy FROM pi_plays WHERE s = 8$$, 'all') i WHERE position = 1 AND i.order_key = '8' OR model NOT IN ('pi_ahead', 'pi_coder', 'pi_both') AND i.order_key = '8') a
	JOIN LATERAL (SELECT item, i.probability FROM sessionlen.item_predictions(model, $$SELECT s, n, CASE WHEN n <= 8 THEN CASE WHEN n < 8 THEN item ELSE 'i1' END ELSE 'i2' END AS item, hour, country, CASE WHEN n < 8 THEN energy ELSE -5 END AS energy FROM pi_plays WHERE s = 8$$, 'all') i WHERE i.order_key = '8') b USING (item) GROUP BY model ORDER BY model;
SELECT model, html LIKE '%</html>%' AS page, html LIKE '%co-occurrence%' AS baselines, html ILIKE '%nan<%' AS nan FROM pi_model, sessionlen.report(model) html ORDER BY model;

-- Bad input.
CREATE FUNCTION pi_rows(items text[]) RETURNS pi_plays[] LANGUAGE sql AS $$ SELECT array_agg((1, o, i, 1, 's0', 1)::pi_plays ORDER BY o) FROM unnest(items) WITH ORDINALITY u(i, o) $$;
SELECT sessionlen.predict('pi_gru', p) OVER () FROM pi_plays p;
SELECT sessionlen.predict_sequence('pi_gru', pi_rows('{i1}'));
SELECT * FROM sessionlen.predict_table('pi_gru', 'pi_plays');
SELECT * FROM sessionlen.predictions('pi_gru');
SELECT * FROM sessionlen.predict_items('pi_none', pi_rows('{i1}'));
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1,NULL,i2}'));
SELECT * FROM sessionlen.predict_items('pi_gru', ARRAY[NULL::pi_plays]);
SELECT * FROM sessionlen.predict_items('pi_gru', ARRAY[1, 2]);
SELECT i.* FROM (SELECT 1 AS x) p, sessionlen.predict_items('pi_gru', ARRAY[p]) i;
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 0);
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 1, -1);
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 1, 10001);
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 1, 1, 0);
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 1, 1, 1001);
SELECT * FROM sessionlen.predict_items('pi_both', pi_rows('{i1}'), 1, 1, 6);
SELECT count(*) FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 2147483647);
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 2147483647, 10000, 1000);
SELECT * FROM sessionlen.item_predictions('pi_gru', part => 'spare');
SELECT * FROM sessionlen.item_predictions('pi_gru', 'SELECT 1 AS s');
SELECT * FROM sessionlen.item_predictions(NULL);
SELECT count(*) FROM sessionlen.item_predictions('pi_gru', 'SELECT * FROM pi_plays WHERE false');
SELECT * FROM sessionlen.evaluate('pi_gru', k => 0);
SELECT sessionlen.recall(1, NULL);
SELECT sessionlen.mrr(0, 5);
-- A role without a grant sees no model; one with it needs a source of its own.
CREATE ROLE regress_pi_guest;
GRANT SELECT ON pi_plays TO regress_pi_guest;
GRANT USAGE ON SCHEMA public TO regress_pi_guest;
SET ROLE regress_pi_guest;
SELECT * FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'));
RESET ROLE;
SELECT sessionlen.grant_model('pi_gru', 'regress_pi_guest');
SET ROLE regress_pi_guest;
SELECT count(*) FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'), 3);
SELECT * FROM sessionlen.item_predictions('pi_gru');
SELECT count(*) > 0 AS rows FROM sessionlen.item_predictions('pi_gru', 'pi_plays');
RESET ROLE;
REVOKE ALL ON pi_plays FROM regress_pi_guest;
REVOKE ALL ON SCHEMA public FROM regress_pi_guest;
SELECT sessionlen.revoke_model('pi_gru', 'regress_pi_guest');
DROP ROLE regress_pi_guest;
-- Damage.
UPDATE sessionlen.vocabularies SET row_counts = row_counts[2:] WHERE model = 'pi_gru';
SELECT count(*) FROM sessionlen.item_predictions('pi_gru');
UPDATE sessionlen.vocabularies SET row_counts = NULL WHERE model = 'pi_gru';
SELECT count(*) FROM sessionlen.item_predictions('pi_gru');
UPDATE sessionlen.model_versions SET id = gen_random_uuid() WHERE model = 'pi_gru';
UPDATE sessionlen.vocabularies SET entries = entries[2:] WHERE model = 'pi_gru';
SELECT count(*) FROM sessionlen.predict_items('pi_gru', pi_rows('{i1}'));

SELECT count(sessionlen.drop_model(model)) FROM sessionlen.models WHERE model LIKE 'pi\_%';
DROP VIEW pi_pairs, pi_places;
DROP FUNCTION pi_train, pi_near, pi_all, pi_rows;
DROP TABLE pi_plays, pi_model, pi_ranks, pi_train_rows;
