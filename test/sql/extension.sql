-- What must hold for every object of the extension, whatever it is.
SET client_min_messages = warning;
\set caller :DBNAME
CREATE DATABASE regress_sessionlen_extension;
\c regress_sessionlen_extension
CREATE TABLE before AS
	SELECT 'pg_proc'::regclass AS classid, oid FROM pg_proc
	UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
	UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
	UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
	UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass
	UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger;
-- A schema that somebody made is not taken over.
CREATE SCHEMA sessionlen;
\set VERBOSITY terse
CREATE EXTENSION sessionlen;
\set VERBOSITY default
DROP SCHEMA sessionlen;
CREATE EXTENSION sessionlen;

SELECT extname, extversion, nspname, extrelocatable
FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'sessionlen';

CREATE VIEW members AS
	SELECT classid, objid, i.*
	FROM pg_depend d, pg_identify_object(classid, objid, objsubid) i
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sessionlen');
-- Support functions of aggregates, windows and types are seen by nobody.
CREATE VIEW functions AS
	SELECT p.*, 'internal'::regtype = ANY (proargtypes) OR prorettype = 'internal'::regtype AS inner_part
	FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = oid;

-- Nothing lies outside our schema.
SELECT type, identity FROM members WHERE coalesce(schema, identity) <> 'sessionlen' ORDER BY 1, 2;

-- Everything a user can name is described.
SELECT type, identity FROM members m
WHERE obj_description(objid, classid::regclass::name) IS NULL
  AND type NOT IN ('schema', 'index', 'sequence', 'policy', 'trigger', 'rule', 'cast')
  AND NOT EXISTS (SELECT FROM pg_type t
				  WHERE classid = 'pg_type'::regclass AND t.oid = objid
					AND (typelem <> 0 OR typtype = 'c'
						 AND (SELECT relkind FROM pg_class c WHERE c.oid = typrelid) <> 'c'))
  AND NOT (classid = 'pg_class'::regclass
		   AND (SELECT relkind FROM pg_class c WHERE c.oid = objid) = 'c')
ORDER BY 1, 2;

-- Arguments have names.
SELECT oid::regprocedure FROM functions
WHERE NOT inner_part AND pronargs > 0
  AND (proargnames IS NULL OR '' = ANY (proargnames[1:pronargs]))
ORDER BY oid::regprocedure::text;

-- What only computes runs in parallel workers, and aggregates do so in part; what
-- reads tables leaves its workers at least a parallel plan.
SELECT oid::regprocedure, provolatile, proparallel FROM functions
WHERE provolatile = 'i' AND proparallel <> 's' OR provolatile = 's' AND proparallel = 'u'
ORDER BY oid::regprocedure::text;
SELECT aggfnoid::regprocedure FROM pg_aggregate JOIN functions f ON f.oid = aggfnoid
WHERE aggcombinefn = 0 OR aggtranstype = 'internal'::regtype AND (aggserialfn = 0 OR aggdeserialfn = 0)
ORDER BY aggfnoid::text;

-- Predictions read tables; training writes them.
SELECT oid::regprocedure, provolatile FROM functions
WHERE NOT inner_part
  AND provolatile <> CASE WHEN proname ~ '^predict' THEN 's'
						  WHEN proname IN ('train', 'deploy', 'drop_model', 'grant_model', 'cluster') THEN 'v'
						  WHEN proname IN ('session_number', 'session_seconds', 'next_session', 'age_at') THEN 'i'
						  WHEN prokind = 'a' THEN 'i'
						  ELSE provolatile END
ORDER BY oid::regprocedure::text;

-- What runs with its owner's rights says where it looks for names.
SELECT oid::regprocedure FROM functions
WHERE prosecdef AND NOT coalesce(proconfig::text ~ 'search_path=', false)
ORDER BY oid::regprocedure::text;

-- The rows of every table are part of a dump.
SELECT objid::regclass AS not_dumped
FROM members JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
WHERE relkind IN ('r', 'p')
  AND NOT objid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'sessionlen')
ORDER BY objid::regclass::text;

-- DROP EXTENSION leaves nothing behind.
DROP VIEW functions, members;
DROP EXTENSION sessionlen;
SELECT count(*) FROM pg_namespace WHERE nspname = 'sessionlen';
SELECT classid::regclass, oid FROM (
	SELECT 'pg_proc'::regclass AS classid, oid FROM pg_proc
	UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typname !~ '^_?before$'
	UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
	UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
	UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass
	UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger) now
EXCEPT SELECT classid, oid FROM before;
\c :caller
DROP DATABASE regress_sessionlen_extension;
