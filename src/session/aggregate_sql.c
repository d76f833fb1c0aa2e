/*
 * aggregate_sql.c: the aggregate sessions().
 *
 * A late event may join or split sessions, so the state keeps whatever of the log can
 * still count: its runs (session_run.c), and the events since they were made.  When
 * these fill their array, they are sorted and folded into the runs.  That keeps a
 * partial state short and the memory in proportion to the sessions.  Folding is no
 * change of the state's value: transitions, other final calls and window frames go on
 * from there.
 *
 * Rows of many groups come in random order, and the memory they go to is what they
 * wait for.  So the newest events of a group are kept in the state itself, and the
 * states of a thousand groups in the second cache; the array is touched once in
 * NEW_EVENTS rows.
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

#include "argument.h"

#define NEW_EVENTS 16
#define FIRST_ROOM 64
#define FOLD_EVENTS 256 /* so many events, or as many as there are runs, fold at once */
#define ON_STACK 1024	/* a fold of so many needs no memory to work in */

typedef struct SlEventState
{
	size_t new_count;
	Interval gap_seen; /* the argument gap was made from; spares converting it again */
	int64 gap;
	SlEvent *events; /* since the last fold, as they came */
	size_t count;
	size_t room;
	SlRun *runs;
	size_t run_count;
	size_t run_room;
	SlEvent new_events[NEW_EVENTS]; /* after those */
} SlEventState;

PG_FUNCTION_INFO_V1(sl_sessions_add);
PG_FUNCTION_INFO_V1(sl_sessions_add_gap);
PG_FUNCTION_INFO_V1(sl_sessions_add_duration);
PG_FUNCTION_INFO_V1(sl_sessions_combine);
PG_FUNCTION_INFO_V1(sl_sessions_serial);
PG_FUNCTION_INFO_V1(sl_sessions_deserial);
PG_FUNCTION_INFO_V1(sl_sessions_final);

/* The size of an array of so many, in bytes. */
static size_t
array_size(size_t count, size_t width)
{
	if (count > MaxAllocHugeSize / width)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many events in one group")));
	return count * width;
}

static void *
new_array_of(MemoryContext context, size_t count, size_t width)
{
	return MemoryContextAllocHuge(context, array_size(Max(count, 1), width));
}

static SlEventState *
new_state(MemoryContext context, int64 gap, size_t runs)
{
	SlEventState *state = MemoryContextAllocZero(context, sizeof(SlEventState));

	state->gap = gap;
	state->gap_seen.time = gap;
	if (runs > 0)
	{
		state->runs = new_array_of(context, runs, sizeof(SlRun));
		state->run_room = runs;
	}
	return state;
}

static bool
cancel_pending(void *arg)
{
	return InterruptPending && (QueryCancelPending || ProcDiePending);
}

static void
sort_events(SlEvent *events, size_t count)
{
	SlEvent few[ON_STACK];
	SlEvent *scratch = few;

	if (count > ON_STACK)
		scratch = new_array_of(CurrentMemoryContext, count, sizeof(SlEvent));
	if (!sl_events_sort(events, scratch, count, cancel_pending, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("sorting was canceled")));
	}
	if (scratch != few)
		pfree(scratch);
}

/* Makes room for so many runs more, more than asked for if there are some already. */
static void
grow_runs(SlEventState *state, size_t more)
{
	size_t needed = state->run_count + more;

	if (needed <= state->run_room)
		return;
	if (state->runs == NULL)
		state->runs = new_array_of(GetMemoryChunkContext(state), needed, sizeof(SlRun));
	else
	{
		needed = Max(needed, Min(state->run_room + state->run_room / 4,
								 MaxAllocHugeSize / sizeof(SlRun)));
		state->runs = repalloc_huge(state->runs, array_size(needed, sizeof(SlRun)));
	}
	state->run_room = needed;
}

/*
 * Merges runs of elsewhere into the state's.  Its own step aside by as many, so that
 * what is written never reaches what is still to be read.
 */
static void
add_runs(SlEventState *state, const SlRun *runs, size_t count)
{
	if (count == 0)
		return;
	grow_runs(state, count);

	SlRun *own = state->runs + count;

	memmove(own, state->runs, state->run_count * sizeof(SlRun));
	state->run_count =
		sl_runs_merge(own, state->run_count, runs, count, state->gap, state->runs);
}

/* Takes so many sorted events into the runs.  None is moved where all are later. */
static void
add_sorted(SlEventState *state, const SlEvent *events, size_t count)
{
	size_t more = sl_runs_count(events, count, state->gap);

	if (state->run_count == 0 || events[0].ts > state->runs[state->run_count - 1].last)
	{
		grow_runs(state, more);
		sl_runs_make(events, count, state->gap, state->runs + state->run_count);
		state->run_count = sl_runs_join(state->runs, state->run_count, more, state->gap);
		return;
	}

	SlRun few[ON_STACK];
	SlRun *runs = few;

	if (more > ON_STACK)
		runs = new_array_of(CurrentMemoryContext, more, sizeof(SlRun));
	sl_runs_make(events, count, state->gap, runs);
	add_runs(state, runs, more);
	if (runs != few)
		pfree(runs);
}

