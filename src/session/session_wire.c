/*
 * session_wire.c: the aggregate's state as bytes, between the processes of a parallel
 * query or the machines of a cluster.
 *
 *	bytes	what
 *	3		"SLE"
 *	1		version, 1
 *	8		gap, microseconds
 *	8		number of events
 *	16 each	ts and duration, microseconds
 *
 * Integers are little-endian.  The bytes may come from anywhere, so reading believes
 * none of them: every event is held against the rules of sl_event_check again, and
 * whether they are sorted is seen, not told.
 */
#include "session/session.h"

#include <string.h>

#define WIRE_VERSION 1
#define WIRE_HEADER 20
#define WIRE_EVENT 16

static const uint8_t wire_magic[3] = {'S', 'L', 'E'};

static void
put_int64(uint8_t *bytes, int64_t value)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t) ((uint64_t) value >> (8 * i));
}

static int64_t
get_int64(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t) bytes[i] << (8 * i);
	return (int64_t) value;
}

size_t
sl_wire_size(size_t count)
{
	if (count > (SIZE_MAX - WIRE_HEADER) / WIRE_EVENT)
		return 0;
	return WIRE_HEADER + count * WIRE_EVENT;
}

/* Writes sl_wire_size(count) bytes. */
void
sl_wire_write(uint8_t *bytes, int64_t gap, const SlEvent *events, size_t count)
{
	memcpy(bytes, wire_magic, sizeof(wire_magic));
	bytes[3] = WIRE_VERSION;
	put_int64(bytes + 4, gap);
	put_int64(bytes + 12, (int64_t) count);
	bytes += WIRE_HEADER;
	for (size_t i = 0; i < count; i++, bytes += WIRE_EVENT)
	{
		put_int64(bytes, events[i].ts);
		put_int64(bytes + 8, events[i].duration);
	}
}

/* Checks all but the events, and tells the gap and how many events to make room for. */
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

	int64_t events = get_int64(bytes + 12);

	*gap = get_int64(bytes + 4);
	if (events < 0 || (size - WIRE_HEADER) % WIRE_EVENT != 0 ||
		(uint64_t) events != (size - WIRE_HEADER) / WIRE_EVENT)
		return SL_WIRE_LENGTH;
	*count = (size_t) events;
	return *gap < 0 ? SL_WIRE_BAD_CONTENT : SL_WIRE_OK;
}

/* Reads the events of bytes that sl_wire_check has found right. */
SlWireStatus
sl_wire_read(const uint8_t *bytes, SlEvent *events, size_t count, bool *sorted)
{
	*sorted = true;
	bytes += WIRE_HEADER;
	for (size_t i = 0; i < count; i++, bytes += WIRE_EVENT)
	{
		int64_t ts = get_int64(bytes);
		int64_t duration = get_int64(bytes + 8);

		if (ts < SL_TS_MIN || ts >= SL_TS_END || duration < 0 ||
			(ts > 0 ? duration >= SL_TS_END - ts : duration >= SL_TS_END))
			return SL_WIRE_BAD_CONTENT;
		events[i] = (SlEvent){ts, duration};
		if (i > 0 && ts < events[i - 1].ts)
			*sorted = false;
	}
	return SL_WIRE_OK;
}
