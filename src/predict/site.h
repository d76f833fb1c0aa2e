/*
 * site.h: what a call site keeps between calls: the model, its networks, and how the rows
 * it is given map to the model's columns.
 */
#ifndef SL_SITE_H
#define SL_SITE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"

#include "predict/runner.h"
#include "train/value.h"

/* What a call site keeps for one network of the model. */
typedef struct SlSeat
{
	const SlModel *model; /* NULL: not used yet */
	SlRunner *runner;
	float *x; /* one row of network inputs */
	int32 row_code[SL_MAX_EMBEDDINGS];
	int32 *code[SL_MAX_EMBEDDINGS];
	float *out;
} SlSeat;

/* What one call site keeps for a statement.  All but the struct itself is in context,
 * which is reset when another model is asked for. */
typedef struct SlSite
{
	MemoryContext context;
	uint64 moment; /* of the snapshot and role the model was looked up with */
	char *name;
	const SlModel *model;
	SlSeat *seat; /* of the network of all users, then of the clusters' */
	int state;	  /* floats of the largest state */
	/* how the rows given map to inputs */
	Oid row_type;
	int32 row_typmod;
	TupleDesc desc;
	int *attribute; /* per input, from 1 */
	SlValueReader *reader;
	int key_attribute; /* partition_by, where clusters have networks */
	SlValueReader key_reader;
	Datum *value; /* of one row, by attribute */
	bool *isnull;
	SlCellValue *cell;
} SlSite;

/* The call site's, with the model that serves now.  The caller looks what it predicts. */
extern SlSite *sl_site_get(FunctionCallInfo fcinfo, text *model);

/* Which network serves the partition of a row: index into seat. */
extern int sl_site_network(SlSite *site, HeapTupleHeader row);

extern SlSeat *sl_site_seat(SlSite *site, int network);

/* The row's own values, before any of them enters a network; see sequence.h. */
extern void sl_site_cells(SlSite *site, const SlSeat *seat, HeapTupleHeader row,
						  SlCellValue *cell);

/* Whether the column of an input is NULL in the row. */
extern bool sl_site_is_null(SlSite *site, HeapTupleHeader row, int input);

/* The elements of an array of rows; anything else, and NULL elements, are errors. */
extern Datum *sl_site_rows(ArrayType *array, int *rows);

#endif
