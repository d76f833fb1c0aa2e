-- A schema of somebody else's stands before pg_catalog in the caller's search_path, with
-- operators, functions and types that lie: what the extension does is the same.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE TABLE path_rows AS
SELECT 'user ' || i % 40 AS u, timestamp '2024-01-01' + i * interval '1 hour' AS t, i % 7 + 0.5::float8 AS a,
       'artist ' || i % 6 AS c, 60 + 10.0::float8 * (i % 9) AS y, i % 40 = 7 AS open
  FROM generate_series(1, 400) i;
CREATE VIEW path_users AS
SELECT u AS user_id, avg(y)::float8 AS level, count(*)::float8 AS n FROM path_rows GROUP BY u;
CREATE TABLE path_plays AS SELECT u AS user_id, t AS ts, 240::float8 AS duration, c AS artist_name, c AS track_name FROM path_rows;
CREATE TABLE path_people AS SELECT DISTINCT u AS user_id, 'm' AS gender, 30 AS age FROM path_rows;

-- What the extension answers, as texts; whatever has no name of a schema here is resolved
-- in the caller's search_path, and so the function says pg_catalog itself.
CREATE TABLE path_answer (place text, what text, answer text);
CREATE FUNCTION path_ask(place text, what text, query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE 'SELECT pg_catalog.string_agg(x::pg_catalog.text, '' '' ORDER BY x::pg_catalog.text COLLATE pg_catalog."C") FROM ' OPERATOR(pg_catalog.||) query OPERATOR(pg_catalog.||) ' x' INTO answer;
	INSERT INTO public.path_answer VALUES (place, what, answer);
EXCEPTION WHEN OTHERS THEN
	INSERT INTO public.path_answer VALUES (place, what, SQLSTATE OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) SQLERRM);
