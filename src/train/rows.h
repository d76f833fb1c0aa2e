/*
 * rows.h: reading a training source into columns.
 */
#ifndef SL_ROWS_H
#define SL_ROWS_H

#include <math.h>

#include "train/cursor.h"
#include "train/input.h"

/* What a row of a sequence with a horizon is for. */
typedef enum SlRowUse
{
	SL_ROW_FUTURE, /* predicted */
	SL_ROW_PAST,
	SL_ROW_SKIPPED /* too far back */
} SlRowUse;

/* A source read whole: rows of a sequence lie together, in order. */
typedef struct SlRows
{
	int rows;
	int sequences;
	int *start;			/* [sequences + 1] */
	int *time_order;	/* [rows] */
	SlVocabulary *keys; /* sequence s has key s + 1 */
	float *y;			/* NaN: unknown */
	uint8 *censored;	/* NULL without such a column */
	uint8 *part;		/* SlPart of each row */
	uint8 *use;			/* SlRowUse of each row; NULL without a horizon */
	void **column;		/* per input: float[rows] (NaN: NULL) or int32[rows] of codes;
						   then item features, float[rows] */
	double *base; /* per input: subtracted from the numbers, so that they fit a float */
} SlRows;

/*
 * Reads all rows, each with its own values.  Texts of inputs with an empty vocabulary are
 * added to it; with a filled one (a warm start) they are looked up.  The cursor's columns
 * are the inputs and then the item features of these names.  Fails when the columns would
 * take more than limit bytes.
 */
extern SlRows *sl_rows_read(SlCursor *cursor, const SlInputs *inputs, int features,
							char *const *names, const SlSplit *split,
							bool new_vocabularies, Size limit);

/* With a horizon: sets use, and gives each sequence one part. */
extern void sl_rows_cut(SlRows *rows, const SlInputs *inputs, const SlOptions *options);

/* Columns of own values become columns of what enters the network; see sequence.h. */
extern void sl_rows_enter(SlRows *rows, const SlInputs *inputs, const SlOptions *options);

/* Whether the row's target is known and to be predicted. */
static inline bool
sl_row_counts(const SlRows *rows, int row)
{
	return !isnan(rows->y[row]) && (rows->use == NULL || rows->use[row] == SL_ROW_FUTURE);
}

/* Whether preprocessing is fitted on the row. */
static inline bool
sl_row_fits(const SlRows *rows, int row)
{
	return rows->part[row] == SL_TRAIN &&
		   (rows->use == NULL || rows->use[row] != SL_ROW_SKIPPED);
}

/* A copy of the sequences with keep[s], at least one. */
extern SlRows *sl_rows_subset(const SlRows *rows, int inputs, const bool *keep);

/* Gives the columns' memory back. */
extern void sl_rows_free_columns(SlRows *rows, int inputs);

#endif
