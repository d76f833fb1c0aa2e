-- skips.sql: networks that predict skips, beside the baselines and the best possible answer.
--
--     make build/skips
--     psql -v options='--sessions 40000 --seed 5' -f doc/examples/load_skips.sql
--     psql -f bench/skips.sql
--
-- On an invented log with its tables plays, tracks and skip_truth, trains networks that are
-- to say which tracks of a session's second half will be skipped, given the first half and
-- all tracks.  Test sessions are the same for all: sessionlen.split_part(session_id) =
-- 'test'.  Options: epochs (12), seed (0), resamples (300), keep (0; 1 leaves tables,
-- embedding and models there).
--
-- maa is the challenge's mean average accuracy.  gap is (ideal - maa) / (ideal - that of the
-- last skip state): 0 is the best answer anyone could give, 1 no better than that baseline.
-- upper_95 is what the gap stays under in 95 % of draws of test sessions with replacement; a
-- draw is a hash of (resample, draw, seed), the same every time.  Networks that read the item
-- stop after two epochs without progress (patience): there is nothing to learn of a track but
-- its features, and with longer training sessions are learned by heart.  The others read the
-- features as known columns.

\set ON_ERROR_STOP on
\pset footer off
\set QUIET on
SET client_min_messages = warning;
\if :{?epochs}
\else
	\set epochs 12
\endif
\if :{?seed}
\else
	\set seed 0
\endif
\if :{?resamples}
\else
	\set resamples 300
\endif
\if :{?keep}
\else
	\set keep 0
\endif
SELECT to_regclass('skip_truth') IS NULL AS no_truth \gset
\if :no_truth
	\warn 'There is no table skip_truth: load a log with doc/examples/load_skips.sql.'
	\quit
\endif

CREATE TABLE skips_listened AS
SELECT p.session_id, p.session_position, p.track_id, p.skip_2,
       p.hist_user_behavior_reason_end AS reason_end,
       t.energy, t.valence, t.acousticness, t.danceability
  FROM plays p JOIN tracks t USING (track_id);
ANALYZE skips_listened;

-- Vectors of tracks that are played together, from training sessions.
SELECT name, items, tokens, round(seconds::numeric, 1) AS seconds
  FROM sessionlen.word2vec('skips_tracks',
           'SELECT * FROM skips_listened WHERE sessionlen.split_part(session_id) = ''train''',
           'track_id', 'session_id', 'session_position',
           '{"dim": 16, "epochs": 3, "verbose": false}');

CREATE TEMPORARY TABLE settings (
	place serial,
	model text,
	item text, -- NULL: no network of items
	known text[],
	options jsonb
);
\set features '{energy,valence,acousticness,danceability}'
\set item_features '{"item_features": ["energy", "valence", "acousticness", "danceability"]}'
\set small_items '{"columns": {"track_id": {"embedding": 4}}, "patience": 2}'
INSERT INTO settings (model, item, known, options) VALUES
    ('gru', NULL, :'features', '{"architecture": "gru"}'),
    ('gru, two layers', NULL, :'features', '{"architecture": "gru", "hidden_dim": [32, 32]}'),
    ('lstm', NULL, :'features', '{"architecture": "lstm"}'),
    ('lstm, 64 wide', NULL, :'features', '{"architecture": "lstm", "hidden_dim": 64}'),
    ('encoder-decoder gru', NULL, :'features', '{"architecture": "encoder_decoder"}'),
    ('encoder-decoder lstm', NULL, :'features', '{"architecture": "encoder_decoder", "cell": "lstm"}'),
    ('encoder-decoder gru, two-way', NULL, :'features', '{"architecture": "encoder_decoder", "bidirectional": true}'),
    ('encoder-decoder lstm, two-way', NULL, :'features', '{"architecture": "encoder_decoder", "cell": "lstm", "bidirectional": true}'),
    ('past skips: none', 'track_id', '{}', :'item_features'::jsonb || :'small_items' || '{"past_skips": "none"}'),
    ('past skips: token', 'track_id', '{}', :'item_features'::jsonb || :'small_items' || '{"past_skips": "token"}'),
    ('past skips: column', 'track_id', '{}', :'item_features'::jsonb || :'small_items' || '{"past_skips": "column"}'),
    ('past skips: both', 'track_id', '{}', :'item_features'::jsonb || :'small_items' || '{"past_skips": "both"}'),
    ('token, features known', 'track_id', :'features', :'small_items'::jsonb || '{"past_skips": "token"}'),
    ('both, features known', 'track_id', :'features', :'small_items'::jsonb || '{"past_skips": "both"}'),
    ('both, features known, word2vec', 'track_id', :'features', '{"past_skips": "both", "pretrained": "skips_tracks", "patience": 2}');
