-- Models in tables: versions, which one serves, who may see and change them.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE ROLE regress_st_owner;
CREATE ROLE regress_st_member IN ROLE regress_st_owner;
CREATE ROLE regress_st_team;
CREATE ROLE regress_st_reader IN ROLE regress_st_team;
CREATE ROLE regress_st_stranger;
CREATE TABLE st_plays AS
	SELECT i % 20 AS u, i AS n, (i * 7 % 13)::float8 AS a, 'artist ' || i % 5 AS artist, (10 + i * 7 % 13)::float8 AS y
	FROM generate_series(1, 200) i;
GRANT SELECT ON st_plays TO PUBLIC;
CREATE FUNCTION st_train(name text, options jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train(name, 'st_plays', 'y', 'u', 'n', known => '{a,artist}',
		options => '{"epochs": 1, "hidden_dim": 3, "verbose": false}' || options)
$$;
CREATE FUNCTION st_sum() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(float8send(p)::text, ',' ORDER BY n)) FROM (SELECT n, sessionlen.predict('st_model', s) OVER (PARTITION BY u ORDER BY n) AS p FROM st_plays s) x
$$;
-- Rows a role sees in each table.
CREATE FUNCTION st_seen() RETURNS TABLE (models bigint, grants bigint, versions bigint, weights bigint, checkpoints bigint, vocabularies bigint, baselines bigint, log bigint) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM sessionlen.models), (SELECT count(*) FROM sessionlen.model_grants), (SELECT count(*) FROM sessionlen.model_versions),
		   (SELECT count(*) FROM sessionlen.weights), (SELECT count(*) FROM sessionlen.checkpoints), (SELECT count(*) FROM sessionlen.vocabularies),
		   (SELECT count(*) FROM sessionlen.baselines), (SELECT count(*) FROM sessionlen.training_log)
$$;

--
-- Every table of the store is one that pg_dump carries, has row-level security, and is described.
--
SELECT relname, c.oid = ANY (extconfig) AS dumped, relrowsecurity AS secured, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies, obj_description(c.oid) <> '' AS described
FROM pg_class c, pg_extension WHERE extname = 'sessionlen' AND relnamespace = 'sessionlen'::regnamespace AND relkind = 'r'
  AND relname IN ('models', 'model_grants', 'model_versions', 'weights', 'checkpoints', 'vocabularies', 'baselines', 'training_log') ORDER BY relname;
SELECT relname FROM pg_class c, pg_extension WHERE extname = 'sessionlen' AND relnamespace = 'sessionlen'::regnamespace AND relkind = 'r'
  AND NOT (c.oid = ANY (extconfig) AND relrowsecurity);
SELECT attname, attstorage FROM pg_attribute WHERE attrelid IN ('sessionlen.weights'::regclass, 'sessionlen.checkpoints'::regclass) AND attname = 'data';

--
-- Versions.
--
SET ROLE regress_st_owner;
SELECT st_train('st_model') AS first, st_sum() AS sum1 \gset
SELECT st_train('st_model', '{"seed": 1}') AS second, st_sum() AS sum2 \gset
SELECT st_train('st_model', '{"seed": 2}') AS third, st_sum() AS sum3 \gset
SELECT :first, :second, :third, :'sum1' <> :'sum2' AND :'sum2' <> :'sum3' AS differ;
SELECT model, owner, deployed, last_version FROM sessionlen.models;
SELECT version, trained_by, source, target, partition_by, order_by, censored, task, training_rows + validation_rows + test_rows AS rows, sequences, epochs, best_epoch,
	   validation_loss > 0 AS loss, seconds > 0 AS seconds, stopped_early, blas <> '' AS blas
FROM sessionlen.model_versions ORDER BY version;
SELECT DISTINCT version FROM sessionlen.checkpoints;
-- Back, back again, and forth: the same bits as before.
SELECT sessionlen.deploy('st_model');
SELECT st_sum() = :'sum2' AS second;
SELECT sessionlen.deploy('st_model');
SELECT st_sum() = :'sum1' AS first;
SELECT sessionlen.deploy('st_model');
SELECT sessionlen.deploy('st_model', 3);
SELECT st_sum() = :'sum3' AS third;
-- In a transaction it is seen by its own statements at once, and undone with it.
BEGIN;
SELECT sessionlen.deploy('st_model', 2);
SELECT st_sum() = :'sum2' AS second;
SAVEPOINT s;
SELECT st_train('st_model', '{"seed": 3}');
SELECT st_sum() IN (:'sum1', :'sum2', :'sum3') AS old;
ROLLBACK TO s;
SELECT st_sum() = :'sum2' AS second;
ROLLBACK;
SELECT st_sum() = :'sum3' AS third, (SELECT count(*) FROM sessionlen.model_versions) AS versions;
-- A failed training leaves nothing, and its number may be given again.
SELECT st_train('st_model', '{"columns": {"b": "none"}}');
SELECT st_train('st_none', '{"columns": {"b": "none"}}');
SELECT model, deployed, last_version FROM sessionlen.models;
-- Versions go with all their rows; the serving one stays, and numbers are not given twice.
SELECT sessionlen.drop_model('st_model', 2);
SELECT sessionlen.drop_model('st_model', 3);
SELECT sessionlen.deploy('st_model', 1);
SELECT sessionlen.drop_model('st_model', 3);
SELECT * FROM st_seen();
SELECT st_train('st_model');
SELECT st_sum() = :'sum1' AS same_seed;
SELECT sessionlen.deploy('st_model');

