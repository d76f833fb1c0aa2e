/*
 * profile_sql.c: user_profiles(), one row a user from plays and users that the caller
 * names.
 *
 * The caller's tables or queries become parts of one statement, which runs with the
 * caller's rights and search_path.  Everything in it that is not the caller's is
 * qualified, so that nothing on that path can take its place.  Columns that a source
 * does not have are unknown for every user.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define FETCH_ROWS 1000

PG_FUNCTION_INFO_V1(sl_user_profiles);

/* Whether text is a query rather than the name of a table or view. */
static bool
is_query(const char *text)
{
	static const char *const starts[] = {"select", "with", "values", "table"};

	if (*text == '(')
		return true;
	for (size_t i = 0; i < lengthof(starts); i++)
	{
		size_t length = strlen(starts[i]);
		unsigned char next;

		if (pg_strncasecmp(text, starts[i], length) != 0)
			continue;
		next = (unsigned char) text[length];
		if (!isalnum(next) && next != '_' && next != '$' && next != '.' && next < 0x80)
			return true;
	}
	return false;
}

/* The query that reads a source, which is a query itself or a relation's name. */
static char *
source_query(text *source, const char *argument)
{
	char *string = text_to_cstring(source);
	size_t length;
	List *names;

	while (scanner_isspace(*string))
		string++;
	length = strlen(string);
	while (length > 0 &&
		   (scanner_isspace(string[length - 1]) || string[length - 1] == ';'))
		string[--length] = '\0';
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must name a table, a view or be a query", argument)));
	if (is_query(string))
		return string;
#if PG_VERSION_NUM >= 160000
	names = stringToQualifiedNameList(string, NULL);
#else
	names = stringToQualifiedNameList(string);
#endif
	if (!OidIsValid(
			RangeVarGetRelid(makeRangeVarFromNameList(names), AccessShareLock, true)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s\" does not exist", string),
						errdetail("It is what \"%s\" names.", argument)));
	return psprintf("TABLE %s", NameListToQuotedString(names));
}

/*
 * The columns of a query.  Preparing it by itself also makes sure that it is one
 * whole statement before it becomes a part of another.
 */
static TupleDesc
query_columns(const char *query, const char *argument)
{
	SPIPlanPtr plan = SPI_prepare(query, 0, NULL);
	List *sources = plan == NULL ? NIL : SPI_plan_get_plan_sources(plan);
	CachedPlanSource *source = sources == NIL ? NULL : linitial(sources);

	if (list_length(sources) != 1 || !SPI_is_cursor_plan(plan) ||
		source->resultDesc == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" must be one query that returns rows", argument)));
	return source->resultDesc;
}

static bool
has_column(TupleDesc desc, const char *name)
{
	return SPI_fnumber(desc, name) > 0;
}

/* One of the columns, the first that there is. */
static const char *
need_column(TupleDesc desc, const char *name, const char *other, const char *argument)
{
	if (has_column(desc, name))
		return name;
	if (other != NULL && has_column(desc, other))
		return other;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("\"%s\" has no column \"%s\"", argument, name),
					other ? errhint("It may also be called \"%s\".", other) : 0));
}

/* Appends a name as text, NULL where it is blank or missing. */
static void
append_name(StringInfo sql, TupleDesc desc, const char *name)
{
	if (!has_column(desc, name))
		appendStringInfoString(sql, "NULL::pg_catalog.text");
	else
		appendStringInfo(sql,
						 "CASE WHEN pg_catalog.btrim(s.%1$s::pg_catalog.text)"
						 " OPERATOR(pg_catalog.<>) '' THEN s.%1$s::pg_catalog.text END",
						 quote_identifier(name));
	appendStringInfo(sql, " AS %s", quote_identifier(name));
}

/* Appends what users say as text without spaces around it, NULL where nothing is left. */
static void
append_said(StringInfo sql, TupleDesc desc, const char *name)
{
	if (desc == NULL || !has_column(desc, name))
		appendStringInfoString(sql, "NULL::pg_catalog.text");
	else
		appendStringInfo(sql,
						 "CASE WHEN pg_catalog.btrim(s.%1$s::pg_catalog.text)"
						 " OPERATOR(pg_catalog.<>) ''"
						 " THEN pg_catalog.btrim(s.%1$s::pg_catalog.text) END",
						 quote_identifier(name));
	appendStringInfo(sql, " AS %s", quote_identifier(name));
}

/* The CTE plays: the caller's plays with known user and time, in fixed types. */
static void
append_plays(StringInfo sql, const char *query)
{
	TupleDesc desc = query_columns(query, "plays");
	const char *user = need_column(desc, "user_id", NULL, "plays");
	const char *ts = need_column(desc, "ts", "timestamp", "plays");

	appendStringInfo(sql, "WITH plays AS (SELECT s.%s::pg_catalog.text AS user_id,",
					 quote_identifier(user));
	appendStringInfo(sql, " s.%s::pg_catalog.timestamptz AS ts,", quote_identifier(ts));
	if (has_column(desc, "duration"))
		appendStringInfoString(sql, " s.duration::pg_catalog.float8 AS duration, ");
	else
		appendStringInfoString(sql, " NULL::pg_catalog.float8 AS duration, ");
	append_name(sql, desc, "artist_name");
	appendStringInfoString(sql, ", ");
	append_name(sql, desc, "track_name");
	appendStringInfo(sql,
					 " FROM (\n%s\n) s WHERE s.%s IS NOT NULL AND s.%s IS NOT NULL),\n",
					 query, quote_identifier(user), quote_identifier(ts));
}

