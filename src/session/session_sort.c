/*
 * session_sort.c: events into time order.
 *
 * A radix sort over the bits in which the timestamps of one log differ: some years
 * of microseconds are 47 bits, five passes of eleven.  It reads and writes in
 * streams and has no comparison to mispredict, and there is no input it is slow on.
 * Durations need no order, see session.c.
 */
#include "session/session.h"

#include <string.h>

#define SHORT_LOG 32   /* insertion sort is faster up to here */
#define SMALL_LOG 4096 /* narrow digits are faster up to here */
#define NARROW_BITS 8
#define WIDE_BITS 11
#define STOP_INTERVAL (1 << 20) /* events between two questions whether to stop */

static void
insertion_sort(SlEvent *events, size_t count)
{
	for (size_t i = 1; i < count; i++)
	{
		SlEvent event = events[i];
		size_t j = i;

		for (; j > 0 && events[j - 1].ts > event.ts; j--)
			events[j] = events[j - 1];
		events[j] = event;
	}
}

/* One pass: a stable distribution of from into to by the digit at shift. */
static bool
distribute(const SlEvent *from, SlEvent *to, size_t count, uint64_t base, int shift,
		   int bits, SlShouldStop should_stop, void *arg)
{
	size_t place[1 << WIDE_BITS];
	size_t digits = (size_t) 1 << bits;
	uint64_t mask = digits - 1;
	size_t sum = 0;

	memset(place, 0, digits * sizeof(size_t));
	for (size_t i = 0; i < count; i++)
		place[(((uint64_t) from[i].ts - base) >> shift) & mask]++;
	for (size_t digit = 0; digit < digits; digit++)
	{
		size_t here = place[digit];

		place[digit] = sum;
		sum += here;
	}
	for (size_t begin = 0; begin < count; begin += STOP_INTERVAL)
	{
		size_t end = count - begin > STOP_INTERVAL ? begin + STOP_INTERVAL : count;

		if (should_stop && should_stop(arg))
			return false;
		for (size_t i = begin; i < end; i++)
			to[place[(((uint64_t) from[i].ts - base) >> shift) & mask]++] = from[i];
	}
	return true;
}

/*
 * Sorts events by ts.  scratch has room for as many; it is not used up to SHORT_LOG.
 * False if told to stop; the events are then in no order, and some may be lost.
 */
bool
sl_events_sort(SlEvent *events, SlEvent *scratch, size_t count, SlShouldStop should_stop,
			   void *arg)
{
	if (count <= SHORT_LOG)
	{
		insertion_sort(events, count);
		return true;
	}

	int64_t min = events[0].ts;
	int64_t max = min;

	for (size_t i = 1; i < count; i++)
	{
		min = events[i].ts < min ? events[i].ts : min;
		max = events[i].ts > max ? events[i].ts : max;
	}

	uint64_t range = (uint64_t) max - (uint64_t) min;
	int bits = count <= SMALL_LOG ? NARROW_BITS : WIDE_BITS;
	SlEvent *from = events;
	SlEvent *to = scratch;

	for (int shift = 0; shift < 64 && range >> shift != 0; shift += bits)
	{
		SlEvent *swap = from;

		if (!distribute(from, to, count, (uint64_t) min, shift, bits, should_stop, arg))
			return false;
		from = to;
		to = swap;
	}
	if (from != events)
		memcpy(events, from, count * sizeof(SlEvent));
	return true;
}
