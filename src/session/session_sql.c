/*
 * session_sql.c: checks of arguments, and the composite type.
 */
#include "postgres.h"

#include "session/session_sql.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

StaticAssertDecl(SL_TS_MIN == MIN_TIMESTAMP, "session.h and timestamp.h disagree");
StaticAssertDecl(SL_TS_END == END_TIMESTAMP, "session.h and timestamp.h disagree");

/* Raises the error of an event that is none. */
void
sl_event_refuse(SlEventStatus status, TimestampTz ts, double seconds)
{
	if (status == SL_EVENT_INFINITE_TS)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("event timestamp must be finite"),
						errhint("Leave such events out with isfinite().")));
	if (status == SL_EVENT_INVALID_DURATION)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("event duration must be a finite number of seconds"),
						errhint("NULL, zero or a negative number stand for unknown.")));
	ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					errmsg("event end out of range"),
					errdetail("The event at %s with a duration of %g seconds ends "
							  "after the last possible timestamp.",
							  timestamptz_to_str(ts), seconds)));
}

/*
 * A gap in microseconds.  A day is 24 hours, because a session cannot depend on a
 * time zone's clock changes; a month has no length.
 */
int64
sl_gap_arg(const Interval *gap)
{
	int64 usecs;

	if (gap->month != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("session gap must not have months or years"),
						errdetail("Months differ in length."),
						errhint("Give the gap in days, hours or minutes.")));
	if (pg_mul_s64_overflow(gap->day, USECS_PER_DAY, &usecs) ||
		pg_add_s64_overflow(usecs, gap->time, &usecs))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("session gap out of range")));
	if (usecs < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("session gap must not be negative")));
	return usecs;
}

void
sl_gap_differs(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("session gap must be the same for all events of a group"),
					errhint("Group or partition by the gap as well.")));
}

/* The row type of sessionlen.session, copied into context. */
TupleDesc
sl_session_desc(Oid type, MemoryContext context)
{
	static const Oid columns[SL_SESSION_COLUMNS] = {
		INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID,
		INT8OID, FLOAT8OID,		 FLOAT8OID,		 FLOAT8OID};
	TupleDesc shared = lookup_rowtype_tupdesc(type, -1);
	bool good = shared->natts == SL_SESSION_COLUMNS;

	for (int i = 0; good && i < SL_SESSION_COLUMNS; i++)
		good = TupleDescAttr(shared, i)->atttypid == columns[i] &&
			   !TupleDescAttr(shared, i)->attisdropped;
	if (!good)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("type %s does not have the columns of a session",
							   format_type_be(type))));

	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc desc = CreateTupleDescCopy(shared);

	MemoryContextSwitchTo(old);
	ReleaseTupleDesc(shared);
	return desc;
}

Datum
sl_session_datum(TupleDesc desc, const SlSession *session)
{
	bool first = session->number == 1;
	Datum values[SL_SESSION_COLUMNS] = {
		[SL_SESSION_NUMBER] = Int64GetDatum(session->number),
		[SL_SESSION_START] = TimestampTzGetDatum(session->start),
		[SL_SESSION_END] = TimestampTzGetDatum(session->end),
		[SL_SESSION_LENGTH] = Float8GetDatum(sl_seconds(session->length)),
		[SL_SESSION_EVENTS] = Int64GetDatum(session->events),
		[SL_SESSION_PREVIOUS] = Float8GetDatum(sl_seconds(session->previous)),
		[SL_SESSION_AVERAGE] =
			Float8GetDatum(sl_mean_seconds(session->earlier, session->number - 1)),
		[SL_SESSION_ABSENCE] = Float8GetDatum(sl_seconds(session->absence)),
	};
	bool nulls[SL_SESSION_COLUMNS] = {[SL_SESSION_ABSENCE] = first};

	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
