/*
 * items.h: the item column of a training source: vocabulary, counts, features, classes.
 */
#ifndef SL_ITEMS_H
#define SL_ITEMS_H

#include "train/rows.h"

typedef struct SlItemTable
{
	int count;		/* items of the vocabulary */
	int64 *rows;	/* [count], training rows of each */
	int features;	/* columns of the table */
	float *feature; /* [(SL_ITEM_FIRST + count) x features], standardised over the items,
					   0 where unknown and for tokens */
} SlItemTable;

/*
 * Fits the item column: with fit, keeps the items that occur min_count times in training
 * rows and reads their features.  Call before sl_rows_enter().  If items are predicted,
 * also sets rows->y to the class of each row, NaN: none.
 */
extern SlItemTable *sl_items_fit(SlRows *rows, SlInputs *inputs, const SlOptions *options,
								 bool fit);

/* Refuses texts that one array can't store. */
extern void sl_items_check_size(const SlVocabulary *vocabulary, const char *column);

#endif
