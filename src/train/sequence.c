/*
 * sequence.c: see sequence.h.
 */
#include "postgres.h"

#include <math.h>

#include "train/sequence.h"

int
sl_sequence_skipped(const SlOptions *options, int rows)
{
	return options->horizon == 0 ? 0 : Max(rows - options->sequence_length, 0);
}

int
sl_sequence_past(const SlOptions *options, const SlInputs *inputs, int rows,
				 const SlCellValue *cell)
{
	int past =
		options->horizon == SL_HORIZON_HALF ? rows / 2 : Max(rows - options->horizon, 0);
	int target = sl_inputs_find(inputs, SL_ROLE_TARGET);

	if (options->horizon == 0)
		return 0;
	for (int i = 0; target >= 0 && i < past; i++)
		if (isnan(cell[(Size) i * inputs->count + target].number))
			return i;
	return past;
}

/* A past row's item, as the network sees it. */
static int32
past_item(const SlOptions *options, const SlInputs *inputs, const SlCellValue *row,
		  int item)
{
	int target = sl_inputs_find(inputs, SL_ROLE_TARGET);
	bool token = options->past_skips == SL_PAST_SKIPS_TOKEN ||
				 options->past_skips == SL_PAST_SKIPS_BOTH;

	if (token && target >= 0 && row[target].number == 1)
		return SL_ITEM_SKIP;
	return sl_item_code(row[item].code);
}

/* From the last row up, since a future row's item is that of the row before. */
static void
enter_items(const SlOptions *options, const SlInputs *inputs, int rows, int past,
			SlCellValue *cell, int item)
{
	for (int i = rows - 1; i >= 0; i--)
	{
		SlCellValue *row = cell + (Size) i * inputs->count;

		if (i < past)
			row[item].code = past_item(options, inputs, row, item);
		else if (options->task != SL_TASK_NEXT_ITEMS)
			row[item].code = sl_item_code(row[item].code);
		else
			row[item].code =
				i == 0 ? SL_ITEM_PAD : sl_item_code((row - inputs->count)[item].code);
	}
}

void
sl_sequence_enter(const SlOptions *options, const SlInputs *inputs, int rows, int past,
				  SlCellValue *cell)
{
	int item = sl_inputs_find(inputs, SL_ROLE_ITEM);

	if (item >= 0)
		enter_items(options, inputs, rows, past, cell, item);
	for (int c = 0; c < inputs->count; c++)
	{
		const SlInput *input = &inputs->input[c];

		if (input->role != SL_ROLE_OBSERVED && input->role != SL_ROLE_TARGET)
			continue;
		for (int i = past; i < rows; i++)
			cell[(Size) i * inputs->count + c] = sl_input_missing(input);
	}
}

void
sl_sequence_next(const SlOptions *options, const SlInputs *inputs, bool fresh,
				 SlCellValue *cell, SlCellValue *earlier)
{
	for (int c = 0; c < inputs->count; c++)
	{
		const SlInput *input = &inputs->input[c];
		bool item = input->role == SL_ROLE_ITEM;
		SlCellValue own = cell[c];

		if (item)
			own.code = cell[c].code = sl_item_code(own.code);
		if (input->role != SL_ROLE_OBSERVED &&
			!(item && options->task == SL_TASK_NEXT_ITEMS))
			continue;
		if (!fresh)
			cell[c] = earlier[c];
		else if (item)
			cell[c].code = SL_ITEM_PAD;
		else
			cell[c] = sl_input_missing(input);
		earlier[c] = own;
	}
}

SlPart
sl_sequence_part(const uint8 *part, int rows)
{
	uint8 last = SL_TRAIN;

	for (int i = 0; i < rows; i++)
		last = Max(last, part[i]);
	return (SlPart) last;
}
