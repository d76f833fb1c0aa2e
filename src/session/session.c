/*
 * session.c: cutting events into sessions.
 *
 * There is one place that decides where a session starts, sl_tracker_add.  The
 * aggregate feeds it a whole sorted log and the window functions one row at a time,
 * so that they cannot disagree.
 *
 * Among events with one ts the longest counts, in whatever order they come: nothing
 * is idle between them, and the end of their group is the latest of their ends.
 */
#include "session/session.h"

#include <math.h>

/*
 * Turns a timestamp and a duration in seconds into an event.  Unknown (zero or
 * negative, also after rounding) durations become 0.
 */
SlEventStatus
sl_event_check(int64_t ts, double seconds, SlEvent *event)
{
	event->ts = ts;
	event->duration = 0;
	if (ts < SL_TS_MIN || ts >= SL_TS_END)
		return SL_EVENT_INFINITE_TS;
	if (!isfinite(seconds))
		return SL_EVENT_INVALID_DURATION;
	if (seconds <= 0)
		return SL_EVENT_OK;

	double usecs = rint(seconds * SL_USECS);

	/* SL_TS_END is below 2^63, so the cast is safe where this does not hold. */
	if (usecs >= (double) SL_TS_END)
		return SL_EVENT_DURATION_TOO_LARGE;

	int64_t duration = (int64_t) usecs;

	if (ts > 0 && duration >= SL_TS_END - ts)
		return SL_EVENT_DURATION_TOO_LARGE;
	event->duration = duration;
	return SL_EVENT_OK;
}

void
sl_tracker_init(SlTracker *tracker, int64_t gap)
{
	*tracker = (SlTracker){.gap = gap};
}

/* later - earlier, exact over the whole range of timestamps */
static inline uint64_t
elapsed(int64_t later, int64_t earlier)
{
	return (uint64_t) later - (uint64_t) earlier;
}

/* Whether an event at ts is the first of a new session. */
static inline bool
starts_session(const SlTracker *tracker, int64_t ts)
{
	const SlSession *current = &tracker->current;

	if (current->number == 0)
		return true;
	return ts > current->end && elapsed(ts, current->end) > (uint64_t) tracker->gap;
}

static void
start_session(SlTracker *tracker, int64_t ts)
{
	SlSession *current = &tracker->current;

	if (current->number > 0)
	{
		current->earlier += current->length;
		current->previous = current->length;
		current->absence = elapsed(ts, current->end);
	}
	current->number++;
	current->start = ts;
	current->events = 0;
}

/*
 * Adds the next event to the running session or starts a new one with it.  False,
 * and no change, if the event is earlier than the one before.
 */
bool
sl_tracker_add(SlTracker *tracker, SlEvent event)
{
	SlSession *current = &tracker->current;
	int64_t end = event.ts + event.duration;

	if (current->number > 0 && event.ts < tracker->last_ts)
		return false;
	if (starts_session(tracker, event.ts))
	{
		start_session(tracker, event.ts);
		current->end = end;
	}
	else if (event.ts > tracker->last_ts || end > current->end)
		current->end = end;
	tracker->last_ts = event.ts;
	current->events++;
	current->length = elapsed(current->end, current->start);
	return true;
}

/*
 * The next session of a sorted log, from event *at on, which moves behind it.
 * False at the log's end.
 */
bool
sl_next_of_sorted(SlTracker *tracker, const SlEvent *events, size_t count, size_t *at,
				  SlSession *session)
{
	size_t i = *at;

	if (i >= count)
		return false;
	sl_tracker_add(tracker, events[i++]);
	while (i < count && !starts_session(tracker, events[i].ts))
		sl_tracker_add(tracker, events[i++]);
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
