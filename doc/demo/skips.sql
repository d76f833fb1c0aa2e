-- skips.sql: from plays to tables of scores: which tracks are skipped, and what comes next.
-- Works on the tables plays and tracks that load_skips.sql or load_spotify.sql in
-- doc/examples/ fill; run from the project's top folder: psql < doc/demo/skips.sql
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
SELECT to_regclass('skip_truth') IS NOT NULL AS made_up \gset

\echo
\echo '1. Plays with the features of their tracks.'
CREATE TABLE listened AS
SELECT p.session_id, p.session_position, p.session_length, p.track_id, p.skip_2,
       p.context_switch, p.hist_user_behavior_is_shuffle AS shuffle,
       p.hist_user_behavior_reason_end AS reason_end,
       t.acousticness, t.danceability, t.energy, t.valence
  FROM plays p JOIN tracks t USING (track_id);
ANALYZE listened;
SELECT count(DISTINCT session_id) AS sessions, count(*) AS plays, count(DISTINCT track_id) AS tracks,
       round(avg(skip_2::int), 3) AS skipped, round(avg(session_length), 1) AS mean_length
  FROM listened;

\echo '2. Vectors of tracks, from the sessions that train: what is played together points the same way.'
CREATE VIEW training AS
SELECT * FROM listened WHERE sessionlen.split_part(session_id) = 'train';
SELECT method, items, dims, sequences, tokens, round(seconds::numeric, 1) AS seconds
  FROM sessionlen.word2vec('tracks', 'training', 'track_id', 'session_id', 'session_position',
           '{"dim": 16, "epochs": 3, "verbose": false}');
SELECT track_id AS popular FROM training GROUP BY track_id ORDER BY count(*) DESC, track_id LIMIT 1 \gset
\if :made_up
SELECT rank, item, round(similarity::numeric, 3) AS similarity, p.playlist
  FROM sessionlen.similar_items('tracks', :'popular', 5) LEFT JOIN playlists p ON p.track_id = item
 ORDER BY rank;
\echo '   The log is made up, so it is known what is played together: the share of the ten nearest'
\echo '   tracks that are of the same playlist, for a hundred tracks of all kinds.'
SELECT round(avg((other.playlist = own.playlist)::int), 3) AS of_the_same_playlist
  FROM (SELECT item FROM sessionlen.embedding_items WHERE name = 'tracks' ORDER BY md5(item) LIMIT 100) i
  JOIN playlists own ON own.track_id = i.item,
       sessionlen.similar_items('tracks', i.item, 10) s
  JOIN playlists other ON other.track_id = s.item;
\else
SELECT rank, item, round(similarity::numeric, 3) AS similarity
  FROM sessionlen.similar_items('tracks', :'popular', 5) ORDER BY rank;
\endif

-- Given the first half of a session and the tracks of its second half: is each skipped?
\set features '{acousticness,danceability,energy,valence}'
\set options '{"hidden_dim": 32, "dropout": 0.1, "epochs": 12, "batch_size": 128, "learning_rate": 0.004}'

\echo '3. What will be skipped in the second half of a session? Three networks that read what tracks'
\echo '   sound like, and the skips of the first half as a column.'
SET client_min_messages = notice;
SELECT * FROM sessionlen.train('gru', 'listened', 'skip_2', 'session_id', 'session_position', task => 'skip',
    known => :'features', options => :'options'::jsonb || '{"architecture": "gru"}');
SELECT * FROM sessionlen.train('lstm', 'listened', 'skip_2', 'session_id', 'session_position', task => 'skip',
    known => :'features', options => :'options'::jsonb || '{"architecture": "lstm"}');
SELECT * FROM sessionlen.train('encoder_decoder', 'listened', 'skip_2', 'session_id', 'session_position', task => 'skip',
    known => :'features', options => :'options'::jsonb || '{"architecture": "encoder_decoder", "cell": "lstm"}');

\echo '4. Networks that read which track it was, from its vector and its features: past skips as'
\echo '   SKIP tokens that hide the track, as a column, as both, or not at all: then nothing tells the mood.'
SET client_min_messages = warning;
SELECT t.model, t.epochs, round(t.validation_loss::numeric, 4) AS validation_loss, round(t.seconds::numeric, 1) AS seconds
  FROM unnest('{none,token,column,both}'::text[]) AS past_skips
 CROSS JOIN LATERAL sessionlen.train('items_' || past_skips, 'listened', 'skip_2', 'session_id', 'session_position',
    task => 'skip', item => 'track_id',
    options => :'options'::jsonb || '{"architecture": "lstm", "item_features": ["acousticness", "danceability", "energy", "valence"],
        "pretrained": "tracks", "epochs": 6, "verbose": false}' || jsonb_build_object('past_skips', past_skips)) t;

