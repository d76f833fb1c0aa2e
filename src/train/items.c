/*
 * items.c: see items.h.
 *
 * An item's feature is its first value that is not NULL among training rows, in the order
 * of time; later ones that differ are not looked at.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "embed/embedding.h"
#include "train/items.h"

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(count, 1) * width,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

void
sl_items_check_size(const SlVocabulary *vocabulary, const char *column)
{
	Size bytes = ARR_OVERHEAD_NONULLS(1);

	for (int c = 1; c <= sl_vocabulary_count(vocabulary); c++)
		bytes += INTALIGN(VARHDRSZ + strlen(sl_vocabulary_text(vocabulary, c)));
	if (bytes > MaxAllocSize / 2) /* it is copied once on its way to the table */
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the values of column \"%s\" are too large to be stored", column),
				 errdetail("%d texts take %zu MB; there is room for %zu MB.",
						   sl_vocabulary_count(vocabulary), bytes >> 20,
						   (Size) MaxAllocSize / 2 >> 20),
				 errhint("Raise min_count, or give shorter texts.")));
}

/* An embedding to start from decides the dimensions. */
static void
follow_embedding(SlInput *input, const char *name)
{
	const SlEmbedding *embedding = sl_embedding_find(name);

	if (input->dim != 0 && input->dim != embedding->dims)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("embedding \"%s\" has %d dimensions, not %d", name,
							   embedding->dims, input->dim),
						errhint("Leave the item out of option columns.")));
	input->dim = embedding->dims;
}

static void
fit_vocabulary(SlRows *rows, SlInput *input, int32 *code, const SlOptions *options)
{
	bool *use = huge(rows->rows, sizeof(bool));

	for (int i = 0; i < rows->rows; i++)
		use[i] = sl_row_fits(rows, i);
	if (options->pretrained != NULL)
		follow_embedding(input, options->pretrained);
	sl_input_fit_text(input, code, use, rows->rows, options->min_count);
	pfree(use);
	if (sl_vocabulary_count(input->vocabulary) == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("no item of column \"%s\" is in %d training rows",
							   input->name, options->min_count),
						errhint("Lower min_count, or hold fewer rows out.")));
	sl_items_check_size(input->vocabulary, input->name);
}

/* Feature f of every item, from the rows' column. */
static void
fit_feature(SlItemTable *items, const SlRows *rows, const int32 *code, int f,
			const float *column)
{
	float *to = items->feature + (Size) SL_ITEM_FIRST * items->features + f;
	double mean = 0;
	double m2 = 0;
	double scale;
	int n = 0;

	for (int i = 0; i < items->count; i++)
		to[(Size) i * items->features] = NAN;
	for (int t = 0; t < rows->rows; t++)
	{
		int i = rows->time_order[t];
		float *value;

		if (!sl_row_fits(rows, i) || code[i] == 0 || isnan(column[i]))
			continue;
		value = to + (Size) (code[i] - 1) * items->features;
		if (isnan(*value))
			*value = column[i];
	}
	for (int i = 0; i < items->count; i++)
	{
		double value = to[(Size) i * items->features];
		double step = value - mean;

		if (isnan(value))
			continue;
		mean += step / ++n;
		m2 += step * (value - mean);
	}
	scale = n > 0 && m2 > 1e-24 * n * mean * mean ? sqrt(m2 / n) : 1;
	for (int i = 0; i < items->count; i++)
	{
		float *value = to + (Size) i * items->features;

		*value = isnan(*value) ? 0 : (float) ((*value - mean) / scale);
	}
}

SlItemTable *
sl_items_fit(SlRows *rows, SlInputs *inputs, const SlOptions *options, bool fit)
{
	SlItemTable *items = palloc0(sizeof(SlItemTable));
	int column = sl_inputs_find(inputs, SL_ROLE_ITEM);
	SlInput *input = &inputs->input[column];
	int32 *code = rows->column[column];

	if (fit)
		fit_vocabulary(rows, input, code, options);
	items->count = sl_vocabulary_count(input->vocabulary);
	items->features = list_length(options->item_features);
	items->rows = huge(items->count, sizeof(int64));
	for (int i = 0; i < rows->rows; i++)
	{
		if (code[i] > 0 && sl_row_fits(rows, i))
			items->rows[code[i] - 1]++;
		if (options->task == SL_TASK_NEXT_ITEMS)
			rows->y[i] = code[i] > 0 ? (float) (code[i] - 1) : NAN;
	}
	if (!fit || items->features == 0)
		return items;
	items->feature =
		huge((Size) (SL_ITEM_FIRST + items->count) * items->features, sizeof(float));
	for (int f = 0; f < items->features; f++)
	{
		CHECK_FOR_INTERRUPTS();
		fit_feature(items, rows, code, f, rows->column[inputs->count + f]);
		pfree(rows->column[inputs->count + f]);
		rows->column[inputs->count + f] = NULL;
	}
	return items;
}
