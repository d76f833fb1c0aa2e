/*
 * prepare.h: from a training source to what the trainer takes: inputs fitted on training
 * rows, features, scaled targets, weights, baselines.
 */
#ifndef SL_PREPARE_H
#define SL_PREPARE_H

#include "store/store.h"
#include "train/call.h"
#include "train/items.h"
#include "train/rows.h"

/* What all networks of a version share. */
typedef struct SlTrainSource
{
	SlRows *rows;
	SlInputs *inputs; /* vocabularies are fitted; numbers are not */
	SlValueReader *readers;
	SlItemTable *items; /* NULL without an item column */
	SlSplit split;
	int keys_with_rows; /* baselines by key: training rows, mean, median */
	char **keys;
	int64 *key_rows;
	double *key_mean;
	double *key_median;
	int64 all_rows;
	double all_mean;
	double all_median;
} SlTrainSource;

/* What one network is trained on. */
typedef struct SlPrepared
{
	SlInputs *inputs;
	SlTrainSet set;
	int64 part_rows[3]; /* with a known target */
	double start_value; /* median of the transformed training target; the logit of its
						   mean where it is 0 or 1 */
	Size bytes;			/* of memory it holds, columns of the source included */
} SlPrepared;

/* Reads the source; base is the version a warm start goes on from, or NULL. */
extern SlTrainSource *sl_source_read(const SlTrainCall *call, const SlOptions *options,
									 const SlModel *base, Size limit);

/* Prepares rows of the source (all, or a subset) for a network; base is the network a
 * warm start goes on from, or NULL. */
extern SlPrepared *sl_prepare(const SlTrainCall *call, const SlTrainSource *source,
							  SlRows *rows, const SlOptions *options, const SlModel *base,
							  Size limit);

#endif
