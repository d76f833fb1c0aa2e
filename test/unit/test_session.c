/*
 * test_session.c: the core of the session room against hand-made logs, a naive model
 * and hostile bytes.
 */
#include "session/session.h"

#include "tap.h"

#define MINUTE ((int64_t) 60 * SL_USECS)

static uint64_t random_state = 20090504;

static uint64_t
draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static void
test_events(void)
{
	SlEvent event;

	is_int(sl_event_check(5, 1.5, &event), SL_EVENT_OK, "an event");
	is_int(event.duration, 1500000, "its duration in microseconds");
	sl_event_check(5, -1, &event);
	is_int(event.duration, 0, "negative is unknown");
	sl_event_check(5, 0.4e-6, &event);
	is_int(event.duration, 0, "less than half a microsecond is unknown");
	is_int(sl_event_check(INT64_MAX, 0, &event), SL_EVENT_INFINITE_TS, "infinity");
	is_int(sl_event_check(INT64_MIN, 0, &event), SL_EVENT_INFINITE_TS, "-infinity");
	is_int(sl_event_check(SL_TS_END, 0, &event), SL_EVENT_INFINITE_TS, "past the last");
	is_int(sl_event_check(SL_TS_END - 1, 0, &event), SL_EVENT_OK, "the last");
	is_int(sl_event_check(SL_TS_MIN, 0, &event), SL_EVENT_OK, "the first");
	is_int(sl_event_check(SL_TS_MIN - 1, 0, &event), SL_EVENT_INFINITE_TS, "before it");
	is_int(sl_event_check(0, NAN, &event), SL_EVENT_INVALID_DURATION, "NaN");
	is_int(sl_event_check(0, INFINITY, &event), SL_EVENT_INVALID_DURATION, "inf");
	is_int(sl_event_check(0, -INFINITY, &event), SL_EVENT_INVALID_DURATION, "-inf");
	is_int(sl_event_check(0, 1e300, &event), SL_EVENT_DURATION_TOO_LARGE, "1e300 s");
	is_int(sl_event_check(SL_TS_END - 2, 2e-6, &event), SL_EVENT_DURATION_TOO_LARGE,
		   "an end past the last timestamp");
	is_int(sl_event_check(SL_TS_END - 2, 1e-6, &event), SL_EVENT_OK,
		   "an end at the last");
}

/* The next session of events in order. */
static bool
next_of(SlTracker *tracker, const SlEvent *events, size_t count, size_t *at,
		SlSession *session)
{
	SlRun runs[8];

	return sl_session_next(tracker, runs, sl_runs_make(events, count, tracker->gap, runs),
						   at, session);
}

static void
test_example(void)
{
	SlEvent events[] = {{0, 4 * MINUTE},
						{10 * MINUTE, 4 * MINUTE},
						{43 * MINUTE, 4 * MINUTE},
						{78 * MINUTE, 0},
						{108 * MINUTE, 3 * MINUTE}};
	SlTracker tracker;
	SlSession session;
	size_t at = 0;

	sl_tracker_init(&tracker, 30 * MINUTE);
	ok(next_of(&tracker, events, 5, &at, &session), "a first session");
	is_int(session.length, 47 * MINUTE, "its length");
	is_int(session.events, 3, "its events");
	ok(next_of(&tracker, events, 5, &at, &session), "a second one");
	is_int(session.number, 2, "its number");
	is_int(session.length, 33 * MINUTE, "its length");
	is_int(session.previous, 47 * MINUTE, "the length before");
	is_int(session.earlier, 47 * MINUTE, "the sum before");
	is_int(session.absence, 31 * MINUTE, "the absence");
	ok(!next_of(&tracker, events, 5, &at, &session), "and no third");
	ok(!sl_tracker_add(&tracker, (SlEvent){0, 0}), "an earlier event is refused");
}

