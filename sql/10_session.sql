
--
-- Sessions
--

CREATE TYPE sessionlen.session AS (
	session_number bigint,
	session_start timestamptz,
	session_end timestamptz,
	session_length double precision,
	event_count bigint,
	previous_session_length double precision,
	average_session_length double precision,
	absence double precision
);
COMMENT ON TYPE sessionlen.session IS 'one session of a user and what was known of the user before it; lengths and absence in seconds';
COMMENT ON COLUMN sessionlen.session.session_number IS 'number of the session, from 1';
COMMENT ON COLUMN sessionlen.session.session_start IS 'time of the first event';
COMMENT ON COLUMN sessionlen.session.session_end IS 'time of the last event plus its duration, where that is known';
COMMENT ON COLUMN sessionlen.session.session_length IS 'seconds from start to end';
COMMENT ON COLUMN sessionlen.session.event_count IS 'number of events';
COMMENT ON COLUMN sessionlen.session.previous_session_length IS 'length of the session before, 0 for the first';
COMMENT ON COLUMN sessionlen.session.average_session_length IS 'mean length of all earlier sessions, 0 for the first';
COMMENT ON COLUMN sessionlen.session.absence IS 'seconds from the end of the session before to the start of this one, NULL for the first';

CREATE FUNCTION sessionlen.sessions_add(state internal, ts timestamptz)
RETURNS internal AS 'MODULE_PATHNAME', 'sl_sessions_add'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_add(internal, timestamptz) IS 'transition function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_add(state internal, ts timestamptz, gap interval)
RETURNS internal AS 'MODULE_PATHNAME', 'sl_sessions_add_gap'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_add(internal, timestamptz, interval) IS 'transition function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_add(state internal, ts timestamptz, duration double precision, gap interval)
RETURNS internal AS 'MODULE_PATHNAME', 'sl_sessions_add_duration'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_add(internal, timestamptz, double precision, interval) IS 'transition function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_combine(state internal, other internal)
RETURNS internal AS 'MODULE_PATHNAME', 'sl_sessions_combine'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_combine(internal, internal) IS 'combine function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_serial(state internal)
RETURNS bytea AS 'MODULE_PATHNAME', 'sl_sessions_serial'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_serial(internal) IS 'serialization function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_deserial(bytes bytea, state internal)
RETURNS internal AS 'MODULE_PATHNAME', 'sl_sessions_deserial'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_deserial(bytea, internal) IS 'deserialization function of the aggregate sessions';

CREATE FUNCTION sessionlen.sessions_final(state internal)
RETURNS sessionlen.session[] AS 'MODULE_PATHNAME', 'sl_sessions_final'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.sessions_final(internal) IS 'final function of the aggregate sessions';

-- The final function may put the events of a state in order, which is no change of
-- the state's value, so the aggregates are read only in the sense of FINALFUNC_MODIFY.
CREATE AGGREGATE sessionlen.sessions(ts timestamptz) (
	SFUNC = sessionlen.sessions_add,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = sessionlen.sessions_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = sessionlen.sessions_combine,
	SERIALFUNC = sessionlen.sessions_serial,
	DESERIALFUNC = sessionlen.sessions_deserial,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.sessions(timestamptz) IS 'the sessions of a user''s events, in any order, with a gap of 30 minutes';

CREATE AGGREGATE sessionlen.sessions(ts timestamptz, gap interval) (
	SFUNC = sessionlen.sessions_add,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = sessionlen.sessions_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = sessionlen.sessions_combine,
	SERIALFUNC = sessionlen.sessions_serial,
	DESERIALFUNC = sessionlen.sessions_deserial,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.sessions(timestamptz, interval) IS 'the sessions of a user''s events, in any order; a new one starts after more than gap without an event';

CREATE AGGREGATE sessionlen.sessions(ts timestamptz, duration double precision, gap interval) (
	SFUNC = sessionlen.sessions_add,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = sessionlen.sessions_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = sessionlen.sessions_combine,
	SERIALFUNC = sessionlen.sessions_serial,
	DESERIALFUNC = sessionlen.sessions_deserial,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.sessions(timestamptz, double precision, interval) IS 'the sessions of a user''s events, in any order, each with its duration in seconds (NULL, 0 or negative: unknown); a new one starts after more than gap idle';

CREATE FUNCTION sessionlen.session_number(ts timestamptz, duration double precision DEFAULT NULL, gap interval DEFAULT '30 minutes')
RETURNS bigint AS 'MODULE_PATHNAME', 'sl_session_number'
LANGUAGE C WINDOW IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.session_number(timestamptz, double precision, interval) IS 'number of the session an event is in, OVER (PARTITION BY the user ORDER BY ts, duration)';

CREATE FUNCTION sessionlen.session_seconds(ts timestamptz, duration double precision DEFAULT NULL, gap interval DEFAULT '30 minutes')
RETURNS double precision AS 'MODULE_PATHNAME', 'sl_session_seconds'
LANGUAGE C WINDOW IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.session_seconds(timestamptz, double precision, interval) IS 'length of the running session up to the end of this event, OVER (PARTITION BY the user ORDER BY ts, duration)';

CREATE FUNCTION sessionlen.next_session(history sessionlen.session[], at timestamptz DEFAULT now())
RETURNS sessionlen.session AS 'MODULE_PATHNAME', 'sl_next_session'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.next_session(sessionlen.session[], timestamptz) IS 'the session that starts at the given time, with the history of those that started before; its length is NULL';

CREATE FUNCTION sessionlen.age_at(ts timestamptz, age integer, registered date)
RETURNS integer
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
RETURN age + (extract(year FROM ts AT TIME ZONE 'UTC') - extract(year FROM registered))::integer;
COMMENT ON FUNCTION sessionlen.age_at(timestamptz, integer, date) IS 'age at a time of who was of the given age when registered, by calendar years (UTC)';

CREATE FUNCTION sessionlen.user_profiles(plays text, users text DEFAULT NULL, gap interval DEFAULT '30 minutes')
RETURNS TABLE (
	user_id text,
	gender integer,
	age integer,
	country text,
	registered date,
	top_artist text,
	top_track text,
	total_sessions bigint,
	average_session_length double precision,
	max_session_length double precision,
	median_session_length double precision,
	total_session_rows bigint,
	top_track_artist text
) AS 'MODULE_PATHNAME', 'sl_user_profiles'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION sessionlen.user_profiles(text, text, interval) IS 'one row a user from plays (user_id, ts, duration, artist_name, track_name) and users (user_id, gender, age, country, registered), each a table, a view or a query';
