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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_TS_MIN INT64_C(-211813488000000000) /* first valid timestamp */
#define SL_TS_END INT64_C(9223371331200000000) /* first one past the last */
#define SL_USECS 1000000

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

extern SlEventStatus sl_event_check(int64_t ts, double seconds, SlEvent *event);

extern void sl_tracker_init(SlTracker *tracker, int64_t gap);
extern bool sl_tracker_add(SlTracker *tracker, SlEvent event);
extern bool sl_next_of_sorted(SlTracker *tracker, const SlEvent *events, size_t count,
							  size_t *at, SlSession *session);

extern double sl_seconds(uint64_t usecs);
extern double sl_mean_seconds(uint64_t usecs, int64_t count);

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
	SL_WIRE_BAD_CONTENT /* a gap or an event that cannot be */
} SlWireStatus;

extern size_t sl_wire_size(size_t count); /* 0: more than a size_t holds */
extern void sl_wire_write(uint8_t *bytes, int64_t gap, const SlEvent *events,
						  size_t count);
extern SlWireStatus sl_wire_check(const uint8_t *bytes, size_t size, int64_t *gap,
								  size_t *count);
extern SlWireStatus sl_wire_read(const uint8_t *bytes, SlEvent *events, size_t count,
								 bool *sorted);

#endif
