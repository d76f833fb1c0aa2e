/*
 * arena.c: bump allocation in memory the caller owns, and the list of parameters.
 */
#include "nn/nn.h"

#include <string.h>

void *
sl_alloc(SlArena *arena, size_t count, size_t width)
{
	size_t bytes;
	size_t end;

	if (__builtin_mul_overflow(count, width, &bytes) ||
		__builtin_add_overflow(bytes, (size_t) (SL_ALIGN - 1), &bytes))
	{
		arena->used = SIZE_MAX;
		return NULL;
	}
	bytes -= bytes % SL_ALIGN;
	if (arena->used == SIZE_MAX || __builtin_add_overflow(arena->used, bytes, &end) ||
		(arena->base != NULL && end > arena->size))
	{
		arena->used = SIZE_MAX;
		return NULL;
	}

	char *result = arena->base == NULL ? NULL : arena->base + arena->used;

	arena->used = end;
	return result;
}

/* count rounded up to a multiple of SL_ALIGN bytes, behind *total: its new value. */
static bool
extend(size_t count, size_t total, size_t *end)
{
	const size_t align = SL_ALIGN / sizeof(float);

	return !__builtin_add_overflow(count, align - 1, &count) &&
		   !__builtin_add_overflow(total, count - count % align, end) &&
		   *end <= SIZE_MAX / sizeof(float);
}

static int
param_add(SlParams *params, const char *name, int rows, int cols, SlInit init, int gates,
		  int fan_in, SlUpdate update)
{
	size_t count;
	size_t end;
	size_t dense_end;

	if (params->count >= SL_MAX_PARAMS || strlen(name) >= SL_NAME_MAX || rows <= 0 ||
		cols < 0 || (update == SL_UPDATE_ROWS && params->tables >= SL_MAX_TABLES) ||
		__builtin_mul_overflow((size_t) rows, cols == 0 ? 1 : (size_t) cols, &count) ||
		!extend(count, params->total, &end) || !extend(count, params->dense, &dense_end))
	{
		params->overflow = true;
		return 0;
	}

	SlParam *param = &params->item[params->count];

	memset(param, 0, sizeof(*param));
	memcpy(param->name, name, strlen(name));
	param->rows = rows;
	param->cols = cols;
	param->offset = params->total;
	param->init = init;
	param->gates = gates;
	param->fan_in = fan_in;
	param->update = update;
	params->total = end;
	if (update == SL_UPDATE_DENSE)
	{
		param->grad_offset = params->dense;
		params->dense = params->active = dense_end;
	}
	else if (update == SL_UPDATE_ROWS)
		param->table = params->tables++;
	return params->count++;
}

int
sl_param_add(SlParams *params, const char *name, int rows, int cols, SlInit init,
			 int gates, int fan_in)
{
	return param_add(params, name, rows, cols, init, gates, fan_in, SL_UPDATE_DENSE);
}

int
sl_param_add_table(SlParams *params, const char *name, int rows, int cols, SlInit init,
				   int fan_in, SlUpdate update)
{
	return param_add(params, name, rows, cols, init, 1, fan_in, update);
}

void
sl_params_rest(SlParams *params, const bool *rests)
{
	params->dense = 0;
	for (int resting = 0; resting < 2; resting++)
	{
		for (int i = 0; i < params->count; i++)
		{
			SlParam *param = &params->item[i];
			size_t count = (size_t) param->rows * (param->cols > 0 ? param->cols : 1);

			if (param->update != SL_UPDATE_DENSE || rests[i] != (resting == 1))
				continue;
			param->grad_offset = params->dense;
			(void) extend(count, params->dense, &params->dense); /* as it was before */
		}
		if (resting == 0)
			params->active = params->dense;
	}
}