--
-- Roles: the owner and members of the owner, roles granted and their members, others.
--
SELECT st_train('st_other');
SELECT sessionlen.grant_model('st_model', 'regress_st_team');
SELECT sessionlen.grant_model('st_model', 'regress_st_team');
SELECT * FROM sessionlen.model_grants;
SELECT * FROM st_seen();
SET ROLE regress_st_member;
SELECT * FROM st_seen();
SELECT st_train('st_model');
SELECT owner, deployed FROM sessionlen.models WHERE model = 'st_model';
SELECT sessionlen.deploy('st_model', 1);
SET ROLE regress_st_reader;
SELECT * FROM st_seen();
SELECT st_sum() = :'sum1' AS predicts, count(prediction) FROM sessionlen.predict_table('st_model', 'st_plays');
SELECT count(*) FROM sessionlen.evaluate('st_model', 'st_plays');
SELECT count(*) FROM sessionlen.evaluate('st_model');
SELECT sessionlen.deploy('st_model', 1);
SELECT sessionlen.drop_model('st_model', 5);
SELECT sessionlen.grant_model('st_model', 'regress_st_stranger');
SELECT sessionlen.revoke_model('st_model', 'regress_st_team');
SELECT st_train('st_model');
SELECT sessionlen.predict_table('st_other', 'st_plays');
WITH u AS (UPDATE sessionlen.models SET deployed = 5 RETURNING 1), w AS (UPDATE sessionlen.weights SET data[1] = 0 RETURNING 1), d AS (DELETE FROM sessionlen.model_versions RETURNING 1)
SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM w), (SELECT count(*) FROM d);
INSERT INTO sessionlen.weights VALUES ('st_model', 1, NULL, 'spy', 0, '{1}', '{1}');
SET ROLE regress_st_stranger;
SELECT * FROM st_seen();
SELECT st_sum();
SELECT st_train('st_stranger');
SELECT * FROM st_seen();
UPDATE sessionlen.models SET owner = 'regress_st_owner';
UPDATE sessionlen.model_versions SET model = 'st_model';
SET ROLE regress_st_owner;
SELECT * FROM st_seen();
SELECT sessionlen.revoke_model('st_model', 'regress_st_team');
SET ROLE regress_st_reader;
SELECT st_sum();
-- A granted role without the source's own rights can't read through the model.
RESET ROLE;
SELECT sessionlen.grant_model('st_model', 'regress_st_stranger');
REVOKE SELECT ON st_plays FROM PUBLIC;
SET ROLE regress_st_stranger;
SELECT sessionlen.predict_table('st_model', 'st_plays');
SELECT round(sessionlen.predict_sequence('st_model', ARRAY[r])) > 0 AS predicts FROM (SELECT 1 AS a, 'x' AS artist) r;
-- Names are free again once a model is dropped; its grants go with it.
SET ROLE regress_st_owner;
SELECT sessionlen.drop_model('st_model');
SET ROLE regress_st_stranger;
SELECT round(sessionlen.predict_sequence('st_model', ARRAY[r])) > 0 AS predicts FROM (SELECT 1 AS a, 'x' AS artist) r;
RESET ROLE;
GRANT SELECT ON st_plays TO PUBLIC;
SELECT st_train('st_model');
SET ROLE regress_st_stranger;
SELECT model FROM sessionlen.models;
RESET ROLE;

SELECT version <> '' AS version, blas <> '' AS blas, blas_kernel <> '' AS kernel, blas_threads, instructions <> '' AS instructions FROM sessionlen.build_info();

SELECT count(sessionlen.drop_model(model)) FROM sessionlen.models WHERE model LIKE 'st\_%';
SELECT * FROM sessionlen.model_grants;
DROP FUNCTION st_train, st_sum, st_seen;
DROP TABLE st_plays;
DROP ROLE regress_st_reader, regress_st_team, regress_st_member, regress_st_owner, regress_st_stranger;
