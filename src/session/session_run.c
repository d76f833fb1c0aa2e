/*
 * session_run.c: a log as runs of events, which is all of it that sessions depend on.
 *
 * A listener's plays are minutes apart, so a run stands for most of a session, and a
 * log takes room by its sessions and not by its events.  The runs of a log are more
 * than a gap apart from start to start, whatever the order its events came in.
 */
#include "session/session.h"

#include <string.h>

/* Whether an event at ts, not before the last of a run, belongs to another one. */
static inline bool
is_apart(int64_t last, int64_t ts, int64_t gap)
{
	return sl_elapsed(ts, last) > (uint64_t) gap;
}

size_t
sl_runs_count(const SlEvent *sorted, size_t count, int64_t gap)
{
	size_t runs = count > 0;

	for (size_t i = 1; i < count; i++)
		runs += is_apart(sorted[i - 1].ts, sorted[i].ts, gap);
	return runs;
}

/* The runs of events in time order, as many as sl_runs_count says. */
size_t
sl_runs_make(const SlEvent *sorted, size_t count, int64_t gap, SlRun *runs)
{
	if (count == 0)
		return 0;

	SlRun run = {sorted[0].ts, sorted[0].ts, sorted[0].duration, 1};
	size_t n = 0;

	for (size_t i = 1; i < count; i++)
	{
		SlEvent event = sorted[i];

		if (is_apart(run.last, event.ts, gap))
		{
			runs[n++] = run;
			run = (SlRun){event.ts, event.ts, event.duration, 1};
			continue;
		}
		if (event.ts > run.last || event.duration > run.duration)
			run.duration = event.duration;
		run.last = event.ts;
		run.events++;
	}
	runs[n++] = run;
	return n;
}

/* Takes a run that does not start before this one and is not apart from it. */
static inline void
absorb(SlRun *run, const SlRun *next)
{
	if (next->last > run->last)
	{
		run->last = next->last;
		run->duration = next->duration;
	}
	else if (next->last == run->last && next->duration > run->duration)
		run->duration = next->duration;
	run->events += next->events;
}

/* The runs of two logs taken together; to has room for all of both. */
size_t
sl_runs_merge(const SlRun *a, size_t a_count, const SlRun *b, size_t b_count, int64_t gap,
			  SlRun *to)
{
	size_t i = 0;
	size_t j = 0;
	size_t n = 0;

	while (i < a_count || j < b_count)
	{
		bool from_a = j == b_count || (i < a_count && a[i].first <= b[j].first);
		const SlRun *next = from_a ? &a[i++] : &b[j++];

		if (n > 0 && (next->first <= to[n - 1].last ||
					  !is_apart(to[n - 1].last, next->first, gap)))
			absorb(&to[n - 1], next);
		else
			to[n++] = *next;
	}
	return n;
}

/*
 * The same where more runs follow in place, all of them later: only the first of these
 * can belong to the last before.
 */
size_t
sl_runs_join(SlRun *runs, size_t count, size_t more, int64_t gap)
{
	if (count == 0 || more == 0 || is_apart(runs[count - 1].last, runs[count].first, gap))
		return count + more;
	absorb(&runs[count - 1], &runs[count]);
	memmove(&runs[count], &runs[count + 1], (more - 1) * sizeof(SlRun));
	return count + more - 1;
}