\echo '5. On sessions held out. average_accuracy is the challenge''s score: of each session, so that'
\echo '   early answers weigh most. A network is beside the baselines.'
CREATE TABLE scores AS
SELECT CASE e.predictor WHEN 'model' THEN 'network: ' || m ELSE 'baseline: ' || e.predictor END AS predictor, m AS model, e.row_count,
       e.average_accuracy, e.first_accuracy, e.auc, e.log_loss
  FROM unnest('{gru,lstm,encoder_decoder,items_none,items_token,items_column,items_both}'::text[]) m, sessionlen.evaluate(m) e
 WHERE e.predictor = 'model' OR m = 'gru';
\if :made_up
\echo '   The log is made up, so the best possible answer is known: gap 0 is that one, 1 the state'
\echo '   of the last track whose end was seen.'
INSERT INTO scores
SELECT 'ideal', 'ideal', sum(n), avg(aa), avg(first), (SELECT sessionlen.auc(skipped, probability) FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test'),
       (SELECT sessionlen.log_loss(skipped, probability) FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test')
  FROM (SELECT count(*) AS n, sessionlen.average_accuracy(skipped, ideal, session_position) AS aa,
               sessionlen.first_accuracy(skipped, ideal, session_position) AS first
          FROM skip_truth WHERE sessionlen.split_part(session_id) = 'test' GROUP BY session_id) s;
\endif
SELECT s.predictor, s.row_count AS plays, round(s.average_accuracy::numeric, 4) AS average_accuracy, round(s.first_accuracy::numeric, 4) AS first,
       round(s.auc::numeric, 4) AS auc, round(s.log_loss::numeric, 4) AS log_loss,
       round(((i.average_accuracy - s.average_accuracy) / (i.average_accuracy - b.average_accuracy))::numeric, 3) AS gap
  FROM scores s JOIN scores b ON b.predictor = 'baseline: last skip state' LEFT JOIN scores i ON i.predictor = 'ideal'
 ORDER BY s.average_accuracy DESC;

\echo '6. A session that runs: what becomes of its last tracks?'
SELECT min(session_id) AS session FROM listened
 WHERE sessionlen.split_part(session_id) = 'test' AND session_length = 12 \gset
SELECT session_position AS position, track_id, skip_2 AS seen, truth AS skipped, round(probability::numeric, 2) AS probability
  FROM (SELECT *, sessionlen.predict('lstm', s) OVER (PARTITION BY session_id ORDER BY session_position) AS probability
          FROM (SELECT session_id, session_position, track_id, CASE WHEN session_position <= 6 THEN skip_2 END AS skip_2,
                       acousticness, danceability, energy, valence FROM listened WHERE session_id = :'session') s) p
  JOIN (SELECT session_position, skip_2 AS truth FROM listened WHERE session_id = :'session') t USING (session_position)
 ORDER BY session_position;

\echo '7. What comes next: a network that reads the tracks so far.'
SET client_min_messages = notice;
SELECT * FROM sessionlen.train('next', 'listened', task => 'next_items', partition_by => 'session_id', order_by => 'session_position',
    item => 'track_id', known => '{shuffle,context_switch}',
    options => '{"architecture": "gru", "hidden_dim": 96, "loss": "sampled_softmax", "negatives": 256, "epochs": 3, "batch_size": 64,
                 "learning_rate": 0.015, "columns": {"track_id": {"embedding": 32}}}');
SET client_min_messages = warning;
\echo '   How often the track is among the first 20, and the mean of 1 / its rank, beside the most'
\echo '   popular tracks and what followed the track before in training sessions.'
SELECT predictor, row_count AS plays, round(recall::numeric, 3) AS recall_20, round(mrr::numeric, 3) AS mrr_20
  FROM sessionlen.evaluate('next', k => 20);
\echo '   After six tracks of the session above: the five likeliest next ones.'
SELECT rank, items[1] AS track_id, round(probability::numeric, 3) AS probability
  FROM sessionlen.predict_items('next', ARRAY(SELECT l FROM listened l WHERE session_id = :'session' AND session_position <= 6
                                               ORDER BY session_position), n => 5);
\echo '   The three likeliest ways to go on for three tracks, of those a beam of 20 finds.'
SELECT rank, items, round(probability::numeric, 4) AS probability
  FROM sessionlen.predict_items('next', ARRAY(SELECT l FROM listened l WHERE session_id = :'session' AND session_position <= 6
                                               ORDER BY session_position), n => 3, beam => 20, steps => 3);
