/*
 * aggregate_sql.c: the aggregate sessions().
 *
 * The state keeps every event, because a late one may join or split sessions: an
 * array that doubles.  Whether the events came in order is noticed as they come; the
 * final function sorts them only if not.  Their order is no part of the state's
 * value: sorting in place leaves a state that transitions, other final calls and
 * window frames go on from, and it spares a copy of what may be gigabytes.
 */
#include "postgres.h"

#include "session/session_sql.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FIRST_CAPACITY 8

/* One cache line: with many groups in random order, a row costs a miss or two. */
typedef struct SlEventState
{
	SlEvent *events;
	size_t count;
	size_t capacity;
	int64 last_ts; /* of the last event */
	int64 gap;
	Interval gap_seen; /* the argument gap was made from; spares converting it again */
	bool sorted;
} SlEventState;

PG_FUNCTION_INFO_V1(sl_sessions_add);
PG_FUNCTION_INFO_V1(sl_sessions_add_gap);
PG_FUNCTION_INFO_V1(sl_sessions_add_duration);
PG_FUNCTION_INFO_V1(sl_sessions_combine);
PG_FUNCTION_INFO_V1(sl_sessions_serial);
PG_FUNCTION_INFO_V1(sl_sessions_deserial);
PG_FUNCTION_INFO_V1(sl_sessions_final);

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "sessions() support function called outside of an aggregate");
	return context;
}

/* The size of so many events, which an array may have. */
static size_t
events_size(size_t count)
{
	if (count > MaxAllocHugeSize / sizeof(SlEvent))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many events in one group")));
	return count * sizeof(SlEvent);
}

static SlEventState *
new_state(MemoryContext context, int64 gap, size_t capacity)
{
	SlEventState *state = MemoryContextAllocZero(context, sizeof(SlEventState));

	state->capacity = Max(capacity, FIRST_CAPACITY);
	state->events = MemoryContextAllocHuge(context, events_size(state->capacity));
	state->gap = gap;
	state->gap_seen.time = gap;
	state->sorted = true;
	return state;
}

static void
grow(SlEventState *state, size_t capacity)
{
	state->events = repalloc_huge(state->events, events_size(capacity));
	state->capacity = capacity;
}

static inline void
append(SlEventState *state, SlEvent event)
{
	if (state->count == state->capacity)
		grow(state, state->capacity * 2);
	if (state->count > 0 && event.ts < state->last_ts)
		state->sorted = false;
	state->last_ts = event.ts;
	state->events[state->count++] = event;
}

/* Takes in one row; gap NULL stands for the default. */
static Datum
add_event(FunctionCallInfo fcinfo, int duration_arg, int gap_arg)
{
	static const Interval default_gap = {.time = SL_DEFAULT_GAP};
	SlEventState *state = PG_ARGISNULL(0) ? NULL : (SlEventState *) PG_GETARG_POINTER(0);
	const Interval *gap = &default_gap;
	double seconds = 0;

	if (PG_ARGISNULL(1))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (gap_arg > 0 && !PG_ARGISNULL(gap_arg))
		gap = PG_GETARG_INTERVAL_P(gap_arg);
	if (duration_arg > 0 && !PG_ARGISNULL(duration_arg))
		seconds = PG_GETARG_FLOAT8(duration_arg);

	SlEvent event = sl_event_arg(PG_GETARG_TIMESTAMPTZ(1), seconds);

	if (state == NULL)
	{
		state = new_state(aggregate_context(fcinfo), sl_gap_arg(gap), 0);
		state->gap_seen = *gap;
	}
	else if (gap->time != state->gap_seen.time || gap->day != state->gap_seen.day ||
			 gap->month != state->gap_seen.month)
	{
		if (sl_gap_arg(gap) != state->gap)
			sl_gap_differs();
	}
	append(state, event);
	PG_RETURN_POINTER(state);
}

/* sessions(ts) */
Datum
sl_sessions_add(PG_FUNCTION_ARGS)
{
	return add_event(fcinfo, 0, 0);
}

/* sessions(ts, gap) */
Datum
sl_sessions_add_gap(PG_FUNCTION_ARGS)
{
	return add_event(fcinfo, 0, 2);
}

