/*
 * rows_enter.c: the rules of sequence.h applied to columns.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "train/rows.h"
#include "train/sequence.h"

static void
gather(const SlRows *rows, const SlInputs *inputs, int row, SlCellValue *cell)
{
	for (int c = 0; c < inputs->count; c++)
		if (sl_input_has_vocabulary(&inputs->input[c]))
			cell[c].code = ((int32 *) rows->column[c])[row];
		else
			cell[c].number = ((float *) rows->column[c])[row];
}

static void
scatter(SlRows *rows, const SlInputs *inputs, int row, const SlCellValue *cell)
{
	for (int c = 0; c < inputs->count; c++)
		if (sl_input_has_vocabulary(&inputs->input[c]))
			((int32 *) rows->column[c])[row] = cell[c].code;
		else
			((float *) rows->column[c])[row] = (float) cell[c].number;
}

/* Cells of as many rows as a sequence with a horizon can use. */
static SlCellValue *
sequence_cells(const SlInputs *inputs, const SlOptions *options)
{
	return palloc_extended(sizeof(SlCellValue) * Max(inputs->count, 1) *
							   (Size) options->sequence_length,
						   MCXT_ALLOC_HUGE);
}

void
sl_rows_cut(SlRows *rows, const SlInputs *inputs, const SlOptions *options)
{
	SlCellValue *cell;

	if (options->horizon == 0)
		return;
	cell = sequence_cells(inputs, options);
	rows->use = MemoryContextAllocHuge(CurrentMemoryContext, rows->rows);
	for (int s = 0; s < rows->sequences; s++)
	{
		int first = rows->start[s];
		int length = rows->start[s + 1] - first;
		int skipped = sl_sequence_skipped(options, length);
		int used = length - skipped;
		int past;

		CHECK_FOR_INTERRUPTS();
		memset(rows->part + first, sl_sequence_part(rows->part + first, length), length);
		for (int i = 0; i < used; i++)
			gather(rows, inputs, first + skipped + i, cell + (Size) i * inputs->count);
		past = sl_sequence_past(options, inputs, used, cell);
		memset(rows->use + first, SL_ROW_SKIPPED, skipped);
		memset(rows->use + first + skipped, SL_ROW_PAST, past);
		memset(rows->use + first + skipped + past, SL_ROW_FUTURE, used - past);
	}
	pfree(cell);
}

static void
enter_whole(SlRows *rows, const SlInputs *inputs, const SlOptions *options)
{
	SlCellValue *cell = sequence_cells(inputs, options);

	for (int s = 0; s < rows->sequences; s++)
	{
		int end = rows->start[s + 1];
		int first = rows->start[s] + sl_sequence_skipped(options, end - rows->start[s]);
		int past = 0;

		CHECK_FOR_INTERRUPTS();
		for (int i = first; i < end; i++)
		{
			gather(rows, inputs, i, cell + (Size) (i - first) * inputs->count);
			past += rows->use[i] == SL_ROW_PAST;
		}
		sl_sequence_enter(options, inputs, end - first, past, cell);
		for (int i = first; i < end; i++)
			scatter(rows, inputs, i, cell + (Size) (i - first) * inputs->count);
	}
	pfree(cell);
}

static void
enter_by_row(SlRows *rows, const SlInputs *inputs, const SlOptions *options)
{
	SlCellValue *cell = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	SlCellValue *earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));

	for (int s = 0; s < rows->sequences; s++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = rows->start[s]; i < rows->start[s + 1]; i++)
		{
			gather(rows, inputs, i, cell);
			sl_sequence_next(options, inputs, i == rows->start[s], cell, earlier);
			scatter(rows, inputs, i, cell);
		}
	}
	pfree(cell);
	pfree(earlier);
}

void
sl_rows_enter(SlRows *rows, const SlInputs *inputs, const SlOptions *options)
{
	if (options->horizon != 0)
		enter_whole(rows, inputs, options);
	else if (sl_inputs_find(inputs, SL_ROLE_OBSERVED) >= 0 ||
			 sl_inputs_find(inputs, SL_ROLE_ITEM) >= 0)
		enter_by_row(rows, inputs, options);
}
