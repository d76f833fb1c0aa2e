-- Embeddings: a vector for every item, learned from the sequences items come in.
--
-- Rows belong to the role that made the embedding; row-level security shows them to it
-- and to the roles it was granted to, and lets only the owner change them.

CREATE TABLE sessionlen.embeddings (
	name text PRIMARY KEY CHECK (name <> ''),
	owner regrole NOT NULL DEFAULT current_user::regrole,
	id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	method text NOT NULL CHECK (method IN ('skip_gram', 'cbow')),
	dims int NOT NULL CHECK (dims > 0),
	items int NOT NULL CHECK (items > 0),
	source text NOT NULL,
	item text NOT NULL,
	partition_by text NOT NULL,
	order_by text NOT NULL,
	options jsonb NOT NULL,
	sequences bigint NOT NULL,
	tokens bigint NOT NULL,
	epochs int NOT NULL,
	loss float8 NOT NULL,
	seconds float8 NOT NULL,
	trained_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sessionlen.embeddings IS 'embeddings by name: what they were learned from, how, and how well';
COMMENT ON COLUMN sessionlen.embeddings.id IS 'another one whenever the embedding is made anew';
COMMENT ON COLUMN sessionlen.embeddings.options IS 'all options of the run, defaults filled in';
COMMENT ON COLUMN sessionlen.embeddings.sequences IS 'sequences with at least two items that have a vector';
COMMENT ON COLUMN sessionlen.embeddings.tokens IS 'rows of those sequences whose items have a vector';
COMMENT ON COLUMN sessionlen.embeddings.epochs IS 'epochs that were finished';
COMMENT ON COLUMN sessionlen.embeddings.loss IS 'mean loss of a pair (CBOW: of a window) in the last epoch';

CREATE TABLE sessionlen.embedding_grants (
	name text NOT NULL REFERENCES sessionlen.embeddings ON DELETE CASCADE,
	role regrole NOT NULL,
	grantor regrole NOT NULL DEFAULT current_user::regrole,
	PRIMARY KEY (name, role)
);
COMMENT ON TABLE sessionlen.embedding_grants IS 'roles other than the owner that may use an embedding';

CREATE TABLE sessionlen.embedding_items (
	name text NOT NULL REFERENCES sessionlen.embeddings ON DELETE CASCADE,
	rank int NOT NULL CHECK (rank >= 0),
	item text NOT NULL,
	count bigint NOT NULL,
	vector real[] NOT NULL,
	PRIMARY KEY (name, rank)
);
ALTER TABLE sessionlen.embedding_items ALTER COLUMN vector SET STORAGE EXTERNAL;
-- items may be longer than an ordered index can hold
CREATE INDEX embedding_items_item_idx ON sessionlen.embedding_items USING hash (item);
COMMENT ON TABLE sessionlen.embedding_items IS 'the vector of every item of an embedding';
COMMENT ON COLUMN sessionlen.embedding_items.rank IS '0 is the most frequent item';
COMMENT ON COLUMN sessionlen.embedding_items.count IS 'rows the item came in';

-- As for models: the policies can't read the tables themselves without calling each
-- other in circles.
CREATE FUNCTION sessionlen.embedding_owner(name text) RETURNS oid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT e.owner::oid FROM sessionlen.embeddings e WHERE e.name = $1';
COMMENT ON FUNCTION sessionlen.embedding_owner(text) IS 'the role that owns an embedding';

CREATE FUNCTION sessionlen.may_use_embedding(name text, role oid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM sessionlen.embeddings e
	                WHERE e.name = $1 AND pg_has_role($2, e.owner, 'USAGE'))
	    OR EXISTS (SELECT FROM sessionlen.embedding_grants g
	                WHERE g.name = $1 AND pg_has_role($2, g.role, 'USAGE'))
$$;
COMMENT ON FUNCTION sessionlen.may_use_embedding(text, oid) IS 'whether a role owns an embedding or was granted it';

DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{embeddings,embedding_grants,embedding_items}'::text[]
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(format('sessionlen.%I', t), '');
		EXECUTE format('ALTER TABLE sessionlen.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sessionlen.%I TO PUBLIC', t);
	END LOOP;
END
$$;
CREATE POLICY use ON sessionlen.embeddings FOR SELECT
	USING (pg_catalog.pg_has_role(owner, 'USAGE')
	       OR sessionlen.may_use_embedding(name, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)));
CREATE POLICY own ON sessionlen.embeddings USING (pg_catalog.pg_has_role(owner, 'USAGE'));
CREATE POLICY use ON sessionlen.embedding_grants FOR SELECT
	USING (sessionlen.may_use_embedding(name, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)));
CREATE POLICY own ON sessionlen.embedding_grants
	USING (pg_catalog.pg_has_role(sessionlen.embedding_owner(name), 'USAGE'));
