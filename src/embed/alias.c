/*
 * alias.c: Walker's alias method, with the tables built as Vose does (1991).
 *
 * Every column of a table of count columns of equal height holds a part of its own
 * probability and, on top, a part of one other's.
 */
#include "embed/alias.h"

#define ONE 4294967296.0

static uint32_t
of_2_32(double share)
{
	double scaled = share * ONE;

	return scaled >= ONE - 1 ? UINT32_MAX : (uint32_t) scaled;
}

/* work holds the columns below the mean at its beginning, the others at its end. */
static void
fill(SlAlias *alias, double *share, int *work)
{
	int n = alias->count;
	int low = 0, high = n;

	for (int i = 0; i < n; i++)
	{
		if (share[i] < 1)
			work[low++] = i;
		else
			work[--high] = i;
	}
	while (low > 0 && high < n)
	{
		int small = work[--low];
		int large = work[high];

		alias->keep[small] = of_2_32(share[small]);
		alias->other[small] = large;
		share[large] -= 1 - share[small];
		if (share[large] < 1)
		{
			high++;
			work[low++] = large;
		}
	}
	/* what rounding leaves */
	while (low > 0)
		alias->other[work[--low]] = -1;
	while (high < n)
		alias->other[work[high++]] = -1;
	for (int i = 0; i < n; i++)
		if (alias->other[i] < 0)
		{
			alias->keep[i] = UINT32_MAX;
			alias->other[i] = i;
		}
}

SlStatus
sl_alias_build(SlAlias *alias, int count, const double *weight, SlArena *arena)
{
	double *share;
	int *work;
	double sum = 0;

	alias->count = count;
	alias->keep = sl_alloc(arena, count, sizeof(uint32_t));
	alias->other = sl_alloc(arena, count, sizeof(int32_t));
	share = sl_alloc(arena, count, sizeof(double));
	work = sl_alloc(arena, count, sizeof(int));
	if (work == NULL || share == NULL || alias->other == NULL || alias->keep == NULL)
		return arena->base == NULL ? SL_OK : SL_NO_MEMORY;
	for (int i = 0; i < count; i++)
		sum += weight[i];
	for (int i = 0; i < count; i++)
		share[i] = weight[i] / sum * count;
	fill(alias, share, work);
	return SL_OK;
}
