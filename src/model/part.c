/*
 * part.c: see part.h.  What is copied has no gradient, so nothing goes on the tape.
 */
#include "model/part.h"

#include <string.h>

static void *
take_memory(SlTape *tape, size_t count, size_t width)
{
	void *result = sl_alloc(tape->arena, count, width);

	if (tape->arena->used == SIZE_MAX && tape->status == SL_OK)
		tape->status = SL_NO_MEMORY;
	return result;
}

int *
sl_part_ints(SlTape *tape, size_t count)
{
	return take_memory(tape, count, sizeof(int));
}

SlPart *
sl_part_alloc(SlTape *tape, SlPart *local)
{
	SlPart *part = take_memory(tape, 1, sizeof(SlPart));

	return part != NULL ? part : local;
}

/* Sequences with rows, longest first, equal ones in their own order. */
static bool
sort_sequences(SlPart *part, SlTape *tape, const SlBatch *batch, const int *length)
{
	int steps = batch->pack->steps;
	int *place = sl_part_ints(tape, (size_t) steps + 2);

	if (place == NULL)
		return false;
	memset(place, 0, ((size_t) steps + 2) * sizeof(int));
	for (int b = 0; b < batch->pack->batch; b++)
		place[steps - length[b] + 1]++;
	for (int t = 0; t <= steps; t++)
		place[t + 1] += place[t];
	part->pack.batch = place[steps]; /* those longer than nothing */
	for (int b = 0; b < batch->pack->batch; b++)
	{
		int at = place[steps - length[b]]++;

		part->place[b] = length[b] > 0 ? at : -1;
		if (length[b] > 0)
			part->sequence[at] = b;
	}
	return true;
}

/* Sizes and offsets of the steps, and the rows in their order. */
static void
pack_rows(SlPart *part, const SlBatch *batch, const int *first, const int *length,
		  int *size, int *offset)
{
	int rows = 0;

	for (int t = 0; t < part->pack.steps; t++)
	{
		offset[t] = rows;
		for (int i = 0; i < part->pack.batch; i++)
		{
			int b = part->sequence[i];

			if (length[b] <= t)
				break;
			part->row[rows++] = batch->pack->offset[first[b] + t] + b;
		}
		size[t] = rows - offset[t];
	}
	offset[part->pack.steps] = rows;
	part->pack.size = size;
	part->pack.offset = offset;
}

/* Rows of an array, in the part's order; NULL stays NULL. */
static void *
copy_rows(SlTape *tape, const SlPart *part, const void *from, size_t width)
{
	char *to = take_memory(tape, (size_t) part->pack.rows, width);

	if (to == NULL || from == NULL)
		return NULL;
	for (int i = 0; i < part->pack.rows; i++)
		memcpy(to + i * width, (const char *) from + part->row[i] * width, width);
	return to;
}

static bool
copy_inputs(SlPart *part, SlTape *tape, const SlNet *net, const SlBatch *batch)
{
	bool counting = sl_counting(tape);
	uint64_t *key = take_memory(tape, (size_t) part->pack.batch, sizeof(uint64_t));

	part->batch = (SlBatch){.pack = &part->pack, .code = part->code};
	part->batch.x =
		copy_rows(tape, part, batch->x, (size_t) net->spec.inputs * sizeof(float));
	for (int e = 0; e < net->spec.embeddings; e++)
		part->code[e] =
			copy_rows(tape, part, counting ? NULL : batch->code[e], sizeof(int32_t));
	part->batch.row_key = copy_rows(tape, part, batch->row_key, sizeof(uint64_t));
	if (tape->status != SL_OK || counting || batch->seq_key == NULL)
		return tape->status == SL_OK;
	for (int i = 0; i < part->pack.batch; i++)
		key[i] = batch->seq_key[part->sequence[i]];
	part->batch.seq_key = key;
	return true;
}

/* Layers keep more for sequences of unequal length, so that is what is counted. */
static void
count_whole(SlPart *part, const SlBatch *batch)
{
	part->counted_size = batch->pack->batch - 1;
	part->pack = (SlPack){.batch = batch->pack->batch,
						  .steps = 1,
						  .rows = batch->pack->rows,
						  .size = &part->counted_size};
}

bool
sl_part_take(SlPart *part, SlTape *tape, const SlNet *net, const SlBatch *batch,
			 const int *first, const int *length)
{
	bool counting = sl_counting(tape);
	int n = batch->pack->batch, steps = batch->pack->steps;

	memset(part, 0, sizeof(*part));
	part->sequence = sl_part_ints(tape, n);
	part->place = sl_part_ints(tape, n);

	int *size = sl_part_ints(tape, steps);
	int *offset = sl_part_ints(tape, (size_t) steps + 1);

	if (counting)
	{
		sl_part_ints(tape, (size_t) steps + 2);
		count_whole(part, batch);
	}
	else if (tape->status != SL_OK || !sort_sequences(part, tape, batch, length))
		return false;
	for (int b = 0; !counting && b < n; b++)
	{
		part->pack.rows += length[b];
		if (length[b] > part->pack.steps)
			part->pack.steps = length[b];
	}
	part->row = sl_part_ints(tape, part->pack.rows);
	if (tape->status != SL_OK)
		return false;
	if (!counting)
		pack_rows(part, batch, first, length, size, offset);
	return copy_inputs(part, tape, net, batch);
}

bool
sl_part_split(SlPart *past, SlPart *future, int **where, SlTape *tape, const SlNet *net,
			  const SlBatch *batch)
{
	const SlPack *pack = batch->pack;
	int *first = sl_part_ints(tape, pack->batch);
	int *length = sl_part_ints(tape, pack->batch);
	int *rest = sl_part_ints(tape, pack->batch);

	if (tape->status != SL_OK)
		return false;
	*where = length;
	for (int b = 0; !sl_counting(tape) && b < pack->batch; b++)
	{
		first[b] = length[b] = rest[b] = 0;
		for (int t = 0; t < pack->steps && b < pack->size[t]; t++)
			if (batch->future != NULL && batch->future[pack->offset[t] + b])
				rest[b]++;
			else
				length[b]++;
	}
	return sl_part_take(past, tape, net, batch, first, length) &&
		   sl_part_take(future, tape, net, batch, length, rest);
}

int *
sl_part_places(const SlPart *part, SlTape *tape, const SlBatch *batch)
{
	int *place = sl_part_ints(tape, batch->pack->rows);

	if (place == NULL)
		return NULL;
	for (int i = 0; i < batch->pack->rows; i++)
		place[i] = -1;
	for (int i = 0; i < part->pack.rows; i++)
		place[part->row[i]] = i;
	return place;
}
