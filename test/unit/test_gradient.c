/*
 * test_gradient.c: gradients by touched rows: what is touched and forgotten, sums over
 * shards in one go and in ranges, squares, and optimisers that move no other row.
 */
#include <math.h>

#include "nn/gradient.h"

#include "flat.h"
#include "pack.h"
#include "tap.h"

#define VOCABULARY 50
#define DIM 3

static void
define(SlParams *params)
{
	memset(params, 0, sizeof(*params));
	sl_param_add(params, "first", 5, 7, SL_INIT_KERNEL, 1, 7);
	sl_param_add_table(params, "table", VOCABULARY, DIM, SL_INIT_EMBEDDING, DIM,
					   SL_UPDATE_ROWS);
	sl_param_add_table(params, "fixed", 4, 2, SL_INIT_EMBEDDING, 2, SL_UPDATE_NONE);
	sl_param_add_table(params, "bias", VOCABULARY, 0, SL_INIT_BIAS, 1, SL_UPDATE_ROWS);
	sl_param_add(params, "last", 9, 0, SL_INIT_BIAS, 1, 7);
}

/* A gradient with room for so many rows of each table. */
static void
open_small(Flat *flat, const SlParams *params, int rows)
{
	SlGradient plan;
	SlArena arena = {.size = SIZE_MAX};

	sl_gradient_plan(&plan, params);
	for (int i = 0; i < plan.tables; i++)
		sl_table_expect(&plan.table[i], rows);
	sl_gradient_lay_out(&flat->gradient, &plan, 1, &arena);
	arena = (SlArena){aligned_alloc(SL_ALIGN, arena.used), arena.used, 0};
	ok(sl_gradient_lay_out(&flat->gradient, &plan, 1, &arena),
	   "%d rows: what was counted is enough", rows);
	flat->memory = arena.base;
	flat->grad = calloc(params->total, sizeof(float));
	sl_gradient_start(&flat->gradient);
}

/* Random dense part, and count random rows of each table (some of them twice). */
static void
fill(Flat *flat, uint64_t *seed, int count)
{
	SlGradient *g = &flat->gradient;

	sl_gradient_clear(g);
	for (int p = 0; p < g->params->count; p++)
	{
		const SlParam *param = &g->params->item[p];
		int size = param->rows * (param->cols > 0 ? param->cols : 1);

		if (param->update == SL_UPDATE_DENSE)
			for (int i = 0; i < size; i++)
				g->dense[param->grad_offset + i] = pack_random(seed);
	}
	for (int i = 0; i < count; i++)
		for (int t = 0; t < g->tables; t++)
		{
			int row = (int) ((pack_random(seed) + 1) * (VOCABULARY / 2));
			float *x = sl_table_touch(&g->table[t], row);

			for (int c = 0; x != NULL && c < g->table[t].cols; c++)
				x[c] += pack_random(seed);
		}
	flat_read(flat);
}

static void
test_touch(void)
{
	SlParams params;
	Flat flat;

	define(&params);
	is_int(params.tables, 2, "two tables");
	open_small(&flat, &params, 3);

	SlTableGradient *table = &flat.gradient.table[0];
	float *x = sl_table_touch(table, 17);

	ok(x != NULL && x[0] == 0 && x[DIM - 1] == 0, "a touched row starts from zero");
	x[1] = 5;
	ok(sl_table_touch(table, 17) == x, "and is the same when touched again");
	ok(sl_table_find(table, 17) == x, "it is found");
	ok(sl_table_find(table, 18) == NULL, "another is not");
	sl_table_touch(table, 0);
	sl_table_touch(table, VOCABULARY - 1);
	ok(sl_table_touch(table, 4) == NULL, "no room for a fourth");
	ok(sl_table_touch(table, 0) != NULL, "but for one that is there");
	is_int(sl_gradient_size(&flat.gradient), params.dense + 3 * DIM, "floats in use");
	sl_gradient_clear(&flat.gradient);
	ok(sl_table_find(table, 17) == NULL, "forgotten");
	x = sl_table_touch(table, 17);
	ok(x != NULL && x[1] == 0, "and zero again");
	is_int(sl_gradient_size(&flat.gradient), params.dense + DIM, "floats in use");
	flat_close(&flat);
}

