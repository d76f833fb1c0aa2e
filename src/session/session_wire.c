/*
 * session_wire.c: the aggregate's state as bytes, between the processes of a parallel
 * query or the machines of a cluster.
 *
 *	bytes	what
 *	3		"SLE"
 *	1		version, 2
 *	8		gap, microseconds
 *	8		number of runs
 *	32 each	first and last start, duration of the last, number of events
 *
 * Integers are little-endian.  The bytes may come from anywhere, so reading believes
 * none of them: every run is held against the rules of sl_event_check and
 * session_run.c again.
 */
#include "session/session.h"

#include <string.h>

#define WIRE_VERSION 2
#define WIRE_HEADER 20
#define WIRE_RUN 32

static const uint8_t wire_magic[3] = {'S', 'L', 'E'};

/* As the bytes have it; taking them one by one shows in the time of a parallel query. */
static inline uint64_t
little_endian(uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(value);
#else
	return value;
#endif
}

static inline void
put_int64(uint8_t *bytes, int64_t value)
{
	uint64_t ordered = little_endian((uint64_t) value);

	memcpy(bytes, &ordered, sizeof(ordered));
}

static inline int64_t
get_int64(const uint8_t *bytes)
{
	uint64_t ordered;

	memcpy(&ordered, bytes, sizeof(ordered));
	return (int64_t) little_endian(ordered);
}

size_t
sl_wire_size(size_t count)
{
	if (count > (SIZE_MAX - WIRE_HEADER) / WIRE_RUN)
		return 0;
	return WIRE_HEADER + count * WIRE_RUN;
}

/* Writes sl_wire_size(count) bytes. */
void
sl_wire_write(uint8_t *bytes, int64_t gap, const SlRun *runs, size_t count)
{
	memcpy(bytes, wire_magic, sizeof(wire_magic));
	bytes[3] = WIRE_VERSION;
	put_int64(bytes + 4, gap);
	put_int64(bytes + 12, (int64_t) count);
	bytes += WIRE_HEADER;
	for (size_t i = 0; i < count; i++, bytes += WIRE_RUN)
	{
		put_int64(bytes, runs[i].first);
		put_int64(bytes + 8, runs[i].last);
		put_int64(bytes + 16, runs[i].duration);
		put_int64(bytes + 24, runs[i].events);
	}
}

/* Checks all but the runs, and tells the gap and how many to make room for. */
SlWireStatus
sl_wire_check(const uint8_t *bytes, size_t size, int64_t *gap, size_t *count)
{
	if (size < sizeof(wire_magic) + 1 ||
		memcmp(bytes, wire_magic, sizeof(wire_magic)) != 0)
		return SL_WIRE_NO_STATE;
	if (bytes[3] != WIRE_VERSION)
		return SL_WIRE_VERSION;
	if (size < WIRE_HEADER)
		return SL_WIRE_LENGTH;

	int64_t runs = get_int64(bytes + 12);

	*gap = get_int64(bytes + 4);
	if (runs < 0 || (size - WIRE_HEADER) % WIRE_RUN != 0 ||
		(uint64_t) runs != (size - WIRE_HEADER) / WIRE_RUN)
		return SL_WIRE_LENGTH;
	*count = (size_t) runs;
	return *gap < 0 ? SL_WIRE_BAD_CONTENT : SL_WIRE_OK;
}

/* Whether such a run can be: of valid events, each at most a gap after the one before. */
static bool
is_run(const SlRun *run, int64_t gap)
{
	if (run->first < SL_TS_MIN || run->last < run->first || run->last >= SL_TS_END)
		return false;
	if (run->duration < 0 || run->duration >= SL_TS_END ||
		(run->last > 0 && run->duration >= SL_TS_END - run->last))
		return false;
	return run->events > 0 && sl_elapsed(run->last, run->first) <=
								  (unsigned __int128) (run->events - 1) * (uint64_t) gap;
}

/* Reads the runs of bytes that sl_wire_check has found right. */
SlWireStatus
sl_wire_read(const uint8_t *bytes, int64_t gap, SlRun *runs, size_t count)
{
	uint64_t events = 0;

	bytes += WIRE_HEADER;
	for (size_t i = 0; i < count; i++, bytes += WIRE_RUN)
	{
		SlRun run = {get_int64(bytes), get_int64(bytes + 8), get_int64(bytes + 16),
					 get_int64(bytes + 24)};

		if (!is_run(&run, gap))
			return SL_WIRE_BAD_CONTENT;
		if (i > 0 && (run.first <= runs[i - 1].last ||
					  sl_elapsed(run.first, runs[i - 1].last) <= (uint64_t) gap))
			return SL_WIRE_BAD_CONTENT;
		events += (uint64_t) run.events;
		if (events > SL_EVENTS_MAX)
			return SL_WIRE_BAD_CONTENT;
		runs[i] = run;
	}
	return SL_WIRE_OK;
}
