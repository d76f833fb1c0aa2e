-- ideal.sql: how far a model is from the best possible predictor.
--
--     psql -v model=listening -f bench/ideal.sql
--     psql -v model=listening -v resamples=2000 -v seed=7 -f bench/ideal.sql
--
-- For a model trained on the sessions of an invented log (doc/examples/load_listening.sql),
-- whose table truth holds the ideal prediction of every session: the median of its length
-- given all that came before, which no predictor beats but by luck.  Options: source (a
-- query or table instead of the model's own), part (test), resamples (1000), seed (1).
--
-- gap is (MAE - ideal MAE) / (best baseline's MAE - ideal MAE): 0 is perfect, 1 is no
-- better than the best baseline.  Rows of one user resemble each other, so everything
-- about chance goes by user: a standard error is that of a ratio of sums over users, and
-- the bootstrap draws users with replacement and chooses the best baseline anew in every
-- resample.  A draw is a hash of (resample, draw, seed): the same every time.

\set ON_ERROR_STOP on
\if :{?model}
\else
	\warn 'name the model: psql -v model=listening -f bench/ideal.sql'
	\quit
\endif
\if :{?source}
	\set ideal_source :'source'
\else
	\set ideal_source NULL
\endif
\if :{?part}
\else
	\set part test
\endif
\if :{?resamples}
\else
	\set resamples 1000
\endif
\if :{?seed}
\else
	\set seed 1
\endif

CREATE TEMPORARY TABLE ideal_rows AS
SELECT p.*, t.ideal
  FROM sessionlen.predictions(:'model', :ideal_source, :'part') p
  LEFT JOIN truth t ON t.user_id = p.partition_key AND t.session_start = p.order_key::timestamptz
 WHERE p.actual IS NOT NULL;

SELECT count(*) FILTER (WHERE ideal IS NULL) AS ideal_missing,
       count(*) FILTER (WHERE ideal IS NULL) > 0 AS ideal_is_missing
  FROM ideal_rows \gset
\if :ideal_is_missing
	\warn :ideal_missing 'rows are not in truth: this is not the generated log'
	DROP TABLE ideal_rows;
	\quit
\endif

-- Sums of absolute errors by user and predictor.
CREATE TEMPORARY TABLE ideal_errors AS
SELECT dense_rank() OVER (ORDER BY p.partition_key) AS user_index, v.place, v.predictor,
       count(*) AS n, sum(abs(p.actual - v.value)) AS error
  FROM ideal_rows p
 CROSS JOIN LATERAL (VALUES (0, 'ideal', p.ideal), (1, 'model', p.prediction),
                            (2, 'user mean', p.user_mean), (3, 'user median', p.user_median),
                            (4, 'last value', p.last_value),
                            (5, 'global median', p.global_median)) v(place, predictor, value)
 GROUP BY p.partition_key, v.place, v.predictor;

-- sigmas is how many standard errors a predictor lies above the ideal: one below -2 would
-- have seen the future.
WITH total AS (
	SELECT place, predictor, sum(n) AS n, sum(error) / sum(n) AS mae
	  FROM ideal_errors GROUP BY place, predictor
), scale AS (
	SELECT min(mae) FILTER (WHERE place = 0) AS ideal, min(mae) FILTER (WHERE place > 1) AS best
	  FROM total
), pairs AS (
	SELECT e.place, e.n, e.error - i.error AS difference
	  FROM ideal_errors e JOIN ideal_errors i ON i.user_index = e.user_index AND i.place = 0
), spread AS (
	SELECT p.place, sqrt(sum((p.difference - (t.mae - s.ideal) * p.n) ^ 2)
	                     * count(*) / (count(*) - 1)) / max(t.n) AS standard_error
	  FROM pairs p JOIN total t USING (place) CROSS JOIN scale s
	 GROUP BY p.place
)
SELECT t.predictor, t.n AS rows, round(t.mae::numeric, 1) AS mae_s,
       round(((t.mae - s.ideal) / (s.best - s.ideal))::numeric, 4) AS gap,
       round((t.mae - s.ideal)::numeric, 1) AS above_ideal_s,
       round(d.standard_error::numeric, 1) AS standard_error_s,
       round(((t.mae - s.ideal) / nullif(d.standard_error, 0))::numeric, 1) AS sigmas
  FROM total t JOIN spread d USING (place) CROSS JOIN scale s
 ORDER BY t.place;

-- The model's gap with its one-sided 95 % bound.
WITH size AS (
	SELECT max(user_index) AS users FROM ideal_errors
), draws AS (
	SELECT r AS resample,
	       1 + abs(hashint8extended(r * users + d, :seed) % users) AS user_index
	  FROM size, generate_series(0, :resamples) r, generate_series(1, users) d
	 WHERE r > 0
	UNION ALL -- resample 0: every user once
	SELECT 0, d FROM size, generate_series(1, users) d
), maes AS (
	SELECT resample, place, sum(error) / sum(n) AS mae
	  FROM draws JOIN ideal_errors USING (user_index)
	 GROUP BY resample, place
), gaps AS (
	SELECT resample, (min(mae) FILTER (WHERE place = 1) - min(mae) FILTER (WHERE place = 0))
	       / (min(mae) FILTER (WHERE place > 1) - min(mae) FILTER (WHERE place = 0)) AS gap
	  FROM maes GROUP BY resample
)
SELECT (SELECT users FROM size) AS users, :resamples AS resamples,
       round((max(gap) FILTER (WHERE resample = 0))::numeric, 4) AS gap,
       round((percentile_cont(0.95) WITHIN GROUP (ORDER BY gap)
              FILTER (WHERE resample > 0))::numeric, 4) AS upper_95
  FROM gaps;

DROP TABLE ideal_errors, ideal_rows;