static void
test_sums(void)
{
	enum
	{
		SHARDS = 3
	};
	SlParams params;
	Flat shard[SHARDS], one, ranges;
	const SlGradient *part[SHARDS];
	uint64_t seed = 5;
	bool same = true, plain = true;

	define(&params);
	flat_open(&one, &params);
	flat_open(&ranges, &params);
	for (int s = 0; s < SHARDS; s++)
	{
		open_small(&shard[s], &params, 12);
		part[s] = &shard[s].gradient;
	}
	for (int step = 0; step < 4; step++)
	{
		for (int s = 0; s < SHARDS; s++)
		{
			fill(&shard[s], &seed, 10 + s);
			sl_gradient_add(&one.gradient, part[s], s == 0);
		}
		sl_gradient_join(&ranges.gradient, part, SHARDS);

		size_t size = sl_gradient_size(&ranges.gradient);

		same &= size == sl_gradient_size(&one.gradient);
		for (size_t at = size; at > 0; at -= at < 5 ? at : 5)
			sl_gradient_sum(&ranges.gradient, part, SHARDS, at < 5 ? 0 : at - 5, at);
		flat_read(&one);
		flat_read(&ranges);
		same &= memcmp(one.grad, ranges.grad, sizeof(float) * params.total) == 0;
		for (size_t i = 0; i < params.total; i++)
			plain &=
				one.grad[i] == shard[0].grad[i] + shard[1].grad[i] + shard[2].grad[i];
	}
	ok(plain, "the sum of the shards");
	ok(same, "the same bits in ranges");

	Flat small;

	open_small(&small, &params, 12);
	sl_gradient_clear(&small.gradient);
	is_int(sl_gradient_join(&small.gradient, part, SHARDS), SL_NO_MEMORY,
		   "too many rows for the total");
	flat_close(&small);
	for (int s = 0; s < SHARDS; s++)
		flat_close(&shard[s]);
	flat_close(&one);
	flat_close(&ranges);
}

static void
test_norm(void)
{
	SlParams params;
	Flat flat;
	uint64_t seed = 8;
	double sum = 0;

	memset(&params, 0, sizeof(params));
	sl_param_add(&params, "large", 300, 401, SL_INIT_KERNEL, 1, 7);
	sl_param_add_table(&params, "table", VOCABULARY, 4000, SL_INIT_EMBEDDING, DIM,
					   SL_UPDATE_ROWS);
	flat_open(&flat, &params);
	fill(&flat, &seed, 30);
	for (size_t i = 0; i < params.total; i++)
		sum += (double) flat.grad[i] * flat.grad[i];

	size_t size = sl_gradient_size(&flat.gradient);

	is_close(sl_gradient_square(&flat.gradient, 0, 1111) +
				 sl_gradient_square(&flat.gradient, 1111, size),
			 sum, 1e-9 * sum, "squares of %zu floats", size);
	float *before = malloc(sizeof(float) * params.total);
	bool scaled = true;

	memcpy(before, flat.grad, sizeof(float) * params.total);
	sl_gradient_scale(&flat.gradient, 0.5f, 1000, size);
	sl_gradient_scale(&flat.gradient, 0.5f, 0, 1000);
	flat_read(&flat);
	for (size_t i = 0; i < params.total; i++)
		scaled &= flat.grad[i] == 0.5f * before[i];
	ok(scaled, "scaled");
	free(before);
	flat_close(&flat);
}

/* Every optimiser: touched rows move as weights of their own would, the rest and its
 * moments stay as they are. */
static void
test_update(SlOptimKind kind)
{
	SlParams params;
	Flat flat;
	uint64_t seed = 9;

	define(&params);
	flat_open(&flat, &params);

	size_t n = params.total;
	float *value = pack_numbers(&seed, n, 1), *want = malloc(n * sizeof(float));
	float *moments = calloc(2 * n, sizeof(float));
	float *kept = calloc(2 * n, sizeof(float));
	double product = 1;
	bool same = true, still = true;

	memcpy(want, value, n * sizeof(float));
	for (int t = 1; t <= 5; t++)
	{
		fill(&flat, &seed, 20);

		sl_optim_advance(kind, t, &product);

		SlOptimStep step = sl_optim_begin(kind, t, 0.1f, 0.01f, product);
		size_t size = sl_gradient_size(&flat.gradient);

		sl_gradient_update(&flat.gradient, &step, value, moments, 0, size / 3);
		sl_gradient_update(&flat.gradient, &step, value, moments, size / 3, size);
		SlOptimStep rows = sl_optim_rows(&step);

		for (int p = 0; p < params.count; p++)
		{
			const SlParam *param = &params.item[p];
			size_t cols = param->cols > 0 ? param->cols : 1;

			for (size_t i = 0; i < param->rows * cols; i++)
			{
				size_t at = param->offset + i;

				bool dense = param->update == SL_UPDATE_DENSE;

				if (dense ||
					(param->update == SL_UPDATE_ROWS &&
					 sl_table_find(&flat.gradient.table[param->table], (int) (i / cols))))
					sl_optim_apply(dense ? &step : &rows, 1, want + at, flat.grad + at,
								   kept + at, kept + n + at);
				else
					still &= value[at] == want[at];
			}
		}
		same &= memcmp(value, want, n * sizeof(float)) == 0 &&
				memcmp(moments, kept, 2 * n * sizeof(float)) == 0;
	}
	ok(same, "%s: touched rows", sl_optim_name(kind));
	ok(still, "%s: the others", sl_optim_name(kind));
	free(value);
	free(want);
	free(moments);
	free(kept);
	flat_close(&flat);
}

int
main(void)
{
	test_touch();
	test_sums();
	test_norm();
	for (int kind = 0; sl_optim_name(kind) != NULL; kind++)
		test_update((SlOptimKind) kind);
	return done_testing();
}
