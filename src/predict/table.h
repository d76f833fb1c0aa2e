/*
 * table.h: whole sources, many sequences at a time.
 *
 * Rows come ordered by partition and order.  Whole sequences are gathered until a buffer
 * is full, run side by side, and handed on in the order in which they were read.  A model
 * with a network for each cluster has a buffer for each.  Where several processes run
 * them, the next buffer is read meanwhile.
 */
#ifndef SL_TABLE_H
#define SL_TABLE_H

#include "fmgr.h"
#include "nodes/execnodes.h"

#include "argument.h"
#include "predict/crew.h"
#include "train/cursor.h"

#define SL_ANY_PART (-1)

/* Rows of whole sequences that one network serves, and of the one being read. */
typedef struct SlPending
{
	const SlModel *model;
	int network; /* 0: of all users; from 1: a cluster's */
	SlRunner *runner;
	MemoryContext keys; /* texts; reset with the buffer */
	int rows;
	int room;
	int full; /* rows at which whole sequences are run */
	int sequences;
	int *start;	  /* [room + 1], of all rows of a sequence */
	SlSpan *used; /* per sequence, rows that enter the network */
	int *past;	  /* per sequence, the first so many of these are not predicted */
	char **key;	  /* per sequence */
	char **order;
	float *x;
	int32 *code[SL_MAX_EMBEDDINGS];
	uint8 *future; /* NULL: the model does not take sequences whole */
	float *out;
	double *actual; /* evaluating only, as the next */
	uint8 *row_part;
	char **item;	  /* item_predictions() only, as the next; NULL: none */
	int32 *item_code; /* in the vocabulary, 0: not in it */
} SlPending;

typedef struct SlTable SlTable;

struct SlTable
{
	const SlModel *model;
	SlCursor *cursor;
	ReturnSetInfo *result;
	/* of the network of all users, then of the clusters': the rows being read, and
	 * those being run */
	SlPending *buffer;
	SlPending *spare;
	int buffers;
	SlCrew *crew;
	SlPending *running; /* a spare one, NULL: none is */
	bool evaluating;
	int part; /* to return, or SL_ANY_PART */
	/* Hands on the sequences of a buffer, which have been run. */
	void (*give)(SlTable *table, const SlPending *pending);
	void *arg;

	/* the sequence being read */
	SlCellValue *cell; /* one row; where sequences are taken whole, the last ones */
	int cells;		   /* rows in it */
	int cell_room;
	SlCellValue *earlier;
};

/* Opens the source (NULL: the stored one, for the owner alone) for a model and runs all
 * of it.  SPI must be connected; what is made lives in the current memory context. */
extern void sl_table_run(SlTable *table, const char *source);

/* Refuses the stored source to all but the owner of the model. */
extern void sl_table_check_stored_source(const SlModel *model);

/* Which part a sequence's row is of, by its number in the buffer. */
extern SlPart sl_table_part(const SlTable *table, const SlPending *pending, int sequence,
							int row);

/* Whether a row is predicted. */
static inline bool
sl_table_is_predicted(const SlPending *b, int sequence, int row)
{
	return row >= b->used[sequence].first + b->past[sequence];
}

/* Arguments of a function over a source. */
extern void sl_require(const char *value, const char *name);
/* "train", "validation", "test" or "all" */
extern int sl_part_argument(const char *part);

#endif
