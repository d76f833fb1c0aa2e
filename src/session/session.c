/*
 * session.c: cutting events into sessions.
 *
 * There is one place that decides where a session starts, sl_tracker_add_run.  The
 * aggregate feeds it a whole log's runs and the window functions one row at a time,
 * so that they cannot disagree.
 *
 * Among events with one ts the longest counts, in whatever order they come: nothing
 * is idle between them, and the end of their group is the latest of their ends.
 */
#include "session/session.h"

#include <math.h>

void
sl_tracker_init(SlTracker *tracker, int64_t gap)
{
	*tracker = (SlTracker){.gap = gap};
}

/* Whether an event at ts is the first of a new session. */
static inline bool
starts_session(const SlTracker *tracker, int64_t ts)
{
	const SlSession *current = &tracker->current;

	if (current->number == 0)
		return true;
	return ts > current->end && sl_elapsed(ts, current->end) > (uint64_t) tracker->gap;
}

static void
start_session(SlTracker *tracker, int64_t ts)
{
	SlSession *current = &tracker->current;

	if (current->number > 0)
	{
		current->earlier += current->length;
		current->previous = current->length;
		current->absence = sl_elapsed(ts, current->end);
	}
	current->number++;
	current->start = ts;
	current->events = 0;
}

/*
 * Adds the events to come to the running session or starts a new one with them.
 * False, and no change, if they start before one that is there.
 */
bool
sl_tracker_add_run(SlTracker *tracker, const SlRun *run)
{
	SlSession *current = &tracker->current;
	int64_t end = run->last + run->duration;

	if (current->number > 0 && run->first < tracker->last_ts)
		return false;
	if (starts_session(tracker, run->first))
	{
		start_session(tracker, run->first);
		current->end = end;
	}
	else if (run->last > tracker->last_ts || end > current->end)
		current->end = end;
	tracker->last_ts = run->last;
	current->events += run->events;
	current->length = sl_elapsed(current->end, current->start);
	return true;
}

bool
sl_tracker_add(SlTracker *tracker, SlEvent event)
{
	return sl_tracker_add_run(tracker, &(SlRun){event.ts, event.ts, event.duration, 1});
}

/*
 * The next session of a log in order, from run *at on, which moves behind it.
 * False at the log's end.
 */
bool
sl_session_next(SlTracker *tracker, const SlRun *runs, size_t count, size_t *at,
				SlSession *session)
{
	size_t i = *at;

	if (i >= count)
		return false;
	sl_tracker_add_run(tracker, &runs[i++]);
	while (i < count && !starts_session(tracker, runs[i].first))
		sl_tracker_add_run(tracker, &runs[i++]);
	*at = i;
	*session = tracker->current;
	return true;
}

/*
 * numerator / denominator, correctly rounded.  A double holds integers up to 2^53
 * exactly; above, a quotient with more bits than a double has, its last one standing
 * for all that follow, is rounded once.
 */
static double
exact_quotient(uint64_t numerator, uint64_t denominator)
{
	const uint64_t exact = UINT64_C(1) << 53;

	if (numerator <= exact && denominator <= exact)
		return (double) numerator / (double) denominator;

	unsigned __int128 wide = (unsigned __int128) numerator << 63;
	unsigned __int128 quotient = wide / denominator;

	if (wide % denominator != 0)
		quotient |= 1;
	return ldexp((double) quotient, -63);
}

/* Microseconds as seconds, the nearest double. */
double
sl_seconds(uint64_t usecs)
{
	return exact_quotient(usecs, SL_USECS);
}

/* The mean, in seconds, of count lengths whose sum is usecs; 0 for none. */
double
sl_mean_seconds(uint64_t usecs, int64_t count)
{
	if (count <= 0)
		return 0;
	return exact_quotient(usecs, (uint64_t) count * SL_USECS);
}
