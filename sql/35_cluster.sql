-- Clusters: k-means and spectral clustering of the rows of any source.
--
-- A clustering belongs to the role that made it; row-level security shows it to that role
-- only.  Labels are written once, all of them together, so many go into one row: a row and
-- an index entry each would take longer than the clustering of a million points.

CREATE TABLE sessionlen.clusterings (
	name text PRIMARY KEY CHECK (name <> ''),
	owner regrole NOT NULL DEFAULT current_user::regrole,
	id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	method text NOT NULL CHECK (method IN ('kmeans', 'spectral')),
	source text NOT NULL,
	key text NOT NULL,
	columns text[] NOT NULL,
	options jsonb NOT NULL,
	k int NOT NULL CHECK (k > 0),
	points bigint NOT NULL,
	means float8[],
	scales float8[],
	iterations int NOT NULL,
	inertia float8 NOT NULL,
	silhouette float8,
	silhouette_points int NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sessionlen.clusterings IS 'clusterings by name: what was clustered, how, and how well';
COMMENT ON COLUMN sessionlen.clusterings.id IS 'another one whenever the clustering is made anew';
COMMENT ON COLUMN sessionlen.clusterings.options IS 'all options of the run, defaults filled in';
COMMENT ON COLUMN sessionlen.clusterings.means IS 'with standardize: subtracted from each column';
COMMENT ON COLUMN sessionlen.clusterings.scales IS 'with standardize: each column divided by it';
COMMENT ON COLUMN sessionlen.clusterings.inertia IS 'sum of squared distances to the centroid of one''s cluster, standardized where the columns were';
COMMENT ON COLUMN sessionlen.clusterings.silhouette IS 'mean silhouette of silhouette_points points; NULL with a single cluster';

CREATE TABLE sessionlen.cluster_centroids (
	name text NOT NULL REFERENCES sessionlen.clusterings ON DELETE CASCADE,
	cluster int NOT NULL,
	size bigint NOT NULL,
	centroid float8[] NOT NULL,
	PRIMARY KEY (name, cluster)
);
COMMENT ON TABLE sessionlen.cluster_centroids IS 'each cluster''s number of points and their mean, in the units of the columns';

CREATE TABLE sessionlen.cluster_label_chunks (
	name text NOT NULL REFERENCES sessionlen.clusterings ON DELETE CASCADE,
	chunk int NOT NULL CHECK (chunk >= 0),
	keys text[] NOT NULL,
	clusters int[] NOT NULL,
	points float8[],
	PRIMARY KEY (name, chunk)
);
ALTER TABLE sessionlen.cluster_label_chunks ALTER COLUMN keys SET STORAGE EXTERNAL,
	ALTER COLUMN clusters SET STORAGE EXTERNAL, ALTER COLUMN points SET STORAGE EXTERNAL;
COMMENT ON TABLE sessionlen.cluster_label_chunks IS 'the labels, many keys a row; the view cluster_labels has one a row';
COMMENT ON COLUMN sessionlen.cluster_label_chunks.keys IS 'in the order of their bytes, over all chunks';
COMMENT ON COLUMN sessionlen.cluster_label_chunks.points IS 'the fitted points one after the other, standardized where the columns were, if the method needs them to label new ones';

CREATE VIEW sessionlen.cluster_labels WITH (security_invoker) AS
SELECT m.name, unnest(m.keys) AS key, unnest(m.clusters) AS cluster
  FROM sessionlen.cluster_label_chunks m;
COMMENT ON VIEW sessionlen.cluster_labels IS 'the cluster of every key: 0 is the largest one';
GRANT SELECT ON sessionlen.cluster_labels TO PUBLIC;

DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{clusterings,cluster_centroids,cluster_label_chunks}'::text[]
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(format('sessionlen.%I', t), '');
		EXECUTE format('ALTER TABLE sessionlen.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sessionlen.%I TO PUBLIC', t);
		IF t <> 'clusterings' THEN
			-- looked up once a statement, not once a row
			EXECUTE format('CREATE POLICY own ON sessionlen.%I
				USING (name IN (SELECT c.name FROM sessionlen.clusterings c))', t);
		END IF;
	END LOOP;
END
$$;
CREATE POLICY own ON sessionlen.clusterings USING (pg_catalog.pg_has_role(owner, 'USAGE'));

CREATE FUNCTION sessionlen.clustering_owner(name text) RETURNS oid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT c.owner::oid FROM sessionlen.clusterings c WHERE c.name = $1';
COMMENT ON FUNCTION sessionlen.clustering_owner(text) IS 'the role that owns a clustering';

CREATE FUNCTION sessionlen.cluster(
	name text,
	source text,
	key text,
	columns text[],
	k int,
	method text DEFAULT 'kmeans',
	options jsonb DEFAULT '{}',
	OUT name text,
	OUT method text,
	OUT k int,
	OUT points bigint,
	OUT sizes bigint[],
	OUT inertia float8,
	OUT iterations int,
	OUT silhouette float8,
	OUT silhouette_points int,
	OUT seconds float8)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'sl_cluster';
COMMENT ON FUNCTION sessionlen.cluster(text, text, text, text[], int, text, jsonb)
	IS 'clusters the rows of a table, view or query and stores centroids and every key''s label';

CREATE FUNCTION sessionlen.assign_cluster(name text, features record) RETURNS int
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_assign_cluster';
COMMENT ON FUNCTION sessionlen.assign_cluster(text, record)
	IS 'the cluster a row belongs to: of the nearest centroid, or of most of the nearest fitted points';

CREATE FUNCTION sessionlen.drop_clustering(name text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM sessionlen.clusterings c WHERE c.name = drop_clustering.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'you have no clustering "%"', drop_clustering.name USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.clusterings.';
	END IF;
END
$$;
COMMENT ON FUNCTION sessionlen.drop_clustering(text) IS 'removes a clustering with its centroids and labels';

CREATE FUNCTION sessionlen.elbow(source text, columns text[], k_from int DEFAULT 1, k_to int DEFAULT NULL,
	options jsonb DEFAULT '{}', OUT k int, OUT inertia float8, OUT knee boolean) RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_elbow';
COMMENT ON FUNCTION sessionlen.elbow(text, text[], int, int, jsonb)
	IS 'inertia of k-means for each number of clusters, and at which of them the curve bends';

CREATE FUNCTION sessionlen.silhouette(name text, OUT key text, OUT cluster int, OUT silhouette float8)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_silhouette_rows';
COMMENT ON FUNCTION sessionlen.silhouette(text)
	IS 'the silhouette of every point of a clustering, from the distances of all pairs';

CREATE FUNCTION sessionlen.silhouette_score(name text) RETURNS float8
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_silhouette_score';
COMMENT ON FUNCTION sessionlen.silhouette_score(text) IS 'the mean silhouette of all points of a clustering';

CREATE FUNCTION sessionlen.silhouette_sweep(source text, columns text[], k_from int DEFAULT 2,
	k_to int DEFAULT NULL, method text DEFAULT 'kmeans', options jsonb DEFAULT '{}', OUT k int,
	OUT silhouette float8, OUT silhouette_points int, OUT inertia float8) RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_silhouette_sweep';
COMMENT ON FUNCTION sessionlen.silhouette_sweep(text, text[], int, int, text, jsonb)
	IS 'mean silhouette for each number of clusters, clustered anew for each';

-- One step of Lloyd's algorithm, for data that lies in parts.

CREATE TYPE sessionlen.kmeans_sums AS (
	counts bigint[],
	sums float8[],
	inertia float8
);
COMMENT ON TYPE sessionlen.kmeans_sums IS 'what one step of k-means finds out about some points';
COMMENT ON COLUMN sessionlen.kmeans_sums.counts IS 'points nearest to each centroid';
COMMENT ON COLUMN sessionlen.kmeans_sums.sums IS 'their sums, a row for each centroid';
COMMENT ON COLUMN sessionlen.kmeans_sums.inertia IS 'sum of squared distances of the points to the nearest centroid';

CREATE FUNCTION sessionlen.kmeans_step_add(state internal, point float8[], centroids float8[])
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_kmeans_step_add';
COMMENT ON FUNCTION sessionlen.kmeans_step_add(internal, float8[], float8[]) IS 'transition function of the aggregate kmeans_step';

CREATE FUNCTION sessionlen.kmeans_step_combine(state internal, other internal)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_kmeans_step_combine';
COMMENT ON FUNCTION sessionlen.kmeans_step_combine(internal, internal) IS 'combine function of the aggregate kmeans_step';

CREATE FUNCTION sessionlen.kmeans_step_serial(state internal)
RETURNS bytea LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_kmeans_step_serial';
COMMENT ON FUNCTION sessionlen.kmeans_step_serial(internal) IS 'serialization function of the aggregate kmeans_step';

CREATE FUNCTION sessionlen.kmeans_step_deserial(bytes bytea, state internal)
RETURNS internal LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_kmeans_step_deserial';
COMMENT ON FUNCTION sessionlen.kmeans_step_deserial(bytea, internal) IS 'deserialization function of the aggregate kmeans_step';

CREATE FUNCTION sessionlen.kmeans_step_final(state internal)
RETURNS sessionlen.kmeans_sums LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_kmeans_step_final';
COMMENT ON FUNCTION sessionlen.kmeans_step_final(internal) IS 'final function of the aggregate kmeans_step';

CREATE AGGREGATE sessionlen.kmeans_step(point float8[], centroids float8[]) (
	SFUNC = sessionlen.kmeans_step_add,
	STYPE = internal,
	FINALFUNC = sessionlen.kmeans_step_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = sessionlen.kmeans_step_combine,
	SERIALFUNC = sessionlen.kmeans_step_serial,
	DESERIALFUNC = sessionlen.kmeans_step_deserial,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.kmeans_step(float8[], float8[])
	IS 'one step of k-means: sums and counts of the points nearest to each centroid';

CREATE FUNCTION sessionlen.kmeans_centroids(step sessionlen.kmeans_sums, previous float8[])
RETURNS float8[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(centroid ORDER BY c)
	  FROM (SELECT c, array_agg(CASE WHEN step.counts[c] > 0 THEN step.sums[c][j] / step.counts[c]
	                                 ELSE previous[c][j] END ORDER BY j) AS centroid
	          FROM generate_subscripts(previous, 1) c, generate_subscripts(previous, 2) j
	         GROUP BY c) s
$$;
COMMENT ON FUNCTION sessionlen.kmeans_centroids(sessionlen.kmeans_sums, float8[])
	IS 'the centroids after a step: means of the points nearest to each; one without points stays';
