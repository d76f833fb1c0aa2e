-- Values with codes of their own mean the same in every session, and as any numeric type.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

CREATE TABLE label_rows AS
SELECT i % 20 AS u, i / 20 AS t, (i % 7)::float8 AS y, date '2020-01-09' + i % 7 AS d,
       timestamptz '2020-01-09 23:00' + make_interval(days => i % 7) AS at,
       make_interval(hours => i % 7 - 3) AS span, (i % 7) / 10.0::float8 AS f, (i % 7) AS n
  FROM generate_series(0, 1399) i;
SELECT version FROM sessionlen.train('label_model', 'label_rows', 'y', 'u', 't', known => '{d,at,span,f,n}',
    options => '{"epochs": 3, "hidden_dim": 4, "verbose": false, "columns": {"d": "one_hot", "at": "one_hot",
                 "span": "one_hot", "f": {"embedding": 2}, "n": "code"}}');
SELECT column_name, entries[1:2] FROM sessionlen.vocabularies WHERE model = 'label_model' ORDER BY 1;

SELECT sum(p) AS here
  FROM (SELECT sessionlen.predict('label_model', r) OVER (PARTITION BY u ORDER BY t) AS p FROM label_rows r) x \gset
SET datestyle = 'German';
SET timezone = 'Asia/Tokyo';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = -10;
SELECT sum = :here::float8 AS same FROM (
    SELECT sum(p) FROM (SELECT sessionlen.predict('label_model', r) OVER (PARTITION BY u ORDER BY t) AS p FROM label_rows r) x) y;
SELECT abs(sum(prediction) - :here::float8) < 1e-3 AS same_table
  FROM sessionlen.predict_table('label_model', 'label_rows');
SELECT sum = :here::float8 AS same_of_other_types FROM (
    SELECT sum(p) FROM (SELECT sessionlen.predict('label_model', r) OVER (PARTITION BY u ORDER BY t) AS p
                          FROM (SELECT u, t, d, at, span, f::numeric(9, 5) AS f, n::numeric(9, 3) AS n FROM label_rows) r) x) y;

SELECT sessionlen.drop_model('label_model');
DROP TABLE label_rows;