UPDATE settings
   SET options = jsonb_build_object('architecture', 'lstm', 'hidden_dim', 32, 'dropout', 0.1,
           'batch_size', 128, 'learning_rate', 0.004, 'epochs', :epochs, 'seed', :seed,
           'verbose', false) || options;

CREATE TEMPORARY TABLE trained AS
SELECT s.place, s.model, t.epochs, t.seconds, t.training_loss, t.validation_loss
  FROM settings s
 CROSS JOIN LATERAL sessionlen.train('skips: ' || s.model, 'skips_listened', 'skip_2', 'session_id',
           'session_position', task => 'skip', item => s.item, known => s.known, options => s.options) t;

-- Each test session's score by each predictor.
CREATE TEMPORARY TABLE rated AS
SELECT s.place, p.partition_key AS session_id, p."position", p.actual, p.prediction, p.last_value
  FROM settings s, sessionlen.predictions('skips: ' || s.model) p
 WHERE p.actual IS NOT NULL;
CREATE TEMPORARY TABLE session_scores AS
SELECT place, dense_rank() OVER (ORDER BY session_id) AS session_index, aa, first
  FROM (SELECT place, session_id, sessionlen.average_accuracy(actual, prediction, "position") AS aa,
               sessionlen.first_accuracy(actual, prediction, "position") AS first
          FROM rated GROUP BY place, session_id
        UNION ALL
        SELECT -1, session_id, sessionlen.average_accuracy(actual, last_value, "position"),
               sessionlen.first_accuracy(actual, last_value, "position")
          FROM rated WHERE place = 1 GROUP BY session_id
        UNION ALL
        SELECT 0, session_id, sessionlen.average_accuracy(skipped, ideal, session_position),
               sessionlen.first_accuracy(skipped, ideal, session_position)
          FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test' GROUP BY session_id) s;
ANALYZE session_scores;
DO $$
BEGIN
	IF (SELECT count(DISTINCT n) <> 1 FROM (SELECT count(*) AS n FROM session_scores GROUP BY place) c) THEN
		RAISE 'predictors are not rated on the same sessions';
	END IF;
END $$;

\echo
\echo '1. The second half of a session: all predictors on the same test sessions.'
SELECT predictor, row_count AS rows, round(average_accuracy::numeric, 4) AS maa,
       round(first_accuracy::numeric, 4) AS first, round(auc::numeric, 4) AS auc, round(log_loss::numeric, 4) AS log_loss
  FROM sessionlen.evaluate('skips: gru') WHERE predictor <> 'model'
UNION ALL
SELECT 'ideal', (SELECT count(*) FROM rated WHERE place = 1), round(avg(s.aa)::numeric, 4), round(avg(s.first)::numeric, 4),
       (SELECT round(sessionlen.auc(skipped, probability)::numeric, 4) FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test'),
       (SELECT round(sessionlen.log_loss(skipped, probability)::numeric, 4) FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test')
  FROM session_scores s WHERE place = 0;

WITH size AS (
	SELECT max(session_index) AS sessions FROM session_scores
), draws AS (
	SELECT r AS resample, 1 + abs(hashint8extended(r * sessions + d, :seed) % sessions) AS session_index, count(*) AS times
	  FROM size, generate_series(1, :resamples) r, generate_series(1, sessions) d
	 GROUP BY 1, 2
	UNION ALL -- resample 0: every session once
	SELECT 0, d, 1 FROM size, generate_series(1, sessions) d
), scores AS (
	SELECT resample, place, sum(times * aa) AS aa
	  FROM draws JOIN session_scores USING (session_index)
	 GROUP BY resample, place
), gaps AS (
	SELECT s.resample, s.place, (i.aa - s.aa) / (i.aa - b.aa) AS gap
	  FROM scores s JOIN scores i ON i.resample = s.resample AND i.place = 0
	  JOIN scores b ON b.resample = s.resample AND b.place = -1
	 WHERE s.place > 0
), gap AS (
	SELECT place, max(gap) FILTER (WHERE resample = 0) AS gap,
	       percentile_cont(0.95) WITHIN GROUP (ORDER BY gap) FILTER (WHERE resample > 0) AS upper_95
	  FROM gaps GROUP BY place
)
SELECT t.model, t.epochs, round(t.seconds::numeric, 1) AS seconds, round(s.maa::numeric, 4) AS maa,
       round(s.first::numeric, 4) AS first, round(r.auc::numeric, 4) AS auc, round(r.log_loss::numeric, 4) AS log_loss,
       round(g.gap::numeric, 3) AS gap, round(g.upper_95::numeric, 3) AS upper_95,
       round(t.training_loss::numeric, 3) AS training, round(t.validation_loss::numeric, 3) AS validation
  FROM trained t JOIN gap g USING (place)
  JOIN (SELECT place, avg(aa) AS maa, avg(first) AS first FROM session_scores GROUP BY place) s USING (place)
  JOIN (SELECT place, sessionlen.auc(actual, prediction) AS auc, sessionlen.log_loss(actual, prediction) AS log_loss
          FROM rated GROUP BY place) r USING (place)
 ORDER BY t.place;

\echo '2. The last track of a session, given all before it.'
CREATE TEMPORARY TABLE last_settings AS
SELECT * FROM (VALUES ('last: multi-input lstm', '{"architecture": "multi_input_lstm"}'::jsonb),
                      ('last: gru', '{"architecture": "gru"}'), ('last: lstm', '{"architecture": "lstm"}')) v (model, options);
CREATE TEMPORARY TABLE last_trained AS
SELECT s.model, t.epochs, t.seconds
  FROM last_settings s
 CROSS JOIN LATERAL sessionlen.train('skips: ' || s.model, 'skips_listened', 'skip_2', 'session_id', 'session_position',
           task => 'skip', known => :'features', observed => '{reason_end}',
           options => jsonb_build_object('horizon', 1, 'hidden_dim', 32, 'dropout', 0.1, 'batch_size', 128,
                          'learning_rate', 0.004, 'epochs', :epochs, 'seed', :seed, 'verbose', false) || s.options) t;
SELECT CASE e.predictor WHEN 'model' THEN t.model ELSE e.predictor END AS predictor,
       CASE e.predictor WHEN 'model' THEN t.epochs END AS epochs, CASE e.predictor WHEN 'model' THEN round(t.seconds::numeric, 1) END AS seconds,
       e.row_count AS rows, round(e.accuracy::numeric, 4) AS accuracy, round(e.auc::numeric, 4) AS auc, round(e.log_loss::numeric, 4) AS log_loss
  FROM last_trained t CROSS JOIN LATERAL sessionlen.evaluate('skips: ' || t.model) e
 WHERE e.predictor = 'model' OR t.model = 'last: gru'
 ORDER BY accuracy DESC;

\if :keep
\else
	SELECT sessionlen.drop_model('skips: ' || model) FROM (SELECT model FROM settings UNION ALL SELECT model FROM last_settings) m \g /dev/null
	SELECT sessionlen.drop_embedding('skips_tracks') \g /dev/null
	DROP TABLE skips_listened;
\endif
DROP TABLE settings, trained, rated, session_scores, last_settings, last_trained;
