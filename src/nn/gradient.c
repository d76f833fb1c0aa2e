/*
 * gradient.c: gradients of whole parameters and of touched rows; see gradient.h.
 */
#include "nn/gradient.h"

#include <math.h>
#include <string.h>

void
sl_gradient_plan(SlGradient *gradient, const SlParams *params)
{
	memset(gradient, 0, sizeof(*gradient));
	gradient->params = params;
	gradient->tables = params->tables;
	for (int i = 0; i < params->count; i++)
	{
		const SlParam *param = &params->item[i];

		if (param->update != SL_UPDATE_ROWS)
			continue;
		gradient->table[param->table] =
			(SlTableGradient){.rows = param->rows,
							  .cols = param->cols > 0 ? param->cols : 1,
							  .offset = param->offset};
	}
}

void
sl_table_expect(SlTableGradient *table, size_t rows)
{
	size_t room = (size_t) (table->rows - table->expected);

	table->expected += (int) (rows < room ? rows : room);
}

bool
sl_gradient_lay_out(SlGradient *gradient, const SlGradient *plan, int passes,
					SlArena *arena)
{
	*gradient = *plan;
	gradient->dense = sl_alloc(arena, gradient->params->dense, sizeof(float));
	for (int i = 0; i < gradient->tables; i++)
	{
		SlTableGradient *table = &gradient->table[i];
		size_t most = (size_t) table->expected * (size_t) passes;

		table->capacity = most < (size_t) table->rows ? (int) most : table->rows;
		table->count = sl_alloc(arena, 1, sizeof(int));
		table->slot = sl_alloc(arena, table->rows, sizeof(int32_t));
		table->row = sl_alloc(arena, table->capacity, sizeof(int32_t));
		table->data =
			sl_alloc(arena, (size_t) table->capacity * table->cols, sizeof(float));
	}
	return arena->used != SIZE_MAX;
}

void
sl_gradient_start(SlGradient *gradient)
{
	for (int i = 0; i < gradient->tables; i++)
		memset(gradient->table[i].slot, 0, sizeof(int32_t) * gradient->table[i].rows);
	sl_gradient_clear(gradient);
}

void
sl_gradient_clear(SlGradient *gradient)
{
	memset(gradient->dense, 0, sizeof(float) * gradient->params->active);
	for (int i = 0; i < gradient->tables; i++)
		*gradient->table[i].count = 0;
}

/* The row's place in the list, at its end when new; -1: no room. */
static int
place(SlTableGradient *table, int row, bool *is_new)
{
	uint32_t slot = (uint32_t) table->slot[row];
	int count = *table->count;

	*is_new = slot >= (uint32_t) count || table->row[slot] != row;
	if (!*is_new)
		return (int) slot;
	if (count >= table->capacity)
		return -1;
	table->slot[row] = count;
	table->row[count] = row;
	*table->count = count + 1;
	return count;
}

float *
sl_table_touch(SlTableGradient *table, int row)
{
	bool is_new;
	int slot = place(table, row, &is_new);

	if (slot < 0)
		return NULL;

	float *data = table->data + (size_t) slot * table->cols;

	if (is_new)
		memset(data, 0, sizeof(float) * table->cols);
	return data;
}

bool
sl_table_touch_all(SlTableGradient *table)
{
	for (int row = 0; row < table->rows; row++)
		if (sl_table_touch(table, row) != table->data + (size_t) row * table->cols)
			return false;
	return true;
}

size_t
sl_gradient_size(const SlGradient *gradient)
{
	size_t size = gradient->params->active;

	for (int i = 0; i < gradient->tables; i++)
		size += (size_t) *gradient->table[i].count * gradient->table[i].cols;
	return size;
}

/* sum += x, or sum = x. */
static void
add(size_t n, const float *x, bool first, float *sum)
{
	if (first)
		memcpy(sum, x, sizeof(float) * n);
	else
		for (size_t i = 0; i < n; i++)
			sum[i] += x[i];
}

SlStatus
sl_gradient_add(SlGradient *total, const SlGradient *shard, bool first)
{
	add(total->params->active, shard->dense, first, total->dense);
	for (int i = 0; i < total->tables; i++)
	{
		const SlTableGradient *part = &shard->table[i];
		SlTableGradient *sum = &total->table[i];

		if (first)
			*sum->count = 0;
		for (int r = 0; r < *part->count; r++)
		{
			bool is_new;
			int slot = place(sum, part->row[r], &is_new);

			if (slot < 0)
				return SL_NO_MEMORY;
			add(part->cols, part->data + (size_t) r * part->cols, is_new,
				sum->data + (size_t) slot * part->cols);
		}
	}
	return SL_OK;
}

SlStatus
sl_gradient_join(SlGradient *total, const SlGradient *const *shard, int shards)
{
	for (int i = 0; i < total->tables; i++)
	{
		*total->table[i].count = 0;
		for (int s = 0; s < shards; s++)
		{
			const SlTableGradient *part = &shard[s]->table[i];
			bool is_new;

			for (int r = 0; r < *part->count; r++)
				if (place(&total->table[i], part->row[r], &is_new) < 0)
					return SL_NO_MEMORY;
		}
	}
	return SL_OK;
}