/* The CTE people: the caller's users in fixed types; empty without any. */
static void
append_people(StringInfo sql, const char *query)
{
	TupleDesc desc = query == NULL ? NULL : query_columns(query, "users");

	appendStringInfoString(sql, "people AS (SELECT ");
	if (desc == NULL)
		appendStringInfoString(sql, "NULL::pg_catalog.text AS user_id, ");
	else
		appendStringInfo(sql, "s.%s::pg_catalog.text AS user_id, ",
						 quote_identifier(need_column(desc, "user_id", NULL, "users")));
	append_said(sql, desc, "gender");
	appendStringInfoString(sql, ", ");
	append_said(sql, desc, "age");
	appendStringInfoString(sql, ", ");
	append_said(sql, desc, "country");
	appendStringInfoString(sql, ", ");
	append_said(sql, desc, "registered");
	if (query == NULL)
		appendStringInfoString(sql, " WHERE false),\n");
	else
		appendStringInfo(sql, " FROM (\n%s\n) s),\n", query);
}

/* The whole statement; its parameter is the gap. */
static char *
profile_query(const char *plays, const char *users)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_plays(&sql, plays);
	append_people(&sql, users);
	appendStringInfoString(
		&sql,
		"profiles AS (SELECT user_id, sessionlen.sessions(ts, duration, $1) AS list,"
		" pg_catalog.count(*) AS plays,"
		" pg_catalog.mode() WITHIN GROUP (ORDER BY artist_name COLLATE pg_catalog.\"C\")"
		" FILTER (WHERE artist_name IS NOT NULL) AS artist,"
		" pg_catalog.mode() WITHIN GROUP"
		" (ORDER BY ARRAY[artist_name, track_name] COLLATE pg_catalog.\"C\")"
		" FILTER (WHERE artist_name IS NOT NULL AND track_name IS NOT NULL) AS track"
		" FROM plays GROUP BY user_id)\n"
		"SELECT p.user_id,"
		" CASE WHEN pg_catalog.lower(u.gender)"
		" OPERATOR(pg_catalog.=) ANY ('{m,male,1}'::pg_catalog.text[]) THEN 1"
		" WHEN pg_catalog.lower(u.gender)"
		" OPERATOR(pg_catalog.=) ANY ('{f,female,0}'::pg_catalog.text[]) THEN 0"
		" ELSE -1 END,"
		" CASE WHEN u.age::pg_catalog.numeric OPERATOR(pg_catalog.>=) 0"
		" THEN u.age::pg_catalog.numeric::pg_catalog.int4 END,"
		" u.country, u.registered::pg_catalog.date,"
		" p.artist, p.track[2], s.sessions, s.average, s.longest, s.median, p.plays,"
		" p.track[1]"
		" FROM profiles p CROSS JOIN LATERAL"
		" (SELECT pg_catalog.count(*) AS sessions,"
		" pg_catalog.avg(x.session_length) AS average,"
		" pg_catalog.max(x.session_length) AS longest,"
		" pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY x.session_length)"
		" AS median FROM pg_catalog.unnest(p.list) x) s"
		" LEFT JOIN people u ON u.user_id OPERATOR(pg_catalog.=) p.user_id"
		" ORDER BY p.user_id COLLATE pg_catalog.\"C\"");
	return sql.data;
}

/* Keeps the row, unless it is the second of its user. */
static void
keep_profile(ReturnSetInfo *result, SPITupleTable *table, HeapTuple row, char **last_user)
{
	char *user = SPI_getvalue(row, table->tupdesc, 1);

	if (*last_user != NULL && strcmp(*last_user, user) == 0)
		ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
						errmsg("\"users\" has more than one row for user \"%s\"", user)));
	if (*last_user != NULL)
		pfree(*last_user);
	*last_user = user;
	tuplestore_puttuple(result->setResult, row);
}

Datum
sl_user_profiles(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("\"plays\" must not be null")));
	InitMaterializedSRF(fcinfo, 0);

	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum gap = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	char gap_null = PG_ARGISNULL(2) ? 'n' : ' ';
	Oid gap_type = INTERVALOID;

	SPI_connect();

	char *plays = source_query(PG_GETARG_TEXT_PP(0), "plays");
	char *users = PG_ARGISNULL(1) ? NULL : source_query(PG_GETARG_TEXT_PP(1), "users");
	Portal portal = SPI_cursor_open_with_args(NULL, profile_query(plays, users), 1,
											  &gap_type, &gap, &gap_null, false, 0);
	char *last_user = NULL;

	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		CHECK_FOR_INTERRUPTS();
		for (uint64 i = 0; i < SPI_processed; i++)
			keep_profile(result, SPI_tuptable, SPI_tuptable->vals[i], &last_user);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	return (Datum) 0;
}
