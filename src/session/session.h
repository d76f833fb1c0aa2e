/*
 * session.h: events in, sessions out.  Plain C11; times are microseconds since
 * 2000-01-01 UTC, as in a timestamptz, and durations are microseconds.
 *
 * An event is checked once, by sl_event_check: its start and its end are valid
 * timestamps.  Everything after relies on that: the end of a session is a timestamp,
 * sessions of one user do not overlap, and so a length, an absence and the sum of
 * any lengths fit into 64 unsigned bits, the whole range of a timestamptz (294,276
 * years after and 4,713 before our era) included.
 */
#ifndef SL_SESSION_H
#define SL_SESSION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_TS_MIN INT64_C(-211813488000000000) /* first valid timestamp */
#define SL_TS_END INT64_C(9223371331200000000) /* first one past the last */
#define SL_USECS 1000000
#define SL_EVENTS_MAX (UINT64_C(1) << 53) /* of one log; sums of two cannot wrap */

typedef enum SlEventStatus
{
	SL_EVENT_OK,
	SL_EVENT_INFINITE_TS,		/* infinite or no valid timestamp */
	SL_EVENT_INVALID_DURATION,	/* NaN or infinite */
	SL_EVENT_DURATION_TOO_LARGE /* the event ends after the last timestamp */
} SlEventStatus;

typedef struct SlEvent
{
	int64_t ts;
	int64_t duration; /* 0: unknown */
} SlEvent;

/*
 * Events of which each starts at most a gap after the one before.  Whatever other events
 * turn up, these are in one session, and of theirs only the last start counts for its
 * end; so a log may forget all but this.
 */
typedef struct SlRun
{
	int64_t first;
	int64_t last;
	int64_t duration; /* the longest of those that start last */
	int64_t events;
} SlRun;

/* One session and what was known of the user before it. */
typedef struct SlSession
{
	int64_t number; /* from 1 */
	int64_t start;
	int64_t end;
	int64_t events;
	uint64_t length;
	uint64_t previous; /* length of the session before, 0 for the first */
	uint64_t earlier;  /* sum of the lengths of all sessions before */
	uint64_t absence;  /* from the end of the session before; 0 for the first */
} SlSession;

/* The running session of one user whose events come in time order. */
typedef struct SlTracker
{
	int64_t gap;
	int64_t last_ts;
	SlSession current; /* number 0: no event yet */
} SlTracker;

/* May be asked while long work runs; true: give up. */
typedef bool (*SlShouldStop)(void *arg);

/*
 * Turns a timestamp and a duration in seconds into an event.  Unknown (zero or
 * negative, also after rounding) durations become 0.
 * Inline: it runs once a row.
 */
static inline SlEventStatus
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

/* later - earlier, exact over the whole range of timestamps */
static inline uint64_t
sl_elapsed(int64_t later, int64_t earlier)
{
	return (uint64_t) later - (uint64_t) earlier;
}

extern void sl_tracker_init(SlTracker *tracker, int64_t gap);
extern bool sl_tracker_add(SlTracker *tracker, SlEvent event);
extern bool sl_tracker_add_run(SlTracker *tracker, const SlRun *run);
extern bool sl_session_next(SlTracker *tracker, const SlRun *runs, size_t count,
							size_t *at, SlSession *session);

extern double sl_seconds(uint64_t usecs);
extern double sl_mean_seconds(uint64_t usecs, int64_t count);

/* session_run.c */
extern size_t sl_runs_count(const SlEvent *sorted, size_t count, int64_t gap);
extern size_t sl_runs_make(const SlEvent *sorted, size_t count, int64_t gap, SlRun *runs);
extern size_t sl_runs_join(SlRun *runs, size_t count, size_t more, int64_t gap);
extern size_t sl_runs_merge(const SlRun *a, size_t a_count, const SlRun *b,
							size_t b_count, int64_t gap, SlRun *to);

/* session_sort.c */
extern bool sl_events_sort(SlEvent *events, SlEvent *scratch, size_t count,
						   SlShouldStop should_stop, void *arg);

/* session_wire.c: the state of the aggregate as bytes */
typedef enum SlWireStatus
{
	SL_WIRE_OK,
	SL_WIRE_NO_STATE,	/* these bytes never were one */
	SL_WIRE_VERSION,	/* written by a version this one cannot read */
	SL_WIRE_LENGTH,		/* cut short, or followed by something */
	SL_WIRE_BAD_CONTENT /* a gap or a run that cannot be */
} SlWireStatus;

extern size_t sl_wire_size(size_t count); /* 0: more than a size_t holds */
extern void sl_wire_write(uint8_t *bytes, int64_t gap, const SlRun *runs, size_t count);
extern SlWireStatus sl_wire_check(const uint8_t *bytes, size_t size, int64_t *gap,
								  size_t *count);
extern SlWireStatus sl_wire_read(const uint8_t *bytes, int64_t gap, SlRun *runs,
								 size_t count);

#endif
