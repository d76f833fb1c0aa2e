/*
 * next_sql.c: next_session(), the session about to start.
 *
 * Its history is what began before it, so asking with the start of a session that is
 * in the array gives that session's own history columns back: the same call serves
 * a prediction now and one as of any time in the past.
 */
#include "postgres.h"

#include "session/session_sql.h"

#include "access/htup_details.h"
#include "common/int.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sl_next_session);

/* What is known of the sessions before. */
typedef struct SlHistory
{
	int64 count;
	uint64 sum; /* of their lengths */
	int64 number;
	int64 start;
	int64 end;
	uint64 length; /* these four of the latest */
} SlHistory;

/* One element as a session; only number, start, end and length are set. */
static SlSession
session_of_element(Datum element, bool isnull, TupleDesc desc)
{
	Datum values[SL_SESSION_COLUMNS];
	bool nulls[SL_SESSION_COLUMNS];
	HeapTupleData tuple = {0};
	SlSession session = {0};

	if (!isnull)
	{
		tuple.t_data = DatumGetHeapTupleHeader(element);
		tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
		heap_deform_tuple(&tuple, desc, values, nulls);
	}
	if (isnull || nulls[SL_SESSION_NUMBER] || nulls[SL_SESSION_START] ||
		nulls[SL_SESSION_END])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("session without number, start or end")));
	session.number = DatumGetInt64(values[SL_SESSION_NUMBER]);
	session.start = DatumGetTimestampTz(values[SL_SESSION_START]);
	session.end = DatumGetTimestampTz(values[SL_SESSION_END]);
	if (session.number < 1 || session.number == PG_INT64_MAX ||
		TIMESTAMP_NOT_FINITE(session.start) || TIMESTAMP_NOT_FINITE(session.end) ||
		session.end < session.start)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid session"),
				 errdetail("Session number " INT64_FORMAT " from %s to %s.",
						   session.number, pstrdup(timestamptz_to_str(session.start)),
						   pstrdup(timestamptz_to_str(session.end)))));
	session.length = (uint64) session.end - (uint64) session.start;
	return session;
}

static void
add_to_history(SlHistory *history, const SlSession *session)
{
	history->count++;
	if (pg_add_u64_overflow(history->sum, session->length, &history->sum))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("sum of session lengths out of range")));
	if (history->count == 1 || session->start >= history->start)
	{
		history->number = session->number;
		history->start = session->start;
		history->end = session->end;
		history->length = session->length;
	}
}

static SlHistory
history_before(ArrayType *array, TimestampTz at, TupleDesc desc)
{
	SlHistory history = {0};
	Datum element;
	bool isnull;
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);

	while (array_iterate(iterator, &element, &isnull))
	{
		CHECK_FOR_INTERRUPTS();

		SlSession session = session_of_element(element, isnull, desc);

		if (session.start < at)
			add_to_history(&history, &session);
	}
	array_free_iterator(iterator);
	return history;
}

/* The row type of the result, looked up once a query. */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	FmgrInfo *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
	{
		Oid type;

		if (get_call_result_type(fcinfo, &type, NULL) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "next_session() must return a session");
		flinfo->fn_extra = sl_session_desc(type, flinfo->fn_mcxt);
	}
	return flinfo->fn_extra;
}

Datum
sl_next_session(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();

	TupleDesc desc = result_desc(fcinfo);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	SlHistory history = {0};

	(void) sl_event_arg(at, 0);
	if (!PG_ARGISNULL(0))
	{
		ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);

		if (ARR_ELEMTYPE(array) != desc->tdtypeid)
			elog(ERROR, "next_session() needs an array of sessions");
		history = history_before(array, at, desc);
	}

	bool first = history.count == 0;
	uint64 absence = at > history.end ? (uint64) at - (uint64) history.end : 0;
	Datum values[SL_SESSION_COLUMNS] = {
		[SL_SESSION_NUMBER] = Int64GetDatum(history.number + 1),
		[SL_SESSION_START] = TimestampTzGetDatum(at),
		[SL_SESSION_PREVIOUS] = Float8GetDatum(sl_seconds(history.length)),
		[SL_SESSION_AVERAGE] =
			Float8GetDatum(sl_mean_seconds(history.sum, history.count)),
		[SL_SESSION_ABSENCE] = Float8GetDatum(sl_seconds(absence)),
	};
	bool nulls[SL_SESSION_COLUMNS] = {
		[SL_SESSION_END] = true,
		[SL_SESSION_LENGTH] = true,
		[SL_SESSION_EVENTS] = true,
		[SL_SESSION_ABSENCE] = first,
	};

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
