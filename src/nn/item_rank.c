/*
 * item_rank.c: ranks and best items, row block by row block; see item_rank.h.
 *
 * A block's scores of all items are kept, so that an item's own score is compared with
 * the others' as they came out of the same product, and equal means equal.
 */
#include "nn/item_rank.h"

#include <math.h>

#include "nn/blas.h"
#include "nn/cpu.h"
#include "nn/kernel.h"
#include "nn/loss.h"

#define MAX_SCORES ((size_t) 1 << 24) /* of a block */
#define MIN_ROWS 4
#define MAX_ROWS 512
#define PIECE_ITEMS 8192 /* of a product between two questions to should_stop() */

static int
block_rows(int items)
{
	size_t rows = MAX_SCORES / (size_t) items;

	return rows < MIN_ROWS ? MIN_ROWS : rows > MAX_ROWS ? MAX_ROWS : (int) rows;
}

SL_CLONES static void
count_above(const float *score, int n, float own, int *above, int *same)
{
	int higher = 0, equal = 0;

	for (int i = 0; i < n; i++)
	{
		higher += score[i] > own;
		equal += score[i] == own;
	}
	*above = higher;
	*same = equal;
}

/* ---- the best n: a heap with the worst of them on top ---- */

/* Whether item a is worse than item b. */
static bool
is_worse(const float *score, int32_t a, int32_t b)
{
	return score[a] < score[b] || (score[a] == score[b] && a > b);
}

/* Puts item at the top of heap[n] and lets it sink to its place. */
static void
sink(const float *score, int32_t *heap, int n, int at, int32_t item)
{
	for (;;)
	{
		int child = 2 * at + 1;

		if (child + 1 < n && is_worse(score, heap[child + 1], heap[child]))
			child++;
		if (child >= n || !is_worse(score, heap[child], item))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = item;
}

static void
find_best(const float *score, int items, int n, int32_t *best)
{
	for (int i = 0; i < n; i++)
		best[i] = i;
	for (int i = n / 2 - 1; i >= 0; i--)
		sink(score, best, n, i, best[i]);
	for (int i = n; i < items; i++)
		if (score[i] > score[best[0]])
			sink(score, best, n, 0, i);
	/* the worst of those left goes behind them */
	for (int left = n - 1; left > 0; left--)
	{
		int32_t worst = best[0];

		sink(score, best, left, 0, best[left]);
		best[left] = worst;
	}
}

static void
answer_row(const SlItemHead *head, const SlItemRank *rank, int row, const float *score)
{
	int items = head->items, n = rank->n;
	int item = rank->item != NULL ? rank->item[row] : -1;
	double sum = sl_log_sum_exp(score, items);
	bool asked = item >= 0 && item < items;

	if (rank->log_probability != NULL)
		rank->log_probability[row] = asked ? score[item] - sum : NAN;
	if (rank->rank != NULL)
	{
		int above = 0, same = 0;

		if (asked)
			count_above(score, items, score[item], &above, &same);
		rank->rank[row] = asked && same > 0 ? 1 + above + 0.5 * (same - 1) : NAN;
	}
	if (n > 0 && rank->best != NULL)
		find_best(score, items, n, rank->best + (size_t) row * n);
	for (int i = 0; i < n && rank->best_log_probability != NULL; i++)
		rank->best_log_probability[(size_t) row * n + i] =
			score[rank->best[(size_t) row * n + i]] - sum;
}

SlStatus
sl_item_rank(const SlItemHead *head, const float *h, int rows, const SlItemRank *rank,
			 bool (*should_stop)(void *arg), void *stop_arg, SlArena *work)
{
	int items = head->items, hidden = head->hidden, block = block_rows(items);
	size_t before = work->used;
	float *score = sl_alloc(work, (size_t) block * items, sizeof(float));

	if (rank->n < 0 || rank->n > items ||
		(rank->best == NULL && rank->best_log_probability != NULL))
		return SL_BAD_SHAPE;
	if (work->used == SIZE_MAX)
		return SL_NO_MEMORY;
	if (work->base == NULL)
		return SL_OK;
	work->used = before;
	if (!sl_blas_load())
		return SL_NO_BLAS;
	for (int from = 0; from < rows; from += block)
	{
		int count = rows - from < block ? rows - from : block;

		for (int first = 0; first < items; first += PIECE_ITEMS)
		{
			int n = items - first < PIECE_ITEMS ? items - first : PIECE_ITEMS;

			if (should_stop != NULL && should_stop(stop_arg))
				return SL_STOPPED;
			sl_gemm(false, true, count, n, hidden, 1, h + (size_t) from * hidden, hidden,
					head->weight + (size_t) first * hidden, hidden, 0, score + first,
					items);
		}
		sl_add_row(count, items, head->bias, score, items);
		for (int i = 0; i < count; i++)
			answer_row(head, rank, from + i, score + (size_t) i * items);
	}
	return SL_OK;
}
