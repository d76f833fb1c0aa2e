/*
 * window_sql.c: session_number() and session_seconds(), window functions over one
 * user's events in time order.
 *
 * They keep one tracker a partition and look at each row once, so a row costs the
 * same in a partition of any length, and the frame does not matter.
 */
#include "postgres.h"

#include "session/session_sql.h"

#include "utils/timestamp.h"
#include "windowapi.h"

typedef struct SlWindowState
{
	bool started;
	int64 next_row; /* position of the row to come */
	Interval gap_seen;
	SlTracker tracker;
} SlWindowState;

PG_FUNCTION_INFO_V1(sl_session_number);
PG_FUNCTION_INFO_V1(sl_session_seconds);

static void
check_gap(SlWindowState *state, WindowObject window)
{
	static const Interval default_gap = {.time = SL_DEFAULT_GAP};
	bool isnull;
	Datum arg = WinGetFuncArgCurrent(window, 2, &isnull);
	const Interval *gap = isnull ? &default_gap : DatumGetIntervalP(arg);

	if (!state->started)
	{
		sl_tracker_init(&state->tracker, sl_gap_arg(gap));
		state->gap_seen = *gap;
		state->started = true;
	}
	else if (memcmp(gap, &state->gap_seen, sizeof(Interval)) != 0 &&
			 sl_gap_arg(gap) != state->tracker.gap)
		sl_gap_differs();
}

/* Takes in the current row.  NULL where its ts is. */
static const SlTracker *
take_row(WindowObject window, SlEvent *event)
{
	SlWindowState *state = WinGetPartitionLocalMemory(window, sizeof(SlWindowState));
	int64 row = WinGetCurrentPosition(window);
	bool isnull;

	if (row != state->next_row)
		elog(ERROR, "session window function called out of turn");
	state->next_row++;
	WinSetMarkPosition(window, row); /* rows before this one may be forgotten */

	Datum ts = WinGetFuncArgCurrent(window, 0, &isnull);

	if (isnull)
		return NULL;

	Datum duration = WinGetFuncArgCurrent(window, 1, &isnull);

	*event = sl_event_arg(DatumGetTimestampTz(ts), isnull ? 0 : DatumGetFloat8(duration));
	check_gap(state, window);
	if (!sl_tracker_add(&state->tracker, *event))
		ereport(ERROR,
				(errcode(ERRCODE_WINDOWING_ERROR), errmsg("events must be in time order"),
				 errdetail("An event comes after a later one of the same partition."),
				 errhint("Use OVER (PARTITION BY the user ORDER BY ts, duration).")));
	return &state->tracker;
}

/* The number of the session the row is in. */
Datum
sl_session_number(PG_FUNCTION_ARGS)
{
	SlEvent event;
	const SlTracker *tracker = take_row(PG_WINDOW_OBJECT(), &event);

	if (tracker == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tracker->current.number);
}

/* Seconds from the start of the row's session to the end of its event. */
Datum
sl_session_seconds(PG_FUNCTION_ARGS)
{
	SlEvent event;
	const SlTracker *tracker = take_row(PG_WINDOW_OBJECT(), &event);

	if (tracker == NULL)
		PG_RETURN_NULL();

	uint64 end = (uint64) event.ts + (uint64) event.duration;

	PG_RETURN_FLOAT8(sl_seconds(end - (uint64) tracker->current.start));
}
