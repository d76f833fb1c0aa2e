/*
 * cursor.h: reading a source row by row.
 */
#ifndef SL_CURSOR_H
#define SL_CURSOR_H

#include "executor/spi.h"

#include "train/split.h"
#include "train/value.h"

/* What to read.  target, censored and split may be NULL. */
typedef struct SlRequest
{
	const char *source;
	const char *partition_by;
	const char *order_by;
	const char *target;
	const char *censored;
	const SlSplit *split;
	bool labels; /* the target must be 0 or 1 */
	bool unique; /* order_by must tell the rows of a sequence apart */
	int count;	 /* input columns */
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
	bool labels;
	bool unique;
	bool has_part;
	SPITupleTable *table; /* the fetched batch */
	uint64 fetched;
	uint64 at;
	MemoryContext batch; /* for texts made of this batch's values; reset with it */
	bool any;			 /* row before, where unique: its key and place */
	StringInfoData last_key;
	StringInfoData last_order;
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

/* The current row's target, NaN if it is NULL. */
extern double sl_cursor_target(SlCursor *cursor);

/* The part the split gives the current row, if it does so row by row (has_part). */
extern SlPart sl_cursor_part(SlCursor *cursor);

extern void sl_cursor_close(SlCursor *cursor);

/* Fills in split->validation_from and test_from of a split by time; NULL: no such part.
 */
extern void sl_split_find_cuts(SlSplit *split, const char *source, const char *order_by);

#endif