/* Lengths and absences above 2^63 microseconds, and gaps as large as there are. */
static void
test_far(void)
{
	SlEvent ends[] = {{SL_TS_MIN, 0}, {SL_TS_END - 1, 0}};
	uint64_t all = (uint64_t) SL_TS_END - 1 - (uint64_t) SL_TS_MIN;
	SlTracker tracker;
	SlSession session;
	size_t at = 0;

	sl_tracker_init(&tracker, INT64_MAX);
	next_of(&tracker, ends, 2, &at, &session);
	next_of(&tracker, ends, 2, &at, &session);
	ok(session.number == 2 && session.absence == all, "absent for all of time");
	sl_tracker_init(&tracker, 0);
	sl_tracker_add(&tracker, (SlEvent){SL_TS_MIN, SL_TS_END - 1});
	sl_tracker_add(&tracker, (SlEvent){0, SL_TS_END - 1});
	ok(tracker.current.number == 1 && tracker.current.length == all,
	   "there for all of time");
}

static void
test_seconds(void)
{
	ok(sl_seconds(0) == 0 && sl_seconds(1) == 1e-6 && sl_seconds(2500000) == 2.5,
	   "small");
	/* (2^53 + 2^20 + 1) / 10^6, halfway cases and 64 bits, by Python's fractions */
	ok(sl_seconds(UINT64_C(9007199255789569)) == 0x1.0c6f7a0be510ap+33, "above 2^53");
	ok(sl_seconds(UINT64_MAX) == 0x1.0c6f7a0b5ed8dp+44, "2^64 - 1");
	ok(sl_seconds(UINT64_C(9435184819199999999)) == 0x1.12999add8p+43, "all of time");
	ok(sl_mean_seconds(0, 0) == 0 && sl_mean_seconds(5, 0) == 0, "the mean of none");
	ok(sl_mean_seconds(16000000, 9) == 16.0 / 9, "a mean");
	ok(sl_mean_seconds(UINT64_MAX, 3) == 0x1.65e9f80f29212p+42, "a mean of 64 bits");
}

static int
compare_ts(const void *a, const void *b)
{
	int64_t x = ((const SlEvent *) a)->ts;
	int64_t y = ((const SlEvent *) b)->ts;

	return (x > y) - (x < y);
}

/* Any order of the events, in any parts, gives the runs of all in order. */
static void
test_runs(void)
{
	bool counted = true;
	bool same = true;
	bool apart = true;

	for (int round = 0; round < 3000; round++)
	{
		SlEvent all[60];
		SlEvent part[60];
		SlRun want[60], one[60], other[60], got[60];
		size_t n = 1 + draw(59);
		size_t cut = draw(n + 1);
		int64_t gap = (int64_t) draw(4) * 10;
		uint64_t width = 1 + draw(600);

		for (size_t i = 0; i < n; i++)
			all[i] = (SlEvent){(int64_t) draw(width), (int64_t) draw(50)};
		memcpy(part, all, sizeof(all));
		qsort(part, cut, sizeof(SlEvent), compare_ts);
		qsort(part + cut, n - cut, sizeof(SlEvent), compare_ts);
		qsort(all, n, sizeof(SlEvent), compare_ts);

		size_t runs = sl_runs_make(all, n, gap, want);
		size_t a = sl_runs_make(part, cut, gap, one);
		size_t b = sl_runs_make(part + cut, n - cut, gap, other);

		counted = counted && runs == sl_runs_count(all, n, gap);
		same = same && sl_runs_merge(one, a, other, b, gap, got) == runs &&
			   memcmp(got, want, runs * sizeof(SlRun)) == 0;
		for (size_t i = 1; i < runs; i++)
			apart = apart && want[i].first - want[i - 1].last > gap;

		/* a second part that is later, made in place */
		while (cut < n && cut > 0 && all[cut].ts == all[cut - 1].ts)
			cut++;
		a = sl_runs_make(all, cut, gap, got);
		b = sl_runs_make(all + cut, n - cut, gap, got + a);
		same = same && sl_runs_join(got, a, b, gap) == runs &&
			   memcmp(got, want, runs * sizeof(SlRun)) == 0;
	}
	ok(counted, "runs counted");
	ok(apart, "runs are apart");
	ok(same, "runs do not depend on order or parts");
}

