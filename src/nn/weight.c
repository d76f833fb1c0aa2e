/*
 * weight.c: packing of recurrent weights, one layer's for a pass or a network's for many.
 */
#include "nn/weight.h"

#include <string.h>

/* Rows of a part of W, and where they start. */
static int
part_rows(const SlParam *shape, int part, int *start)
{
	int first = shape->rows / shape->gates * sl_weight_first_gates(shape->gates);

	*start = part == 0 ? 0 : first;
	return part == 0 ? first : shape->rows - first;
}

/* The larger of both directions, as columns are padded. */
static size_t
part_size(const SlParam *shape, int part)
{
	int start;
	int rows = part_rows(shape, part, &start);
	size_t forward = sl_packed_size(shape->cols, rows);
	size_t back = sl_packed_size(rows, shape->cols);

	return forward > back ? forward : back;
}

size_t
sl_weight_size(const SlParam *shape)
{
	size_t size;

	return __builtin_add_overflow(part_size(shape, 0), part_size(shape, 1), &size)
			   ? SIZE_MAX
			   : size;
}

SlPackedWeight
sl_weight_pack(const SlParam *shape, const float *value, bool back, float *data)
{
	SlPackedWeight weight = {0};

	for (int p = 0; p < 2; p++)
	{
		int start;
		int rows = part_rows(shape, p, &start);
		const float *from = value + (size_t) start * shape->cols;

		if (rows > 0)
			weight.part[p] = back ? sl_pack(false, rows, shape->cols, from, shape->cols,
											data + p * part_size(shape, 0))
								  : sl_pack(true, shape->cols, rows, from, shape->cols,
											data + p * part_size(shape, 0));
	}
	return weight;
}

/* Only recurrent weights have several gates and columns. */
static bool
is_recurrent(const SlParam *shape)
{
	return shape->gates > 1 && shape->cols > 0;
}

const SlPackedWeight *
sl_params_pack(const SlParams *params, const float *value, SlArena *arena)
{
	SlPackedWeight *packed = sl_alloc(arena, params->count, sizeof(SlPackedWeight));

	if (packed != NULL)
		memset(packed, 0, (size_t) params->count * sizeof(SlPackedWeight));
	for (int i = 0; i < params->count; i++)
	{
		const SlParam *shape = &params->item[i];

		if (!is_recurrent(shape))
			continue;

		float *data = sl_alloc(arena, sl_weight_size(shape), sizeof(float));

		if (data == NULL)
			packed = NULL;
		if (packed != NULL)
			packed[i] = sl_weight_pack(shape, value + shape->offset, false, data);
	}
	return packed;
}