/* sessions(ts, duration, gap) */
Datum
sl_sessions_add_duration(PG_FUNCTION_ARGS)
{
	return add_event(fcinfo, 2, 3);
}

/* Appends the events of the second state to the first. */
Datum
sl_sessions_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	SlEventState *to = PG_ARGISNULL(0) ? NULL : (SlEventState *) PG_GETARG_POINTER(0);
	SlEventState *from = PG_ARGISNULL(1) ? NULL : (SlEventState *) PG_GETARG_POINTER(1);

	if (from == NULL)
	{
		if (to == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(to);
	}
	if (to == NULL)
		to = new_state(context, from->gap, from->count);
	else if (to->gap != from->gap)
		sl_gap_differs();

	/* Neither count exceeds MaxAllocHugeSize / 16, so the sum cannot wrap. */
	size_t count = to->count + from->count;

	if (count > to->capacity)
		grow(to, Max(count, Min(to->capacity * 2, MaxAllocHugeSize / sizeof(SlEvent))));
	if (from->count > 0)
	{
		to->sorted = to->sorted && from->sorted &&
					 (to->count == 0 || to->last_ts <= from->events[0].ts);
		to->last_ts = from->last_ts;
		memcpy(to->events + to->count, from->events, from->count * sizeof(SlEvent));
		to->count = count;
	}
	PG_RETURN_POINTER(to);
}

Datum
sl_sessions_serial(PG_FUNCTION_ARGS)
{
	aggregate_context(fcinfo);

	SlEventState *state = (SlEventState *) PG_GETARG_POINTER(0);
	size_t size = sl_wire_size(state->count);

	if (size == 0 || size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many events in one group to pass between processes"),
				 errdetail("The group has %zu events.", state->count),
				 errhint("Set max_parallel_workers_per_gather to 0 for this query.")));

	bytea *result = palloc(size + VARHDRSZ);

	SET_VARSIZE(result, size + VARHDRSZ);
	sl_wire_write((uint8_t *) VARDATA(result), state->gap, state->events, state->count);
	PG_RETURN_BYTEA_P(result);
}

static void
check_wire(SlWireStatus status)
{
	static const char *const details[] = {
		[SL_WIRE_NO_STATE] = "These bytes are no such state.",
		[SL_WIRE_VERSION] = "They were written by another version of sessionlen.",
		[SL_WIRE_LENGTH] = "Their length does not fit the number of events.",
		[SL_WIRE_BAD_CONTENT] = "They hold an impossible gap, timestamp or duration.",
	};

	if (status != SL_WIRE_OK)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid state of the aggregate sessions()"),
						errdetail_internal("%s", details[status])));
}

Datum
sl_sessions_deserial(PG_FUNCTION_ARGS)
{
	aggregate_context(fcinfo);

	bytea *input = PG_GETARG_BYTEA_PP(0);
	const uint8_t *bytes = (const uint8_t *) VARDATA_ANY(input);
	int64 gap = 0;
	size_t count = 0;

	check_wire(sl_wire_check(bytes, VARSIZE_ANY_EXHDR(input), &gap, &count));

	SlEventState *state = new_state(CurrentMemoryContext, gap, count);

	check_wire(sl_wire_read(bytes, state->events, count, &state->sorted));
	state->count = count;
	if (count > 0)
		state->last_ts = state->events[count - 1].ts;
	PG_RETURN_POINTER(state);
}

static bool
cancel_pending(void *arg)
{
	return InterruptPending && (QueryCancelPending || ProcDiePending);
}

static void
sort_state(SlEventState *state)
{
	SlEvent *scratch = MemoryContextAllocHuge(CurrentMemoryContext,
											  Max(state->count, 1) * sizeof(SlEvent));

	if (!sl_events_sort(state->events, scratch, state->count, cancel_pending, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("sorting was canceled")));
	}
	pfree(scratch);
	state->sorted = true;
	state->last_ts = state->events[state->count - 1].ts;
}