static bool
stop_at_once(void *arg)
{
	return true;
}

static void
test_sort(void)
{
	static const size_t counts[] = {0, 1, 2, 31, 32, 33, 500, 4096, 4097, 60000};
	static const uint64_t ranges[] = {
		1, 2, 256, 1000000, UINT64_C(1) << 47, UINT64_C(9435184819200000000)};

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
	{
		size_t n = counts[c];
		SlEvent *events = malloc((n + 1) * sizeof(SlEvent));
		SlEvent *want = malloc((n + 1) * sizeof(SlEvent));
		SlEvent *scratch = malloc((n + 1) * sizeof(SlEvent));
		bool right = true;

		for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++)
		{
			uint64_t sum = 0;
			/* all over the range, or crowded at its ends, or in whole seconds */
			uint64_t crowd = draw(2) ? ranges[r] : 1 + ranges[r] / 100000;
			uint64_t unit = draw(2) && crowd > SL_USECS ? SL_USECS : 1;

			for (size_t i = 0; i < n; i++)
			{
				uint64_t from = draw(2) ? 0 : ranges[r] - crowd;

				events[i].ts =
					(int64_t) ((uint64_t) SL_TS_MIN + from + draw(crowd) / unit * unit);
				events[i].duration = (int64_t) i;
				want[i] = events[i];
			}
			qsort(want, n, sizeof(SlEvent), compare_ts);
			right = right && sl_events_sort(events, scratch, n, NULL, NULL);
			right = right && sl_events_sort(events, scratch, n, NULL, NULL);
			for (size_t i = 0; i < n; i++)
			{
				right = right && events[i].ts == want[i].ts;
				sum += (uint64_t) events[i].duration;
			}
			right = right && sum == (n == 0 ? 0 : (uint64_t) n * (n - 1) / 2);
		}
		ok(right, "%zu events sorted, none lost", n);
		if (n == 60000)
		{
			events[0].ts = 0;
			ok(!sl_events_sort(events, scratch, n, stop_at_once, NULL), "told to stop");
		}
		free(events);
		free(want);
		free(scratch);
	}
}

/* What reading a copy of the bytes says; the copy is exact, for the sanitizer to see. */
static SlWireStatus
read_bytes(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	int64_t gap = 0;
	size_t count = 0;
	uint8_t *exact = copy + 1; /* unaligned on purpose */
	SlWireStatus status;

	memcpy(exact, bytes, size);
	status = sl_wire_check(exact, size, &gap, &count);
	if (status == SL_WIRE_OK)
	{
		SlRun *runs = malloc((count + 1) * sizeof(SlRun));

		status = sl_wire_read(exact, gap, runs, count);
		free(runs);
	}
	free(copy);
	return status;
}

