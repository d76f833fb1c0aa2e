-- The same rows give the same weights, in whatever order the table keeps them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

-- rows of many sequences have the same time
CREATE TABLE order_a AS
SELECT i % 30 AS u, i / 30 AS t, (i * 7919 % 1000)::float8 AS y, i % 5 AS a, 'c' || i % 13 AS c
  FROM generate_series(0, 2999) i;
CREATE TABLE order_b AS SELECT * FROM order_a ORDER BY md5(u || ' ' || t);

SELECT (SELECT array_agg(u ORDER BY ctid) FROM order_a) <> (SELECT array_agg(u ORDER BY ctid) FROM order_b) AS shuffled;
SELECT t.version
  FROM unnest('{order_a,order_b}'::text[]) s,
       sessionlen.train('order_model', s, 'y', 'u', 't', known => '{a,c}',
           options => '{"epochs": 2, "hidden_dim": 4, "batch_size": 8, "verbose": false}') t;
SELECT count(*), count(DISTINCT data) AS different
  FROM sessionlen.weights WHERE model = 'order_model' GROUP BY name, chunk HAVING count(DISTINCT data) <> 1;

SELECT sessionlen.drop_model('order_model');
DROP TABLE order_a, order_b;
