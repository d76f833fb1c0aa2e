-- The store: what is trained, by whom, on what, with which options, and every weight.
--
-- Rows belong to the role that trained the model.  Row-level security shows a model to
-- its owner and to the roles it was granted to, and lets only the owner change it.

GRANT USAGE ON SCHEMA sessionlen TO PUBLIC;

CREATE TABLE sessionlen.models (
	model text PRIMARY KEY CHECK (model <> ''),
	owner regrole NOT NULL DEFAULT current_user::regrole,
	deployed int,
	last_version int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sessionlen.models IS 'models by name: owner and the version that serves';
COMMENT ON COLUMN sessionlen.models.deployed IS 'the version predict() uses; NULL if none';
COMMENT ON COLUMN sessionlen.models.last_version IS 'the highest version number ever given';

CREATE TABLE sessionlen.model_grants (
	model text NOT NULL REFERENCES sessionlen.models ON DELETE CASCADE,
	role regrole NOT NULL,
	grantor regrole NOT NULL DEFAULT current_user::regrole,
	PRIMARY KEY (model, role)
);
COMMENT ON TABLE sessionlen.model_grants IS 'roles other than the owner that may use a model';

CREATE TABLE sessionlen.model_versions (
	model text NOT NULL REFERENCES sessionlen.models ON DELETE CASCADE,
	version int NOT NULL CHECK (version > 0),
	id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	trained_by regrole NOT NULL DEFAULT current_user::regrole,
	trained_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	source text NOT NULL,
	target text NOT NULL,
	partition_by text NOT NULL,
	order_by text NOT NULL,
	censored text,
	task text NOT NULL,
	options jsonb NOT NULL,
	inputs jsonb NOT NULL,
	target_scale jsonb NOT NULL,
	split jsonb NOT NULL,
	training_rows bigint NOT NULL,
	validation_rows bigint NOT NULL,
	test_rows bigint NOT NULL,
	sequences bigint NOT NULL,
	epochs int,
	best_epoch int,
	training_loss float8,
	validation_loss float8,
	validation_mae float8,
	seconds float8,
	stopped_early boolean,
	blas text NOT NULL,
	clusters text,
	PRIMARY KEY (model, version)
);
COMMENT ON COLUMN sessionlen.model_versions.clusters IS 'the clustering whose labels it took over, if it has a network for each cluster';
COMMENT ON TABLE sessionlen.model_versions IS 'every trained version: source, roles, options, preprocessing, result';
COMMENT ON COLUMN sessionlen.model_versions.id IS 'names the version for good; a backend''s cache goes by it';
COMMENT ON COLUMN sessionlen.model_versions.options IS 'all options of the run, defaults filled in';
COMMENT ON COLUMN sessionlen.model_versions.inputs IS 'the input columns in order, each with its role and fitted preprocessing';
COMMENT ON COLUMN sessionlen.model_versions.target_scale IS 'how the target was transformed';
COMMENT ON COLUMN sessionlen.model_versions.split IS 'how rows were split, with the cut points of a split by time';
COMMENT ON COLUMN sessionlen.model_versions.blas IS 'the BLAS library and kernel that trained it: equal bits are promised on the same one';

CREATE TABLE sessionlen.cluster_networks (
	model text NOT NULL,
	version int NOT NULL,
	cluster int NOT NULL CHECK (cluster >= 0),
	options jsonb NOT NULL,
	inputs jsonb NOT NULL,
	target_scale jsonb NOT NULL,
	training_rows bigint NOT NULL,
	validation_rows bigint NOT NULL,
	test_rows bigint NOT NULL,
	sequences bigint NOT NULL,
	epochs int NOT NULL,
	best_epoch int NOT NULL,
	training_loss float8 NOT NULL,
	validation_loss float8,
	validation_mae float8,
	seconds float8 NOT NULL,
	PRIMARY KEY (model, version, cluster),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE sessionlen.cluster_networks IS 'the networks of versions trained with one for each cluster: options, preprocessing, result';

CREATE TABLE sessionlen.network_members (
	model text NOT NULL,
	version int NOT NULL,
	cluster int NOT NULL,
	keys text[] NOT NULL,
	PRIMARY KEY (model, version, cluster),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE sessionlen.network_members IS 'partition keys by cluster, as they were when the version was trained';

CREATE TABLE sessionlen.weights (
	model text NOT NULL,
	version int NOT NULL,
	cluster int,
	name text NOT NULL,
	chunk int NOT NULL CHECK (chunk >= 0),
	shape int[] NOT NULL,
	data real[] NOT NULL,
	UNIQUE NULLS NOT DISTINCT (model, version, cluster, name, chunk),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
ALTER TABLE sessionlen.weights ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE sessionlen.weights IS 'trained weights with PyTorch''s names and layouts, at most a million elements a row';
COMMENT ON COLUMN sessionlen.weights.cluster IS 'the cluster the network is for; NULL: the network of all users';

CREATE TABLE sessionlen.checkpoints (
	model text NOT NULL,
	version int NOT NULL,
	cluster int,
	moment int NOT NULL,
	chunk int NOT NULL,
	step bigint NOT NULL,
	mu_product float8 NOT NULL,
	data real[] NOT NULL,
	UNIQUE NULLS NOT DISTINCT (model, version, cluster, moment, chunk),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
ALTER TABLE sessionlen.checkpoints ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE sessionlen.checkpoints IS 'optimiser moments of each model''s newest version, for warm_start';

CREATE TABLE sessionlen.vocabularies (
	model text NOT NULL,
	version int NOT NULL,
	column_name text NOT NULL,
	entries text[] NOT NULL,
	row_counts bigint[],
	PRIMARY KEY (model, version, column_name),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE sessionlen.vocabularies IS 'codes of text columns: entry i has code i, 0 is unknown; items have code i + 3, after four tokens';
COMMENT ON COLUMN sessionlen.vocabularies.row_counts IS 'of an item column: the training rows of each entry';

CREATE TABLE sessionlen.baselines (
	model text NOT NULL,
	version int NOT NULL,
	key text,
	row_count bigint NOT NULL,
	mean float8 NOT NULL,
	median float8 NOT NULL,
	UNIQUE NULLS NOT DISTINCT (model, version, key),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE sessionlen.baselines IS 'mean and median of the target over training rows, by partition key; key NULL: over all';

CREATE TABLE sessionlen.training_log (
	model text NOT NULL,
	version int NOT NULL,
	cluster int,
	epoch int NOT NULL,
	training_loss float8 NOT NULL,
	validation_loss float8,
	validation_mae float8,
	learning_rate float8 NOT NULL,
	gradient_norm float8 NOT NULL,
	row_count bigint NOT NULL,
	seconds float8 NOT NULL,
	UNIQUE NULLS NOT DISTINCT (model, version, cluster, epoch),
	FOREIGN KEY (model, version) REFERENCES sessionlen.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE sessionlen.training_log IS 'one row per epoch: losses in units of the transformed target, MAE in the target''s own';

-- The owner of a model whoever asks: the policies below can't read models themselves
-- without calling each other in circles.
CREATE FUNCTION sessionlen.model_owner(model text) RETURNS oid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT m.owner::oid FROM sessionlen.models m WHERE m.model = $1';
COMMENT ON FUNCTION sessionlen.model_owner(text) IS 'the role that owns a model';

CREATE FUNCTION sessionlen.may_use(model text, role oid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM sessionlen.models m
	                WHERE m.model = $1 AND pg_has_role($2, m.owner, 'USAGE'))
	    OR EXISTS (SELECT FROM sessionlen.model_grants g
	                WHERE g.model = $1 AND pg_has_role($2, g.role, 'USAGE'))
$$;
COMMENT ON FUNCTION sessionlen.may_use(text, oid) IS 'whether a role owns a model or was granted it';

DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{models,model_grants,model_versions,cluster_networks,network_members,weights,checkpoints,vocabularies,baselines,training_log}'::text[]
	LOOP
		-- models are data: pg_dump carries them
		PERFORM pg_catalog.pg_extension_config_dump(format('sessionlen.%I', t), '');
		EXECUTE format('ALTER TABLE sessionlen.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sessionlen.%I TO PUBLIC', t);
		IF t <> 'models' THEN
			EXECUTE format('CREATE POLICY use ON sessionlen.%I FOR SELECT
				USING (sessionlen.may_use(model, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)))', t);
			EXECUTE format('CREATE POLICY own ON sessionlen.%I
				USING (pg_catalog.pg_has_role(sessionlen.model_owner(model), ''USAGE''))', t);
		END IF;
	END LOOP;
END
$$;
CREATE POLICY use ON sessionlen.models FOR SELECT
	USING (pg_catalog.pg_has_role(owner, 'USAGE')
	       OR sessionlen.may_use(model, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)));
CREATE POLICY own ON sessionlen.models USING (pg_catalog.pg_has_role(owner, 'USAGE'));

CREATE VIEW sessionlen.model_overview WITH (security_invoker) AS
SELECT v.model, v.version, v.version IS NOT DISTINCT FROM m.deployed AS serves, m.owner,
       v.options ->> 'architecture' AS architecture, v.options -> 'hidden_dim' AS hidden_dim,
       v.source, v.target, v.trained_at, v.training_rows, v.epochs, v.best_epoch,
       v.validation_loss, v.validation_mae, v.seconds
  FROM sessionlen.models m JOIN sessionlen.model_versions v USING (model);
COMMENT ON VIEW sessionlen.model_overview IS 'every version in a line: what it is, which one serves, how well it validated';
GRANT SELECT ON sessionlen.model_overview TO PUBLIC;

CREATE FUNCTION sessionlen.deploy(model text, version int DEFAULT NULL) RETURNS int
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	serving int;
	chosen int;
BEGIN
	IF deploy.model IS NULL THEN
		RAISE EXCEPTION 'model must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM sessionlen.models m WHERE m.model = deploy.model) THEN
		RAISE EXCEPTION 'model "%" does not exist', deploy.model USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.models.';
	END IF;
	-- locked, so that the version chosen is not dropped meanwhile; only owners can
	SELECT m.deployed INTO serving FROM sessionlen.models m WHERE m.model = deploy.model FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'must be owner of model "%"', deploy.model USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF deploy.version IS NULL THEN
		SELECT max(v.version) INTO chosen FROM sessionlen.model_versions v
		 WHERE v.model = deploy.model AND v.version < serving;
		IF chosen IS NULL THEN
			RAISE EXCEPTION 'model "%" has no version before the one that serves', deploy.model
				USING ERRCODE = 'undefined_object', HINT = 'Name the version: sessionlen.deploy(model, version).';
		END IF;
	ELSE
		SELECT v.version INTO chosen FROM sessionlen.model_versions v
		 WHERE v.model = deploy.model AND v.version = deploy.version;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'model "%" has no version %', deploy.model, deploy.version
				USING ERRCODE = 'undefined_object', HINT = 'See the table sessionlen.model_versions.';
		END IF;
	END IF;
	UPDATE sessionlen.models m SET deployed = chosen WHERE m.model = deploy.model;
	RETURN chosen;
END
$$;
COMMENT ON FUNCTION sessionlen.deploy(text, int) IS 'makes a version serve (default: the one before); returns its number';

CREATE FUNCTION sessionlen.drop_model(model text, version int DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF drop_model.model IS NULL THEN
		RAISE EXCEPTION 'model must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM sessionlen.models m WHERE m.model = drop_model.model) THEN
		RAISE EXCEPTION 'model "%" does not exist', drop_model.model USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.models.';
	END IF;
	IF NOT pg_has_role(sessionlen.model_owner(drop_model.model), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of model "%"', drop_model.model USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF drop_model.version IS NULL THEN
		DELETE FROM sessionlen.models m WHERE m.model = drop_model.model;
		RETURN;
	END IF;
	-- locked, so that nobody deploys the version meanwhile
	PERFORM FROM sessionlen.models m WHERE m.model = drop_model.model FOR NO KEY UPDATE;
	IF EXISTS (SELECT FROM sessionlen.models m
	            WHERE m.model = drop_model.model AND m.deployed = drop_model.version) THEN
		RAISE EXCEPTION 'version % of model "%" is the one that serves', drop_model.version, drop_model.model
			USING ERRCODE = 'object_in_use',
			HINT = 'Deploy another version first, or drop the whole model with sessionlen.drop_model(model).';
	END IF;
	DELETE FROM sessionlen.model_versions v
	 WHERE v.model = drop_model.model AND v.version = drop_model.version;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'model "%" has no version %', drop_model.model, drop_model.version
			USING ERRCODE = 'undefined_object', HINT = 'See the table sessionlen.model_versions.';
	END IF;
END
$$;
COMMENT ON FUNCTION sessionlen.drop_model(text, int) IS 'removes a version, or the whole model when none is named';

CREATE FUNCTION sessionlen.grant_model(model text, role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF grant_model.model IS NULL OR grant_model.role IS NULL THEN
		RAISE EXCEPTION 'model and role must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM sessionlen.models m WHERE m.model = grant_model.model) THEN
		RAISE EXCEPTION 'model "%" does not exist', grant_model.model USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.models.';
	END IF;
	IF NOT pg_has_role(sessionlen.model_owner(grant_model.model), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of model "%"', grant_model.model USING ERRCODE = 'insufficient_privilege';
	END IF;
	INSERT INTO sessionlen.model_grants (model, role) VALUES (grant_model.model, grant_model.role)
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION sessionlen.grant_model(text, regrole) IS 'lets a role predict with a model and read its rows';

CREATE FUNCTION sessionlen.revoke_model(model text, role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF revoke_model.model IS NULL OR revoke_model.role IS NULL THEN
		RAISE EXCEPTION 'model and role must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	DELETE FROM sessionlen.model_grants g WHERE g.model = revoke_model.model AND g.role = revoke_model.role;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'model "%" was not granted to % by you', revoke_model.model, revoke_model.role
			USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMENT ON FUNCTION sessionlen.revoke_model(text, regrole) IS 'takes a grant back';

CREATE FUNCTION sessionlen.build_info(OUT version text, OUT blas text, OUT blas_kernel text,
	OUT blas_threads int, OUT instructions text)
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_build_info';
COMMENT ON FUNCTION sessionlen.build_info() IS 'extension version, BLAS library and kernel, vector instructions in use';
