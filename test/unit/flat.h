/*
 * flat.h: a gradient for tests, with room for every row of every table, and its copy as
 * one array of all parameters.
 */
#ifndef FLAT_H
#define FLAT_H

#include <stdlib.h>
#include <string.h>

#include "nn/gradient.h"

typedef struct Flat
{
	SlGradient gradient;
	char *memory;
	float *grad; /* [params->total], written by flat_read() */
} Flat;

__attribute__((unused)) static void
flat_open(Flat *flat, const SlParams *params)
{
	SlGradient plan;
	SlArena arena = {.size = SIZE_MAX};

	sl_gradient_plan(&plan, params);
	for (int i = 0; i < plan.tables; i++)
		plan.table[i].expected = plan.table[i].rows;
	sl_gradient_lay_out(&flat->gradient, &plan, 1, &arena);
	arena = (SlArena){aligned_alloc(SL_ALIGN, arena.used + SL_ALIGN), arena.used, 0};
	if (!sl_gradient_lay_out(&flat->gradient, &plan, 1, &arena))
		abort();
	flat->memory = arena.base;
	flat->grad = calloc(params->total, sizeof(float));
	sl_gradient_start(&flat->gradient);
}

__attribute__((unused)) static void
flat_close(Flat *flat)
{
	free(flat->memory);
	free(flat->grad);
}

/* flat->grad as it is now; 0 in rows that were not touched. */
__attribute__((unused)) static void
flat_read(Flat *flat)
{
	const SlParams *params = flat->gradient.params;

	memset(flat->grad, 0, sizeof(float) * params->total);
	for (int p = 0; p < params->count; p++)
	{
		const SlParam *param = &params->item[p];
		size_t cols = param->cols > 0 ? param->cols : 1;
		float *to = flat->grad + param->offset;

		if (param->update == SL_UPDATE_DENSE)
			memcpy(to, flat->gradient.dense + param->grad_offset,
				   sizeof(float) * param->rows * cols);
		for (int row = 0; param->update == SL_UPDATE_ROWS && row < param->rows; row++)
		{
			const float *from = sl_table_find(&flat->gradient.table[param->table], row);

			if (from != NULL)
				memcpy(to + row * cols, from, sizeof(float) * cols);
		}
	}
}

#endif
