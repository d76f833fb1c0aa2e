/*
 * session_sort.c: events into time order.
 *
 * Timestamps of one log are spread widely, so one pass that deals them out by their
 * highest bits leaves a few to each place, and an insertion sort does the rest.  Where
 * they crowd, a radix sort over the bits in which they differ: some years of whole
 * seconds in microseconds are 41 bits, four passes of eleven.  Neither has an input it
 * is slow on.  Durations need no order, see session.c.
 */
#include "session/session.h"

#include <string.h>

#define SHORT_LOG 32   /* insertion sort is faster up to here */
#define SMALL_LOG 4096 /* narrow digits are faster up to here */
#define NARROW_BITS 8
#define WIDE_BITS 11
#define CROWDED 16 /* mean neighbours in a place, above which it is too full */
#define STOP_INTERVAL (1 << 20) /* events between two questions whether to stop */

/* What a pass over the log tells of it. */
typedef struct Spread
{
	uint64_t base;	/* the first timestamp */
	uint64_t range; /* from there to the last */
	int shift;		/* lower bits in which all agree */
	bool sorted;
} Spread;

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

static Spread
look(const SlEvent *events, size_t count)
{
	int64_t min = events[0].ts;
	int64_t max = min;
	int64_t before = min;
	uint64_t differing = 0;
	bool sorted = true;

	for (size_t i = 1; i < count; i++)
	{
		int64_t ts = events[i].ts;

		min = ts < min ? ts : min;
		max = ts > max ? ts : max;
		sorted &= before <= ts;
		differing |= (uint64_t) ts ^ (uint64_t) before;
		before = ts;
	}

	Spread spread = {(uint64_t) min, sl_elapsed(max, min), 0, sorted};

	while (differing != 0 && !(differing >> spread.shift & 1))
		spread.shift++;
	return spread;
}

static void
places_by_digit(const SlEvent *events, size_t count, uint64_t base, int shift, int bits,
				size_t *place)
{
	size_t mask = ((size_t) 1 << bits) - 1;

	memset(place, 0, (mask + 1) * sizeof(size_t));
	for (size_t i = 0; i < count; i++)
		place[(((uint64_t) events[i].ts - base) >> shift) & mask]++;
}

/* Counts become positions. */
static void
add_up(size_t *place, int bits)
{
	size_t sum = 0;

	for (size_t digit = 0; digit < (size_t) 1 << bits; digit++)
	{
		size_t here = place[digit];

		place[digit] = sum;
		sum += here;
	}
}

/* One pass: a stable distribution of from into to by the digit at shift. */
static bool
distribute(const SlEvent *from, SlEvent *to, size_t count, uint64_t base, int shift,
		   int bits, size_t *place, SlShouldStop should_stop, void *arg)
{
	size_t mask = ((size_t) 1 << bits) - 1;

	add_up(place, bits);
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

/* Whether the events of a place would have few to pass on their way in it. */
static bool
is_loose(const size_t *place, int bits, size_t count)
{
	uint64_t pairs = 0;

	for (size_t digit = 0; digit < (size_t) 1 << bits; digit++)
		pairs += (uint64_t) place[digit] * place[digit];
	return pairs / CROWDED <= count;
}

/* By the highest bits, then by insertion.  False, and nothing done, where they crowd. */
static bool
sort_loose(SlEvent *events, SlEvent *scratch, size_t count, const Spread *spread)
{
	size_t place[1 << WIDE_BITS];
	int bits = 5;
	int shift = 0;

	while (bits < WIDE_BITS && (size_t) 1 << bits < count)
		bits++;
	while (spread->range >> shift >> bits != 0)
		shift++;
	places_by_digit(events, count, spread->base, shift, bits, place);
	if (!is_loose(place, bits, count))
		return false;
	distribute(events, scratch, count, spread->base, shift, bits, place, NULL, NULL);
	insertion_sort(scratch, count);
	memcpy(events, scratch, count * sizeof(SlEvent));
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

	Spread spread = look(events, count);

	if (spread.sorted)
		return true;
	if (count <= SMALL_LOG && sort_loose(events, scratch, count, &spread))
		return true;

	size_t place[1 << WIDE_BITS];
	int bits = count <= SMALL_LOG ? NARROW_BITS : WIDE_BITS;
	SlEvent *from = events;
	SlEvent *to = scratch;

	for (int shift = spread.shift; shift < 64 && spread.range >> shift != 0;
		 shift += bits)
	{
		SlEvent *swap = from;

		places_by_digit(from, count, spread.base, shift, bits, place);
		if (!distribute(from, to, count, spread.base, shift, bits, place, should_stop,
						arg))
			return false;
		from = to;
		to = swap;
	}
	if (from != events)
		memcpy(events, from, count * sizeof(SlEvent));
	return true;
}