END $$;
CREATE FUNCTION path_ask_all(place text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.path_ask(place, 'train', $q$(SELECT version, epochs, training_loss, validation_mae FROM sessionlen.train('path_model', 'path_rows', 'y', 'u', 't',
		known => '{a}', static => '{c}', censored => 'open', options => '{"epochs": 2, "hidden_dim": 4, "verbose": false}'))$q$);
	PERFORM public.path_ask(place, 'train by time', $q$(SELECT version, epochs, training_loss FROM sessionlen.train('path_time', 'SELECT * FROM path_rows', 'y', 'u', 't',
		known => '{a}', options => '{"epochs": 1, "hidden_dim": 3, "verbose": false, "split": {"by": "time"}}'))$q$);
	PERFORM public.path_ask(place, 'cluster', $q$(SELECT sizes, inertia FROM sessionlen.cluster('path_groups', 'path_users', 'user_id', '{level,n}', 2))$q$);
	PERFORM public.path_ask(place, 'cluster again', $q$(SELECT sizes, inertia FROM sessionlen.cluster('path_groups', 'path_users', 'user_id', '{level,n}', 2))$q$);
	PERFORM public.path_ask(place, 'spectral', $q$(SELECT sizes, points FROM sessionlen.cluster('path_near', 'path_users', 'user_id', '{level,n}', 2, 'spectral'))$q$);
	PERFORM public.path_ask(place, 'train by clusters', $q$(SELECT version, epochs, training_loss FROM sessionlen.train('path_parts', 'path_rows', 'y', 'u', 't',
		known => '{a}', clusters => 'path_groups', options => '{"epochs": 1, "hidden_dim": 3, "min_users": 2, "verbose": false}'))$q$);
	PERFORM public.path_ask(place, 'warm start', $q$(SELECT version, epochs, training_loss FROM sessionlen.train('path_model', 'path_rows', 'y', 'u', 't',
		known => '{a}', static => '{c}', censored => 'open', options => '{"epochs": 1, "hidden_dim": 4, "verbose": false, "warm_start": true}'))$q$);
	PERFORM public.path_ask(place, 'predict', $q$(SELECT u, t, sessionlen.predict('path_parts', s) OVER (PARTITION BY u ORDER BY t) FROM path_rows s)$q$);
	PERFORM public.path_ask(place, 'predict_sequence', $q$(SELECT sessionlen.predict_sequence('path_model', pg_catalog.array_agg(s ORDER BY t)) FROM path_rows s GROUP BY u)$q$);
	PERFORM public.path_ask(place, 'predict_table', $q$sessionlen.predict_table('path_parts', 'path_rows')$q$);
	PERFORM public.path_ask(place, 'predictions', $q$sessionlen.predictions('path_time', 'path_rows')$q$);
	PERFORM public.path_ask(place, 'evaluate', $q$sessionlen.evaluate('path_model')$q$);
	PERFORM public.path_ask(place, 'overview', $q$(SELECT model, version, serves, architecture, epochs FROM sessionlen.model_overview)$q$);
	PERFORM public.path_ask(place, 'assign_cluster', $q$(SELECT user_id, sessionlen.assign_cluster('path_groups', r), sessionlen.assign_cluster('path_near', r) FROM path_users r)$q$);
	PERFORM public.path_ask(place, 'silhouette', $q$sessionlen.silhouette('path_groups')$q$);
	PERFORM public.path_ask(place, 'silhouette_score', $q$sessionlen.silhouette_score('path_groups')$q$);
	PERFORM public.path_ask(place, 'silhouette_sweep', $q$sessionlen.silhouette_sweep('path_users', '{level,n}', 2, 3)$q$);
	PERFORM public.path_ask(place, 'elbow', $q$sessionlen.elbow('path_users', '{level,n}', 1, 3)$q$);
	PERFORM public.path_ask(place, 'user_profiles', $q$sessionlen.user_profiles('path_plays', 'path_people')$q$);
	PERFORM public.path_ask(place, 'split_part', $q$(SELECT u, sessionlen.split_part(u) FROM path_rows)$q$);
	PERFORM public.path_ask(place, 'plots', $q$(SELECT sessionlen.plot_learning_curve('path_model'), sessionlen.plot_predictions('path_model'),
		sessionlen.plot_clusters('path_groups', 'level', 'n'), sessionlen.plot_silhouette('path_groups'), sessionlen.plot_elbow('path_users', '{level,n}', 1, 3))$q$);
	-- without the times of day and the seconds that training took
	PERFORM public.path_ask(place, 'report', $q$(SELECT pg_catalog.regexp_replace(sessionlen.report('path_model'), '[0-9]+-[0-9]+-[0-9]+ [0-9:]+ [A-Z]+|seconds</th><td[^>]*>[^<]*', '', 'g'))$q$);
	PERFORM public.path_ask(place, 'report of models', $q$(SELECT pg_catalog.length(sessionlen.report('{path_model,path_time}'::pg_catalog.text[])) OPERATOR(pg_catalog.>) 10000)$q$);
	PERFORM public.path_ask(place, 'deploy', $q$sessionlen.deploy('path_model')$q$);
	PERFORM public.path_ask(place, 'drop version', $q$sessionlen.drop_model('path_model', 2)$q$);
	PERFORM public.path_ask(place, 'drop', $q$(SELECT sessionlen.drop_model(m), sessionlen.drop_clustering(c)
		FROM (VALUES ('path_model', 'path_groups'), ('path_time', 'path_near')) v(m, c))$q$);
	PERFORM public.path_ask(place, 'drop the last', $q$sessionlen.drop_model('path_parts')$q$);
END $$;
SELECT path_ask_all('safe');

CREATE SCHEMA path_hostile;
-- Operators of every type that compares, and of JSON and arithmetic, functions and
-- aggregates of all names: each is found before pg_catalog's and ends what calls it.
CREATE FUNCTION path_hostile.fooled() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fooled'; END $$;
DO $do$
DECLARE
	o record;
	n int := 0;
BEGIN
	FOR o IN SELECT oprname AS name, format_type(oprleft, NULL) AS l, format_type(oprright, NULL) AS r, format_type(oprresult, NULL) AS result
		FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0
			AND oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '%', '||', '->', '->>', '~')
			AND oprleft IN ('int4'::regtype, 'int8'::regtype, 'float8'::regtype, 'text'::regtype, 'name'::regtype, 'oid'::regtype, 'bool'::regtype, 'jsonb'::regtype, 'timestamptz'::regtype, 'numeric'::regtype, 'anyarray'::regtype)
	LOOP
		n := n + 1;
		EXECUTE format('CREATE FUNCTION path_hostile.o%s(l %s, r %s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''fooled by operator %%'', %L; END $$', n, o.l, o.r, o.result, o.name);
		EXECUTE format('CREATE OPERATOR path_hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = path_hostile.o%s)', o.name, o.l, o.r, n);
	END LOOP;
	-- functions, as far as they have a name of their own and plain arguments
	FOR o IN SELECT DISTINCT ON (proname, proargtypes) proname AS name, pg_get_function_identity_arguments(oid) AS arguments
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND prorettype <> 'internal'::regtype
			AND proname IN ('now', 'clock_timestamp', 'to_char', 'round', 'exp', 'ln', 'translate', 'cardinality', 'array_to_string', 'pg_has_role', 'lower', 'btrim', 'abs', 'length', 'gen_random_uuid', 'jsonb_each')
			AND NOT proretset AND NOT '"any"'::regtype = ANY (proargtypes)
	LOOP
		EXECUTE format('CREATE FUNCTION path_hostile.%I(%s) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''fooled by function %%'', %L; END $$', o.name, o.arguments, o.name);
	END LOOP;
	FOREACH o.name IN ARRAY '{count,max,min,sum,avg}'::text[]
	LOOP
		EXECUTE format('CREATE FUNCTION path_hostile.%I(x anyelement) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''fooled by function %%'', %L; END $$', o.name, o.name);
	END LOOP;
END
$do$;
CREATE DOMAIN path_hostile.float8 AS text CHECK (path_hostile.fooled() IS NULL);
CREATE DOMAIN path_hostile.text AS pg_catalog.text CHECK (path_hostile.fooled() IS NULL);
CREATE DOMAIN path_hostile.jsonb AS pg_catalog.jsonb CHECK (path_hostile.fooled() IS NULL);
CREATE DOMAIN path_hostile.regrole AS pg_catalog.regrole CHECK (path_hostile.fooled() IS NULL);
CREATE TABLE path_hostile.pg_roles AS SELECT 'nobody' AS rolname, 0::oid AS oid;

SET search_path = path_hostile, pg_catalog, public;
SELECT 1 = 1;
SELECT 'a' || now();
SELECT '1'::float8;
SELECT public.path_ask_all('hostile');
RESET search_path;

SELECT what, CASE WHEN s.answer IS NOT DISTINCT FROM h.answer THEN 'the same' ELSE left(s.answer, 300) || ' / ' || left(h.answer, 300) END AS answer
  FROM (SELECT ctid, * FROM path_answer WHERE place = 'safe') s LEFT JOIN (SELECT * FROM path_answer WHERE place = 'hostile') h USING (what) ORDER BY s.ctid;
-- none of them is an error or nothing
SELECT what, left(answer, 300) FROM path_answer WHERE answer IS NULL OR answer ~ '^[0-9A-Z]{5} ';

DROP SCHEMA path_hostile CASCADE;
DROP FUNCTION path_ask_all(text), path_ask(text, text, text);
DROP TABLE path_rows, path_plays, path_people, path_answer CASCADE;
