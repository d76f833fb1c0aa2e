-- sessionlen: user sessions inside PostgreSQL.  Built from the parts in sql/ by make.
\echo Use "CREATE EXTENSION sessionlen" to load this file. \quit

-- A schema of our own, as a member of the extension: one that exists may belong to
-- somebody who would then own what is put into it.
CREATE SCHEMA sessionlen;
COMMENT ON SCHEMA sessionlen IS 'user sessions: found, profiled and predicted by recurrent networks';

