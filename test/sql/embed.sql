-- word2vec(), embedding(), similar_items(): planted groups, repeatability, storing, bad input, rights.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

-- Sessions of twelve items, all of one of ten groups of fifteen.
CREATE TABLE embed_plays AS
SELECT s, p, 'g' || s % 10 || ' ' || ('x' || substr(md5(s || ':' || p), 1, 7))::bit(28)::int % 15 AS item
  FROM generate_series(1, 1500) s, generate_series(1, 12) p;

SELECT name, method, items, dims, sequences, tokens, epochs, loss > 0 AS loss, seconds > 0 AS seconds,
       tokens_per_second > 0 AS speed, stopped_early
  FROM sessionlen.word2vec('embed_a', 'embed_plays', 'item', 's', 'p', '{"dim": 20, "seed": 7, "verbose": false}');
SELECT name, method, dims
  FROM sessionlen.word2vec('embed_b', 'SELECT * FROM embed_plays', 'item', 's', 'p',
	'{"method": "cbow", "dim": 33, "epochs": 10, "window": 3, "negative": 8, "subsample": 0, "seed": null, "verbose": false}');

-- Nearest neighbours are of the same group for at least 95 % of the items.
SELECT i.name, count(*) AS items, avg((split_part(s.item, ' ', 1) = split_part(i.item, ' ', 1))::int) >= 0.95 AS planted
  FROM sessionlen.embedding_items i, sessionlen.similar_items(i.name, i.item, 1) s
 WHERE i.name LIKE 'embed\__' GROUP BY 1 ORDER BY 1;

-- What is stored.
SELECT name, owner = current_user::regrole AS mine, method, dims, items, source, item, partition_by, order_by, options, sequences, tokens, epochs
  FROM sessionlen.embeddings WHERE name LIKE 'embed\__' ORDER BY name;
SELECT name, count(*), min(rank), max(rank), count(DISTINCT item), sum(count), min(cardinality(vector)), max(cardinality(vector))
  FROM sessionlen.embedding_items WHERE name LIKE 'embed\__' GROUP BY name ORDER BY name;
-- Counts fall with ranks.
SELECT count(*) FROM (SELECT count - lag(count) OVER (ORDER BY rank) AS rise FROM sessionlen.embedding_items WHERE name = 'embed_a') r WHERE rise > 0;

