/*
 * factor.c: Cholesky factorisation by levels of breadth.
 *
 * A vertex is joined to its own level of breadth and the two beside it only, so the
 * matrix in that order is block tridiagonal, and its factor is as well.  Blocks are
 * dense: all work is in products of matrices, block by block, between which one can stop.
 * Points along curves and in a plane have narrow levels; in many dimensions they are too
 * wide for this.
 */
#include "cluster/factor.h"

#include <math.h>
#include <string.h>

#include "cluster/lapack.h"

/* Smaller blocks cost more in calls than in products. */
#define LEAST_BLOCK 48

/* Larger ones would keep a cancel waiting for more than a second. */
#define LARGEST_BLOCK 2500

static int
width(const SlFactor *f, int b)
{
	return f->begin[b + 1] - f->begin[b];
}

SlStatus
sl_factor_plan(const SlGraph *graph, SlArena *arena, SlFactor *f, size_t *memory,
			   double *operations)
{
	int n = graph->count;
	SlArena count = {NULL, SIZE_MAX, 0};
	int *scratch;

	*f = (SlFactor){.count = n};
	f->order = sl_alloc(arena, n, sizeof(int));
	f->begin = sl_alloc(arena, (size_t) n + 1, sizeof(int));
	f->diagonal = sl_alloc(arena, n, sizeof(double *));
	f->side = sl_alloc(arena, n, sizeof(double *));
	scratch = sl_alloc(arena, n, 2 * sizeof(int));
	if (scratch == NULL || arena->used == SIZE_MAX)
		return SL_NO_MEMORY;
	f->blocks = sl_graph_levels(graph, LEAST_BLOCK, f->order, f->begin, scratch);
	*operations = 0;
	for (int b = 0; b < f->blocks; b++)
	{
		double w = width(f, b);
		double before = b > 0 ? width(f, b - 1) : 0;

		(void) sl_alloc(&count, (size_t) width(f, b), sizeof(double) * width(f, b));
		(void) sl_alloc(&count, (size_t) width(f, b), sizeof(double) * (size_t) before);
		*operations += w * w * w / 3 + w * before * before + w * w * before;
		if (width(f, b) > LARGEST_BLOCK)
			*operations = INFINITY;
	}
	(void) sl_alloc(&count, n, sizeof(int));
	*memory = count.used;
	return SL_OK;
}

/* The rows of one block before anything is eliminated; false if it is joined to none of
 * the block before. */
static bool
fill_block(const SlGraph *g, const SlFactor *f, const int *at, int b, double shift,
		   double *diagonal, double *side)
{
	int w = width(f, b);
	int from = f->begin[b];
	int before = b > 0 ? f->begin[b - 1] : from;
	bool joined = false;

	memset(diagonal, 0, sizeof(double) * (size_t) w * w);
	memset(side, 0, sizeof(double) * (size_t) w * (from - before));
	for (int r = 0; r < w; r++)
	{
		int i = f->order[from + r];

		diagonal[(size_t) r * w + r] = 1 + shift;
		/* a vertex without edges has eigenvalue 0 as any component has */
		if (g->start[i] == g->start[i + 1])
			diagonal[(size_t) r * w + r] = shift;
		for (size_t e = g->start[i]; e < g->start[i + 1]; e++)
		{
			int c = at[g->to[e]];
			double value = -g->weight[e] / (g->root[i] * g->root[g->to[e]]);

			if (c >= from && c < from + w)
				diagonal[(size_t) (c - from) * w + r] = value;
			else if (c < from)
			{
				side[(size_t) (c - before) * w + r] = value;
				joined = true;
			}
		}
	}
	return joined;
}

SlStatus
sl_factor(const SlGraph *graph, double shift, const SlStop *stop, SlArena *arena,
		  SlFactor *f)
{
	int *at = sl_alloc(arena, f->count, sizeof(int));

	if (at == NULL)
		return SL_NO_MEMORY;
	for (int i = 0; i < f->count; i++)
		at[f->order[i]] = i;
	for (int b = 0; b < f->blocks; b++)
	{
		int w = width(f, b);
		int before = b > 0 ? width(f, b - 1) : 0;

		if (sl_stopped(stop))
			return SL_STOPPED;
		f->diagonal[b] = sl_alloc(arena, w, sizeof(double) * w);
		f->side[b] = sl_alloc(arena, w, sizeof(double) * before);
		if (f->diagonal[b] == NULL || f->side[b] == NULL)
			return SL_NO_MEMORY;
		if (!fill_block(graph, f, at, b, shift, f->diagonal[b], f->side[b]))
			f->side[b] = NULL;
		else
		{
			sl_dtrsm_right(w, before, f->diagonal[b - 1], before, f->side[b], w);
			sl_dsyrk_lower(w, before, f->side[b], w, f->diagonal[b], w);
		}
		if (!sl_dpotrf(w, f->diagonal[b], w))
			return SL_NOT_FINITE;
	}
	return SL_OK;
}

void
sl_factor_solve(const SlFactor *f, const double *b, double *x, double *y)
{
	for (int i = 0; i < f->count; i++)
		y[i] = b[f->order[i]];
	for (int l = 0; l < f->blocks; l++)
	{
		double *part = y + f->begin[l];

		if (f->side[l] != NULL)
			sl_dgemv(false, width(f, l), width(f, l - 1), -1, f->side[l], width(f, l),
					 y + f->begin[l - 1], 1, part);
		sl_dtrsv(false, width(f, l), f->diagonal[l], width(f, l), part);
	}
	for (int l = f->blocks - 1; l >= 0; l--)
	{
		double *part = y + f->begin[l];

		if (l + 1 < f->blocks && f->side[l + 1] != NULL)
			sl_dgemv(true, width(f, l + 1), width(f, l), -1, f->side[l + 1],
					 width(f, l + 1), y + f->begin[l + 1], 1, part);
		sl_dtrsv(true, width(f, l), f->diagonal[l], width(f, l), part);
	}
	for (int i = 0; i < f->count; i++)
		x[f->order[i]] = y[i];
}
