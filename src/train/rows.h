/*
 * rows.h: reading a source through a cursor, and a training source into columns.
 */
#ifndef SL_ROWS_H
#define SL_ROWS_H

#include "executor/spi.h"

#include "train/input.h"
#include "train/split.h"

/* What to read.  target, censored and split may be NULL. */
typedef struct SlRequest
{
	const char *source;
	const char *partition_by;
	const char *order_by;
	const char *target;
	const char *censored;
	const SlSplit *split;
	int count; /* input columns */
	char **names;
} SlRequest;

/* Columns of the cursor's rows; inputs come after them. */
enum
{
	SL_COLUMN_KEY,
	SL_COLUMN_ORDER,
	SL_COLUMN_TARGET,
	SL_COLUMN_CENSORED,
	SL_COLUMN_PART, /* int: 0, 1, 2 where the split says so row by row */
	SL_COLUMNS
};

typedef struct SlCursor
{
	Portal portal;
	int columns; /* SL_COLUMNS + inputs */
	SlValueReader *reader;
	Datum *value; /* of the current row */
	bool *isnull;
	const char *target; /* its name, NULL: not asked for */
	bool has_part;
	SPITupleTable *table; /* the fetched batch */
	uint64 fetched;
	uint64 at;
	MemoryContext batch; /* for texts made of this batch's values; reset with it */
} SlCursor;

/* Opens a cursor over the source, with the caller's rights; SPI must be connected.
 * by_partition: ordered by partition_by, order_by; else by order_by, partition_by, so
 * that rows of different sequences come in the same order whatever the plan. */
extern SlCursor *sl_cursor_open(const SlRequest *request, bool by_partition);

/* Fetches the next row; false at the end. */
extern bool sl_cursor_next(SlCursor *cursor);

/* The current row's partition key and order key as texts, in the batch's memory; NULL
 * keys are an error. */
extern char *sl_cursor_key(SlCursor *cursor);
extern char *sl_cursor_order(SlCursor *cursor);

/* The part the split gives the current row, if it does so row by row (has_part). */
extern SlPart sl_cursor_part(SlCursor *cursor);

extern void sl_cursor_close(SlCursor *cursor);

/* Fills in split->validation_from and test_from of a split by time; NULL: no such part.
 */
extern void sl_split_find_cuts(SlSplit *split, const char *source, const char *order_by);

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
	void **column;		/* per input: float[rows] (NaN: NULL) or int32[rows] of codes */
	double *base; /* per input: subtracted from the numbers, so that they fit a float */
} SlRows;

/*
 * Reads all rows.  Texts of inputs with an empty vocabulary are added to it; with a
 * filled one (a warm start) they are looked up.  Observed inputs are moved one row down.
 * Fails when the columns would take more than limit bytes.
 */
extern SlRows *sl_rows_read(SlCursor *cursor, const SlInputs *inputs,
							const SlSplit *split, bool new_vocabularies, Size limit);

/* A copy of the sequences with keep[s], at least one. */
extern SlRows *sl_rows_subset(const SlRows *rows, int inputs, const bool *keep);

/* Gives the columns' memory back. */
extern void sl_rows_free_columns(SlRows *rows, int inputs);

#endif