-- similar_items() against the same in SQL.
CREATE FUNCTION embed_cosine(a real[], b real[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT sum(x::float8 * y) / sqrt(sum(x::float8 * x) * sum(y::float8 * y)) FROM unnest(a, b) u (x, y) $$;
SELECT name, count(*), bool_and(close) AS close, bool_and(falls) AS falls, array_agg(rank::int ORDER BY rank) = array_agg(row_number::int ORDER BY row_number) AS ranked
  FROM (SELECT i.name, s.rank, row_number() OVER w, s.similarity <= lag(s.similarity, 1, 2) OVER w AS falls,
               abs(s.similarity - embed_cosine(q.vector, i.vector)) < 1e-5 AS close
          FROM sessionlen.embedding_items q JOIN sessionlen.embedding_items i USING (name)
               LEFT JOIN sessionlen.similar_items(q.name, 'g3 4', 1000) s ON s.item = i.item
         WHERE q.item = 'g3 4' AND i.item <> 'g3 4' AND q.name IN ('embed_a', 'embed_b')
        WINDOW w AS (PARTITION BY i.name ORDER BY s.rank)) c
 GROUP BY name ORDER BY name;
SELECT count(*), count(*) FILTER (WHERE rank = 1), bool_and(item <> 'g3 4') FROM sessionlen.similar_items('embed_a', 'g3 4');
-- By a vector: the item itself is the nearest.
SELECT rank, item, round(similarity::numeric, 5) FROM sessionlen.similar_items('embed_b', sessionlen.embedding('embed_b', 'g3 4'), 1);
SELECT cardinality(sessionlen.embedding('embed_a', 'g0 0')), sessionlen.embedding('embed_a', 'nobody') IS NULL AS unknown,
       sessionlen.embedding('embed_a', NULL) IS NULL AS "null";
SELECT sessionlen.embedding('embed_a', 'g0 0') = (SELECT vector FROM sessionlen.embedding_items WHERE name = 'embed_a' AND item = 'g0 0') AS same;

-- The same seed gives the same bits, in whatever order the rows lie; another seed others.
CREATE TABLE embed_shuffled AS SELECT * FROM embed_plays ORDER BY md5(s || 'x' || p);
CREATE VIEW embed_bits AS SELECT name, md5(string_agg(item || vector::text, ',' ORDER BY rank)) AS bits FROM sessionlen.embedding_items GROUP BY name;
SELECT sequences FROM sessionlen.word2vec('embed_c', 'embed_shuffled', 'item', 's', 'p', '{"dim": 20, "seed": 7, "verbose": false}');
SELECT sequences FROM sessionlen.word2vec('embed_d', 'embed_plays', 'item', 's', 'p', '{"dim": 20, "seed": 8, "verbose": false}');
SELECT count(DISTINCT bits) FROM embed_bits WHERE name IN ('embed_a', 'embed_c');
SELECT count(DISTINCT bits) FROM embed_bits WHERE name IN ('embed_a', 'embed_d');

-- Items of any type; rare ones have no vector; a name that is taken is replaced, its id too.
CREATE TABLE embed_old AS SELECT id FROM sessionlen.embeddings WHERE name = 'embed_d';
SELECT items, dims, sequences, tokens FROM sessionlen.word2vec('embed_d',
	'SELECT i / 10 AS s, i AS p, CASE WHEN i % 50 = 0 THEN 7 ELSE 9007199254740993 - i % 4 END::bigint AS item FROM generate_series(0, 199) i',
	'item', 's', 'p', '{"dim": 4, "min_count": 5, "verbose": false}');
SELECT item, count FROM sessionlen.embedding_items WHERE name = 'embed_d' ORDER BY rank;
SELECT count(*) FROM embed_old JOIN sessionlen.embeddings USING (id);
-- Items longer than an index entry, hostile ones, and a hostile name.
SELECT items FROM sessionlen.word2vec(E'embed_"; DROP TABLE embed_plays; --\n''', $$
	SELECT i / 6 AS "S", i AS "P p", (ARRAY[(SELECT string_agg(md5(j::text), '') FROM generate_series(1, 3000) j), 'a''b"c\', E'\n\t', ''])[1 + i % 4] AS "It""em"
	  FROM generate_series(0, 119) i -- ends with a comment
	$$, 'It"em', 'S', 'P p', '{"dim": 3, "verbose": false}');
SELECT count(*), max(length(item)) FROM sessionlen.similar_items(E'embed_"; DROP TABLE embed_plays; --\n''', '');
SELECT length(i.item), s.rank FROM sessionlen.embedding_items i, sessionlen.similar_items(i.name, i.item, 1) s
 WHERE i.name LIKE 'embed\_"%' AND length(i.item) > 1000;
SELECT sessionlen.drop_embedding(E'embed_"; DROP TABLE embed_plays; --\n''');

-- Bad input.
SELECT sessionlen.word2vec(NULL, 'embed_plays', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', NULL, 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', NULL, 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', NULL, 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', NULL);
SELECT sessionlen.word2vec('', 'embed_plays', 'item', 's', 'p');
SELECT sessionlen.word2vec(repeat('x', 64), 'embed_plays', 'item', 's', 'p');
\set VERBOSITY terse
SELECT sessionlen.word2vec('embed_x', 'embed_nowhere', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'nothing', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 'nothing', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'nothing');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'embed_plays', 's', 'p');
\set VERBOSITY default
SELECT sessionlen.word2vec('embed_x', 'SELECT * FROM embed_plays WHERE false', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'SELECT NULL::text AS item, 1 AS s, 1 AS p', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'SELECT 1 AS item, NULL::int AS s, 1 AS p', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'SELECT 1 AS item, 1 AS s, NULL::int AS p', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'SELECT 1 AS item, 1 AS s, p FROM embed_plays', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"min_count": 100000}');
SELECT sessionlen.word2vec('embed_x', 'SELECT *, row_number() OVER () AS one FROM embed_plays', 'item', 'one', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays; SELECT 1', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '[]');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"dims": 10}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"dim": 0}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"dim": 1e400}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"dim": 2.5}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"window": 0}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"negative": "5"}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"epochs": -1}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"learning_rate": "NaN"}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"learning_rate": 0}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"subsample": 2}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"min_count": 0}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"method": "sg"}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"method": 1}');
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"verbose": 1}');
-- An error leaves the old embedding.
SELECT sessionlen.word2vec('embed_a', 'embed_plays', 'item', 's', 'p', '{"learning_rate": 1000, "subsample": 0, "epochs": 100, "verbose": false}');
SELECT count(DISTINCT bits) FROM embed_bits WHERE name IN ('embed_a', 'embed_c');
-- Memory is estimated first.
SET sessionlen.memory_limit = '1MB';
SELECT sessionlen.word2vec('embed_x', 'embed_plays', 'item', 's', 'p', '{"dim": 4096}');
SELECT sessionlen.word2vec('embed_x', 'SELECT i / 10 AS s, i AS p, i % 99 AS item FROM generate_series(1, 1000000) i', 'item', 's', 'p');
SELECT sessionlen.word2vec('embed_x', 'SELECT i / 10 AS s, i AS p, md5(i::text) AS item FROM generate_series(1, 100000) i', 'item', 's', 'p');
RESET sessionlen.memory_limit;
-- A time limit ends it normally.
SELECT stopped_early, epochs < 1000000 AS early FROM sessionlen.word2vec('embed_d', 'embed_plays', 'item', 's', 'p', '{"time_limit": 0.05, "epochs": 1000000, "verbose": false}');
SELECT sessionlen.similar_items('embed_x', 'g0 0');
SELECT sessionlen.similar_items('embed_a', 'nobody');
SELECT sessionlen.similar_items('embed_a', 'g0 0', 0);
SELECT sessionlen.similar_items('embed_a', '{1,2}'::real[]);
SELECT sessionlen.similar_items('embed_a', array_fill(0::real, '{20}'));
SELECT sessionlen.similar_items('embed_a', array_fill('NaN'::real, '{20}'));
SELECT sessionlen.similar_items('embed_a', array_fill(NULL::real, '{20}'));
SELECT count(*) FROM sessionlen.similar_items('embed_a', NULL::text);
SELECT sessionlen.embedding('embed_x', 'g0 0');
SELECT sessionlen.drop_embedding('embed_x');
SELECT sessionlen.drop_embedding(NULL);

-- Rights: the owner's, and what is granted.
CREATE ROLE regress_embed_reader;
CREATE ROLE regress_embed_stranger;
SELECT sessionlen.grant_embedding('embed_a', 'regress_embed_reader');
SELECT sessionlen.grant_embedding('embed_a', NULL);
SELECT sessionlen.grant_embedding('embed_x', 'regress_embed_reader');
SET ROLE regress_embed_reader;
SELECT string_agg(name, ',') FROM sessionlen.embeddings;
SELECT count(DISTINCT name), count(*) FROM sessionlen.embedding_items;
SELECT count(*) FROM sessionlen.similar_items('embed_a', 'g3 4');
SELECT cardinality(sessionlen.embedding('embed_a', 'g3 4'));
SELECT count(*) FROM sessionlen.embedding_grants;
SELECT sessionlen.similar_items('embed_b', 'g3 4');
SELECT sessionlen.word2vec('embed_a', 'VALUES (1)', 'column1', 'column1', 'column1');
SELECT sessionlen.word2vec('embed_mine', 'embed_plays', 'item', 's', 'p');
SELECT sessionlen.drop_embedding('embed_a');
SELECT sessionlen.grant_embedding('embed_a', 'regress_embed_stranger');
SELECT sessionlen.revoke_embedding('embed_a', 'regress_embed_reader');
UPDATE sessionlen.embedding_items SET count = 0;
DELETE FROM sessionlen.embedding_items;
DELETE FROM sessionlen.embeddings;
INSERT INTO sessionlen.embedding_items SELECT 'embed_a', 1000, 'mine', 1, vector FROM sessionlen.embedding_items LIMIT 1;
SET ROLE regress_embed_stranger;
SELECT count(*) FROM sessionlen.embeddings, sessionlen.embedding_items, sessionlen.embedding_grants;
SELECT sessionlen.similar_items('embed_a', 'g3 4');
SELECT sessionlen.embedding('embed_a', 'g3 4');
-- A role makes its own, which only it and superusers see.
SELECT items FROM sessionlen.word2vec('embed_mine', 'SELECT i / 6 AS s, i AS p, i % 5 AS item FROM generate_series(0, 59) i', 'item', 's', 'p', '{"dim": 2, "verbose": false}');
SELECT count(*) FROM sessionlen.similar_items('embed_mine', '3');
RESET ROLE;
-- Made anew by somebody else it keeps owner and grants.
SELECT sessionlen.grant_embedding('embed_mine', 'regress_embed_reader');
SELECT dims FROM sessionlen.word2vec('embed_mine', 'embed_plays', 'item', 's', 'p', '{"dim": 3, "epochs": 1, "verbose": false}');
SELECT owner, (SELECT string_agg(role::text, ',') FROM sessionlen.embedding_grants g WHERE g.name = e.name) AS granted FROM sessionlen.embeddings e WHERE name = 'embed_mine';
SELECT sessionlen.revoke_embedding('embed_mine', 'regress_embed_reader');
SELECT sessionlen.revoke_embedding('embed_mine', 'regress_embed_reader');
SELECT sessionlen.drop_embedding(name) FROM sessionlen.embeddings WHERE name LIKE 'embed\__' OR name = 'embed_mine';
SELECT count(*) FROM sessionlen.embedding_items WHERE name LIKE 'embed\_%';
SELECT count(*) FROM sessionlen.embedding_grants WHERE name LIKE 'embed\_%';

DROP ROLE regress_embed_reader, regress_embed_stranger;
DROP VIEW embed_bits;
DROP FUNCTION embed_cosine(real[], real[]);
DROP TABLE embed_plays, embed_shuffled, embed_old;