/* ---- ranges ---- */

/* The part of a range that lies in one stretch of length floats that starts at start. */
typedef struct Overlap
{
	size_t first; /* within the stretch */
	size_t count;
} Overlap;

static Overlap
overlap(size_t start, size_t length, size_t from, size_t to)
{
	size_t low = from > start ? from : start;
	size_t high = to < start + length ? to : start + length;

	return high > low ? (Overlap){low - start, high - low} : (Overlap){0, 0};
}

/* Floats of a table's touched rows. */
static size_t
touched(const SlTableGradient *table)
{
	return (size_t) *table->count * table->cols;
}

static void
sum_rows(SlTableGradient *total, int table, const SlGradient *const *shard, int shards,
		 Overlap part)
{
	size_t cols = total->cols;

	for (size_t at = part.first, end = part.first + part.count; at < end;)
	{
		size_t slot = at / cols, column = at % cols;
		size_t n = cols - column < end - at ? cols - column : end - at;
		bool first = true;

		for (int s = 0; s < shards; s++)
		{
			const float *x = sl_table_find(&shard[s]->table[table], total->row[slot]);

			if (x == NULL)
				continue;
			add(n, x + column, first, total->data + at);
			first = false;
		}
		at += n;
	}
}

void
sl_gradient_sum(SlGradient *total, const SlGradient *const *shard, int shards,
				size_t from, size_t to)
{
	size_t start = total->params->active;
	Overlap part = overlap(0, start, from, to);

	for (int s = 0; s < shards; s++)
		add(part.count, shard[s]->dense + part.first, s == 0, total->dense + part.first);
	for (int i = 0; i < total->tables; i++)
	{
		size_t length = touched(&total->table[i]);

		sum_rows(&total->table[i], i, shard, shards, overlap(start, length, from, to));
		start += length;
	}
}

double
sl_gradient_square(const SlGradient *gradient, size_t from, size_t to)
{
	size_t start = gradient->params->active;
	Overlap part = overlap(0, start, from, to);
	double sum = sl_sum_of_squares(gradient->dense + part.first, part.count);

	for (int i = 0; i < gradient->tables; i++)
	{
		const SlTableGradient *table = &gradient->table[i];

		part = overlap(start, touched(table), from, to);
		if (part.count > 0)
			sum += sl_sum_of_squares(table->data + part.first, part.count);
		start += touched(table);
	}
	return sum;
}

void
sl_gradient_scale(SlGradient *gradient, float factor, size_t from, size_t to)
{
	size_t start = gradient->params->active;
	Overlap part = overlap(0, start, from, to);

	sl_scale(gradient->dense + part.first, part.count, factor);
	for (int i = 0; i < gradient->tables; i++)
	{
		const SlTableGradient *table = &gradient->table[i];

		part = overlap(start, touched(table), from, to);
		if (part.count > 0)
			sl_scale(table->data + part.first, part.count, factor);
		start += touched(table);
	}
}

/* The step on n weights at offset; moments of all parameters lie total apart. */
static void
update(const SlOptimStep *step, size_t total, size_t offset, size_t n, const float *grad,
	   float *value, float *moments)
{
	int kept = sl_optim_moments(step->kind);

	sl_optim_apply(step, n, value + offset, grad, kept > 0 ? moments + offset : NULL,
				   kept > 1 ? moments + total + offset : NULL);
}

static void
update_dense(const SlGradient *gradient, const SlOptimStep *step, float *value,
			 float *moments, size_t from, size_t to)
{
	const SlParams *params = gradient->params;

	if (to > params->active)
		to = params->active;
	for (int i = 0; i < params->count; i++)
	{
		const SlParam *param = &params->item[i];
		size_t length = (size_t) param->rows * (param->cols > 0 ? param->cols : 1);
		Overlap part = overlap(param->grad_offset, length, from, to);

		if (param->update == SL_UPDATE_DENSE && part.count > 0)
			update(step, params->total, param->offset + part.first, part.count,
				   gradient->dense + param->grad_offset + part.first, value, moments);
	}
}

static void
update_rows(const SlGradient *gradient, const SlTableGradient *table,
			const SlOptimStep *step, float *value, float *moments, Overlap part)
{
	size_t cols = table->cols;

	for (size_t at = part.first, end = part.first + part.count; at < end;)
	{
		size_t slot = at / cols, column = at % cols;
		size_t n = cols - column < end - at ? cols - column : end - at;

		update(step, gradient->params->total,
			   table->offset + (size_t) table->row[slot] * cols + column, n,
			   table->data + at, value, moments);
		at += n;
	}
}

void
sl_gradient_update(const SlGradient *gradient, const SlOptimStep *step, float *value,
				   float *moments, size_t from, size_t to)
{
	size_t start = gradient->params->active;
	SlOptimStep rows = sl_optim_rows(step);

	update_dense(gradient, step, value, moments, from, to);
	for (int i = 0; i < gradient->tables; i++)
	{
		const SlTableGradient *table = &gradient->table[i];

		update_rows(gradient, table, &rows, value, moments,
					overlap(start, touched(table), from, to));
		start += touched(table);
	}
}