/* What the final function needs of the type session, looked up once a query. */
typedef struct SlElementType
{
	TupleDesc desc;
	HeapTupleHeader first; /* the image of a first session, whose absence is null */
	HeapTupleHeader later; /* and of any other */
} SlElementType;

static SlElementType *
element_type(FmgrInfo *flinfo)
{
	if (flinfo->fn_extra == NULL)
	{
		Oid oid = get_element_type(get_fn_expr_rettype(flinfo));
		MemoryContext old = MemoryContextSwitchTo(flinfo->fn_mcxt);
		SlElementType *type = palloc(sizeof(SlElementType));

		if (!OidIsValid(oid))
			elog(ERROR, "sessions() must return an array");
		type->desc = sl_session_desc(oid, flinfo->fn_mcxt);
		type->first = DatumGetHeapTupleHeader(
			sl_session_datum(type->desc, &(SlSession){.number = 1}));
		type->later = DatumGetHeapTupleHeader(
			sl_session_datum(type->desc, &(SlSession){.number = 2}));
		MemoryContextSwitchTo(old);
		flinfo->fn_extra = type;
	}
	return flinfo->fn_extra;
}

/*
 * Writes one array element: the image, then the values over its own.  All columns are
 * eight bytes (sl_session_desc has seen to it) and so one follows the other.
 */
static char *
put_session(char *to, const SlElementType *type, const SlSession *session)
{
	HeapTupleHeader image = session->number == 1 ? type->first : type->later;
	size_t size = HeapTupleHeaderGetDatumLength(image);
	int64 integers[3] = {session->number, session->start, session->end};
	double length = sl_seconds(session->length);
	double history[3] = {sl_seconds(session->previous),
						 sl_mean_seconds(session->earlier, session->number - 1),
						 sl_seconds(session->absence)};

	memcpy(to, image, size);

	char *values = to + image->t_hoff;
	size_t room = size - image->t_hoff;

	memcpy(values, integers, sizeof(integers));
	memcpy(values + 8 * SL_SESSION_LENGTH, &length, 8);
	memcpy(values + 8 * SL_SESSION_EVENTS, &session->events, 8);
	memcpy(values + 8 * SL_SESSION_PREVIOUS, history,
		   Min(sizeof(history), room - 8 * SL_SESSION_PREVIOUS));
	return to + MAXALIGN(size);
}

static size_t
count_sessions(const SlEventState *state)
{
	SlTracker tracker;
	SlSession session;
	size_t at = 0;
	size_t n = 0;

	sl_tracker_init(&tracker, state->gap);
	while (sl_next_of_sorted(&tracker, state->events, state->count, &at, &session))
		n++;
	return n;
}

/* An empty array of so many sessions, the first of which is shorter. */
static ArrayType *
new_array(const SlElementType *type, size_t sessions)
{
	size_t first = MAXALIGN(HeapTupleHeaderGetDatumLength(type->first));
	size_t later = MAXALIGN(HeapTupleHeaderGetDatumLength(type->later));

	if (sessions > MaxArraySize || sessions > MaxAllocSize / later - 1)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many sessions in one group"),
						errdetail("There are %zu sessions.", sessions)));

	size_t size = ARR_OVERHEAD_NONULLS(1) + first + (sessions - 1) * later;
	ArrayType *array = palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = type->desc->tdtypeid;
	ARR_DIMS(array)[0] = (int) sessions;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

Datum
sl_sessions_final(PG_FUNCTION_ARGS)
{
	aggregate_context(fcinfo);

	SlEventState *state = PG_ARGISNULL(0) ? NULL : (SlEventState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->count == 0)
		PG_RETURN_NULL();
	if (!state->sorted)
		sort_state(state);

	SlElementType *type = element_type(fcinfo->flinfo);
	ArrayType *array = new_array(type, count_sessions(state));
	char *to = ARR_DATA_PTR(array);
	SlTracker tracker;
	SlSession session;
	size_t at = 0;

	sl_tracker_init(&tracker, state->gap);
	while (sl_next_of_sorted(&tracker, state->events, state->count, &at, &session))
	{
		CHECK_FOR_INTERRUPTS();
		to = put_session(to, type, &session);
	}
	PG_RETURN_ARRAYTYPE_P(array);
}
