/*
 * gradient.h: the gradient of a network's parameters, and what is done with it.
 *
 * Parameters updated as a whole lie one after the other in a dense array.  Each table
 * (an embedding, a head with a row for each item) keeps only the rows that were touched
 * since the last clear, in the order of their first touch.  A step's time and traffic
 * thus depend on its own rows and not on the vocabulary.
 *
 * A step over several shards is
 *
 *     each shard    sl_gradient_clear, forward and backward pass
 *     once          sl_gradient_join: which rows the total has
 *     in ranges     sl_gradient_sum (or, one by one, sl_gradient_add)
 *     in ranges     sl_gradient_square: fixed ranges, added in order, give the norm
 *     in ranges     sl_gradient_scale where it is clipped, sl_gradient_update
 *
 * Ranges count all floats of the total, 0 .. sl_gradient_size(), and may be cut
 * anywhere: every float is computed alike, whatever is computed with it.
 *
 * SlGradient itself only holds addresses.  All that changes lies in the arena, so that
 * processes sharing memory each lay out their own over the same bytes.
 */
#ifndef SL_GRADIENT_H
#define SL_GRADIENT_H

#include "nn/nn.h"
#include "nn/optim.h"

/* The touched rows of one table.  A row is one of them if slot[row] < *count and
 * row[slot[row]] is the row: forgetting them all takes no more than *count = 0. */
typedef struct SlTableGradient
{
	int rows;	   /* of the table */
	int cols;	   /* 1 for a vector */
	size_t offset; /* of its values and moments */
	int expected;  /* rows a pass may touch, as layers say while counting */
	int capacity;
	int *count;	   /* rows touched */
	int32_t *slot; /* [rows] */
	int32_t *row;  /* [capacity], in order of first touch */
	float *data;   /* [capacity x cols] */
} SlTableGradient;

struct SlGradient
{
	const SlParams *params;
	float *dense; /* [params->dense]; of what rests, behind params->active, nothing */
	int tables;
	SlTableGradient table[SL_MAX_TABLES];
};

/* A gradient without memory: to count with, and to learn the expected rows. */
extern void sl_gradient_plan(SlGradient *gradient, const SlParams *params);

/* Takes memory for the expected rows of plan, of passes passes together; a table never
 * has more rows than it has.  With an empty arena it only counts.  False: no room. */
extern bool sl_gradient_lay_out(SlGradient *gradient, const SlGradient *plan, int passes,
								SlArena *arena);

/* First of all, once (not by every process): the time depends on the vocabulary. */
extern void sl_gradient_start(SlGradient *gradient);

/* Zero, with no row touched. */
extern void sl_gradient_clear(SlGradient *gradient);

/* While counting: a pass may touch that many more rows. */
extern void sl_table_expect(SlTableGradient *table, size_t rows);

/* The gradient of a row, to be added to; zero when new.  NULL: no room. */
extern float *sl_table_touch(SlTableGradient *table, int row);

/* All rows, row i at data + i * cols, zero those that are new; false: no room, or some
 * have been touched in another order. */
extern bool sl_table_touch_all(SlTableGradient *table);

/* The gradient of a row, or NULL if it was not touched. */
static inline float *
sl_table_find(const SlTableGradient *table, int row)
{
	uint32_t slot = (uint32_t) table->slot[row];

	return slot < (uint32_t) *table->count && table->row[slot] == row
			   ? table->data + (size_t) slot * table->cols
			   : NULL;
}

/* Floats it has now: dense ones, then those of touched rows, table by table. */
extern size_t sl_gradient_size(const SlGradient *gradient);

/* The total becomes the first shard, or has another one added: the bits of join and sum.
 * SL_NO_MEMORY if their rows are too many. */
extern SlStatus sl_gradient_add(SlGradient *total, const SlGradient *shard, bool first);

/* The total's rows become those touched in any shard; SL_NO_MEMORY if they are too many.
 */
extern SlStatus sl_gradient_join(SlGradient *total, const SlGradient *const *shard,
								 int shards);

/* Floats from .. to - 1 of the total become the sum over shards, in their order. */
extern void sl_gradient_sum(SlGradient *total, const SlGradient *const *shard, int shards,
							size_t from, size_t to);

/* Sum of squares of floats from .. to - 1, in an order that depends on the range. */
extern double sl_gradient_square(const SlGradient *gradient, size_t from, size_t to);

extern void sl_gradient_scale(SlGradient *gradient, float factor, size_t from, size_t to);

/*
 * One optimiser step on the weights of floats from .. to - 1.  value and moments are
 * those of all parameters, [params->total] and [sl_optim_moments * params->total].
 *
 * Rows that were not touched keep their values and moments: no decay of either, and no
 * weight decay.  For adam that is torch.optim.SparseAdam (bias corrections by the steps
 * of the whole network), for sgd and adagrad torch.optim's step with sparse gradients;
 * adamw, nadam and rmsprop are the same idea.
 */
extern void sl_gradient_update(const SlGradient *gradient, const SlOptimStep *step,
							   float *value, float *moments, size_t from, size_t to);

#endif