-- Looked up once a statement, not once a row.
CREATE POLICY use ON sessionlen.embedding_items FOR SELECT
	USING (name IN (SELECT e.name FROM sessionlen.embeddings e));
CREATE POLICY add ON sessionlen.embedding_items FOR INSERT
	WITH CHECK (name IN (SELECT e.name FROM sessionlen.embeddings e WHERE pg_catalog.pg_has_role(e.owner, 'USAGE')));
CREATE POLICY change ON sessionlen.embedding_items FOR UPDATE
	USING (name IN (SELECT e.name FROM sessionlen.embeddings e WHERE pg_catalog.pg_has_role(e.owner, 'USAGE')));
CREATE POLICY remove ON sessionlen.embedding_items FOR DELETE
	USING (name IN (SELECT e.name FROM sessionlen.embeddings e WHERE pg_catalog.pg_has_role(e.owner, 'USAGE')));

CREATE FUNCTION sessionlen.word2vec(
	name text,
	source text,
	item text,
	partition_by text,
	order_by text,
	options jsonb DEFAULT '{}',
	OUT name text,
	OUT method text,
	OUT items int,
	OUT dims int,
	OUT sequences bigint,
	OUT tokens bigint,
	OUT epochs int,
	OUT loss float8,
	OUT seconds float8,
	OUT tokens_per_second float8,
	OUT stopped_early boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'sl_word2vec';
COMMENT ON FUNCTION sessionlen.word2vec(text, text, text, text, text, jsonb)
	IS 'learns a vector for every item from the sequences of a table, view or query, and stores them';

CREATE FUNCTION sessionlen.embedding(name text, item text) RETURNS real[]
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_item_embedding';
COMMENT ON FUNCTION sessionlen.embedding(text, text) IS 'the vector of an item; NULL if it has none';

CREATE FUNCTION sessionlen.similar_items(name text, item text, n int DEFAULT 10, OUT rank int, OUT item text,
	OUT similarity float8) RETURNS SETOF record
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10
AS 'MODULE_PATHNAME', 'sl_similar_items';
COMMENT ON FUNCTION sessionlen.similar_items(text, text, int)
	IS 'the items whose vectors are nearest to an item''s by cosine, without itself';

CREATE FUNCTION sessionlen.similar_items(name text, vector real[], n int DEFAULT 10, OUT rank int, OUT item text,
	OUT similarity float8) RETURNS SETOF record
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10
AS 'MODULE_PATHNAME', 'sl_similar_to_vector';
COMMENT ON FUNCTION sessionlen.similar_items(text, real[], int)
	IS 'the items whose vectors are nearest to a vector by cosine';

CREATE FUNCTION sessionlen.drop_embedding(name text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF drop_embedding.name IS NULL THEN
		RAISE EXCEPTION 'name must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM sessionlen.embeddings e WHERE e.name = drop_embedding.name) THEN
		RAISE EXCEPTION 'embedding "%" does not exist', drop_embedding.name USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.embeddings.';
	END IF;
	DELETE FROM sessionlen.embeddings e WHERE e.name = drop_embedding.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'must be owner of embedding "%"', drop_embedding.name USING ERRCODE = 'insufficient_privilege';
	END IF;
END
$$;
COMMENT ON FUNCTION sessionlen.drop_embedding(text) IS 'removes an embedding with its vectors';

CREATE FUNCTION sessionlen.grant_embedding(name text, role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF grant_embedding.name IS NULL OR grant_embedding.role IS NULL THEN
		RAISE EXCEPTION 'name and role must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM sessionlen.embeddings e WHERE e.name = grant_embedding.name) THEN
		RAISE EXCEPTION 'embedding "%" does not exist', grant_embedding.name USING ERRCODE = 'undefined_object',
			HINT = 'See the table sessionlen.embeddings.';
	END IF;
	IF NOT pg_has_role(sessionlen.embedding_owner(grant_embedding.name), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of embedding "%"', grant_embedding.name USING ERRCODE = 'insufficient_privilege';
	END IF;
	INSERT INTO sessionlen.embedding_grants (name, role) VALUES (grant_embedding.name, grant_embedding.role)
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION sessionlen.grant_embedding(text, regrole) IS 'lets a role use an embedding and read its vectors';

CREATE FUNCTION sessionlen.revoke_embedding(name text, role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF revoke_embedding.name IS NULL OR revoke_embedding.role IS NULL THEN
		RAISE EXCEPTION 'name and role must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	DELETE FROM sessionlen.embedding_grants g WHERE g.name = revoke_embedding.name AND g.role = revoke_embedding.role;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'embedding "%" was not granted to % by you', revoke_embedding.name, revoke_embedding.role
			USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMENT ON FUNCTION sessionlen.revoke_embedding(text, regrole) IS 'takes a grant back';