/* Takes all events into the runs. */
static void
fold(SlEventState *state)
{
	if (state->count > 0)
	{
		sort_events(state->events, state->count);
		add_sorted(state, state->events, state->count);
		state->count = 0;
	}
	if (state->new_count > 0)
	{
		sort_events(state->new_events, state->new_count);
		add_sorted(state, state->new_events, state->new_count);
		state->new_count = 0;
	}
}

/* What is asked of the whole log.  Room for events is not kept: there may be no more. */
static void
fold_all(SlEventState *state)
{
	fold(state);
	if (state->events != NULL)
		pfree(state->events);
	state->events = NULL;
	state->room = 0;
}

/*
 * Makes room for new events.  The first array is followed by the whole of a fold: small
 * arrays of thousands of groups that grow together would leave as much again behind.
 */
static pg_noinline void
put_away(SlEventState *state)
{
	if (state->count >= Max(FOLD_EVENTS, state->run_count))
		fold(state);
	if (state->events == NULL)
	{
		state->events =
			new_array_of(GetMemoryChunkContext(state), FIRST_ROOM, sizeof(SlEvent));
		state->room = FIRST_ROOM;
	}
	else if (state->count == state->room)
	{
		size_t room = Max(state->room * 2, FOLD_EVENTS);

		state->events = repalloc_huge(state->events, array_size(room, sizeof(SlEvent)));
		state->room = room;
	}
	memcpy(state->events + state->count, state->new_events,
		   state->new_count * sizeof(SlEvent));
	state->count += state->new_count;
	state->new_count = 0;
}

static inline void
append(SlEventState *state, SlEvent event)
{
	if (unlikely(state->new_count == NEW_EVENTS))
		put_away(state);
	state->new_events[state->new_count++] = event;
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
		state = new_state(sl_aggregate_context(fcinfo), sl_gap_arg(gap), 0);
		state->gap_seen = *gap;
	}
	else if (unlikely(gap->time != state->gap_seen.time ||
					  gap->day != state->gap_seen.day ||
					  gap->month != state->gap_seen.month))
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

/* Takes the events of the second state into the first. */
Datum
sl_sessions_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = sl_aggregate_context(fcinfo);
	SlEventState *to = PG_ARGISNULL(0) ? NULL : (SlEventState *) PG_GETARG_POINTER(0);
	SlEventState *from = PG_ARGISNULL(1) ? NULL : (SlEventState *) PG_GETARG_POINTER(1);

	if (from == NULL)
	{
		if (to == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(to);
	}
	if (to == NULL)
		to = new_state(context, from->gap, 0);
	else if (to->gap != from->gap)
		sl_gap_differs();
	fold(to);
	fold(from);
	add_runs(to, from->runs, from->run_count);
	PG_RETURN_POINTER(to);
}

Datum
sl_sessions_serial(PG_FUNCTION_ARGS)
{
	sl_aggregate_context(fcinfo);

	SlEventState *state = (SlEventState *) PG_GETARG_POINTER(0);

	fold(state);

	size_t size = sl_wire_size(state->run_count);

	if (size == 0 || size > MaxAllocSize - VARHDRSZ)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many events in one group to pass between processes"),
			 errdetail("The group has %zu separate runs of events.", state->run_count),
			 errhint("Set max_parallel_workers_per_gather to 0 for this query.")));

	bytea *result = palloc(size + VARHDRSZ);

	SET_VARSIZE(result, size + VARHDRSZ);
	sl_wire_write((uint8_t *) VARDATA(result), state->gap, state->runs, state->run_count);
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
	sl_aggregate_context(fcinfo);

	bytea *input = PG_GETARG_BYTEA_PP(0);
	const uint8_t *bytes = (const uint8_t *) VARDATA_ANY(input);
	int64 gap = 0;
	size_t count = 0;

	check_wire(sl_wire_check(bytes, VARSIZE_ANY_EXHDR(input), &gap, &count));

	SlEventState *state = new_state(CurrentMemoryContext, gap, count);

	check_wire(sl_wire_read(bytes, gap, state->runs, count));
	state->run_count = count;
	PG_RETURN_POINTER(state);
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
	while (sl_session_next(&tracker, state->runs, state->run_count, &at, &session))
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
	sl_aggregate_context(fcinfo);

	SlEventState *state = PG_ARGISNULL(0) ? NULL : (SlEventState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->count + state->new_count + state->run_count == 0)
		PG_RETURN_NULL();
	fold_all(state);

	SlElementType *type = element_type(fcinfo->flinfo);
	ArrayType *array = new_array(type, count_sessions(state));
	char *to = ARR_DATA_PTR(array);
	SlTracker tracker;
	SlSession session;
	size_t at = 0;

	sl_tracker_init(&tracker, state->gap);
	while (sl_session_next(&tracker, state->runs, state->run_count, &at, &session))
	{
		CHECK_FOR_INTERRUPTS();
		to = put_session(to, type, &session);
	}
	PG_RETURN_ARRAYTYPE_P(array);
}
