-- sessionlen: user sessions inside PostgreSQL.  Built from the parts in sql/ by make.
\echo Use "CREATE EXTENSION sessionlen" to load this file. \quit