static void
test_wire(void)
{
	SlRun runs[3] = {{SL_TS_MIN, SL_TS_MIN, 1, 1},
					 {5, 5 + 30 * MINUTE, 7, 3},
					 {SL_TS_END - 9, SL_TS_END - 1, 0, 2}};
	SlRun back[3];
	size_t size = sl_wire_size(3);
	uint8_t bytes[20 + 3 * 32 + 32] = {0};
	uint8_t hostile[sizeof(bytes)];
	int64_t gap = 0;
	size_t count = 0;

	is_int(size, 116, "the size of three runs");
	is_int(sl_wire_size(SIZE_MAX / 16), 0, "a size that overflows");
	sl_wire_write(bytes, 1800000000, runs, 3);
	is_int(sl_wire_check(bytes, size, &gap, &count), SL_WIRE_OK, "a state");
	ok(gap == 1800000000 && count == 3, "its gap and count");
	is_int(sl_wire_read(bytes, gap, back, count), SL_WIRE_OK, "its runs");
	ok(memcmp(runs, back, sizeof(runs)) == 0, "as they were");

	bool refused = true;

	for (size_t cut = 0; cut < size; cut++)
		refused = refused && read_bytes(bytes, cut) != SL_WIRE_OK;
	ok(refused, "cut short anywhere");
	is_int(read_bytes(bytes, size + 1), SL_WIRE_LENGTH, "a byte too many");
	is_int(read_bytes(bytes, size + 32), SL_WIRE_LENGTH, "a run too many");
#define SPOIL(at, value, last, want, what) \
	memcpy(hostile, bytes, sizeof(bytes)); \
	memset(hostile + (at), value, 7);      \
	hostile[(at) + 7] = last;              \
	is_int(read_bytes(hostile, size), want, what)
	memcpy(hostile, bytes, sizeof(bytes));
	hostile[3] = 1;
	is_int(read_bytes(hostile, size), SL_WIRE_VERSION, "another version");
	SPOIL(0, 0, 0, SL_WIRE_NO_STATE, "no magic");
	SPOIL(4, 0xff, 0xff, SL_WIRE_BAD_CONTENT, "a negative gap");
	SPOIL(12, 0xff, 0xff, SL_WIRE_LENGTH, "a negative count");
	SPOIL(12, 0x10, 0x10, SL_WIRE_LENGTH, "a count whose size overflows");
	SPOIL(20, 0xff, 0x7f, SL_WIRE_BAD_CONTENT, "a timestamp that is none");
	SPOIL(20, 0, 0x80, SL_WIRE_BAD_CONTENT, "one far too early");
	SPOIL(28, 0, 0, SL_WIRE_BAD_CONTENT, "more time than one event has");
	SPOIL(60, 0, 0xff, SL_WIRE_BAD_CONTENT, "an end before its start");
	SPOIL(60, 0, 0x7f, SL_WIRE_BAD_CONTENT, "events that are too far from each other");
	SPOIL(36, 0xff, 0xff, SL_WIRE_BAD_CONTENT, "a negative duration");
	SPOIL(68, 0xff, 0x7f, SL_WIRE_BAD_CONTENT, "a duration past the end");
	SPOIL(44, 0, 0, SL_WIRE_BAD_CONTENT, "no events");
	SPOIL(44, 0xff, 0xff, SL_WIRE_BAD_CONTENT, "a negative number of events");
	SPOIL(44, 0, 0x7f, SL_WIRE_BAD_CONTENT, "more events than there are");
	runs[0] = (SlRun){5 - 30 * MINUTE, 5 - 30 * MINUTE, 0, 1};
	sl_wire_write(hostile, 1800000000, runs, 3);
	is_int(read_bytes(hostile, size), SL_WIRE_BAD_CONTENT, "two runs that are one");
	runs[0].first = runs[0].last = 6;
	sl_wire_write(hostile, 1800000000, runs, 3);
	is_int(read_bytes(hostile, size), SL_WIRE_BAD_CONTENT, "runs out of order");
#undef SPOIL

	/* Whatever the bytes: refused, or understood without harm. */
	for (int i = 0; i < 20000; i++)
	{
		memcpy(hostile, bytes, sizeof(bytes));
		for (uint64_t flips = 1 + draw(4); flips > 0; flips--)
			hostile[draw(sizeof(hostile))] = (uint8_t) draw(256);
		read_bytes(hostile, draw(2) ? size : draw(sizeof(hostile)));
	}
	ok(true, "survived 20,000 hostile states");
}

int
main(void)
{
	test_events();
	test_example();
	test_far();
	test_seconds();
	test_runs();
	test_sort();
	test_wire();
	return done_testing();
}
